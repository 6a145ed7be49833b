package sio_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// TestMount: clients with and without the slash are served, on polling, as a
// websocket and of every generation, and nothing is redirected.
func TestMount(t *testing.T) {
	srv := sio.NewServer(nil)
	defer func() { _ = srv.Shutdown(context.Background()) }()
	mux := http.NewServeMux()
	srv.Mount(mux, "/socket.io/")
	srv.Mount(mux, "/t/{tenant}/io")
	hs := httptest.NewServer(mux)
	defer hs.Close()
	for _, path := range []string{"/socket.io", "/socket.io/", "/t/acme/io", "/t/acme/io/"} {
		c := wire.New(t, hs.URL, path)
		c.Join("")
		c.Polling().Join("")
		if a := c.At(strings.TrimSuffix(path, "/")+"/1/").Must("GET", "", ""); a.Status != http.StatusOK {
			t.Errorf("%s, 0.9: %v", path, a)
		}
	}
	if a := wire.New(t, hs.URL, "/socket.iox/").Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusNotFound {
		t.Errorf("a sibling: %v", a)
	}

	root := http.NewServeMux()
	srv.Mount(root, "/")
	rs := httptest.NewServer(root)
	defer rs.Close()
	wire.New(t, rs.URL, "/").Join("")

	for path, want := range map[string]string{"GET /x": "method", "/x/{rest...}": "wildcard", "/x/{$}": "wildcard", "example.com": "must begin with a slash"} {
		if got := panics(func() { srv.Mount(http.NewServeMux(), path) }); !strings.Contains(got, want) {
			t.Errorf("%s: panics with %q", path, got)
		}
	}
	if got := panics(func() { srv.Mount(nil, "/x") }); !strings.Contains(got, "sio.Server.Mount: the mux is nil") {
		t.Errorf("nil: panics with %q", got)
	}
}

func panics(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

// TestOriginsCleaned: what no page can have is said at start-up; how an origin is
// written does not matter.
func TestOriginsCleaned(t *testing.T) {
	for _, bad := range []string{
		"app.example.com", "", "https://", "https://app.example.com/chat", "https://app.example.com?x", "https://a@b.example", "https://*", "https://a.*.example.com",
		"http://localhost:*", "https://bücher.example", "https://a b.example", "*.example.com", "https://app.example.com//", "https://*.",
	} {
		if got := panics(func() { sio.NewServer(&sio.Options{Origins: []string{"https://fine.example", bad}}) }); !strings.Contains(got, fmt.Sprintf("Options.Origins: %q", bad)) {
			t.Errorf("%q: panics with %q", bad, got)
		}
	}
	srv := sio.NewServer(&sio.Options{Origins: []string{"HTTPS://App.Example.com/", "http://old.example:80", "https://*.Example.org", "wss://ws.example", "null", "file://", "capacitor://localhost", "https://[::1]:8443"}})
	defer func() { _ = srv.Shutdown(context.Background()) }()
	hs := httptest.NewServer(srv)
	defer hs.Close()
	c := wire.New(t, hs.URL, "/socket.io/")
	for origin, want := range map[string]int{
		"https://app.example.com": 200, "http://old.example": 200, "https://a.example.org": 200, "https://ws.example": 200, "null": 200, "file://": 200,
		"capacitor://localhost": 200, "https://[::1]:8443": 200, "https://app.example.com/": 200, "app.example.com": 200, "old.example:80": 200, "https://old.example": 403, "http://app.example.com": 403,
	} {
		if a := c.Must("GET", "EIO=4&transport=polling", "", "Origin", origin); a.Status != want {
			t.Errorf("%s: %v", origin, a)
		}
	}
}

// wrapped is an exchange as middleware makes one.
type wrapped struct{ host.Exchange }

func (w wrapped) Unwrap() host.Exchange { return w.Exchange }

// TestWrappedDetails: what a host knows is not lost by middleware with an Unwrap.
func TestWrappedDetails(t *testing.T) {
	var log testkit.Log
	requests := make(chan *sio.Request, 1)
	srv := sio.NewServer(&sio.Options{Logger: log.Logger(), OnHandshake: func(_ context.Context, r *sio.Request, _ host.Exchange) error {
		requests <- r
		return nil
	}})
	defer func() { _ = srv.Shutdown(context.Background()) }()
	srv.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) { next.ServeExchange(wrapped{x}) })
	})
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host.ServeHTTP(srv, w, r, host.HTTPConfig{Details: func() host.Details {
			return host.Details{ClientIP: "192.0.2.1", Params: map[string]string{"a": "b"}, Values: map[string]any{"user": "ann", "request": r}}
		}})
	}))
	defer hs.Close()
	wire.New(t, hs.URL, "/").Polling()
	if r := <-requests; r.ClientIP != "192.0.2.1" || r.Params["a"] != "b" || fmt.Sprint(r.Values) != "map[user:ann]" {
		t.Errorf("%v", r)
	}
	if !strings.Contains(log.String(), "name=request") {
		t.Errorf("the log does not name the value: %s", log.String())
	}
}

