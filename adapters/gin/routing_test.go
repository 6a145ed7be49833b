package siogin_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func TestGroup(t *testing.T) {
	live := func(x host.Exchange) bool { return siogin.Context(x) != nil }
	hosttest.Group(t, live, func(srv *sio.Server) *conformance.Host {
		r := gin.New()
		g := r.Group("/t/:tenant", func(c *gin.Context) { c.Set("user", "ann") })
		siogin.Mount(g, "/socket.io", srv)
		r.Any("/own/*any", siogin.Handler(srv))
		return conformance.ServeHTTP(t, r, conformance.Config{})
	})
}
