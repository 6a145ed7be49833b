package siogin_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

func TestValues(t *testing.T) {
	hosttest.Values(t, true, func(srv *sio.Server, all bool) *conformance.Host {
		r := gin.New()
		r.Use(func(c *gin.Context) {
			c.Set("user", c.GetHeader("X-User"))
			c.Set("n", 7)
			c.Set("live", c)
		})
		var opts []siogin.Option
		if all {
			opts = append(opts, siogin.Keep(func(c *gin.Context) map[string]any {
				return map[string]any{"user": c.MustGet("user"), "n": c.MustGet("n"), "live": c.Writer, "deep": map[string]any{"a": struct{ c *gin.Context }{c}},
					"behind": hosttest.Behind(c), "func": hosttest.Func(func() string { return c.GetHeader("X-User") }), "elements": hosttest.Elements(c)}
			}))
		}
		siogin.Mount(r, "/socket.io", srv, opts...)
		return conformance.ServeHTTP(t, r, conformance.Config{})
	})
}

func TestClientIP(t *testing.T) {
	hosttest.ClientIP(t, "SetTrustedProxies", func(srv *sio.Server, believes bool) *conformance.Host {
		r := gin.New()
		siogin.Mount(r.Group("/"), "/socket.io", srv)
		if !believes {
			if err := r.SetTrustedProxies([]string{"192.0.2.1"}); err != nil {
				t.Fatal(err)
			}
		}
		return conformance.ServeHTTP(t, r, conformance.Config{})
	})
}
