package siofiber_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
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

// TestRefusedSettings: what cannot work is said at start-up, for apps and groups.
func TestRefusedSettings(t *testing.T) {
	for want, cfg := range map[string]fiber.Config{
		"Prefork": {Prefork: true}, "GETOnly": {GETOnly: true}, "RequestMethods": {RequestMethods: []string{"GET", "PUT"}}, "": {},
	} {
		for _, group := range []bool{false, true} {
			got := ""
			func() {
				defer func() {
					if p := recover(); p != nil {
						got = fmt.Sprint(p)
					}
				}()
				app := fiber.New(cfg)
				var r fiber.Router = app
				if group {
					r = app.Group("/a").Group("/b")
				}
				siofiber.Mount(r, "/socket.io", sio.NewServer(nil))
			}()
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s, group %v: panics with %q", want, group, got)
			}
		}
	}
}

// TestBodyLimit: a limit of the host below MaxPayload is logged, with its name.
func TestBodyLimit(t *testing.T) {
	for limit, want := range map[int]int{1 << 10: 1, 2 << 20: 0} {
		var log testkit.Log
		srv := sio.NewServer(&sio.Options{Logger: log.Logger()})
		siofiber.Mount(fiber.New(fiber.Config{BodyLimit: limit}).Group("/x"), "/socket.io", srv)
		if got := strings.Count(log.String(), "fiber.Config.BodyLimit"); got != want {
			t.Errorf("limit %d: %d times in the log, want %d: %s", limit, got, want, log.String())
		}
		_ = srv.Shutdown(context.Background())
	}
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

// TestSettings runs the cases that settings of fiber and fasthttp concern under
// each of them.
func TestSettings(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run with fiber's defaults")
	}
	for name, cfg := range map[string]fiber.Config{
		"DisableKeepalive":         {DisableKeepalive: true},
		"DisableHeaderNormalizing": {DisableHeaderNormalizing: true},
		"StreamRequestBody":        {StreamRequestBody: true},
		"ReduceMemoryUsage":        {ReduceMemoryUsage: true},
		"Immutable":                {Immutable: true},
		"strict routes":            {StrictRouting: true, CaseSensitive: true, UnescapePath: true},
	} {
		t.Run(name, func(t *testing.T) {
			only := []string{
				"handshake", "origin/same", "origin/listed", "origin/websocket-scheme", "request/exposed", "request/one-connection",
				"websocket/header-forms", "websocket/subprotocol", "websocket/early-bytes", "websocket/cookies-on-101", "websocket/big",
				"polling/post", "polling/batch", "polling/too-large", "jsonp/engine", "limits/query", "limits/headers", "limits/announced-body",
			}
			var opts []conformance.Option
			if name != "StreamRequestBody" {
				opts = append(opts, lacks...)
			} else {
				opts = append(opts, conformance.Skip("polling/too-large", "fasthttp closes before it has read such a body, and a client that still writes may lose the answer"))
			}
			if name == "DisableKeepalive" { // every request has a connection of its own
				opts = append(opts, conformance.Skip("request/one-connection", "there is no second request on a connection"))
			}
			conformance.Run(t, func(t testing.TB, srv *sio.Server, c conformance.Config) *conformance.Host {
				cfg := cfg
				cfg.DisableStartupMessage = true
				return mounted(t, fiber.New(cfg), srv, c)
			}, append(opts, conformance.Only(only...))...)
		})
	}
}

// TestLastRequest: a websocket lives on the last request that fasthttp allows a
// connection.
func TestLastRequest(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Server().MaxRequestsPerConn = 2
	srv := sio.NewServer(nil)
	siofiber.Mount(app, "/socket.io", srv)
	h := serve(t, app, conformance.Config{})
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
