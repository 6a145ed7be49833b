package suite

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// TransportUnderTest is a transport that keeps a connection of its own, such as a
// websocket, with a way to be its client.
type TransportUnderTest struct {
	Transport transport.Duplex
	// Limit is the largest message in bytes that Transport takes; 0 means that
	// there is none.
	Limit int
	// Dial opens a connection to the server at url, whose every path leads to the
	// transport.
	Dial func(t testing.TB, url string) Peer
}

// Peer is the client's side of a connection.
type Peer interface {
	Send(f packet.Frame) error
	// Receive returns the next message, or an error when the connection has ended
	// or nothing has come for some seconds.
	Receive() (packet.Frame, error)
	Close() // as a client that leaves in order does
	Reset() // as one that has lost the network
}

// RunTransport verifies a duplex transport against the contract of
// transport.Link and transport.Conn: messages of both kinds arrive whole and in
// order on either side, messages that wait leave when Flush is called by many,
// Close lets them leave first, the end is told exactly once, however it comes, a
// reader that is detached reads on, and nothing is left behind.
func RunTransport(t *testing.T, u TransportUnderTest) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, l *link, p Peer)
	}{
		{"up", arrivesUp},
		{"down", arrivesDown},
		{"close", closes},
		{"close-at-once", closesAtOnce},
		{"client-leaves", clientLeaves},
		{"reset", clientLost},
		{"error-of-link", linkRefuses},
		{"detach", detaches},
		{"too-big", func(t *testing.T, l *link, p Peer) { tooBig(t, l, p, u.Limit) }},
	} {
		t.Run(test.name, func(t *testing.T) { onTransport(t, u, test.run) })
	}
}

// onTransport runs one case on a connection of its own, ends it, and looks for what is left.
func onTransport(t *testing.T, u TransportUnderTest, run func(t *testing.T, l *link, p Peer)) {
	l := &link{frames: make(chan string, 1000), lost: make(chan error, 10), started: make(chan struct{})}
	served := host.HandlerFunc(func(x host.Exchange) {
		if err := u.Transport.Serve(x, l, func(c transport.Conn) { l.conn = c; close(l.started) }); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host.ServeHTTP(served, w, r, host.HTTPConfig{Path: r.URL.Path})
	}))
	p := u.Dial(t, hs.URL)
	select {
	case <-l.started:
	case <-time.After(wire.Patience):
		t.Fatal("Serve has not called start")
	}
	run(t, l, p)
	p.Reset()
	l.conn.Close(transport.NoStatus, "")
	l.finally(t)
	hs.Close()
	if left := testkit.Leaked(wire.Patience, "virtsocket.(*watch)", "wheel.(*Wheel).run"); left != "" {
		t.Errorf("goroutines left:\n%s", left)
	}
}

// link is the virtual socket as the transport sees it.
type link struct {
	started chan struct{}
	frames  chan string
	lost    chan error
	conn    transport.Conn

	mu      sync.Mutex
	queue   []*packet.Message
	out     int // taken by Next and not given back
	batches int // Begin without End
	refuse  error
	hold    chan struct{}
	ended   error
	over    bool
}

// Frame implements transport.Link.
func (l *link) Frame(f packet.Frame) error {
	kind := "text "
	if f.Binary {
		kind = "binary "
	}
	l.mu.Lock()
	refuse, hold := l.refuse, l.hold
	l.mu.Unlock()
	l.frames <- kind + string(f.Data) // before Detach, from which on "two" may come
	if hold != nil && string(f.Data) == "one" {
		l.conn.Enter()
		l.conn.Detach()
		<-hold
	}
	return refuse
}

// Unit implements transport.Link; it belongs to payloads.
func (l *link) Unit(packet.Unit) bool { return true }

// Begin implements transport.Link.
func (l *link) Begin() { l.count(1) }

// End implements transport.Link.
func (l *link) End() { l.count(-1) }

func (l *link) count(n int) {
	l.mu.Lock()
	l.batches += n
	l.mu.Unlock()
}

// Next implements transport.Link.
func (l *link) Next() []*packet.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	ms := l.queue
	l.queue = nil
	l.out += len(ms)
	return ms
}

// Sent implements transport.Link.
func (l *link) Sent(ms []*packet.Message) {
	l.mu.Lock()
	l.out -= len(ms)
	l.mu.Unlock()
}

// Unsent implements transport.Link.
func (l *link) Unsent(ms []*packet.Message) {
	l.mu.Lock()
	l.out -= len(ms)
	l.queue = append(append([]*packet.Message(nil), ms...), l.queue...)
	l.mu.Unlock()
}

// Lost implements transport.Link.
func (l *link) Lost(err error) { l.lost <- err }

func (l *link) send(m *packet.Message) {
	l.mu.Lock()
	l.queue = append(l.queue, m)
	l.mu.Unlock()
	l.conn.Flush()
}

func (l *link) next(t *testing.T) string {
	t.Helper()
	select {
	case m := <-l.frames:
		return m
	case <-time.After(wire.Patience):
		t.Fatal("no message has come")
		return ""
	}
}

// settled waits until everything that was taken has been given back.
func (l *link) settled(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(wire.Patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		out, batches := l.out, l.batches
		l.mu.Unlock()
		if out == 0 && batches == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages were taken and never given back, %d Begin have no End", out, batches)
		}
	}
}

// lostOnce waits for the end.
func (l *link) lostOnce(t *testing.T) error {
	t.Helper()
	select {
	case l.ended = <-l.lost:
		l.over = true
	case <-time.After(wire.Patience):
		t.Fatal("Lost was not called")
	}
	return l.ended
}

// finally checks that the end has been told once.
func (l *link) finally(t *testing.T) {
	t.Helper()
	if !l.over {
		l.lostOnce(t)
	}
	select {
	case err := <-l.lost:
		t.Errorf("Lost was called twice: %v, %v", l.ended, err)
	case <-time.After(20 * time.Millisecond): // a wait that is too short hides a fault, and makes up none
	}
}
