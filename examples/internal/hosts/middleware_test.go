package hosts_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimw "github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v2"
	fibercompress "github.com/gofiber/fiber/v2/middleware/compress"
	fibercors "github.com/gofiber/fiber/v2/middleware/cors"
	fibercsrf "github.com/gofiber/fiber/v2/middleware/csrf"
	fiberetag "github.com/gofiber/fiber/v2/middleware/etag"
	fiberlogger "github.com/gofiber/fiber/v2/middleware/logger"
	fiberrecover "github.com/gofiber/fiber/v2/middleware/recover"
	fiberv3 "github.com/gofiber/fiber/v3"
	fiberv3compress "github.com/gofiber/fiber/v3/middleware/compress"
	fiberv3cors "github.com/gofiber/fiber/v3/middleware/cors"
	fiberv3csrf "github.com/gofiber/fiber/v3/middleware/csrf"
	fiberv3etag "github.com/gofiber/fiber/v3/middleware/etag"
	fiberv3logger "github.com/gofiber/fiber/v3/middleware/logger"
	fiberv3recover "github.com/gofiber/fiber/v3/middleware/recover"
	fiberv3session "github.com/gofiber/fiber/v3/middleware/session"
	fiberv3timeout "github.com/gofiber/fiber/v3/middleware/timeout"
	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"
	echov5 "github.com/labstack/echo/v5"
	echov5mw "github.com/labstack/echo/v5/middleware"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	siofiber "github.com/siokit/siokit/adapters/fiber"
	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/doctor"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
	fiberv3bridge "github.com/siokit/siokit/sessionbridge/fiberv3"
	scsbridge "github.com/siokit/siokit/sessionbridge/scs"
)

