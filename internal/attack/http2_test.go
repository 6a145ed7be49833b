package attack

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

// TestHTTP2: over HTTP/2 a client polls, a websocket is refused with a reason, and polls that are
// reset at once leave nothing behind.
func TestHTTP2(t *testing.T) {
	var log testkit.Log
	srv := sio.NewServer(&sio.Options{Logger: log.Logger()})
	srv.Of("/")
	host := httptest.NewUnstartedServer(srv)
	host.EnableHTTP2 = true
	host.Config.ErrorLog = testkit.ErrorLog(t)
	host.StartTLS()
	defer host.Close()
	defer func() { _ = srv.Shutdown(t.Context()) }()
	client := host.Client()
	defer client.CloseIdleConnections()
	do := func(ctx context.Context, method, query, body string, head ...string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, method, host.URL+mount+"/?"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.ProtoMajor != 2 {
			t.Errorf("by %s", resp.Proto)
		}
		return resp.StatusCode, string(b)
	}
	session := func() string {
		status, open := do(t.Context(), "GET", q4, "")
		if status != 200 {
			t.Fatalf("handshake: %d %s", status, open)
		}
		sid, _, _ := strings.Cut(open[len(`0{"sid":"`):], `"`)
		return q4 + "&sid=" + sid
	}
	mine := session()
	for _, head := range [][]string{nil, {"Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}} {
		if status, body := do(t.Context(), "GET", w4, "", head...); status < 400 || body == "" {
			t.Errorf("a websocket: %d %q", status, body)
		}
	}
	do(t.Context(), "POST", mine, "40")
	if status, body := do(t.Context(), "GET", mine, ""); status != 200 || !strings.HasPrefix(body, "40{") {
		t.Errorf("a poll: %d %s", status, body)
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			query := session()
			ctx, cancel := context.WithCancel(t.Context())
			cancelled := make(chan struct{})
			go func() { defer close(cancelled); do(ctx, "GET", query, "") }()
			cancel()
			<-cancelled
			do(t.Context(), "POST", query, "1")
		})
	}
	wg.Wait()
	if status, body := do(t.Context(), "POST", mine, "3"); status != 200 {
		t.Errorf("the session beside: %d %s", status, body)
	}
	for from := time.Now(); srv.Stats().Sessions > 1; time.Sleep(time.Millisecond) {
		if time.Since(from) > 10*time.Second {
			t.Fatalf("%d sessions are left", srv.Stats().Sessions)
		}
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("in the log: %s", log.String())
	}
}
