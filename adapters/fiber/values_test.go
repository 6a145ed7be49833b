package siofiber_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

func TestValues(t *testing.T) {
	hosttest.Values(t, true, func(srv *sio.Server, all bool) *conformance.Host {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Use(func(c *fiber.Ctx) error {
			c.Locals("user", c.Get("X-User"))
			c.Locals("n", 7)
			c.Locals("live", c.Context())
			return c.Next()
		})
		var opts []siofiber.Option
		if all {
			opts = append(opts, siofiber.Keep(func(c *fiber.Ctx) map[string]any {
				return map[string]any{"user": c.Get("X-User"), "n": 7, "live": c, "deep": map[string]any{"a": struct{ any }{c.Request()}},
					"behind": hosttest.Behind(c), "func": hosttest.Func(func() string { return c.Get("X-User") }), "elements": hosttest.Elements(c)}
			}))
		}
		siofiber.Mount(app, "/socket.io", srv, opts...)
		return serve(t, app, conformance.Config{})
	})
}

func TestClientIP(t *testing.T) {
	hosttest.ClientIP(t, "EnableTrustedProxyCheck", func(srv *sio.Server, believes bool) *conformance.Host {
		app := fiber.New(fiber.Config{DisableStartupMessage: true, ProxyHeader: fiber.HeaderXForwardedFor, EnableTrustedProxyCheck: !believes, TrustedProxies: []string{"192.0.2.1"}})
		siofiber.Mount(app, "/socket.io", srv)
		return serve(t, app, conformance.Config{})
	})
}

func TestClientIPOfEverybody(t *testing.T) {
	hosttest.ClientIP(t, "fiber.Config.TrustedProxies", func(srv *sio.Server, believes bool) *conformance.Host {
		app := fiber.New(fiber.Config{DisableStartupMessage: true, ProxyHeader: fiber.HeaderXForwardedFor, EnableTrustedProxyCheck: true,
			TrustedProxies: map[bool][]string{true: {"0.0.0.0/0", "::/0"}, false: {"192.0.2.0/24"}}[believes]})
		siofiber.Mount(app, "/socket.io", srv)
		return serve(t, app, conformance.Config{})
	})
}

// inRouter mounts a server in a router of the kind.
func inRouter(kind string, app *fiber.App, srv *sio.Server) {
	var r fiber.Router = app
	if kind == "group" {
		r = app.Group("/a").Group("/b")
	}
	siofiber.Mount(r, "/socket.io", srv)
}

func TestRefusedSettings(t *testing.T) {
	hosttest.RefusedSettings(t, func(kind string, cfg hosttest.Settings, srv *sio.Server) {
		inRouter(kind, fiber.New(fiber.Config{GETOnly: cfg.GETOnly, RequestMethods: cfg.RequestMethods}), srv)
	}, "app", "group")
}

// TestPrefork: Mount sees prefork in the configuration.
func TestPrefork(t *testing.T) {
	for _, kind := range []string{"app", "group"} {
		got := hosttest.Refused(func(srv *sio.Server) { inRouter(kind, fiber.New(fiber.Config{Prefork: true}), srv) })
		if !strings.Contains(got, "Prefork") {
			t.Errorf("%s: panics with %q", kind, got)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	hosttest.BodyLimit(t, func(limit int, srv *sio.Server) {
		siofiber.Mount(fiber.New(fiber.Config{BodyLimit: limit}).Group("/x"), "/socket.io", srv)
	})
}

// TestServingApp: the settings that count are those of the app that serves.
func TestServingApp(t *testing.T) {
	hosttest.ServingApp(t, func(cfg hosttest.Settings, by hosttest.Serving, srv *sio.Server) func(*http.Request) (*http.Response, error) {
		app := fiber.New(fiber.Config{GETOnly: cfg.GETOnly, RequestMethods: cfg.RequestMethods, BodyLimit: cfg.BodyLimit})
		switch by {
		case hosttest.BySubApp:
			inner := fiber.New()
			siofiber.Mount(inner, "/socket.io", srv)
			app.Mount("/", inner)
		case hosttest.ByRoute:
			app.All("/socket.io/*", siofiber.Handler(srv))
		case hosttest.ByMount:
			siofiber.Mount(app, "/socket.io", srv)
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
		cfg.DisableStartupMessage = true
		hosts[name] = func(t testing.TB, srv *sio.Server, c conformance.Config) *conformance.Host {
			return mounted(t, fiber.New(cfg), srv, c)
		}
	}
	hosttest.UnderSettings(t, hosts)
}

func TestLastRequest(t *testing.T) {
	hosttest.LastRequest(t, func(srv *sio.Server) *conformance.Host {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Server().MaxRequestsPerConn = 2
		siofiber.Mount(app, "/socket.io", srv)
		return serve(t, app, conformance.Config{})
	})
}