// middleware is the table: what works around the socket, and what the doctor says
// of what does not. Each entry mounts the server behind one real middleware. Echo's
// Timeout, deprecated for its data races, is http.TimeoutHandler underneath.
var middleware = []struct {
	host, name string
	serve      func(io *sio.Server) http.Handler // or
	fiber      any                               // a handler of fiber v2 or v3
	sick       string                            // the checks that have findings; "" means that everything works
}{
	{"nethttp", "none", func(s *sio.Server) http.Handler { return s }, nil, ""},
	{"nethttp", "MaxBytesHandler", func(s *sio.Server) http.Handler { return http.MaxBytesHandler(s, 1<<20) }, nil, ""},
	{"nethttp", "TimeoutHandler", func(s *sio.Server) http.Handler { return http.TimeoutHandler(s, 500*time.Millisecond, "too slow") }, nil, "held-poll websocket"},
	{"nethttp", "CrossOriginProtection", func(s *sio.Server) http.Handler { return http.NewCrossOriginProtection().Handler(s) }, nil, ""},
	{"gin", "none", overGin(), nil, ""},
	{"echo", "none", overEcho(), nil, ""},
	{"chi", "none", overChi(), nil, ""},
	{"fiber", "none", nil, func(c *fiber.Ctx) error { return c.Next() }, ""},
	{"echov5", "none", overEchoV5(), nil, ""},
	{"fiberv3", "none", nil, func(c fiberv3.Ctx) error { return c.Next() }, ""},
	{"gin", "Recovery", overGin(gin.Recovery()), nil, ""},
	{"gin", "Logger", overGin(gin.LoggerWithWriter(io.Discard)), nil, ""},
	{"gin", "gzip", overGin(gzip.Gzip(gzip.DefaultCompression)), nil, ""},
	{"echo", "Recover", overEcho(echomw.Recover()), nil, ""},
	{"echo", "Logger", overEcho(echomw.RequestLoggerWithConfig(echomw.RequestLoggerConfig{LogStatus: true, LogValuesFunc: func(echo.Context, echomw.RequestLoggerValues) error { return nil }})), nil, ""},
	{"echo", "Gzip", overEcho(echomw.Gzip()), nil, ""},
	{"echo", "BodyLimit", overEcho(echomw.BodyLimit("1M")), nil, ""},
	{"echo", "BodyDump", overEcho(echomw.BodyDump(func(echo.Context, []byte, []byte) {})), nil, ""},
	{"echo", "ContextTimeout", overEcho(echomw.ContextTimeout(time.Minute)), nil, ""},
	{"echo", "Secure", overEcho(echomw.Secure()), nil, ""},
	{"echo", "CSRF", overEcho(echomw.CSRF()), nil, "post"},
	// Around echo: echo.WrapMiddleware shares an error with the handler that ran out of time.
	{"echo", "CSRF and Timeout", func(s *sio.Server) http.Handler {
		return http.TimeoutHandler(overEcho(echomw.CSRF())(s), 500*time.Millisecond, "too slow")
	}, nil, "post held-poll websocket"},
	{"echo", "BodyLimit below MaxPayload", overEcho(echomw.BodyLimit("100K")), nil, "body-limit"},
	{"chi", "RequestSize below MaxPayload", overChi(chimw.RequestSize(100_000)), nil, "body-limit"},
	{"chi", "Recoverer", overChi(chimw.Recoverer), nil, ""},
	{"chi", "Logger", overChi(chimw.RequestLogger(&chimw.DefaultLogFormatter{Logger: discard{}})), nil, ""},
	{"chi", "Compress", overChi(chimw.Compress(5)), nil, ""},
	{"chi", "Throttle", overChi(chimw.Throttle(10)), nil, ""},
	{"chi", "Throttle of one", overChi(chimw.Throttle(1)), nil, "post-while-polling"},
	{"chi", "RequestSize", overChi(chimw.RequestSize(1 << 20)), nil, ""},
	{"chi", "AllowContentType", overChi(chimw.AllowContentType("application/json")), nil, "post"},
	{"chi", "Timeout", overChi(chimw.Timeout(time.Minute)), nil, ""},
	{"fiber", "recover", nil, fiberrecover.New(), ""},
	{"fiber", "logger", nil, fiberlogger.New(fiberlogger.Config{Output: io.Discard}), ""},
	{"fiber", "compress", nil, fibercompress.New(), ""},
	{"fiber", "cors", nil, fibercors.New(), ""},
	{"fiber", "etag", nil, fiberetag.New(), "cache"},
	{"fiber", "csrf", nil, fibercsrf.New(), "post"},
	{"echov5", "Recover", overEchoV5(echov5mw.Recover()), nil, ""},
	{"echov5", "Logger", overEchoV5(echov5mw.RequestLoggerWithConfig(echov5mw.RequestLoggerConfig{LogStatus: true, LogValuesFunc: func(*echov5.Context, echov5mw.RequestLoggerValues) error { return nil }})), nil, ""},
	{"echov5", "Gzip", overEchoV5(echov5mw.Gzip()), nil, ""},
	{"echov5", "BodyLimit", overEchoV5(echov5mw.BodyLimit(1 << 20)), nil, ""},
	{"echov5", "BodyLimit below MaxPayload", overEchoV5(echov5mw.BodyLimit(100_000)), nil, "body-limit"},
	{"echov5", "BodyDump", overEchoV5(echov5mw.BodyDump(func(*echov5.Context, []byte, []byte, error) {})), nil, ""},
	{"echov5", "ContextTimeout", overEchoV5(echov5mw.ContextTimeout(time.Minute)), nil, ""},
	{"echov5", "CORS", overEchoV5(echov5mw.CORS("https://app.example.com")), nil, ""},
	{"echov5", "Secure", overEchoV5(echov5mw.Secure()), nil, ""},
	{"echov5", "CSRF", overEchoV5(echov5mw.CSRF()), nil, "post"},
	{"fiberv3", "recover", nil, fiberv3recover.New(), ""},
	{"fiberv3", "logger", nil, fiberv3logger.New(fiberv3logger.Config{Stream: io.Discard}), ""},
	{"fiberv3", "compress", nil, fiberv3compress.New(), ""},
	{"fiberv3", "cors", nil, fiberv3cors.New(), ""},
	{"fiberv3", "etag", nil, fiberv3etag.New(), "cache"},
	{"fiberv3", "csrf", nil, fiberv3csrf.New(), "post"},
	{"fiberv3", "timeout", nil, fiberv3timeout.New(func(c fiberv3.Ctx) error { return c.Next() }, fiberv3timeout.Config{Timeout: 500 * time.Millisecond}), "held-poll"},
}

type discard struct{}

func (discard) Print(...any) {}

func overGin(mw ...gin.HandlerFunc) func(*sio.Server) http.Handler {
	return func(s *sio.Server) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(mw...)
		siogin.Mount(r, "/socket.io", s)
		return r
	}
}

func overEcho(mw ...echo.MiddlewareFunc) func(*sio.Server) http.Handler {
	return func(s *sio.Server) http.Handler {
		e := echo.New()
		e.Use(mw...)
		sioecho.Mount(e, "/socket.io", s)
		return e
	}
}

func overEchoV5(mw ...echov5.MiddlewareFunc) func(*sio.Server) http.Handler {
	return func(s *sio.Server) http.Handler {
		e := echov5.New()
		e.Use(mw...)
		sioechov5.Mount(e, "/socket.io", s)
		return e
	}
}

func overChi(mw ...func(http.Handler) http.Handler) func(*sio.Server) http.Handler {
	return func(s *sio.Server) http.Handler {
		r := chi.NewRouter()
		r.Use(mw...)
		siochi.Mount(r, "/socket.io", s)
		return r
	}
}

