package hosts_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimw "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"
	echov5 "github.com/labstack/echo/v5"
	echov5mw "github.com/labstack/echo/v5/middleware"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/siotest"
)

// TestRouters: clients in memory come through each router that is an http.Handler, behind
// middleware that wraps its writers, and get what the router's own pages set.
func TestRouters(t *testing.T) {
	for name, router := range map[string]func(*sio.Server) http.Handler{
		"gin": func(io *sio.Server) http.Handler {
			gin.SetMode(gin.ReleaseMode)
			r := gin.New()
			r.Use(gin.Recovery())
			siogin.Mount(r, "/live", io)
			return r
		},
		"echo": func(io *sio.Server) http.Handler {
			e := echo.New()
			e.Use(echomw.Recover(), echomw.RequestID())
			sioecho.Mount(e, "/live", io)
			return e
		},
		"echov5": func(io *sio.Server) http.Handler {
			e := echov5.New()
			e.Use(echov5mw.Recover(), echov5mw.RequestID())
			sioechov5.Mount(e, "/live", io)
			return e
		},
		"chi": func(io *sio.Server) http.Handler {
			r := chi.NewRouter()
			r.Use(chimw.RequestID, chimw.Recoverer, chimw.RequestLogger(quietLog{}))
			siochi.Mount(r, "/live", io)
			return r
		},
	} {
		for _, dialect := range []string{"eio4", "eio3", "sio1"} {
			t.Run(name+"/"+dialect, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					io := sio.NewServer(nil)
					v := siotest.New(t, io, &siotest.Options{Handler: router(io), Path: "/live", Dialect: dialect})
					c := v.Connect("/", nil)
					if err := io.Of("/").Emit("hello", name); err != nil {
						t.Error(err)
					}
					c.Expect("hello", name)
				})
			})
		}
	}
}

// quietLog has chi wrap the writer, as its logger does, and logs nothing.
type quietLog struct{}

func (quietLog) NewLogEntry(*http.Request) chimw.LogEntry { return quietEntry{} }

type quietEntry struct{ chimw.LogEntry }

func (quietEntry) Write(int, int, http.Header, time.Duration, any) {}

func (quietEntry) Panic(any, []byte) {}
