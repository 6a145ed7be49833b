package attack

import (
	"net/url"
	"strings"
)

var legacyTransportRows = []Row{
	{ID: "J01", Kind: old, Sent: "j with a script, a bracket, 10 kB, a sign, digits of another alphabet", Want: "400, or 431; nothing of the text is in the answer", Run: scriptIndexes},
	{ID: "J02", Kind: old, Sent: "jsonp and i of 0.9 with a script", Want: "400; nothing of the text is in the answer", Run: oldScriptIndexes, Elsewhere: "conformance: sio1/handshake-index, sio1/jsonp-polling"},
	{ID: "J03", Kind: old, Sent: "a callback that is a Flash file", Want: "400: digits alone; every script is text/javascript and nosniff", Run: scriptHeaders},
	{ID: "J04", Kind: old, Sent: "U+2028 and U+2029 in an event, by JSONP", Want: "escaped", Run: scriptText("\u2028\u2029", "\u2028\u2029"), Elsewhere: "FuzzScript"},
	{ID: "J05", Kind: old, Sent: "</script>, <!-- and ]]> in an event, by JSONP and htmlfile", Want: "escaped", Run: scriptText("</script><!--", "<>"), Elsewhere: "FuzzScript, conformance: sio1/htmlfile"},
	{ID: "J06", Kind: old, Sent: "parameters c and callback for htmlfile", Want: "nothing of them is in the answer", Run: htmlfileCallback},
	{ID: "J07", Kind: old, Sent: "forms without d, with two, with d[], with wrong escapes, and too large behind them", Want: "400 3, 413", Run: forms, Elsewhere: "conformance: jsonp/engine, sio1/jsonp-polling"},
	{ID: "J08", Kind: old, Sent: "backslashes and line breaks as JSONP clients escape them", Want: "as the client meant", Elsewhere: "conformance: jsonp/engine"},
	{ID: "J09", Kind: old, Sent: "JSONP by a page of another site, with the visitor's cookies", Want: "403", Run: foreignScripts, Elsewhere: "conformance: jsonp/foreign-page, jsonp/off"},
	{ID: "J10", Kind: old, Sent: "a boundary of xhr-multipart inside of an event", Want: "one part: the boundary is random", Elsewhere: "conformance: sio1/xhr-multipart"},
	{ID: "J11", Kind: old, Sent: "a stream that is not read", Want: "the session ends", Elsewhere: "conformance: streams/slow-reader"},
	{ID: "J12", Kind: old, Sent: "a host that holds parts of an answer back", Want: "501 with the name of what holds them back", Elsewhere: "conformance: streams/flush"},
	{ID: "J13", Sent: "a policy request byte by byte, without its end, of 1 MB", Want: "one answer to the right request alone, and the end within 3 s", Elsewhere: "TestFlashPolicy"},
	{ID: "J14", Sent: "the policy itself", Want: "the listed origins and the one port", Elsewhere: "TestFlashPolicy"},
	{ID: "J15", Kind: old, Sent: "the handshake of the draft before RFC 6455, with keys that divide by zero", Want: "400 or 426", Run: hixie},
	{ID: "J16", Sent: "each old transport where it is off", Want: "400 0", Run: requests(request{"GET", q4 + "&j=0", "", "400 0", nil}, request{"GET", "EIO=4&transport=htmlfile", "", "400 0", nil},
		request{"GET", "EIO=4&transport=flashsocket", "", "400 0", nil}, request{"GET", "EIO=4&transport=xhr-multipart", "", "400 0", nil}), Elsewhere: "conformance: jsonp/off"},
	{ID: "J17", Kind: old, Sent: "a session of one transport polled by another", Want: "400 3", Run: otherTransports},
}

var formType = []string{"Content-Type", "application/x-www-form-urlencoded"}

// script opens a session by JSONP.
func (a *A) script() (query string) {
	got := a.Must("GET", q4+"&j=0", "")
	i := strings.Index(got.Body, `\"sid\":\"`)
	if i < 0 {
		a.Fatalf("handshake: %v", got)
	}
	sid, _, _ := strings.Cut(got.Body[i+len(`\"sid\":\"`):], `\"`)
	query = q4 + "&j=0&sid=" + sid
	a.Cleanup(func() {
		_ = a.Must("POST", query, "d=1", formType...)
	})
	return query
}

