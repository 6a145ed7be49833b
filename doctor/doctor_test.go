package doctor_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/doctor"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // they wait for timers
	testkit.Main(m)
}

// options are quick, and like the defaults in what matters here: a client that
// joins no namespace is ended before the first ping. That comes up to half of the
// interval early, and behind the timeouts of the patients below.
func options() *sio.Options {
	return &sio.Options{PingInterval: 1800 * time.Millisecond, ConnectTimeout: 800 * time.Millisecond, PingTimeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

// examine looks at a handler, and returns what was found and what was noted.
func examine(t *testing.T, h http.Handler, path string, o doctor.Options) (findings []doctor.Finding, notes []string) {
	t.Helper()
	hs := httptest.NewServer(h)
	defer hs.Close()
	if o.Patience == 0 {
		o.Patience = 2 * time.Second
	}
	o.Client = &http.Client{Transport: &http.Transport{}}
	o.Note = func(text string) { notes = append(notes, text) }
	findings, err := doctor.Examine(context.Background(), hs.URL+path, &o)
	if err != nil {
		t.Fatal(err)
	}
	return findings, notes
}

// middleware that hosts have, each with what the doctor must say of it.
var patients = []struct {
	name string
	wrap func(next http.Handler) http.Handler
	want map[string]string // check -> a part of the cure
}{
	{"healthy", func(next http.Handler) http.Handler { return next }, nil},
	{"redirects to a slash", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.TrimSuffix(r.URL.Path, "/"), http.StatusMovedPermanently)
		})
	}, map[string]string{"handshake": "slash at the end"}},
	{"redirects to https", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusMovedPermanently)
		})
	}, map[string]string{"handshake": "elsewhere"}},
	{"not mounted", func(http.Handler) http.Handler { return http.NotFoundHandler() }, map[string]string{"handshake": "Nothing is mounted"}},
	{"authentication", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you", http.StatusUnauthorized) })
	}, map[string]string{"handshake": "authentication"}},
	{"wraps bodies", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			_, _ = io.WriteString(w, `{"data":"`+strings.ReplaceAll(rec.Body.String(), `"`, `\"`)+`"}`)
		})
	}, map[string]string{"handshake": "rewrites bodies", "websocket": "names it"}},
	{"cache", func(next http.Handler) http.Handler {
		var mu sync.Mutex
		kept := map[string]*httptest.ResponseRecorder{}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || r.Header.Get("Upgrade") != "" || r.URL.Query().Get("sid") != "" {
				next.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			rec := kept[r.URL.RawQuery]
			if rec == nil {
				rec = httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				kept[r.URL.RawQuery] = rec
			}
			w.Header().Set("Age", "1")
			_, _ = w.Write(rec.Body.Bytes())
		})
	}, map[string]string{"cache": "cach"}},
	{"rolling session", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"cookies": "LoadAndSave"}},
	{"CORS twice", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Access-Control-Allow-Origin", "*")
			w.Header().Add("Access-Control-Allow-Origin", "*")
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"cors": "Two set it"}},
	{"origin", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Host = "internal:8080" // a proxy's doing
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"cors": "Options.Origins"}},
	{"CSRF", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				http.Error(w, "token missing", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"post": "CSRF"}},
	{"CSRF with a cookie", csrf, map[string]string{"post": "CSRF"}},
	{"CSRF with a cookie, and a timeout behind it", func(next http.Handler) http.Handler {
		return csrf(http.TimeoutHandler(next, 500*time.Millisecond, "too slow"))
	}, map[string]string{"post": "CSRF", "held-poll": "TimeoutHandler", "websocket": "names it"}},
	{"load balancer", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "AWSALBCORS", Value: "x"})
			next.ServeHTTP(w, r)
		})
	}, nil},
	{"CSRF cookie alone", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "XSRF-TOKEN", Value: "x"})
			next.ServeHTTP(w, r)
		})
	}, nil},
	{"GET alone", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"post": "all methods"}},
	{"body limit", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 1 {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"post": "body limit"}},
	{"body limit below MaxPayload", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 100_000 {
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"body-limit": "MaxPayload"}},
	{"body limit that cuts", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 100_000 {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"body-limit": "MaxPayload"}},
	{"JSON alone", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				w.WriteHeader(http.StatusUnsupportedMediaType)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"post": "text/plain"}},
	{"another server gets the POST", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				r.URL.RawQuery = "EIO=4&transport=polling&sid=xxxxxxxxxxxxxxxxxxxxxxxxxxx"
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"sticky": "changes the query"}},
	{"lock", lock, map[string]string{"post-while-polling": "wait for each other"}},
	{"concurrency limit", func(next http.Handler) http.Handler {
		slot := make(chan struct{}, 1)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case slot <- struct{}{}:
				defer func() { <-slot }()
				next.ServeHTTP(w, r)
			case <-time.After(100 * time.Millisecond): // an answered request leaves a moment later
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
	}, map[string]string{"post-while-polling": "concurrency limit"}},
	{"timeout", func(next http.Handler) http.Handler {
		return http.TimeoutHandler(next, 800*time.Millisecond, "too slow") // before the first ping of any session, which comes up to half of PingInterval early
	},
		map[string]string{"held-poll": "TimeoutHandler", "websocket": "names it"}},
	{"hidden connection", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	}, map[string]string{"websocket": "names it"}},
	{"no upgrades", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				_, _ = io.WriteString(w, "hello")
				return
			}
			next.ServeHTTP(w, r)
		})
	}, map[string]string{"websocket": "takes the Upgrade header away"}},
}

