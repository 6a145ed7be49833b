package attack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

var pollingRows = []Row{
	{ID: "P01", Sent: "a POST without a body", Want: "400, the session ends", Run: bodies("400", sio.ParseError, "")},
	{ID: "P02", Sent: "a POST of separators alone", Want: "400, the session ends, no list of packets is built", Run: bodies("400", sio.ParseError, strings.Repeat("\x1e", 99_000))},
	{ID: "P03", Sent: "packets of unknown types", Want: "400, parse error", Run: bodies("400", sio.ParseError, "9hello", "ahello", ":")},
	{ID: "P04", Sent: "base64 that is none", Want: "400, parse error", Run: bodies("400", sio.ParseError, "b!!!!", "bAQIDB", "b"+strings.Repeat("=", 90_000)), Differs: "both alphabets are read, with and without padding, because encoders differ (conformance: wire/base64)"},
	{ID: "P05", Sent: "a ping from a client of 4.x", Want: "transport error", Run: bodies("200|400", sio.TransportError, "2")},
	{ID: "P06", Sent: "pongs that nobody asked for: one, and 10 001 in a body", Want: "ignored; 400 beyond Limits.PayloadPackets", Run: all(ignored("3"),
		bodies("400", sio.ParseError, strings.Repeat("3\x1e", 10_000)+"3"))},
	{ID: "P07", Sent: "an open packet, an upgrade, a noop", Want: "ignored", Differs: "an open packet from a client means nothing, and the Node server ignores it too", Run: ignored("0{}", "5", "6")},
	{ID: "P08", Sent: "garbage, and an event before CONNECT", Want: "the session ends, the poll that waits is told, the id is unknown then", Run: all(bodies("200", sio.MalformedPacket, "4garbage"), eventBeforeConnect)},
	{ID: "P09", Sent: "Content-Type: application/octet-stream", Want: "400, the session ends", Run: contentType},
	{ID: "P10", Sent: "a body of one byte more than MaxPayload", Want: "413, the session ends", Run: tooLarge},
	{ID: "P11", Sent: "chunks without end", Want: "413 or 400 at the bound, the connection ends", Run: endlessChunks},
	{ID: "P12", Sent: "Content-Encoding: gzip", Want: "415, the session ends", Run: compressed},
	{ID: "P13", Sent: "a body of one byte each second", Want: "408 after 10 s; a second POST is 400", Long: true, Needs: []string{"partial-body"}, Run: slowBody, Elsewhere: "TestSlowBody"},
	{ID: "P14", Sent: "a POST that breaks off", Want: "transport error; no part of the packet is handled", Needs: []string{"partial-body"}, Run: brokenPost},
	{ID: "P15", Sent: "a second POST while the first is under way", Want: "400, the session ends", Needs: []string{"partial-body"}, Run: overlappingPosts},
	{ID: "P16", Sent: "a second poll beside one that waits", Want: "the newer gets 400, the older a close packet; transport error", Run: overlappingPolls},
	{ID: "P17", Sent: "200 polls at once", Want: "all are answered, one at most with a packet", Run: manyPolls},
	{ID: "P18", Sent: "two polls one behind the other on one connection", Want: "both are answered, in order", Run: pipelined},
	{ID: "P19", Sent: "the client of a poll resets its connection while 64 kB are written", Want: "the next polls get all packets, or the session ends", Run: resetPoll},
	{ID: "P20", Sent: "a poll that is held longer than the server's WriteTimeout", Want: "the answer arrives", Elsewhere: "TestWriteTimeout"},
	{ID: "P21", Sent: "text that is not UTF-8; NUL; half a surrogate pair", Want: "400, parse error; both are kept", Run: all(bodies("400", sio.ParseError, "42[\"mark\",\"\xff\"]", "42[\"mark\",\"\xed\xa0\x80\"]"),
		accepted([2]string{`42["echo","\u0000"]`, `42["echo","\u0000"]`}, [2]string{`42["echo","\ud800"]`, `42["echo","\ud800"]`}))},
	{ID: "P22", Sent: "lengths of Engine.IO 3 that are too large, negative, or no numbers", Want: "400, parse error", Run: bodies3("5:4x", "-1:4x", "99999999999:4x", "1e3:4x", "0x5:4x", "4hello", ":", "18446744073709551617:4")},
	{ID: "P23", Sent: "binary payloads of Engine.IO 3 that break off, or whose length is too long", Want: "400, parse error", Run: bodies3Binary(
		"\x00\x01\x02\x03", strings.Repeat("\x00", 400), "\x00"+strings.Repeat("\x09", 20)+"\xff4", "\x00"+strings.Repeat("\x01", 310)+"\xff4", "\x00\x09\xff4")},
	{ID: "P24", Sent: "lengths of Engine.IO 3 in bytes instead of UTF-16 units", Want: "400, parse error; units are right", Run: all(bodies3("16:42[\"echo\",\"€\"]", "17:42[\"echo\",\"😀\"]"), units3)},
	{ID: "P25", Sent: "64 packets in one body, the tenth is a close", Want: "nine are handled, the session ends, 200", Run: closeInBody},
	{ID: "P26", Sent: "a handler closes the connection in the middle of a body", Want: "the rest is dropped, the POST is answered", Run: kickInBody},
	{ID: "P27", Sent: "Accept-Encoding: gzip", Want: "no answer is compressed", Run: notCompressed},
	{ID: "P28", Sent: "a poll behind a cache", Want: "Cache-Control: no-store", Run: notCached},
}

