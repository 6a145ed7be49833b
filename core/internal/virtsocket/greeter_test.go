package virtsocket

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// maxPending is the bound of TestPendingHandshakes.
const maxPending = 200

// TestPendingHandshakes is the row V01 of reliability a12: handshakes that nothing
// follows are bounded, and forgotten.
func TestPendingHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		d := fakeDuplex{make(chan *fakeConn, 1)}
		h := NewHub(filled(Options{
			Dialects: []dialect.Dialect{sio1.New(packet.DefaultLimits)},
			Duplex:   []transport.Duplex{d},
			Limits:   Limits{Pending: maxPending},
			Accept: func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
				s.Settle()
				return &counter{&closed}, nil
			},
		}))
		ask := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			host.ServeHTTP(h, w, req, host.HTTPConfig{Path: path})
			return w
		}
		sid, _, _ := strings.Cut(ask("1").Body.String(), ":")
		ask("1/websocket/" + sid)
		conn := <-d.conns
		for range maxPending {
			if w := ask("1"); w.Code != http.StatusOK {
				t.Fatal(w.Code)
			}
		}
		if w := ask("1"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d", w.Code)
		}
		time.Sleep(61 * time.Second)
		if h.Pending() != 0 || closed.Load() != maxPending+1 { // the one with a transport sends no heartbeats
			t.Errorf("%d pending, %d closed", h.Pending(), closed.Load())
		}
		if w := ask("1"); w.Code != http.StatusOK {
			t.Errorf("afterwards: %d", w.Code)
		}
		_ = conn
		time.Sleep(61 * time.Second)
		if n := h.Len(); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	})
}

type counter struct{ closed *atomic.Int64 }

func (*counter) Opened() {}

func (*counter) Visit(host.Exchange) *dialect.Refusal { return nil }

func (*counter) Message(bool, []byte, bool) Reason { return 0 }

func (c *counter) Overdue()      {}
func (c *counter) Closed(Reason) { c.closed.Add(1) }

// slowGreeter is a greeter that does something when the client has the answer, and has not
// returned yet.
type slowGreeter struct {
	dialect.Dialect
	then func()
}

func (g slowGreeter) Greet(x host.Exchange, o dialect.Opening) error {
	err := g.Dialect.(dialect.Greeter).Greet(x, o)
	g.then()
	return err
}

// TestShutdownBehindGreeting: a client that has the answer to its handshake is one that
// Shutdown has seen, which ends it in its turn and not before.
func TestShutdownBehindGreeting(t *testing.T) {
	var h *Hub
	var closed atomic.Int64
	h = NewHub(filled(Options{
		Dialects: []dialect.Dialect{slowGreeter{sio1.New(packet.DefaultLimits), func() { h.Refuse() }}},
		Accept: func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
			return &counter{&closed}, nil
		},
	}))
	w := httptest.NewRecorder()
	host.ServeHTTP(h, w, httptest.NewRequest(http.MethodGet, "/", nil), host.HTTPConfig{Path: "1"})
	if w.Code != http.StatusOK || h.Len() != 1 || closed.Load() != 0 {
		t.Errorf("status %d, %d sessions, %d closed", w.Code, h.Len(), closed.Load())
	}
	h.Shutdown()
	h.Abort()
}
