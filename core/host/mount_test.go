package host_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/siokit/siokit/core/host"
)

func TestRequire(t *testing.T) {
	type server struct{ host.Handler }
	ok := host.HandlerFunc(func(host.Exchange) {})
	var none *server
	for want, f := range map[string]func(){
		"":                              func() { host.Require("x.Mount", ok, "router", http.NewServeMux()) },
		"x.Mount: the handler is nil":   func() { host.Require("x.Mount", nil) },
		"x.Handler: the handler is nil": func() { host.Require("x.Handler", none) },
		"x.Mount: the router is nil":    func() { host.Require("x.Mount", ok, "router", (*http.ServeMux)(nil)) },
		"x.Mount: the function is nil":  func() { host.Require("x.Mount", ok, "router", 1, "function", (func())(nil)) },
	} {
		got := ""
		func() {
			defer func() {
				if p := recover(); p != nil {
					got = fmt.Sprint(p)
				}
			}()
			f()
		}()
		if got != want {
			t.Errorf("panics with %q, want %q", got, want)
		}
	}
}

// told is a handler that is told of its mounts.
type told struct{ mounts []host.Mount }

func (*told) ServeExchange(host.Exchange) {}
func (h *told) Mounted(m host.Mount)      { h.mounts = append(h.mounts, m) }

// TestFaultIsSaid: a fault reaches the log whatever the handler is, and once.
func TestFaultIsSaid(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	var h told
	fault := host.Mount{Host: "x", Fault: "x.GETOnly"}
	host.Announce(&h, fault)
	if len(h.mounts) != 1 || h.mounts[0] != fault || log.Len() > 0 {
		t.Errorf("told %v, log %s", h.mounts, log.String())
	}
	plain := host.HandlerFunc(func(host.Exchange) {})
	host.Announce(plain, host.Mount{Host: "x"})
	host.Announce(plain, fault)
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "x.GETOnly") {
		t.Errorf("log %q", got)
	}
}

func TestBelieves(t *testing.T) {
	for want, clientIP := range map[string]func(r *http.Request) string{
		"":        func(r *http.Request) string { h, _, _ := net.SplitHostPort(r.RemoteAddr); return h },
		"setting": func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") },
	} {
		if got := host.Believes("setting", clientIP); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestMux: where a pattern of http.ServeMux has matched, the path below it counts, and the
// route and its parameters are known.
func TestMux(t *testing.T) {
	for _, row := range []struct{ pattern, path, want string }{
		{"/socket.io/", "/socket.io/1/x", "1/x"}, {"/socket.io", "/socket.io", ""}, {"GET /socket.io/", "/socket.io/1", "1"},
		{"example.com/t/{tenant}/socket.io/", "/t/acme/socket.io/1/", "1"}, {"/{rest...}", "/1/x", "1/x"}, {"", "/other", "x/1"},
	} {
		r := httptest.NewRequest("GET", row.path, nil)
		r.Pattern = row.pattern
		r.SetPathValue("tenant", "acme")
		for _, own := range []host.Details{{}, {RoutePattern: "own", Params: map[string]string{"own": "1"}}} {
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
				if got := x.Path(); got != row.want {
					t.Errorf("%+v: %q", row, got)
				}
				d, _ := host.As[host.Detailer](x)
				want := own
				if own.RoutePattern == "" {
					want.RoutePattern = strings.TrimPrefix(row.pattern, "GET ")
					if strings.Contains(row.pattern, "{tenant}") {
						want.Params = map[string]string{"tenant": "acme"}
					} else if strings.Contains(row.pattern, "{rest...}") {
						want.Params = map[string]string{"rest": ""}
					}
				}
				if got := d.Details(); got.RoutePattern != want.RoutePattern || !maps.Equal(got.Params, want.Params) {
					t.Errorf("%+v: %+v, want %+v", row, got, want)
				}
			}), httptest.NewRecorder(), r, host.HTTPConfig{Path: "/x/1/", Mux: true, Details: func() host.Details { return own }})
		}
	}
}

func TestEscaped(t *testing.T) {
	for _, row := range []struct {
		path    string
		escaped bool
		want    string
	}{
		{"/1/a%20b/", true, "1/a b"}, {"1/a%20b", false, "1/a%20b"}, {"%zz", true, "%zz"},
	} {
		host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
			if got := x.Path(); got != row.want {
				t.Errorf("%+v: %q", row, got)
			}
		}), httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), host.HTTPConfig{Path: row.path, Escaped: row.escaped})
	}
}

// outer and inner are exchanges around each other.
type outerX struct{ host.Exchange }

func (x outerX) Unwrap() host.Exchange { return x.Exchange }

type opaqueX struct{ host.Exchange }

func TestAs(t *testing.T) {
	seen := 0
	h := host.HandlerFunc(func(x host.Exchange) {
		if _, ok := host.As[host.Detailer](x); !ok {
			t.Error("the exchange itself")
		}
		if p, ok := host.As[host.Prober](outerX{outerX{x}}); !ok || !p.Present() {
			t.Error("below two wrappers")
		}
		if _, ok := host.As[host.Prober](outerX{opaqueX{x}}); ok {
			t.Error("below one without Unwrap")
		}
		if _, ok := host.As[host.Detailer](nil); ok {
			t.Error("nil")
		}
		seen++
		_ = x.Reply(200, nil)
	})
	host.ServeHTTP(h, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), host.HTTPConfig{})
	if seen != 1 {
		t.Error("not served")
	}
}

func TestReadBody(t *testing.T) {
	deadline := func(time.Time) error { return nil }
	for _, size := range []int{0, 1, 4095, 4096, 4097, 100_000} {
		text := strings.Repeat("a", size)
		for _, announced := range []int64{-1, int64(size), int64(size) + 1} {
			for _, limit := range []int64{0, int64(size) - 1, int64(size), int64(size) + 1, 1 << 20} {
				body, err := host.ReadBody(iotest.HalfReader(strings.NewReader(text)), announced, max(limit, 0), deadline)
				switch fits := int64(size) <= max(limit, 0) && announced <= max(limit, 0); {
				case fits && (err != nil || string(body) != text):
					t.Errorf("%d of %d announced, at most %d: %d, %v", size, announced, limit, len(body), err)
				case !fits && err != host.ErrTooLarge:
					t.Errorf("%d of %d announced, at most %d: %v", size, announced, limit, err)
				case fits && cap(body) > 2*size+4096:
					t.Errorf("%d bytes take %d", size, cap(body))
				}
			}
		}
	}
}