// TestNoAddress: on a Unix socket the bounds of an address count nobody. The log says so,
// once, unless the application names its clients or has no such bound.
func TestNoAddress(t *testing.T) {
	for _, row := range []struct {
		name string
		o    sio.Options
		want int
	}{
		{"defaults", sio.Options{}, 1},
		{"connections", sio.Options{MaxPendingPerAddress: -1, MaxConnectionsPerAddress: 5}, 1},
		{"no bounds", sio.Options{MaxPendingPerAddress: -1}, 0},
		{"named", sio.Options{Address: func(x host.Exchange) string { return x.Header("X-Forwarded-For") }}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel() // each Shutdown waits for polls that nobody sends
			var log testkit.Log
			row.o.Logger = log.Logger()
			srv := sio.NewServer(&row.o)
			defer func() { _ = srv.Shutdown(context.Background()) }()
			ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Skip(err)
			}
			hs := &http.Server{Handler: srv}
			defer func() { _ = hs.Close() }()
			go func() { _ = hs.Serve(ln) }()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", ln.Addr().String())
			}}}
			for range 3 {
				r, err := client.Get("http://unix.example/socket.io/?EIO=4&transport=polling")
				if err != nil {
					t.Fatal(err)
				}
				_ = r.Body.Close()
			}
			if n := strings.Count(log.String(), "Options.Address"); n != row.want {
				t.Errorf("%d lines name Options.Address: %s", n, log.String())
			}
		})
	}
}

// TestSubprotocols: the application says what it speaks, or that it speaks nothing.
func TestSubprotocols(t *testing.T) {
	for _, row := range []struct {
		speaks []string
		want   string
	}{{nil, "a"}, {[]string{"c", "b"}, "b"}, {[]string{"x"}, ""}, {[]string{}, ""}} {
		srv := sio.NewServer(&sio.Options{Subprotocols: row.speaks})
		hs := httptest.NewServer(srv)
		w, a := wire.New(t, hs.URL, "/socket.io/").Upgrade("EIO=4&transport=websocket", "", "Sec-WebSocket-Protocol", "a, b, c")
		if w == nil || a.Header.Get("Sec-WebSocket-Protocol") != row.want {
			t.Errorf("%v: %v %v", row.speaks, a, a.Header)
		}
		_ = srv.Shutdown(context.Background())
		hs.Close()
	}
}

// TestLongTarget: a part of the path that only the host looks at is not kept
// beyond the bound.
func TestLongTarget(t *testing.T) {
	srv := sio.NewServer(nil)
	defer func() { _ = srv.Shutdown(context.Background()) }()
	mux := http.NewServeMux()
	srv.Mount(mux, "/t/{tenant}/io")
	hs := httptest.NewServer(mux)
	defer hs.Close()
	for n, want := range map[int]int{16 << 10: 414, 15 << 10: 200} {
		if a := wire.New(t, hs.URL, "/t/"+strings.Repeat("a", n)+"/io/").Must("GET", "EIO=4&transport=polling", ""); a.Status != want {
			t.Errorf("%d bytes: %v", n, a)
		}
	}
	if n := srv.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}
