package sio

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
)

// TestDropInHandshake: a logout finds the connection that OnHandshake is still
// opening. The client is refused, in every generation, the connection's context
// ends at once, and Shutdown does not wait for it.
func TestDropInHandshake(t *testing.T) {
	for _, target := range []string{
		"/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=3&transport=polling", "/socket.io/1/",
	} {
		dropped := make(chan error, 1)
		s := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), OnHandshake: func(ctx context.Context, _ *Request, _ host.Exchange) error {
			conn := ConnFromContext(ctx)
			go conn.CloseTransport()
			select {
			case <-conn.Context().Done():
				dropped <- nil
			case <-ctx.Done():
				dropped <- ctx.Err()
			}
			return nil
		}})
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", target, w.Code)
		}
		if err := <-dropped; err != nil {
			t.Errorf("%s: the context of the connection: %v", target, err)
		}
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("%s: %d sessions are left", target, n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("%s: Shutdown: %v", target, err)
		}
		cancel()
	}
}
