package hosttest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/attack"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// FasthttpLacks is what no application on fasthttp can do.
var FasthttpLacks = []conformance.Option{
	conformance.Lacks("partial-body", "fasthttp reads a whole body before the handler: half a one is never seen, and two cannot be under way"),
}

// FasthttpAttacks is the same for the table of attacks.
var FasthttpAttacks = []attack.Option{
	attack.Lacks("partial-body", "fasthttp reads a whole body before the handler: what is slow or broken in a body is bounded by the host's ReadTimeout"),
}

// noted is a connection that notes the write deadlines that it is given, and what
// was written under each.
type noted struct {
	net.Conn
	mu    sync.Mutex
	set   []time.Time
	under int // bytes written since the last one
	most  int
}

func (n *noted) SetWriteDeadline(t time.Time) error {
	n.mu.Lock()
	n.set, n.under = append(n.set, t), 0
	n.mu.Unlock()
	return n.Conn.SetWriteDeadline(t)
}

func (n *noted) Write(p []byte) (int, error) {
	n.mu.Lock()
	n.under += len(p)
	n.most = max(n.most, n.under)
	n.mu.Unlock()
	return n.Conn.Write(p)
}

type notedListener struct {
	net.Listener
	conns chan *noted
}

func (l notedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := &noted{Conn: c}
	l.conns <- n
	return n, nil
}

