package sioecho_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	sioecho "github.com/siokit/siokit/adapters/echo"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// TestGroup mounts under a group whose prefix has a parameter, and looks at what
// the handshake tells of the host.
func TestGroup(t *testing.T) {
	var kept host.Exchange
	requests := make(chan *sio.Request, 10)
	srv := sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if sioecho.Context(x) == nil {
			t.Error("no live context during the handshake")
		}
		kept = x
		requests <- r
		return nil
	}})
	h := func() *conformance.Host {
		e := echo.New()
		g := e.Group("/t/:tenant", func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				c.Set("user", "ann")
				return next(c)
			}
		})
		sioecho.Mount(g, "/socket.io", srv, sioecho.Keep(func(c echo.Context) map[string]any { return map[string]any{"user": c.Get("user")} }))
		e.Any("/own/*", sioecho.Handler(srv))
		return conformance.ServeHTTP(t, e, conformance.Config{})
	}()
	defer h.Stop()
	defer func() { _ = srv.Shutdown(context.Background()) }()

	for _, path := range []string{"/t/acme/socket.io/", "/t/acme/socket.io"} {
		c := wire.New(t, h.URL, path)
		c.Polling()
		r := <-requests
		if r.Params["tenant"] != "acme" || r.Values["user"] != "ann" || r.ClientIP != "127.0.0.1" || r.RoutePattern == "" {
			t.Errorf("%s: params %v, values %v, client %q, route %q", path, r.Params, r.Values, r.ClientIP, r.RoutePattern)
		}
		// The answer may be here before the handler has returned.
		for deadline := time.Now().Add(wire.Patience); kept.Native() != nil; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the native context outlives the handshake")
			}
		}
		if w := c.Join(""); w.Head.Get("Location") != "" {
			t.Error("redirected")
		}
		<-requests
	}
	if a := wire.New(t, h.URL, "/t/acme/socket.iox/").Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusNotFound {
		t.Errorf("sibling: %v", a)
	}
	// A route of one's own, with the handler alone.
	c := wire.New(t, h.URL, "/own/")
	c.Join("")
	<-requests
}