func scriptIndexes(a *A) {
	for _, j := range []string{"alert(1)//x", "];alert(1);//", strings.Repeat("1", 10_000), "-1", "٣", "1234567890", "CWSalert"} {
		got := a.Must("GET", q4+"&j="+url.QueryEscape(j), "")
		if !answers(got, "400 3|431") || strings.Contains(got.Body, "alert") {
			a.Errorf("%.20q: %v", j, got)
		}
	}
}

func oldScriptIndexes(a *A) {
	for _, n := range []string{"alert(1)", "];alert(1);//", "-1", "٣"} {
		got := a.At(mount+"/1/").Must("GET", "jsonp="+url.QueryEscape(n), "")
		if got.Status != 400 || strings.Contains(got.Body, "alert") {
			a.Errorf("jsonp=%s: %v", n, got)
		}
		got = a.At(mount+"/1/jsonp-polling/"+sid20).Must("GET", "i="+url.QueryEscape(n), "")
		if got.Status != 400 || strings.Contains(got.Body, "alert") {
			a.Errorf("i=%s: %v", n, got)
		}
	}
}

func scriptHeaders(a *A) {
	got := a.Must("GET", a.script()[:len(q4+"&j=0")], "")
	a.want("type", strings.HasPrefix(got.Header.Get("Content-Type"), "text/javascript"), true)
	a.want("options", got.Header.Get("X-Content-Type-Options"), "nosniff")
	a.want("the beginning", strings.HasPrefix(got.Body, "___eio[0]("), true)
	i := strings.Index(got.Body, `\"sid\":\"`)
	sid, _, _ := strings.Cut(got.Body[i+len(`\"sid\":\"`):], `\"`)
	a.Must("POST", q4+"&j=0&sid="+sid, "d=1", formType...)
}

// scriptText has text echoed by JSONP. None of the characters in never may stand in an answer.
func scriptText(text, never string) func(a *A) {
	return func(a *A) {
		query := a.script()
		a.Must("POST", query, "d=40", formType...)
		a.Must("GET", query, "")
		got := a.Must("POST", query, "d="+url.QueryEscape(`42["echo","`+text+`"]`), formType...)
		a.want("POST", got.Status, 200)
		got = a.Must("GET", query, "")
		if !strings.Contains(got.Body, "echo") || strings.ContainsAny(got.Body, never) {
			a.Errorf("%q", got.Body)
		}
	}
}

func htmlfileCallback(a *A) {
	sid := a.old()
	s := a.At(mount + "/1/htmlfile/" + sid).Stream("c=alert&callback=alert")
	if got := s.Until("1::"); strings.Contains(got, "alert") {
		a.Errorf("%q", got)
	}
	s.Close()
}

func forms(a *A) {
	for _, body := range []string{"", "e=1", "d[]=4", "d=1&d=2", "d=%ZZ", "42[]"} {
		query := a.script()
		if got := a.Must("POST", query, body, formType...); !answers(got, "400") {
			a.Errorf("%q: %v", body, got)
		}
	}
	query := a.script()
	if got := a.Must("POST", query, "d=4"+strings.Repeat("a", int(a.S.opts.MaxPayload)), formType...); !answers(got, "413") {
		a.Errorf("too large: %v", got)
	}
}

func foreignScripts(a *A) {
	for _, head := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Cookie", "a=b"}, {"Sec-Fetch-Site", "same-site", "Cookie", "a=b"},
		{"Referer", "https://evil.example/", "Cookie", "a=b"}, {"Cookie", "a=b"},
	} {
		if got := a.Must("GET", q4+"&j=0", "", head...); !answers(got, "403") {
			a.Errorf("%q: %v", head, got)
		}
	}
}

func hixie(a *A) {
	for _, key := range []string{"12345", " 1 2 3", "4294967296 4294967296", ""} {
		raws("400|426|0", "GET /socket.io/1/flashsocket/"+a.old()+" HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key1: "+
			key+"\r\nSec-WebSocket-Key2: "+key+"\r\nOrigin: "+a.S.url+"\r\n\r\n12345678")(a)
	}
}

func otherTransports(a *A) {
	query := a.script()
	if got := a.Must("GET", strings.Replace(query, "&j=0", "", 1), ""); !answers(got, "400 3") {
		a.Errorf("by XHR: %v", got)
	}
	s := a.polling()
	if got := a.Must("GET", s.Query()+"&j=0", ""); !answers(got, "400 3") {
		a.Errorf("by JSONP: %v", got)
	}
	if got := a.Must("GET", strings.Replace(s.Query(), "EIO=4", "EIO=3", 1), ""); !answers(got, "400") {
		a.Errorf("by version 3: %v", got)
	}
}
