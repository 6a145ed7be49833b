package suite

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	fiberv3 "github.com/gofiber/fiber/v3"
	"github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	siofiber "github.com/siokit/siokit/adapters/fiber"
	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// hosts are the lines of the table.
var hosts = []struct {
	name    string
	factory conformance.Factory
	opts    []conformance.Option
}{
	{"net/http", onHTTP, nil},
	{"gin", onGin, nil},
	{"echo", onEcho, nil},
	{"echov5", onEchoV5, nil},
	{"chi", onChi, nil},
	{"fiber", onFiber, fasthttp},
	{"fiberv3", onFiberV3, fasthttp},
}

var fasthttp = []conformance.Option{
	conformance.Lacks("partial-body", "fasthttp reads a whole body before the handler: half a one is never seen, and two cannot be under way"),
}

const cookie = "host=1"

// cookies sets the cookie of the suite on every answer.
func cookies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", cookie)
		next.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

func onHTTP(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", plain)
	srv.Mount(mux, cfg.Path)
	return conformance.ServeHTTP(t, cookies(mux), cfg)
}

func onGin(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), func(c *gin.Context) { c.Header("Set-Cookie", cookie) })
	r.GET("/plain", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	siogin.Mount(r, cfg.Path, srv)
	return conformance.ServeHTTP(t, r, cfg)
}

func onEcho(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("Set-Cookie", cookie)
			return next(c)
		}
	})
	e.GET("/plain", func(c echo.Context) error { return c.String(http.StatusOK, "ok") })
	sioecho.Mount(e, cfg.Path, srv)
	return conformance.ServeHTTP(t, e, cfg)
}

func onEchoV5(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	e := echov5.New()
	e.Use(func(next echov5.HandlerFunc) echov5.HandlerFunc {
		return func(c *echov5.Context) error {
			c.Response().Header().Set("Set-Cookie", cookie)
			return next(c)
		}
	})
	e.GET("/plain", func(c *echov5.Context) error { return c.String(http.StatusOK, "ok") })
	sioechov5.Mount(e, cfg.Path, srv)
	return conformance.ServeHTTP(t, e, cfg)
}

func onChi(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	r := chi.NewRouter()
	r.Use(cookies)
	r.Get("/plain", plain)
	siochi.Mount(r, cfg.Path, srv)
	return conformance.ServeHTTP(t, r, cfg)
}

func onFiber(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(func(c *fiber.Ctx) error {
		c.Set("Set-Cookie", cookie)
		return c.Next()
	})
	app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("ok") })
	siofiber.Mount(app, cfg.Path, srv)
	return serve(t, cfg, app.Listener, app.Server().GetOpenConnectionsCount, app.ShutdownWithTimeout)
}

func onFiberV3(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	app := fiberv3.New()
	app.Use(func(c fiberv3.Ctx) error {
		c.Set("Set-Cookie", cookie)
		return c.Next()
	})
	app.Get("/plain", func(c fiberv3.Ctx) error { return c.SendString("ok") })
	siofiberv3.Mount(app, cfg.Path, srv)
	return serve(t, cfg, func(ln net.Listener) error {
		return app.Listener(ln, fiberv3.ListenConfig{DisableStartupMessage: true})
	}, app.Server().GetOpenConnectionsCount, app.ShutdownWithTimeout)
}

// serve serves a case on a framework over fasthttp.
func serve(t testing.TB, cfg conformance.Config, listen func(net.Listener) error, open func() int32, stop func(time.Duration) error) *conformance.Host {
	ln, url := conformance.Listen(t, cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = listen(ln)
	}()
	return &conformance.Host{URL: url, Stop: func() {
		_ = ln.Close()
		<-done
		// fasthttp looks every 100 ms whether a connection is still there.
		for until := time.Now().Add(80 * time.Millisecond); open() >= 0 && time.Now().Before(until); time.Sleep(100 * time.Microsecond) {
		}
		_ = stop(5 * time.Second)
	}}
}
