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
	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	siofiber "github.com/siokit/siokit/adapters/fiber"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/doctor"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
	scsbridge "github.com/siokit/siokit/sessionbridge/scs"
)

// middleware is the table: what works around the socket, and what the doctor says
// of what does not. Each entry mounts the server behind one real middleware. Echo's
// Timeout, deprecated for its data races, is http.TimeoutHandler underneath.
var middleware = []struct {
	host, name string
	serve      func(io *sio.Server) http.Handler // or
	fiber      fiber.Handler
	sick       string // the checks that have findings; "" means that everything works
}{
	{"nethttp", "none", func(s *sio.Server) http.Handler { return s }, nil, ""},
	{"nethttp", "MaxBytesHandler", func(s *sio.Server) http.Handler { return http.MaxBytesHandler(s, 1<<20) }, nil, ""},
	{"nethttp", "TimeoutHandler", func(s *sio.Server) http.Handler { return http.TimeoutHandler(s, 500*time.Millisecond, "too slow") }, nil, "held-poll websocket"},
	{"nethttp", "CrossOriginProtection", func(s *sio.Server) http.Handler { return http.NewCrossOriginProtection().Handler(s) }, nil, ""},
	{"gin", "none", overGin(), nil, ""},
	{"echo", "none", overEcho(), nil, ""},
	{"chi", "none", overChi(), nil, ""},
	{"fiber", "none", nil, func(c *fiber.Ctx) error { return c.Next() }, ""},
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
			if row.fiber != nil {
				app := fiber.New(fiber.Config{DisableStartupMessage: true})
				app.Use(row.fiber)
				siofiber.Mount(app, "/socket.io", srv)
				go func() { _ = app.Listener(ln) }()
				stop = func() error { return app.ShutdownWithTimeout(2 * time.Second) }
			} else {
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
