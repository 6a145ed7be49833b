package attack

import (
	"context"
	"strings"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

var oldRows = []Row{
	{ID: "V01", Kind: old, Sent: "100 handshakes that nothing follows", Want: "forgotten after the timeout", Run: oldHandshakes, Elsewhere: "conformance: sio1/expiry"},
	{ID: "V02", Kind: old, Sent: "a handshake of another page", Want: "403 without a header that admits it", Run: oldOrigin, Elsewhere: "conformance: sio1/handshake, sio1/handshake-origin"},
	{ID: "V03", Kind: old, Sent: "packets that are none", Want: "an error packet or the end, nobody else notices", Run: oldPackets("9:::x", ":::", "5", "5:1+", "5:::", "5:99999999999999999999:/:{}", "6", "abc", ""), Elsewhere: "conformance: sio1/malformed, FuzzRev1"},
	{ID: "V04", Kind: old, Sent: "frames of a payload whose lengths are wrong", Want: "the session ends", Run: oldPackets("\ufffd5\ufffd3:::a", "\ufffd-1\ufffd", "\ufffd3\ufffd1::\ufffd", "\ufffd", "\ufffd99999999999\ufffdx", "\ufffd\ufffd"), Elsewhere: "FuzzRev1Payload"},
	{ID: "V05", Kind: old, Sent: "frames of 0.6 whose lengths are wrong, JSON that is none", Want: "the connection ends", Run: frames06, Elsewhere: "Fuzz06, conformance: sio06/requests"},
	{ID: "V06", Kind: old, Sent: "events with names of inherited properties, numbers, arguments that are no list", Want: "no handler, or the end", Run: oldEvents},
	{ID: "V07", Kind: old, Sent: "an event for an endpoint that was not joined", Want: "an error packet of that endpoint, no handler", Run: oldStranger, Elsewhere: "conformance: sio1/namespaces"},
	{ID: "V08", Kind: old, Sent: "acks that nobody waits for, and that are none", Want: "ignored, or the end", Run: oldPackets("6:::1+[1]", "6:::1+{}", "6:::x", "6:::99999999999999999999"), Elsewhere: "conformance: sio1/acks"},
	{ID: "V09", Kind: old, Sent: "10 000 heartbeats at once", Want: "the session lives or ends, others are served", Run: oldHeartbeats, Elsewhere: "conformance: sio1/heartbeat"},
	{ID: "V10", Kind: old, Sent: "two transports of one session at once", Want: "the newest wins, no message comes twice", Elsewhere: "conformance: sio1/overlap, sio1/other-transport, upgrade/polls-again"},
	{ID: "V11", Kind: old, Sent: "a POST over the bound", Want: "413", Run: oldTooLarge, Elsewhere: "conformance: sio1/too-large"},
	{ID: "V12", Kind: old, Sent: "disconnect=1 by a page of another origin", Want: "403, the session goes on", Run: foreignDisconnect},
	{ID: "V13", Kind: old, Sent: "secrets in the query of a handshake", Want: "not in the log", Run: oldSecrets},
	{ID: "V14", Kind: old, Sent: "a session of 0.9 by the path of 4.x, and the other way round", Want: "400 1; 7:::1+0", Run: strangersPaths, Elsewhere: "conformance: sio1/strangers"},
}

// old opens a session of 0.9 and returns its id; the session ends with the row.
func (a *A) old() string {
	sid := a.Handshake1("")
	a.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c := a.At(mount + "/1/xhr-polling/" + sid)
		_, _ = c.Do(ctx, "GET", "disconnect=1", "")
		for range 5 { // what is left for a session that has ended
			if got, err := c.Do(ctx, "GET", "", ""); err != nil || got.Status != 200 || strings.HasPrefix(got.Body, "7:::1") {
				return
			}
		}
	})
	return sid
}

// oldPolling opens a session of 0.9 that polls.
func (a *A) oldPolling() *wire.Session1 {
	s := &wire.Session1{Client: a.At(mount + "/1/xhr-polling/" + a.old())}
	a.want("the first poll", s.Must("GET", "", ""), "200 1::")
	return s
}

func oldHandshakes(a *A) {
	for range 100 {
		a.Handshake1("")
	}
	// The levels behind the row say whether they are forgotten.
}

func oldOrigin(a *A) {
	got := a.At(mount+"/1/").Must("GET", "", "", "Origin", "https://evil.example")
	a.want("status", got.Status, 403)
	a.want("header", got.Header.Get("Access-Control-Allow-Origin"), "")
}

