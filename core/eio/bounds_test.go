package eio_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/eio"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// TestAddress: behind a proxy the bounds of an address are those of whoever the proxy
// names, and "" has none. Who is refused is in the log.
func TestAddress(t *testing.T) {
	var log testkit.Log
	url, _ := serve(t, eio.Options{
		OnConnection:         func(*eio.Socket) {},
		MaxPendingPerAddress: 2,
		Address: func(x host.Exchange) string {
			name := x.Header("X-Forwarded-For")
			if name == "nobody" {
				panic("fault")
			}
			return name
		},
		Logger: log.Logger(),
	})
	c := wire.New(t, url, "/engine.io/")
	shake := func(from string, want int) {
		t.Helper()
		if a := c.Must("GET", "EIO=4&transport=polling", "", "X-Forwarded-For", from); a.Status != want {
			t.Errorf("a handshake of %q: %v, want %d", from, a, want)
		}
	}
	for _, from := range []string{"203.0.113.7", "198.51.100.9", "nobody"} { // of nobody the peer counts
		shake(from, http.StatusOK)
		shake(from, http.StatusOK)
		shake(from, http.StatusServiceUnavailable)
	}
	for range 5 {
		shake("", http.StatusOK)
	}
	for _, want := range []string{"Options.MaxPendingPerAddress is reached", "203.0.113.7", "198.51.100.9", "127.0.0.1", "in=Address"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: %s", want, log.String())
		}
	}
}

// TestRequestBounds: a query and headers at their bounds are served, and refused with
// one byte more.
func TestRequestBounds(t *testing.T) {
	const begins = "EIO=4&transport=polling&x="
	line := func(name, value string) int { return len(name) + len(value) + 32 }
	for _, row := range []struct {
		name           string
		o              eio.Options
		query, headers int // the bounds
	}{
		{"defaults", eio.Options{}, 16 << 10, 32 << 10},
		{"options", eio.Options{MaxQuery: 100, MaxHeaders: 200}, 100, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log testkit.Log
			row.o.OnConnection, row.o.Logger = func(*eio.Socket) {}, log.Logger()
			srv := eio.NewServer(&row.o)
			defer func() { _ = srv.Shutdown(context.Background()) }()
			ask := func(query, headers, want int) {
				t.Helper()
				r := httptest.NewRequest("GET", "/engine.io/", nil)
				r.URL.RawQuery = begins + strings.Repeat("x", query-len(begins))
				r.Header.Set("X", strings.Repeat("x", headers-line("X", "")-line("Host", r.Host)))
				w := httptest.NewRecorder()
				srv.ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("a query of %d and headers of %d bytes: %d %s, want %d", query, headers, w.Code, w.Body, want)
				}
			}
			ask(row.query, row.headers, http.StatusOK)
			ask(row.query+1, row.headers, http.StatusRequestURITooLong)
			ask(row.query, row.headers+1, http.StatusRequestHeaderFieldsTooLarge)
			for _, want := range []string{"Options.MaxQuery", "Options.MaxHeaders"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log has no %s: %s", want, log.String())
				}
			}
		})
	}
}

// TestNoAddress: clients without an IP address are not counted, and the log says so.
func TestNoAddress(t *testing.T) {
	var log testkit.Log
	srv := eio.NewServer(&eio.Options{OnConnection: func(*eio.Socket) {}, Logger: log.Logger()})
	defer func() { _ = srv.Shutdown(context.Background()) }()
	for i, from := range []string{"192.0.2.1:5000", "@", "@"} { // "@" is a Unix socket
		r := httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=polling", nil)
		r.RemoteAddr = from
		srv.ServeHTTP(httptest.NewRecorder(), r)
		if n := strings.Count(log.String(), "Options.Address"); n != min(i, 1) {
			t.Errorf("after %d clients %d lines name Options.Address: %s", i+1, n, log.String())
		}
	}
}