// lock lets one request in at a time.
func lock(next http.Handler) http.Handler {
	mu := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case mu <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		defer func() { <-mu }()
		next.ServeHTTP(w, r)
	})
}

// csrf is like that of echo: a cookie with every answer, and a POST without the
// token is a bad request.
func csrf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "_csrf", Value: "x"})
		if r.Method == "POST" {
			http.Error(w, `{"message":"missing csrf token in request header"}`, http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestExamine: a healthy host has no findings, and each sick one is told what it has.
func TestExamine(t *testing.T) {
	for _, p := range patients {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			io := sio.NewServer(options())
			defer func() { _ = io.Shutdown(context.Background()) }()
			findings, notes := examine(t, p.wrap(io), "/socket.io/", doctor.Options{})
			seen := map[string]bool{}
			for _, f := range findings {
				seen[f.Check] = true
				if part, ok := p.want[f.Check]; !ok || !strings.Contains(f.Cure, part) {
					t.Errorf("unexpected: %v", f)
				}
			}
			for check := range p.want {
				if !seen[check] {
					t.Errorf("nothing about %s", check)
				}
			}
			if len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// TestHealthy: what a healthy server may do has no finding.
func TestHealthy(t *testing.T) {
	for _, c := range []struct {
		name, path string
		set        func(o *sio.Options)
		app        func(io *sio.Server)
		look       doctor.Options
		note       string
	}{
		{name: "a hold shorter than the ping interval", look: doctor.Options{Hold: 10 * time.Millisecond}},
		{name: "no path", path: ""},
		{name: "the path of the host", path: "/"},
		{name: "the default namespace refuses", app: func(io *sio.Server) {
			io.Of("/").OnConnect(func(context.Context, *sio.Socket) error { return sio.Errorf("locked", "who are you") })
		}, note: "who are you"},
		{name: "a namespace with a token", app: func(io *sio.Server) {
			io.Of("/").OnConnect(func(context.Context, *sio.Socket) error { return sio.Errorf("locked", "who are you") })
			io.Of("/chat").OnConnect(func(_ context.Context, s *sio.Socket) error {
				var auth struct{ Token string }
				if err := s.Auth(&auth); err != nil || auth.Token != "letmein" {
					return sio.Errorf("locked", "who are you")
				}
				return nil
			})
		}, look: doctor.Options{Namespace: "/chat", Auth: `{"token":"letmein"}`}},
		{name: "websockets alone", set: func(o *sio.Options) { o.Transports = []string{"websocket"} }, note: "polling is switched off"},
		{name: "polling alone", set: func(o *sio.Options) { o.Transports = []string{"polling"} }, note: "websockets are switched off"},
		{name: "binary on connect", app: onConnect(func(s *sio.Socket) { _ = s.Emit("picture", []byte("2")) })},
		{name: "a long history", app: onConnect(func(s *sio.Socket) { _ = s.Emit("history", strings.Repeat("y", 70_000)) })},
		{name: "events all the time", app: onConnect(tick)},
		{name: "a goodbye", app: onConnect(func(s *sio.Socket) { s.Conn().Close() }), note: "Disconnected"},
		{name: "one session of an address", set: func(o *sio.Options) { o.MaxConnectionsPerAddress = 1 }},
		{name: "one pending session of an address", set: func(o *sio.Options) { o.MaxPendingPerAddress = 1 }},
		{name: "a small MaxPayload", set: func(o *sio.Options) { o.MaxPayload = 100 }},
		{name: "a page of a listed origin", set: func(o *sio.Options) { o.Origins = []string{"https://app.example.com"} }, look: doctor.Options{Header: http.Header{"Origin": {"https://app.example.com"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options()
			if c.set != nil {
				c.set(o)
			}
			io := sio.NewServer(o)
			defer func() { _ = io.Shutdown(context.Background()) }()
			if c.app != nil {
				c.app(io)
			}
			findings, notes := examine(t, io, c.path, c.look)
			if len(findings) > 0 {
				t.Errorf("findings: %v", findings)
			}
			if got := strings.Join(notes, "\n"); c.note == "" && got != "" || !strings.Contains(got, c.note) || len(notes) > 1 {
				t.Errorf("notes: %q instead of one with %q", notes, c.note)
			}
		})
	}
}

// onConnect is an application that does f for who joins.
func onConnect(f func(s *sio.Socket)) func(io *sio.Server) {
	return func(io *sio.Server) {
		io.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error { f(s); return nil })
	}
}

// tick emits an event every 50 ms, until the socket has left.
func tick(s *sio.Socket) {
	time.AfterFunc(50*time.Millisecond, func() {
		if s.Emit("tick", 1) == nil {
			tick(s)
		}
	})
}

// TestTalkativeLock: behind a lock a POST waits for the poll, also when the namespace
// talks all the time.
func TestTalkativeLock(t *testing.T) {
	io := sio.NewServer(options())
	defer func() { _ = io.Shutdown(context.Background()) }()
	onConnect(tick)(io)
	findings, _ := examine(t, lock(io), "/socket.io/", doctor.Options{})
	if len(findings) != 1 || findings[0].Check != "post-while-polling" || !strings.Contains(findings[0].Cure, "wait for each other") {
		t.Errorf("%v", findings)
	}
}

// TestPollEndsByChance: a poll that ends while a POST is under way is no lock when that happens once.
func TestPollEndsByChance(t *testing.T) {
	o := options()
	o.PingInterval = time.Second
	srv := sio.NewServer(o)
	defer func() { _ = srv.Shutdown(context.Background()) }()
	ended := make(chan struct{}, 1)
	var late atomic.Bool
	findings, _ := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("siokit-doctor")) && late.CompareAndSwap(false, true) {
			select {
			case <-ended: // a poll before
			default:
			}
			<-time.After(150 * time.Millisecond)
			<-ended
		}
		srv.ServeHTTP(w, r)
		if r.Method == http.MethodGet {
			select {
			case ended <- struct{}{}:
			default:
			}
		}
	}), "/socket.io/", doctor.Options{})
	if len(findings) > 0 || !late.Load() {
		t.Errorf("%v, a POST was late: %t", findings, late.Load())
	}
}

// TestFull: a server that others have filled meanwhile is not at fault, and its refusal
// says nothing about origins.
func TestFull(t *testing.T) {
	io := sio.NewServer(options())
	defer func() { _ = io.Shutdown(context.Background()) }()
	var seen atomic.Int32
	findings, notes := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sid") == "" && seen.Add(1) > 4 { // those before are of handshake, sticky and cache
			http.Error(w, `{"code":3,"message":"Too many handshakes"}`, http.StatusServiceUnavailable)
			return
		}
		io.ServeHTTP(w, r)
	}), "/socket.io/", doctor.Options{})
	if len(findings) > 0 || len(notes) != 1 || !strings.Contains(notes[0], "no more sessions") {
		t.Errorf("findings %v, notes %q", findings, notes)
	}
}

