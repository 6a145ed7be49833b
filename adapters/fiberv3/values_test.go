package siofiberv3_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

func TestValues(t *testing.T) {
	hosttest.Values(t, true, func(srv *sio.Server, all bool) *conformance.Host {
		app := fiber.New()
		app.Use(func(c fiber.Ctx) error {
			c.Locals("user", c.Get("X-User"))
			c.Locals("n", 7)
			c.Locals("live", c.RequestCtx())
			return c.Next()
		})
		var opts []siofiberv3.Option
		if all {
			opts = append(opts, siofiberv3.Keep(func(c fiber.Ctx) map[string]any {
				return map[string]any{"user": c.Get("X-User"), "n": 7, "live": c, "deep": map[string]any{"a": struct{ any }{c.Request()}},
					"behind": hosttest.Behind(c), "func": hosttest.Func(func() string { return c.Get("X-User") }), "elements": hosttest.Elements(c)}
			}))
		}
		siofiberv3.Mount(app, "/socket.io", srv, opts...)
		return serve(t, app, conformance.Config{})
	})
}

func TestClientIP(t *testing.T) {
	hosttest.ClientIP(t, "TrustProxyConfig.Proxies", func(srv *sio.Server, believes bool) *conformance.Host {
		app := fiber.New(fiber.Config{ProxyHeader: fiber.HeaderXForwardedFor, TrustProxy: true, TrustProxyConfig: fiber.TrustProxyConfig{
			Proxies: []string{map[bool]string{true: "0.0.0.0/0", false: "192.0.2.0/24"}[believes]},
		}})
		siofiberv3.Mount(app, "/socket.io", srv)
		return serve(t, app, conformance.Config{})
	})
}

// TestClientIPOfHalves: everybody in two parts.
func TestClientIPOfHalves(t *testing.T) {
	hosttest.ClientIP(t, "TrustProxyConfig.Proxies", func(srv *sio.Server, believes bool) *conformance.Host {
		app := fiber.New(fiber.Config{ProxyHeader: fiber.HeaderXForwardedFor, TrustProxy: true, TrustProxyConfig: fiber.TrustProxyConfig{
			Proxies: map[bool][]string{true: {"0.0.0.0/1", "128.0.0.0/1"}, false: {"192.0.2.0/25", "192.0.2.128/25"}}[believes],
		}})
		siofiberv3.Mount(app, "/socket.io", srv)
		return serve(t, app, conformance.Config{})
	})
}

func TestRefusedSettings(t *testing.T) {
	hosttest.RefusedSettings(t, func(kind string, cfg hosttest.Settings, srv *sio.Server) {
		app := fiber.New(fiber.Config{GETOnly: cfg.GETOnly, RequestMethods: cfg.RequestMethods})
		var r fiber.Router = app
		switch kind {
		case "group":
			r = app.Group("/a").Group("/b")
		case "domain":
			r = app.Domain("api.example.com")
		}
		siofiberv3.Mount(r, "/socket.io", srv)
	}, "app", "group", "domain")
}

// TestPrefork: Mount sees prefork in the child processes only, which say in their
// environment what they are.
func TestPrefork(t *testing.T) {
	t.Setenv("FASTHTTP_PREFORK_CHILD", "1")
	if !fiber.IsChild() {
		t.Fatal("fasthttp marks its children in another way")
	}
	got := hosttest.Refused(func(srv *sio.Server) { siofiberv3.Mount(fiber.New(), "/socket.io", srv) })
	if !strings.Contains(got, "EnablePrefork") {
		t.Errorf("panics with %q", got)
	}
}

// ownCtx is an application's own context.
type ownCtx struct {
	fiber.DefaultCtx
	tenant string
}

// TestCustomContext: an application with a type of its own for contexts gets that
// type from Context and in Keep, and its strings are copied too.
func TestCustomContext(t *testing.T) {
	app := fiber.NewWithCustomCtx(func(app *fiber.App) fiber.CustomCtx { return &ownCtx{DefaultCtx: *fiber.NewDefaultCtx(app)} })
	app.Use(func(c fiber.Ctx) error {
		c.(*ownCtx).tenant = c.Get("X-Tenant")
		return c.Next()
	})
	requests := make(chan *sio.Request, 2)
	srv := sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if c, ok := siofiberv3.Context(x).(*ownCtx); !ok || c.tenant != r.Values["tenant"] {
			t.Errorf("the context is %T", siofiberv3.Context(x))
		}
		requests <- r
		return nil
	}})
	siofiberv3.Mount(app, "/socket.io", srv, siofiberv3.Keep(func(c fiber.Ctx) map[string]any {
		return map[string]any{"tenant": c.(*ownCtx).tenant}
	}))
	h := serve(t, app, conformance.Config{})
	defer h.Stop()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	l := wire.New(t, h.URL, "/socket.io/").Line()
	l.Do("GET", "EIO=4&transport=polling", "", "X-Tenant: alice-1")
	l.Do("GET", "EIO=4&transport=polling", "", "X-Tenant: mallo-2")
	if r := <-requests; r.Values["tenant"] != "alice-1" {
		t.Errorf("values %v", r.Values)
	}
}

func TestBodyLimit(t *testing.T) {
	hosttest.BodyLimit(t, func(limit int, srv *sio.Server) {
		siofiberv3.Mount(fiber.New(fiber.Config{BodyLimit: limit}).Group("/x"), "/socket.io", srv)
	})
}

// TestServingApp: the settings that count are those of the app that serves.
func TestServingApp(t *testing.T) {
	hosttest.ServingApp(t, func(cfg hosttest.Settings, by hosttest.Serving, srv *sio.Server) func(*http.Request) (*http.Response, error) {
		app := fiber.New(fiber.Config{GETOnly: cfg.GETOnly, RequestMethods: cfg.RequestMethods, BodyLimit: cfg.BodyLimit})
		switch by {
		case hosttest.BySubApp:
			inner := fiber.New()
			siofiberv3.Mount(inner, "/socket.io", srv)
			app.Use("/", inner)
		case hosttest.ByRoute:
			app.All("/socket.io/*", siofiberv3.Handler(srv))
		case hosttest.ByMount:
			siofiberv3.Mount(app, "/socket.io", srv)
		}
		return func(r *http.Request) (*http.Response, error) { return app.Test(r) }
	})
}

// TestSettings runs the suite under settings of fiber and fasthttp.
func TestSettings(t *testing.T) {
	hosts := map[string]conformance.Factory{}
	for name, cfg := range map[string]fiber.Config{
		"DisableKeepalive":         {DisableKeepalive: true},
		"DisableHeaderNormalizing": {DisableHeaderNormalizing: true},
		"StreamRequestBody":        {StreamRequestBody: true},
		"ReduceMemoryUsage":        {ReduceMemoryUsage: true},
		"Immutable":                {Immutable: true},
		"strict routes":            {StrictRouting: true, CaseSensitive: true, UnescapePath: true},
	} {
		hosts[name] = func(t testing.TB, srv *sio.Server, c conformance.Config) *conformance.Host {
			return mounted(t, fiber.New(cfg), srv, c)
		}
	}
	hosttest.UnderSettings(t, hosts)
}

func TestLastRequest(t *testing.T) {
	hosttest.LastRequest(t, func(srv *sio.Server) *conformance.Host {
		app := fiber.New()
		app.Server().MaxRequestsPerConn = 2
		siofiberv3.Mount(app, "/socket.io", srv)
		return serve(t, app, conformance.Config{})
	})
}
