package doctor_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/doctor"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

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
	}, map[string]string{"handshake": "rewrites bodies"}},
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
	}, map[string]string{"post": "sticky"}},
	{"lock", func(next http.Handler) http.Handler {
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
	}, map[string]string{"post-while-polling": "wait for each other"}},
	{"concurrency limit", func(next http.Handler) http.Handler {
		slot := make(chan struct{}, 1)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case slot <- struct{}{}:
				defer func() { <-slot }()
				next.ServeHTTP(w, r)
			default:
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
	}, map[string]string{"post-while-polling": "concurrency limit"}},
	{"timeout", func(next http.Handler) http.Handler {
		return http.TimeoutHandler(next, 500*time.Millisecond, "too slow")
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

// TestExamine: a healthy host has no findings, and each sick one is told what it has.
func TestExamine(t *testing.T) {
	for _, p := range patients {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			io := sio.NewServer(&sio.Options{PingInterval: time.Second, PingTimeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
			hs := httptest.NewServer(p.wrap(io))
			defer hs.Close()
			defer func() { _ = io.Shutdown(context.Background()) }()
			findings, err := doctor.Examine(context.Background(), hs.URL+"/socket.io/", &doctor.Options{Patience: 2 * time.Second, Hold: 3 * time.Second, Client: &http.Client{Transport: &http.Transport{}}})
			if err != nil {
				t.Fatal(err)
			}
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
		})
	}
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
			time.Sleep(time.Second)
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
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0].Cure, "running") || !strings.Contains(findings[0].String(), "handshake") {
		t.Errorf("%v %v", findings, err)
	}
}