// TestFrames: a message in fragments is one message, a ping of the protocol is answered,
// however late it comes, and what is no frame is not taken for a timeout.
func TestFrames(t *testing.T) {
	for _, broken := range []bool{false, true} {
		const patience = 400 * time.Millisecond
		var pong error
		findings, _ := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				http.Error(w, `{"code":0,"message":"Transport unknown"}`, http.StatusBadRequest)
				return
			}
			conn, _, _, err := ws.UpgradeHTTP(r, w)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			if broken {
				_, _ = io.WriteString(conn, "<html>")
				_, _ = io.Copy(io.Discard, conn)
				return
			}
			ping := ws.NewPingFrame([]byte("x"))
			for _, f := range []ws.Frame{
				ws.NewFrame(ws.OpText, false, []byte(`0{"sid":"x",`)), ping,
				ws.NewFrame(ws.OpContinuation, true, []byte(`"pingInterval":2000}`)),
			} {
				_ = ws.WriteFrame(conn, f)
			}
			time.Sleep(2 * patience) // a real deadline: longer than the examination waits in one go
			_ = ws.WriteFrame(conn, ping)
			for pongs := 0; pongs < 2 && pong == nil; {
				_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				var h ws.Header
				if h, pong = ws.ReadHeader(conn); h.OpCode == ws.OpPong {
					pongs++
				}
				_, _ = io.CopyN(io.Discard, conn, h.Length)
			}
			_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte("2")))
			_, _ = io.Copy(io.Discard, conn)
		}), "/socket.io/", doctor.Options{Patience: patience})
		if !broken && (len(findings) > 0 || pong != nil) {
			t.Errorf("findings %v, the answers to the pings: %v", findings, pong)
		}
		if broken && (len(findings) != 1 || !strings.Contains(findings[0].Cure, "Something other than the socket")) {
			t.Errorf("no frames: %v", findings)
		}
	}
}