// ignored posts packets that mean nothing, behind which the session goes on.
func ignored(list ...string) func(a *A) {
	return func(a *A) {
		s := a.polling()
		s.Join("")
		for _, p := range list {
			a.want(p, s.Post(p), "200 ok")
		}
		s.Post(`42["echo",1]`)
		a.want("the next event", s.Packets(1)[0], `42["echo",1]`)
	}
}

func eventBeforeConnect(a *A) {
	s := a.polling()
	held := s.Hold()
	if got := s.Post(`42["echo",1]`); !answers(got, "200|400") {
		a.Errorf("POST: %v", got)
	}
	<-held
	a.eventually("the end of the session", func() bool { return answers(s.Get(), "400 1") })
}

func contentType(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	if got := a.Must("POST", s.Query(), `42["mark","x"]`, "Content-Type", "application/octet-stream"); !answers(got, "400") {
		a.Errorf("got %v", got)
	}
	a.ends(id, sio.ParseError)
}

func tooLarge(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	body := `42["mark","` + strings.Repeat("x", int(a.S.opts.MaxPayload)) + `"]`
	if got := s.Post(body); !answers(got, "413") {
		a.Errorf("got %v", got)
	}
	a.ends(id, sio.TransportError)
}

func endlessChunks(a *A) {
	s := a.polling()
	c := a.dial()
	go func() {
		chunk := "4000\r\n" + strings.Repeat("x", 0x4000) + "\r\n"
		_, err := io.WriteString(c, a.posted(s.Query(), "Transfer-Encoding: chunked\r\n", ""))
		for range 4000 { // 64 MB, where nobody stops it
			if err != nil {
				return
			}
			_, err = io.WriteString(c, chunk)
		}
		a.Errorf("all chunks were taken")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && resp.StatusCode != 413 && resp.StatusCode != 400 {
		a.Errorf("status %d", resp.StatusCode)
	}
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // to the end of the connection
		_ = resp.Body.Close()
	}
	_ = c.Close()
}

func compressed(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	if got := a.Must("POST", s.Query(), "\x1f\x8b\x08\x00", "Content-Encoding", "gzip"); !answers(got, "415") {
		a.Errorf("got %v", got)
	}
	a.ends(id, sio.TransportError)
}

func slowBody(a *A) {
	s := a.polling()
	c := a.dial()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.WriteString(c, a.posted(s.Query(), "Content-Length: 1000\r\n", "4"))
		for ctx.Err() == nil {
			time.Sleep(time.Second)
			_, _ = io.WriteString(c, "x")
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 408 {
		a.Errorf("%v %v", resp, err)
	}
}

// halfPost sends the beginning of a POST that is never finished.
func (a *A) halfPost(query string) interface{ Close() error } {
	c := a.dial()
	_, _ = io.WriteString(c, a.posted(query, "Content-Length: 1000\r\n", `42["mark","half"]`))
	time.Sleep(50 * time.Millisecond) // nothing tells from outside that it is being read
	return c
}

func brokenPost(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	_ = a.halfPost(s.Query()).Close()
	a.ends(id, sio.TransportError)
	a.want("what was handled", a.S.marks(id), []string{})
}

func overlappingPosts(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	a.halfPost(s.Query())
	// Until the half one is being read it is not under way, and the other is an only one.
	a.eventually("400 to another POST", func() bool { return answers(s.Post(`42["mark","second"]`), "400") })
	a.ends(id, sio.TransportError)
}

func overlappingPolls(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	one, other := s.Hold(), s.Hold() // nothing tells which of them comes first
	older, newer := <-one, <-other
	if older.Status != 200 {
		older, newer = newer, older
	}
	if !answers(newer, "400") {
		a.Errorf("the newer: %v", newer)
	}
	a.want("the older", older, "200 1")
	a.ends(id, sio.TransportError)
}

func manyPolls(a *A) {
	s := a.polling()
	s.Join("")
	var mu sync.Mutex
	count := map[int]int{}
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			got, err := a.Do(context.Background(), "GET", s.Query(), "")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.Errorf("%v", err)
			}
			count[got.Status]++
		})
	}
	wg.Wait()
	// The one that waited, and one that fetches what is left of the session that has ended.
	if count[200] > 2 || count[200]+count[400] != 200 {
		a.Errorf("answers by status: %v", count)
	}
}