// Deadlines checks an app on fasthttp, which writes an answer when the handler has
// returned. Each piece of a large one has a deadline, and the connection ends with it;
// what fits into one piece leaves the connection as it was. mount mounts a handler in the
// app, serve serves a listener until stop is called.
func Deadlines(t *testing.T, mount func(path string, h host.Handler), serve func(net.Listener) error, stop func() error) {
	const large, piece = 4 << 20, 64 << 10
	mount("/small", host.HandlerFunc(func(x host.Exchange) { _ = x.Reply(200, []byte("small")) }))
	mount("/large", host.HandlerFunc(func(x host.Exchange) { _ = x.Reply(200, make([]byte, large)) }))
	mount("/stream", host.HandlerFunc(func(x host.Exchange) {
		_ = x.Stream(200, func(s host.Stream) { _, _ = s.Write(make([]byte, large)) })
	}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := notedListener{ln, make(chan *noted, 10)}
	served := make(chan struct{})
	go func() { _ = serve(l); close(served) }()
	defer func() { _ = stop(); <-served }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, row := range []struct {
		path string
		size int
		ends bool
	}{{"/small", 5, false}, {"/small", 5, false}, {"/large", large, true}, {"/stream", large, true}} {
		resp, err := client.Get("http://" + ln.Addr().String() + row.path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if n != int64(row.size) || err != nil || resp.Close != row.ends {
			t.Errorf("%s: %d bytes, %v, the connection ends: %t", row.path, n, err, resp.Close)
		}
	}
	// The small answers and the large one came on one connection, the stream on another.
	for _, path := range []string{"/large", "/stream"} {
		c := <-l.conns
		c.mu.Lock()
		if len(c.set) < large/piece || c.set[len(c.set)-1].IsZero() {
			t.Errorf("%s: %d deadlines, the last %v", path, len(c.set), c.set)
		}
		if path == "/large" && c.most > 2*piece {
			t.Errorf("%s: %d bytes under one deadline", path, c.most)
		}
		c.mu.Unlock()
	}
}

// KeepPanics checks that a Keep that panics ends no more than the one handshake: fasthttp
// recovers from nothing. start mounts the server at /socket.io with such a Keep, beside a
// route /plain.
func KeepPanics(t *testing.T, start func(srv *sio.Server) *conformance.Host) {
	h := start(sio.NewServer(&sio.Options{Logger: slog.New(slog.DiscardHandler)}))
	defer h.Stop()
	for path, want := range map[string]int{"/socket.io/?EIO=4&transport=polling": 500, "/plain": 200} {
		resp, err := http.Get(h.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d instead of %d", path, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Refused returns what mount panics with when it mounts a server, or "".
func Refused(mount func(srv *sio.Server)) (why string) {
	defer func() {
		if p := recover(); p != nil {
			why = fmt.Sprint(p)
		}
	}()
	mount(sio.NewServer(nil))
	return ""
}

// RefusedSettings checks that what cannot work is said at start-up, for every kind of
// router: mount mounts a server in a router of the kind, in an app with the settings.
func RefusedSettings(t *testing.T, mount func(kind string, cfg Settings, srv *sio.Server), kinds ...string) {
	for want, cfg := range map[string]Settings{
		"GETOnly": {GETOnly: true}, "RequestMethods": {RequestMethods: []string{"GET", "PUT"}}, "": {},
	} {
		for _, kind := range kinds {
			got := Refused(func(srv *sio.Server) { mount(kind, cfg, srv) })
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s, %s: panics with %q", want, kind, got)
			}
		}
	}
}

// BodyLimit checks that a limit of the host below MaxPayload is logged, with its name.
// mount mounts a server in a group of an app with the limit.
func BodyLimit(t *testing.T, mount func(limit int, srv *sio.Server)) {
	for limit, want := range map[int]int{1 << 10: 1, 2 << 20: 0} {
		var log testkit.Log
		srv := sio.NewServer(&sio.Options{Logger: log.Logger()})
		mount(limit, srv)
		if got := strings.Count(log.String(), "fiber.Config.BodyLimit"); got != want {
			t.Errorf("limit %d: %d times in the log, want %d: %s", limit, got, want, log.String())
		}
		_ = srv.Shutdown(context.Background())
	}
}

// UnderSettings runs the cases that settings of fiber and fasthttp concern under each of
// them. The hosts are named by the field of fiber.Config that they set.
func UnderSettings(t *testing.T, hosts map[string]conformance.Factory) {
	if testing.Short() {
		t.Skip("-short: the suite has run with fiber's defaults")
	}
	only := []string{
		"handshake", "origin/same", "origin/listed", "origin/websocket-scheme", "request/exposed", "request/one-connection",
		"websocket/header-forms", "websocket/subprotocol", "websocket/early-bytes", "websocket/cookies-on-101", "websocket/big",
		"polling/post", "polling/batch", "polling/too-large", "jsonp/engine", "limits/query", "limits/headers", "limits/announced-body",
	}
	for name, factory := range hosts {
		t.Run(name, func(t *testing.T) {
			var opts []conformance.Option
			if name != "StreamRequestBody" {
				opts = append(opts, FasthttpLacks...)
			} else {
				opts = append(opts, conformance.Skip("polling/too-large", "fasthttp closes before it has read such a body, and a client that still writes may lose the answer"))
			}
			if name == "DisableKeepalive" { // every request has a connection of its own
				opts = append(opts, conformance.Skip("request/one-connection", "there is no second request on a connection"))
			}
			conformance.Run(t, factory, append(opts, conformance.Only(only...))...)
		})
	}
}

// LastRequest checks that a websocket lives on the last request that fasthttp allows a
// connection. start mounts the server at /socket.io in an app that allows two.
func LastRequest(t *testing.T, start func(srv *sio.Server) *conformance.Host) {
	srv := sio.NewServer(nil)
	h := start(srv)
	defer h.Stop()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	l := wire.New(t, h.URL, "/socket.io/").Line()
	l.Do("GET", "EIO=4&transport=polling", "")
	w, a := l.Handshake("EIO=4&transport=websocket", "Connection: Upgrade", "Upgrade: websocket")
	if w == nil {
		t.Fatal(a)
	}
	if m := w.Next(); m[0] != '0' || a.Header.Get("Connection") != "Upgrade" {
		t.Errorf("%s, %v", m, a.Header)
	}
}
