package siogin_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	testkit.Main(m)
}

func TestConformance(t *testing.T) { conformance.Run(t, factory) }

// TestConformanceClustered: three servers are one for their clients, whichever of them each
// request comes to.
func TestConformanceClustered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run with one server")
	}
	conformance.Run(t, factory, conformance.Clustered(nil))
}

func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	r := gin.New()
	r.Use(gin.Recovery(), func(c *gin.Context) { c.Header("Set-Cookie", "host=1") })
	r.GET("/plain", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	siogin.Mount(r, cfg.Path, srv)
	return conformance.ServeHTTP(t, r, cfg)
}