func pipelined(a *A) {
	s := a.polling()
	s.Join("")
	s.Post(`42["echo",1]`)
	c := a.dial()
	one := "GET /socket.io/?" + s.Query() + " HTTP/1.1\r\nHost: " + a.host() + "\r\n\r\n"
	_, _ = io.WriteString(c, one+one)
	// fasthttp sends the first answer together with the second, so nothing tells when the first
	// poll has been answered. Where this is too early the first answer has both events.
	time.Sleep(time.Second)
	s.Post(`42["echo",2]`)
	br := bufio.NewReader(c)
	var got []string
	for i := range 2 {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			a.Errorf("answer %d: %v", i+1, err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		got = append(got, strings.Split(string(body), "\x1e")...)
	}
	if i := slices.Index(got, "2"); i >= 0 { // the ping of a slow machine took an answer
		s.Post("3")
		if got = slices.Delete(got, i, i+1); len(got) < 2 {
			got = append(got, s.Packets(1)...)
		}
	}
	a.want("answers", strings.Join(got, " "), `42["echo",1] 42["echo",2]`)
}

func resetPoll(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	c := a.dial()
	_, _ = io.WriteString(c, "GET /socket.io/?"+s.Query()+" HTTP/1.1\r\nHost: "+a.host()+"\r\n\r\n")
	time.Sleep(20 * time.Millisecond)
	_ = c.SetLinger(0)
	_ = c.Close()
	if got := s.Post(`42["burst",8,8000]`); !answers(got, "200|400") {
		a.Errorf("POST: %v", got)
	}
	got := ""
	for range 10 {
		x := s.Get()
		if x.Status != 200 {
			got = "" // the session is unknown a moment before OnDisconnect runs
			break
		}
		if got += x.Body; strings.Contains(got, `["item",7,`) {
			break
		}
	}
	if strings.Count(got, `["item",`) != 8 { // some were in the answer that nobody has had
		a.eventually("all packets, or the end of the socket", func() bool { _, ended := a.S.reason(id); return ended })
	}
}

// session3 opens a session of Engine.IO 3, whose socket has the id of the session.
func (a *A) session3() (query string, end func() bool) {
	s := a.Polling3()
	a.Cleanup(func() { a.leave(s.Query()) })
	return s.Query(), func() bool { return answers(a.Must("GET", s.Query(), ""), "400") }
}

func bodies3(list ...string) func(a *A) {
	return func(a *A) {
		for _, body := range list {
			query, gone := a.session3()
			if got := a.Must("POST", query, body); !answers(got, "400") {
				a.Errorf("POST %.60q: %v", body, got)
			}
			a.eventually("the end of the session", gone)
		}
	}
}

func bodies3Binary(list ...string) func(a *A) {
	return func(a *A) {
		for _, body := range list {
			query, gone := a.session3()
			if got := a.Must("POST", query, body, "Content-Type", "application/octet-stream"); !answers(got, "400") {
				a.Errorf("POST %.60q: %v", body, got)
			}
			a.eventually("the end of the session", gone)
		}
	}
}

func units3(a *A) {
	s := a.Polling3()
	a.Cleanup(func() { a.leave(s.Query()) })
	s.Next() // the connect
	s.Post(`42["echo","€😀"]`)
	a.want("echo", s.Next(), `42["echo","\u20ac\ud83d\ude00"]`)
}

func closeInBody(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	var list, want []string
	for i := range 64 {
		if list = append(list, fmt.Sprintf(`42["mark","%d"]`, i)); i < 9 {
			want = append(want, fmt.Sprint(i))
		}
	}
	list[9] = "1"
	a.want("answer", s.Post(strings.Join(list, "\x1e")).Status, 200)
	a.ends(id, sio.TransportClose)
	a.want("handled", a.S.marks(id), want)
}

func kickInBody(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	got := s.Post(`42["mark","1"]` + "\x1e" + `42["close"]` + "\x1e" + `42["mark","2"]`)
	if !answers(got, "200|400") {
		a.Errorf("got %v", got)
	}
	a.ends(id, sio.ServerNamespace)
	a.want("handled", a.S.marks(id), []string{"1"})
}

func notCompressed(a *A) {
	s := a.polling()
	s.Join("")
	s.Post(`42["burst",1,5000]`)
	got := a.Must("GET", s.Query(), "", "Accept-Encoding", "gzip, deflate, br")
	a.want("encoding", got.Header.Get("Content-Encoding"), "")
}

func notCached(a *A) {
	s := a.polling()
	a.want("handshake", a.Must("GET", q4, "").Header.Get("Cache-Control"), "no-store")
	s.Post("40")
	a.want("poll", s.Get().Header.Get("Cache-Control"), "no-store")
}

// marks are the arguments of "mark" that a socket has sent.
func (s *server) marks(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.marked[id]...)
}
