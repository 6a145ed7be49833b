package sio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// atOnce shuts a server down without waiting for sessions whose client is no more.
func atOnce(srv *sio.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = srv.Shutdown(ctx)
}

// TestHintOfItsOwn: a client that another line was about a moment ago does not keep a
// client from the line that names its option.
func TestHintOfItsOwn(t *testing.T) {
	var log testkit.Log
	srv := sio.NewServer(&sio.Options{Logger: log.Logger()})
	defer func() { _ = srv.Shutdown(context.Background()) }()
	for _, target := range []string{"/socket.io/?EIO=5&transport=polling", "/socket.io/?transport=polling", "/socket.io/?EIO=4&transport=x", "/socket.io/socket.io.js"} {
		srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	for _, hint := range []string{"Options.Legacy.AssumeEIO3", "the client's script is not served here"} {
		if !strings.Contains(log.String(), hint) {
			t.Errorf("no line with %q:\n%s", hint, log.String())
		}
	}
}

// TestHostLimit: a body over a limit of the host is told as such, and not as one over
// MaxPayload, which is larger.
func TestHostLimit(t *testing.T) {
	var log testkit.Log
	var mu sync.Mutex
	var told []sio.Failure
	srv := sio.NewServer(&sio.Options{Logger: log.Logger(), OnError: func(in sio.Failure) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, in)
	}})
	defer func() { _ = srv.Shutdown(context.Background()) }()
	hs := httptest.NewServer(http.MaxBytesHandler(srv, 2000))
	defer hs.Close()
	s := wire.New(t, hs.URL, "/socket.io/").Polling()
	if a := s.Post("4" + strings.Repeat("x", 2000)); a.String() != "413 " {
		t.Errorf("%v", a)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || told[0].Name != sio.FailureTooLarge || !strings.Contains(told[0].Reason, "host's own limit for bodies (2000 bytes") {
		t.Fatalf("told: %v", told)
	}
	if !strings.Contains(told[0].Err.Error(), "2000 bytes") {
		t.Errorf("the error: %v", told[0].Err)
	}
	if !strings.Contains(log.String(), "host's own limit for bodies (2000 bytes") {
		t.Errorf("the log: %s", log.String())
	}
}

// TestHostLimitIsTooLarge: whoever asks for ErrTooLarge gets it for the host's limit too.
func TestHostLimitIsTooLarge(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", strings.NewReader("0123456789"))
	r.Body = http.MaxBytesReader(w, r.Body, 5)
	host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
		_, err := x.Body(100)
		var limit *http.MaxBytesError
		if !errors.Is(err, host.ErrTooLarge) || !errors.As(err, &limit) || limit.Limit != 5 {
			t.Errorf("%v", err)
		}
	}), w, r, host.HTTPConfig{})
}

// TestLoggedOriginIsAnEntry: what the log names of a refused page is what Options.Origins
// takes, and with that entry the request is served.
func TestLoggedOriginIsAnEntry(t *testing.T) {
	open := func(o *sio.Options, origin string) int {
		srv := sio.NewServer(o)
		defer atOnce(srv)
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", nil)
		r.Header.Set("Origin", origin)
		srv.ServeHTTP(w, r)
		return w.Code
	}
	for _, origin := range []string{
		"app.test:4711", "App.test", "app.test:443", "app.test/", "[::1]:4711", "https://app.test/", "wss://app.test/socket.io/?EIO=3&transport=websocket",
		"WS://App.test:80/x", "http://app.test:8080", "null", "file://", "capacitor://localhost", "localhost",
	} {
		var log testkit.Log
		if status := open(&sio.Options{Logger: log.Logger()}, origin); status != 403 {
			t.Errorf("%s is served: %d", origin, status)
		}
		named := regexp.MustCompile(`page (\S+) is not listed`).FindStringSubmatch(log.String())
		if named == nil {
			t.Errorf("%s: %s", origin, log.String())
			continue
		}
		if p := panics(func() {
			if status := open(&sio.Options{Origins: []string{named[1]}, Logger: log.Logger()}, origin); status != 200 {
				t.Errorf("%s, listed as %s: %d", origin, named[1], status)
			}
		}); p != "" {
			t.Errorf("%s: %s", origin, p)
		}
	}
}

// TestOriginBehindTLS: the scheme of a connection that is encrypted is known, and an
// origin without one has its port.
func TestOriginBehindTLS(t *testing.T) {
	srv := sio.NewServer(&sio.Options{Logger: new(testkit.Log).Logger()})
	defer atOnce(srv)
	for _, row := range []struct {
		url, origin string
		want        int
	}{
		{"https://own.test/", "own.test", 200}, {"https://own.test/", "own.test:443", 200}, {"https://own.test/", "own.test:80", 403},
		{"https://own.test:8443/", "own.test:8443", 200}, {"https://own.test:8443/", "own.test", 403},
		{"https://own.test/", "wss://own.test/x", 200}, {"https://own.test/", "ws://own.test/x", 403},
		{"http://own.test/", "own.test", 200}, {"http://own.test/", "own.test:80", 200}, {"http://own.test:81/", "own.test", 403},
		{"http://null/", "null", 403},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", row.url+"socket.io/?EIO=4&transport=polling", nil)
		r.Header.Set("Origin", row.origin)
		if srv.ServeHTTP(w, r); w.Code != row.want {
			t.Errorf("%s", fmt.Sprintln(row.url, row.origin, w.Code))
		}
	}
}