// oldPackets sends each text in a POST and on a websocket of its own.
func oldPackets(list ...string) func(a *A) {
	return func(a *A) {
		for _, text := range list {
			s := a.oldPolling()
			if got := s.Must("POST", "", text); got.Status != 200 && got.Status != 400 {
				a.Errorf("POST %q: %v", text, got)
			}
			w, got := a.At(mount+"/1/websocket/"+a.old()).Upgrade("", "")
			if w == nil {
				a.Fatalf("%v", got)
			}
			w.Next()
			w.Send(text, `5:1+::{"name":"echo","args":[1]}`)
			for {
				m, err := w.Read()
				if err != nil || strings.HasPrefix(m, "6:::1+") {
					break
				}
				if !strings.HasPrefix(m, "7:") && !strings.HasPrefix(m, "0:") && !strings.HasPrefix(m, "6:") && !strings.HasPrefix(m, "2:") {
					a.Errorf("%q: %s", text, m)
				}
			}
			_ = w.Conn.Close()
		}
		other := a.oldPolling()
		other.Send(`5:1+::{"name":"echo","args":[1]}`)
		a.want("another client", other.Next(), "6:::1+[1]")
	}
}

func frames06(a *A) {
	for _, text := range []string{"~m~5~m~hi", "~m~99999999999~m~", "~m~x~m~", "~m~4~m~~j~{", "~m~-1~m~", "~m~", "x", "~m~3~m~~h~"} {
		w, got := a.At(mount+"/websocket").Upgrade("", "")
		if w == nil {
			a.Fatalf("%v", got)
		}
		w.Next()
		w.Send(text)
		w.End()
	}
}

func oldEvents(a *A) {
	oldPackets(`5:::{"name":"__proto__"}`, `5:::{"name":1}`, `5:::{"name":"on_private"}`, `5:::{"name":"echo","args":{}}`, `5:::{"name":"echo","args":1}`,
		`5:::{}`, `5:::[]`, `5:::null`, `5:::{"name":"disconnect"}`, `5:::{"name":["a"]}`)(a)
}

func oldStranger(a *A) {
	s := a.oldPolling()
	s.Send(`5::/chat:{"name":"mark","args":["x"]}`)
	if got := s.Next(); !strings.HasPrefix(got, "7::/chat") {
		a.Errorf("got %s", got)
	}
}

func oldHeartbeats(a *A) {
	w, got := a.At(mount+"/1/websocket/"+a.old()).Upgrade("", "")
	if w == nil {
		a.Fatalf("%v", got)
	}
	_ = w.Raw([]byte(strings.Repeat(string(mask(0x81, "2::")), 10_000)))
	other := a.oldPolling()
	other.Send(`5:1+::{"name":"echo","args":[1]}`)
	a.want("another client", other.Next(), "6:::1+[1]")
	_ = w.Conn.Close()
}

func oldTooLarge(a *A) {
	s := a.oldPolling()
	a.want("status", s.Must("POST", "", strings.Repeat("x", int(a.S.opts.MaxPayload)+1)).Status, 413)
}

func foreignDisconnect(a *A) {
	s := a.oldPolling()
	got := s.Must("GET", "disconnect=1", "", "Origin", "https://evil.example")
	a.want("status", got.Status, 403)
	s.Send(`5:1+::{"name":"echo","args":[1]}`)
	a.want("the session", s.Next(), "6:::1+[1]")
}

func oldSecrets(a *A) {
	a.At(mount+"/1/").Must("GET", "token=s3cr3t", "", "Origin", "https://evil.example")
	a.At(mount+"/2/").Must("GET", "token=s3cr3t", "")
	a.At(mount+"/1/xhr-polling/"+sid20).Must("GET", "token=s3cr3t", "")
	a.want("in the log", strings.Contains(a.S.log.String(), "s3cr3t"), false)
}

func strangersPaths(a *A) {
	if got := a.Must("GET", q4+"&sid="+a.old(), ""); !answers(got, "400") {
		a.Errorf("0.9 as 4.x: %v", got)
	}
	s := a.polling()
	a.want("4.x as 0.9", a.At(mount+"/1/xhr-polling/"+s.Open.SID).Must("GET", "", ""), "200 7:::1+0")
	a.want("the session", strings.HasPrefix(s.Join(""), "40{"), true)
}