// TestRefusedOrigin: a page that is not listed is refused, and the cure names the option.
func TestRefusedOrigin(t *testing.T) {
	io := sio.NewServer(options())
	defer func() { _ = io.Shutdown(context.Background()) }()
	findings, _ := examine(t, io, "/socket.io/", doctor.Options{Header: http.Header{"Origin": {"https://app.example.com"}}})
	if len(findings) != 1 || !strings.Contains(findings[0].Cure, "Options.Origins") {
		t.Errorf("%v", findings)
	}
}

// TestCutWebsocket: something between client and server ends connections on which
// nothing happens, with and without a farewell.
func TestCutWebsocket(t *testing.T) {
	for _, farewell := range []string{"", "\x88\x02\x03\xe9"} {
		io := sio.NewServer(options())
		defer func() { _ = io.Shutdown(context.Background()) }()
		findings, _ := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				w = &cutWriter{w, farewell}
			}
			io.ServeHTTP(w, r)
		}), "/socket.io/", doctor.Options{})
		if len(findings) != 1 || findings[0].Check != "websocket" || !strings.Contains(findings[0].Cure, "longer than the ping interval") {
			t.Errorf("farewell %q: %v", farewell, findings)
		}
	}
}

// cutWriter is a response whose connection does not live long.
type cutWriter struct {
	http.ResponseWriter
	farewell string
}

func (w *cutWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		time.AfterFunc(300*time.Millisecond, func() {
			_, _ = conn.Write([]byte(w.farewell))
			_ = conn.Close()
		})
	}
	return conn, rw, err
}

// TestWriteTimeout: the server's own timeout is shorter than the ping interval.
func TestWriteTimeout(t *testing.T) {
	io := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("sid") == "":
			_, _ = w.Write([]byte(`0{"sid":"` + strings.Repeat("x", 19) + string(rune('a'+time.Now().UnixNano()%26)) + `","pingInterval":1000}`))
		case r.Method == "POST":
			_, _ = w.Write([]byte("ok"))
		default:
			time.Sleep(time.Second) // a real deadline: longer than the server's WriteTimeout
			_, _ = w.Write([]byte("40"))
		}
	})
	hs := httptest.NewUnstartedServer(io)
	hs.Config.WriteTimeout = 200 * time.Millisecond
	hs.Start()
	defer hs.Close()
	findings, err := doctor.Examine(context.Background(), hs.URL+"/", &doctor.Options{Hold: time.Second, Patience: 2 * time.Second, Client: &http.Client{Transport: &http.Transport{}}})
	if err != nil || len(findings) == 0 {
		t.Fatalf("%v %v", findings, err)
	}
}

// TestAddresses that cannot be looked at.
func TestAddresses(t *testing.T) {
	for _, addr := range []string{"", "::", "localhost:3000", "ftp://x/", "/socket.io/"} {
		if _, err := doctor.Examine(context.Background(), addr, nil); err == nil {
			t.Errorf("%q: no error", addr)
		}
	}
	findings, err := doctor.Examine(context.Background(), "http://127.0.0.1:1/socket.io/", nil)
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0].Cure, "running") || findings[0].Check != "handshake" {
		t.Errorf("%v %v", findings, err)
	}
}