// TestMiddleware: what a host's middleware breaks is refused with words, and the
// doctor knows it.
func TestMiddleware(t *testing.T) {
	for _, row := range middleware {
		t.Run(row.host+"/"+row.name, func(t *testing.T) {
			t.Parallel()
			var log syncBuffer
			interval := 700 * time.Millisecond
			if strings.Contains(row.sick, "held-poll") {
				interval = 2 * time.Second // a poll must outlive the middleware's patience
			}
			// As by default, who joins no namespace is ended before the first ping.
			srv := sio.NewServer(&sio.Options{PingInterval: interval, ConnectTimeout: interval * 4 / 5, PingTimeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var stop func() error
			switch mw := row.fiber.(type) {
			case func(*fiber.Ctx) error:
				app := fiber.New(fiber.Config{DisableStartupMessage: true})
				app.Use(mw)
				siofiber.Mount(app, "/socket.io", srv)
				go func() { _ = app.Listener(ln) }()
				stop = func() error { return app.ShutdownWithTimeout(2 * time.Second) }
			case func(fiberv3.Ctx) error:
				app := fiberv3.New()
				app.Use(mw)
				siofiberv3.Mount(app, "/socket.io", srv)
				go func() { _ = app.Listener(ln, fiberv3.ListenConfig{DisableStartupMessage: true}) }()
				stop = func() error { return app.ShutdownWithTimeout(2 * time.Second) }
			default:
				hs := &http.Server{Handler: row.serve(srv), ReadHeaderTimeout: time.Second}
				go func() { _ = hs.Serve(ln) }()
				stop = hs.Close
			}
			defer func() {
				_ = srv.Shutdown(context.Background())
				_ = stop()
			}()
			findings, err := doctor.Examine(context.Background(), "http://"+ln.Addr().String()+"/socket.io/", &doctor.Options{Client: &http.Client{Transport: &http.Transport{}}})
			if err != nil {
				t.Fatal(err)
			}
			var checks []string
			for _, f := range findings {
				if !slices.Contains(checks, f.Check) {
					checks = append(checks, f.Check)
				}
			}
			if got := strings.Join(checks, " "); got != row.sick {
				t.Errorf("findings in %q instead of %q: %v", got, row.sick, findings)
			}
			if strings.Contains(row.sick, "websocket") && !strings.Contains(log.String(), "timeoutWriter") {
				t.Errorf("the log does not name the middleware's writer: %s", log.String())
			}
		})
	}
}

// syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestInsideLoadAndSave: a socket inside of a middleware that saves sessions by
// itself would undo logouts. It is refused, and the log says what to do.
func TestInsideLoadAndSave(t *testing.T) {
	for name, mk := range map[string]func(sm *scs.SessionManager, s *sio.Server) http.Handler{
		"nethttp": func(sm *scs.SessionManager, s *sio.Server) http.Handler { return sm.LoadAndSave(s) },
		"chi":     func(sm *scs.SessionManager, s *sio.Server) http.Handler { return overChi(sm.LoadAndSave)(s) },
		"gin": func(sm *scs.SessionManager, s *sio.Server) http.Handler {
			return sm.LoadAndSave(overGin(gin.Recovery())(s))
		},
		"echo": func(sm *scs.SessionManager, s *sio.Server) http.Handler {
			return overEcho(echo.WrapMiddleware(sm.LoadAndSave))(s)
		},
		"echov5": func(sm *scs.SessionManager, s *sio.Server) http.Handler {
			return overEchoV5(echov5.WrapMiddleware(sm.LoadAndSave))(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			sm := scs.New()
			bridge := sessionbridge.New(scsbridge.New(sm), nil)
			srv := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			hs := httptest.NewServer(mk(sm, srv))
			defer hs.Close()
			defer func() { _ = srv.Shutdown(context.Background()) }()
			a := wire.New(t, hs.URL, "/socket.io/").Must("GET", "EIO=4&transport=polling", "")
			if a.Status != http.StatusForbidden || !strings.Contains(log.String(), "LoadAndSave") {
				t.Errorf("%v; log: %s", a, log.String())
			}
		})
	}
}

// TestInsideSessionMiddleware: the same for the session middleware of fiber v3.
func TestInsideSessionMiddleware(t *testing.T) {
	var log syncBuffer
	mw, store := fiberv3session.NewWithStore()
	bridge := sessionbridge.New(fiberv3bridge.New(store), nil)
	srv := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	app := fiberv3.New()
	siofiberv3.Mount(app, "/outside", srv)
	siofiberv3.Mount(app.Group("/inside", mw), "/socket.io", srv)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = app.Listener(ln, fiberv3.ListenConfig{DisableStartupMessage: true}) }()
	defer func() { _ = app.ShutdownWithTimeout(2 * time.Second) }()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	for path, want := range map[string]int{"/outside/": http.StatusOK, "/inside/socket.io/": http.StatusForbidden} {
		if a := wire.New(t, "http://"+ln.Addr().String(), path).Must("GET", "EIO=4&transport=polling", ""); a.Status != want {
			t.Errorf("%s: %v", path, a)
		}
	}
	if !strings.Contains(log.String(), "session middleware") {
		t.Errorf("log: %s", log.String())
	}
}
