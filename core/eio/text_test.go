package eio_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/eio"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// The message "é€😀" in the forms that clients send and read. Before engine.io-client
// 1.4 (seen with 1.3.1) it is double on every transport; from 1.4 to 1.8 (seen with
// 1.6.11 and 1.8.6) double in a payload and single on a websocket.
const (
	single = "4\u00e9\u20ac\U0001f600"
	double = "4\u00c3\u00a9\u00e2\u0082\u00ac\u00f0\u009f\u0098\u0080"
)

// first greets every client with text beyond ASCII, and then echoes.
func first(s *eio.Socket) {
	_ = s.Send(single[1:])
	echo(s)
}

// TestRepairText: text that the server sends first arrives as the client decodes it,
// where an option says how that is.
func TestRepairText(t *testing.T) {
	for _, row := range []struct {
		name       string
		repair     string
		poll, sock string // what a client gets
	}{
		{"detected", "detected", single, single},
		{"never", "never", single, single},
		{"always", "always", double, single},
		{"everywhere", "everywhere", double, double},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			of := func(x host.Exchange) string {
				if x.Header("User-Agent") != "old" {
					return "never"
				}
				return row.repair
			}
			for how, o := range map[string]eio.Options{
				"for all": {Legacy: eio.Legacy{RepairText: row.repair}},
				"for one": {Legacy: eio.Legacy{RepairTextOf: of}},
			} {
				o.OnConnection = first
				url, _ := serve(t, o)
				c := wire.New(t, url, "/engine.io/")
				const q = "EIO=3&transport=polling&b64=1"
				got := c.Must("GET", q, "", "User-Agent", "old").Body
				_, rest, _ := strings.Cut(got, `"sid":"`)
				sid, _, _ := strings.Cut(rest, `"`)
				if strings.HasSuffix(got, "}") { // the text has not come with the handshake
					got = c.Must("GET", q+"&sid="+sid, "").Body
				}
				if !strings.HasSuffix(got, wire.Frame3(row.poll)) {
					t.Errorf("%s: a poll brings %q, want %q", how, got, row.poll)
				}
				c.Must("POST", q+"&sid="+sid, "1:1")
				w, _ := c.Upgrade("EIO=3&transport=websocket", "", "User-Agent", "old")
				w.NoPong = true
				w.Next()
				if got := w.Next(); got != row.sock {
					t.Errorf("%s: a websocket brings %q, want %q", how, got, row.sock)
				}
			}
		})
	}
}

// TestTextOfWebsockets: a client that has encoded twice on a websocket is sent text so.
func TestTextOfWebsockets(t *testing.T) {
	url, _ := serve(t, eio.Options{OnConnection: echo})
	c := wire.New(t, url, "/engine.io/")
	for _, said := range []string{double, single} {
		w, _ := c.Upgrade("EIO=3&transport=websocket", "")
		w.NoPong = true
		w.Next()
		w.Send(said, "4plain", said)
		for _, want := range []string{said, "4plain", said} {
			if got := w.Next(); got != want {
				t.Errorf("%q came back, want %q", got, want)
			}
		}
	}
}

// TestRepairTextOfFaults: when RepairTextOf fails, RepairText counts.
func TestRepairTextOfFaults(t *testing.T) {
	for name, choose := range map[string]func() string{
		"panic":     func() string { panic("fault") },
		"exit":      func() string { runtime.Goexit(); return "" },
		"no choice": func() string { return "sometimes" },
	} {
		var log testkit.Log
		url, _ := serve(t, eio.Options{OnConnection: first, Logger: log.Logger(),
			Legacy: eio.Legacy{RepairText: "everywhere", RepairTextOf: func(host.Exchange) string { return choose() }}})
		w, _ := wire.New(t, url, "/engine.io/").Upgrade("EIO=3&transport=websocket", "")
		w.NoPong = true
		w.Next()
		if got := w.Next(); got != double || !strings.Contains(log.String(), "RepairTextOf") {
			t.Errorf("%s: %q, %s", name, got, log.String())
		}
	}
}

// TestProtocol3Options: which clients are of protocol 3, and how their payloads look,
// is said by option.
func TestProtocol3Options(t *testing.T) {
	const bare, plain = "transport=polling", "EIO=3&transport=polling"
	for _, row := range []struct {
		name, query string
		o           eio.Options
		status      int
		kind        string
	}{
		{"no version", bare, eio.Options{}, 400, ""},
		{"no version, but b64", bare + "&b64=1", eio.Options{}, 200, "text/plain"},
		{"no version, assumed", bare, eio.Options{Legacy: eio.Legacy{AssumeEIO3: true}}, 200, "text/plain"},
		{"no t", plain, eio.Options{}, 200, "text/plain"},
		{"t", plain + "&t=1", eio.Options{}, 200, "application/octet-stream"},
		{"t, text", plain + "&t=1", eio.Options{Legacy: eio.Legacy{PollFraming: "text"}}, 200, "text/plain"},
		{"no t, binary", plain, eio.Options{Legacy: eio.Legacy{PollFraming: "binary"}}, 200, "application/octet-stream"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.o.OnConnection = echo
			url, _ := serve(t, row.o)
			a := wire.New(t, url, "/engine.io/").Must("GET", row.query, "")
			if kind := a.Header.Get("Content-Type"); a.Status != row.status || a.Status == 200 && !strings.HasPrefix(kind, row.kind) {
				t.Errorf("%v %s", a, kind)
			}
		})
	}
}

// TestNamesOfOptions: what is refused names options that there are.
func TestNamesOfOptions(t *testing.T) {
	var log testkit.Log
	for _, row := range []struct {
		on                int
		query, body, says string
	}{
		{4, "EIO=3&transport=polling", "3 is not among Options.Protocols", "3 is not among Options.Protocols"},
		{3, "EIO=4&transport=polling", "4 is not among Options.Protocols", "4 is not among Options.Protocols"},
		{4, "EIO=4&transport=polling&j=0", "jsonp is not among Options.Transports", "jsonp is not among Options.Transports"},
		{3, "transport=polling", "Unsupported protocol version", "Options.Legacy.AssumeEIO3"},
	} {
		url, _ := serve(t, eio.Options{OnConnection: echo, Protocols: []int{row.on}, Logger: log.Logger()})
		a := wire.New(t, url, "/engine.io/").Must("GET", row.query, "")
		if a.Status != 400 || !strings.Contains(a.Body, row.body) || strings.Contains(a.Body+log.String(), "Dialects") {
			t.Errorf("%s: %v", row.query, a)
		}
		if !strings.Contains(log.String(), row.says) {
			t.Errorf("%s: the log has no %q: %s", row.query, row.says, log.String())
		}
	}
}
