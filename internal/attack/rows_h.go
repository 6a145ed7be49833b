package attack

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// sid20 is an id that nobody has.
const sid20 = "xxxxxxxxxxxxxxxxxxxx"

var handshakeRows = []Row{
	{ID: "H01", Sent: "no transport", Want: "400 0", Run: requests(request{"GET", "EIO=4", "", "400 0", nil})},
	{ID: "H02", Sent: "the names of inherited JavaScript properties as a transport", Want: "400 0", Run: requests(
		request{"GET", "EIO=4&transport=constructor", "", "400 0", nil}, request{"GET", "EIO=4&transport=toString", "", "400 0", nil},
		request{"GET", "EIO=4&transport=hasOwnProperty", "", "400 0", nil})},
	{ID: "H03", Sent: "transport=__proto__, as a poll and as an upgrade", Want: "400 0, never a 101", Run: all(
		requests(request{"GET", "EIO=4&transport=__proto__", "", "400 0", nil}),
		upgrades(request{"", "EIO=4&transport=__proto__", "", "400 0", nil}))},
	{ID: "H04", Sent: "an upgrade with transport=polling", Want: "400, never a 101", Run: upgrades(request{"", q4, "", "400", nil})},
	{ID: "H05", Sent: "transport=websocket without Upgrade", Want: "400 3", Run: requests(request{"GET", w4, "", "400 3", nil})},
	{ID: "H06", Sent: "a poll with transport=websocket for a session that polls", Want: "400 3; the next poll gets every packet", Run: mismatchedPoll},
	{ID: "H07", Sent: "transport[]=polling, transport=", Want: "400 0", Run: requests(
		request{"GET", "EIO=4&transport[]=polling", "", "400 0", nil}, request{"GET", "EIO=4&transport=", "", "400 0", nil})},
	{ID: "H08", Sent: "transport, sid or EIO twice", Want: "400 3", Run: requests(
		request{"GET", "EIO=4&transport=websocket&transport=polling", "", "400 3", nil}, request{"GET", q4 + "&sid=SID&sid=SID", "", "400 3", nil},
		request{"GET", q4 + "&EIO=4", "", "400 3", nil}, request{"GET", q4 + "&EIO=3", "", "400 3|400 5", nil})},
	{ID: "H09", Sent: "EIO=5, -1, with a NUL, of 10 kB, and none", Want: "400 5; for the long one also 431, or the end of the connection, by the host", Run: all(requests(
		request{"GET", "EIO=5&transport=polling", "", "400 5", nil}, request{"GET", "EIO=-1&transport=polling", "", "400 5", nil},
		request{"GET", "EIO=4%00&transport=polling", "", "400 5", nil}, request{"GET", "transport=polling", "", "400 5", nil}),
		// A host may close before it has read all of it, and its answer is lost then.
		raws("400|431|0", "GET /socket.io/?EIO="+strings.Repeat("4", 10_000)+"&transport=polling HTTP/1.1\r\nHost: HOST\r\n\r\n"))},
	{ID: "H10", Kind: modern, Sent: "EIO=3 where it is off", Want: "400 5", Run: all(requests(request{"GET", q3, "", "400 5", nil}),
		upgrades(request{"", w3, "", "400 5", nil}))},
	{ID: "H11", Sent: "an id that nobody has, and one that has ended", Want: "400 1, the same answer", Run: unknownSID},
	{ID: "H12", Sent: "an id with a script, a line break, other bytes, or 64 kB", Want: "400 1, or 414, 431 or the end of the connection for the long one; the id is not in the answer", Run: strangeSIDs},
	{ID: "H13", Sent: "a POST without an id", Want: "400 2", Run: requests(request{"POST", q4, "40", "400 2", nil})},
	{ID: "H14", Sent: "DELETE, PUT and PATCH for a session", Want: "405, and the session goes on", Run: requests(
		request{"DELETE", q4 + "&sid=SID", "", "405", nil}, request{"PUT", q4 + "&sid=SID", "40", "405", nil}, request{"PATCH", q4 + "&sid=SID", "40", "405", nil})},
	{ID: "H15", Sent: "a preflight without CORS", Want: "400 2", Run: requests(request{"OPTIONS", q4, "", "400 2", nil})},
	{ID: "H15", Kind: origins, Sent: "a preflight of a listed page and of another", Want: "204 with the origin, 204 without a header", Run: preflights},
	{ID: "H16", Sent: "HEAD for a session", Want: "405 or 400; the next poll gets every packet", Run: headRequest},
	{ID: "H17", Sent: "1 MiB of headers, 10 000 headers, 10 000 cookies", Want: "431 or 400, or the connection ends", Run: raws("431|400|413|0",
		"GET /socket.io/?"+q4+" HTTP/1.1\r\nHost: HOST\r\nX-Long: "+strings.Repeat("x", 1<<20+5000)+"\r\n\r\n",
		"GET /socket.io/?"+q4+" HTTP/1.1\r\nHost: HOST\r\n"+strings.Repeat("X-A: b\r\n", 10_000)+"\r\n",
		"GET /socket.io/?"+q4+" HTTP/1.1\r\nHost: HOST\r\nCookie: "+strings.Repeat("a=b; ", 10_000)+"a=b\r\n\r\n")},
	{ID: "H18", Sent: "Origin twice, with a control character, of 64 kB", Want: "403, 400 or 431; the origin is in no header of the answer", Run: strangeOrigins},
	{ID: "H19", Sent: "Content-Length twice or negative; beside Transfer-Encoding", Want: "400; beside Transfer-Encoding the chunks count", Run: lengths},
	{ID: "H20", Sent: "Expect: 100-continue, and the body never comes", Want: "408 or the connection ends, after 10 s", Long: true, Needs: []string{"partial-body"}, Run: neverContinues},
	{ID: "H21", Sent: "an absolute target, double slashes, dots, escaped dots", Want: "the answer that the host's router gives to the path; no other route is reached by them",
		Differs: "an absolute target is one that every HTTP/1.1 server must accept, and which path is ours is for the host's router to say", Run: strangeTargets},
	{ID: "H22", Sent: "another Host, two, an empty one", Want: "without a list the page's origin must be Host and port exactly; two are 400, or 403 where the host takes the last one", Run: strangeHosts},
	{ID: "H23", Sent: "forged X-Forwarded headers", Want: "they are ignored", Run: requests(
		request{"GET", q4, "", "403 4", []string{"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-For", "127.0.0.1"}},
		request{"GET", q4, "", "403 4", []string{"Origin", "https://evil.example", "Forwarded", "host=evil.example;proto=https", "X-Forwarded-Server", "evil.example"}})},
	{ID: "H24", Sent: "an upgrade over HTTP/2", Want: "a refusal with a reason; polling works", Elsewhere: "TestHTTP2"},
	{ID: "H25", Sent: "10 000 polls over HTTP/2 that are reset at once; a flood of CONTINUATION", Want: "the sessions stay consistent", Elsewhere: "TestHTTP2",
		Differs: "the frames of HTTP/2 are read by net/http; what a poll's end does to its session is the same as over HTTP/1.1, P14 and P19"},
	{ID: "H26", Kind: small, Sent: "handshakes that nothing follows", Want: "503 with Retry-After beyond the bound; the others are gone after the connect timeout", Run: handshakeFlood, Elsewhere: "TestPendingHandshakes"},
	{ID: "H27", Kind: asking, Sent: "OnHandshake refuses, fails, panics, waits while its client leaves", Want: "403, 403 without the error's text, 500; nothing is left",
		Differs: "OnHandshake has no deadline of its own: its context ends with the request, and the timeouts of the host's server bound that", Run: askingHandshakes},
	{ID: "H28", Sent: "bytes that are no frame behind the headers of an upgrade", Want: "1002", Run: earlyGarbage},
	{ID: "H29", Sent: "upgrades whose client resets the connection at once, 200 times", Want: "nothing is left", Run: abortedUpgrades},
	{ID: "H30", Sent: "an upgrade on a route of the host; Upgrade: h2c on ours", Want: "the host's route answers; a poll is a poll", Run: otherUpgrades},
	{ID: "H31", Sent: "a key that is missing, short, or of 1 MB; version 0, 8 or 99; keep-alive, Upgrade", Want: "400 or 431; 426; accepted", Run: all(upgrades(
		request{"", w4, "", "400", []string{"Sec-Websocket-Key", ""}}, request{"", w4, "", "400", []string{"Sec-Websocket-Key", "c2hvcnQ="}},
		request{"", w4, "", "426", []string{"Sec-Websocket-Version", "8"}}, request{"", w4, "", "426", []string{"Sec-Websocket-Version", "0"}},
		request{"", w4, "", "426", []string{"Sec-Websocket-Version", "99"}}), raws("431|400|0",
		"GET /socket.io/?"+w4+" HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"),
		raws("101", "GET /socket.io/?"+w4+" HTTP/1.1\r\nHost: HOST\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))},
	{ID: "H32", Sent: "subprotocols of 20 000 commas and spaces, extensions with nested quotes", Want: "101, 400, 431 or the end of the connection, at once", Run: strangeTokens},
	{ID: "H33", Sent: "a generator of ids that returns what it must not", Want: "-", None: "there is no such option: the server makes the ids"},
	{ID: "H34", Sent: "paths that lead out of the directory of the client's script", Want: "400, 404 or a redirect by the host; there is no directory", Run: raws("400|404|301|307|308",
		"GET /socket.io/socket.io.js/../../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n", "GET /socket.io/socket.io.js%00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"GET /socket.io/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: HOST\r\n\r\n")},
}

func mismatchedPoll(a *A) {
	s := a.polling()
	s.Join("")
	s.Post(`42["echo",1]`)
	if got := a.Must("GET", w4+"&sid="+s.Open.SID, ""); !answers(got, "400 3") {
		a.Errorf("got %v", got)
	}
	a.want("the next poll", s.Packets(1)[0], `42["echo",1]`)
}

func headRequest(a *A) {
	s := a.polling()
	s.Join("")
	s.Post(`42["echo",1]`)
	if got := a.Must("HEAD", s.Query(), ""); !answers(got, "400|405") {
		a.Errorf("got %v", got)
	}
	a.want("the next poll", s.Packets(1)[0], `42["echo",1]`)
}

func unknownSID(a *A) {
	s := a.polling()
	s.Post("1")
	ended, never := a.Must("GET", s.Query(), ""), a.Must("GET", q4+"&sid="+sid20, "")
	if !answers(never, "400 1") || ended.String() != never.String() {
		a.Errorf("ended: %v, never there: %v", ended, never)
	}
	requests(request{"POST", q4 + "&sid=" + sid20, "40", "400 1", nil})(a)
	upgrades(request{"", w4 + "&sid=" + sid20, "", "400 1", nil})(a)
}

func strangeSIDs(a *A) {
	for _, sid := range []string{"__proto__", "%3Cscript%3E", "%ff%fe", "a%0d%0aX:1", strings.Repeat("s", 64<<10)} {
		got, err := a.Do(context.Background(), "GET", q4+"&sid="+sid, "")
		if err != nil && len(sid) > 1000 {
			continue // the host has closed before it has read all of it
		} else if err != nil || !answers(got, "400 1|414|431") {
			a.Errorf("%.30s: %v, %v", sid, got, err)
		}
		if len(sid) > 1000 {
			sid = strings.Repeat("s", 100)
		}
		for _, part := range []string{got.Body, fmt.Sprint(got.Header), a.S.log.String()} {
			if strings.Contains(part, sid) || strings.Contains(part, "<script>") {
				a.Errorf("%.30s is in the answer or in the log: %.300s", sid, part)
			}
		}
		a.want("a header of the client's", got.Header.Get("X"), "")
	}
}

func preflights(a *A) {
	for origin, want := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example": ""} {
		got := a.Must("OPTIONS", q4, "", "Origin", origin, "Access-Control-Request-Method", "POST")
		a.want("status for "+origin, got.Status, 204)
		a.want("header for "+origin, got.Header.Get("Access-Control-Allow-Origin"), want)
	}
}

func strangeOrigins(a *A) {
	for _, lines := range []string{"Origin: http://HOST\r\nOrigin: http://evil.example\r\n", "Origin: http://a\x01b\r\n", "Origin: http://" + strings.Repeat("o", 64<<10) + "\r\n"} {
		got := a.raw("GET /socket.io/?" + q4 + " HTTP/1.1\r\nHost: " + a.host() + "\r\n" + strings.ReplaceAll(lines, "HOST", a.host()) + "\r\n")
		if !answers(got, "400|403|431|0") {
			a.Errorf("%.40q: %v", lines, got)
		}
		if got.Header != nil {
			a.want("CORS header", got.Header.Get("Access-Control-Allow-Origin"), "")
		}
	}
}

// posted is a POST to a session whose headers are written by hand.
func (a *A) posted(query, lines, body string) string {
	return "POST /socket.io/?" + query + " HTTP/1.1\r\nHost: " + a.host() + "\r\nContent-Type: text/plain\r\n" + lines + "\r\n" + body
}

func lengths(a *A) {
	s := a.polling()
	s.Join("")
	for _, lines := range []string{"Content-Length: 1\r\nContent-Length: 12\r\n", "Content-Length: -1\r\n"} {
		if got := a.raw(a.posted(s.Query(), lines, `42["echo",1]`)); !answers(got, "400|0") {
			a.Errorf("%q: %v", lines, got)
		}
	}
	// The chunks are what counts: the body is not the 3 bytes of the length.
	got := a.raw(a.posted(s.Query(), "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "c\r\n42[\"echo\",2]\r\n0\r\n\r\n"))
	switch {
	case answers(got, "200"):
		a.want("behind the chunks", s.Packets(1)[0], `42["echo",2]`)
	case !answers(got, "400|0"):
		a.Errorf("both: %v", got)
	}
}

func neverContinues(a *A) {
	s := a.polling()
	c := a.dial()
	began := time.Now()
	got := a.rawOn(c, a.posted(s.Query(), "Content-Length: 100\r\nExpect: 100-continue\r\n", ""))
	if got.Status == 100 {
		got.Status = 0
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		if n > 12 {
			_, _ = fmt.Sscanf(string(buf[:n]), "HTTP/1.1 %d", &got.Status)
		}
	}
	if !answers(got, "408|0") || time.Since(began) > 15*time.Second {
		a.Errorf("after %v: %v", time.Since(began), got)
	}
}

func strangeTargets(a *A) {
	for _, target := range []string{
		"http://evil.example/socket.io/?" + q4, "//socket.io//?" + q4, "/socket.io/../admin?" + q4, "/socket.io/%2e%2e/admin?" + q4,
		"/%2573ocket.io/?" + q4, "/socket.iox/?" + q4, "/x/../socket.io/?" + q4,
	} {
		got := a.raw("GET " + target + " HTTP/1.1\r\nHost: " + a.host() + "\r\n\r\n")
		if !answers(got, "200|301|302|307|308|400|404") {
			a.Errorf("%s: %v", target, got)
		}
		if strings.HasPrefix(target, "/socket.iox") || strings.HasPrefix(target, "/%25") {
			a.want(target, got.Status, 404)
		}
	}
}

func strangeHosts(a *A) {
	for _, row := range []struct{ lines, want string }{
		{"Host: evil.example\r\nOrigin: http://evil.example:8080\r\n", "403"},
		{"Host: " + a.host() + "\r\nOrigin: http://evil.example\r\n", "403"},
		{"Host: " + a.host() + "\r\nOrigin: http://127.0.0.1\r\n", "403"},
		{"Host: " + a.host() + "\r\nOrigin: http://" + a.host() + "\r\n", "200"},
		{"Host: evil.example\r\nHost: " + a.host() + "\r\nOrigin: http://evil.example\r\n", "400|403|0"}, // fasthttp before 1.7x takes the last one
		{"Host:\r\nOrigin: http://evil.example\r\n", "403|400"},
	} {
		if got := a.raw("GET /socket.io/?" + q4 + " HTTP/1.1\r\n" + row.lines + "\r\n"); !answers(got, row.want) {
			a.Errorf("%q: got %v, want %s", row.lines, got, row.want)
		}
	}
}

func handshakeFlood(a *A) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := map[int]int{}
	for range 60 {
		wg.Go(func() {
			got, err := a.Do(context.Background(), "GET", q4, "")
			mu.Lock()
			defer mu.Unlock()
			if err != nil || got.Status == 503 && got.Header.Get("Retry-After") == "" {
				a.Errorf("%v %v", got, err)
			}
			count[got.Status]++
		})
	}
	wg.Wait()
	if count[200] != 20 || count[503] != 40 {
		a.Errorf("answers by status: %v", count)
	}
	a.eventually("the end of the pending sessions", func() bool { return a.S.srv.Stats().Pending == 0 })
	w, _ := a.joined()
	a.lives(w)
}

func askingHandshakes(a *A) {
	for do, want := range map[string]string{"refuse": "403", "fail": "403", "panic": "500", "wait": "200"} {
		got := a.Must("GET", q4, "", "X-Do", do)
		if !answers(got, want) || strings.Contains(got.Body, "hunter2") {
			a.Errorf("%s: %v", do, got)
		}
		if w, got := a.Upgrade(w4, "", "X-Do", do); do != "wait" && (w != nil || !answers(got, want) || strings.Contains(got.Body, "hunter2")) {
			a.Errorf("%s, upgrade: %v", do, got)
		}
	}
	for range 10 {
		c := a.dial()
		_, _ = c.Write([]byte("GET /socket.io/?" + q4 + " HTTP/1.1\r\nHost: " + a.host() + "\r\nX-Do: wait\r\n\r\n"))
		_ = c.Close()
	}
}

func earlyGarbage(a *A) {
	w, got := a.Upgrade(w4, "test")
	if w == nil {
		if !answers(got, "400") {
			a.Errorf("got %v", got)
		}
		return
	}
	a.want("close code", w.End().Code, 1002)
}

const upgradeHead = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func abortedUpgrades(a *A) {
	for range 200 {
		c := a.dial()
		_, _ = c.Write([]byte("GET /socket.io/?" + w4 + " HTTP/1.1\r\nHost: " + a.host() + "\r\n" + upgradeHead))
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

func otherUpgrades(a *A) {
	got := a.raw("GET /plain HTTP/1.1\r\nHost: " + a.host() + "\r\n" + upgradeHead)
	a.want("the host's route", got, "200 ok")
	raws("200", "GET /socket.io/?"+q4+" HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")(a)
	raws("400", "GET /socket.io/?"+w4+" HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")(a)
}

func strangeTokens(a *A) {
	for _, head := range []string{
		"Sec-Websocket-Protocol: " + strings.Repeat(", ", 10_000), "Sec-Websocket-Protocol: " + strings.Repeat(" ", 20_000) + "x",
		`Sec-Websocket-Extensions: permessage-deflate; a="b\"c\\"; __proto__=1; "`, "Sec-Websocket-Extensions: " + strings.Repeat("permessage-deflate; a=\"\\\"\", ", 900),
	} {
		began := time.Now()
		// 0: the host has closed before it has read all of it.
		if got := a.raw("GET /socket.io/?" + w4 + " HTTP/1.1\r\nHost: " + a.host() + "\r\n" + head + "\r\n" + upgradeHead); !answers(got, "101|400|431|0") {
			a.Errorf("%.60q: %v", head, got)
		}
		if d := time.Since(began); d > 2*time.Second {
			a.Errorf("%.60q took %v", head, d)
		}
	}
}
