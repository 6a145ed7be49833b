package suite

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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
		{"up", func(t *testing.T, l *link, p Peer) {
			for i := range 500 {
				f := packet.Frame{Data: fmt.Appendf(nil, "message %d é€😀", i)}
				if i%10 == 0 {
					f = packet.Frame{Binary: true, Data: []byte{byte(i), 0xff, 0}}
				}
				if err := p.Send(f); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 500 {
				got, want := l.next(t), fmt.Sprintf("text message %d é€😀", i)
				if i%10 == 0 {
					want = "binary " + string([]byte{byte(i), 0xff, 0})
				}
				if got != want {
					t.Fatalf("message %d is %q", i, got)
				}
			}
		}},
		{"down", func(t *testing.T, l *link, p Peer) {
			const senders, each = 8, 200
			for g := range senders {
				go func() {
					for i := range each {
						l.send(packet.TextMessage(fmt.Sprintf("%d %d", g, i)))
					}
				}()
			}
			var next [senders]int
			for range senders * each {
				f, err := p.Receive()
				if err != nil {
					t.Fatal(err)
				}
				var g, i int
				if n, _ := fmt.Sscanf(string(f.Data), "%d %d", &g, &i); n != 2 || f.Binary || i != next[g] {
					t.Fatalf("got %q, where sender %d is at %d", f.Data, g, next[g])
				}
				next[g]++
			}
			l.send(packet.BinaryMessage([]byte{1, 0, 0xff}))
			if f, err := p.Receive(); err != nil || !f.Binary || string(f.Data) != "\x01\x00\xff" {
				t.Errorf("binary: %v %v", f, err)
			}
			l.send(packet.TextMessage("header").Attach([]byte("one"), []byte("two")))
			for _, want := range []string{"header", "one", "two"} {
				if f, err := p.Receive(); err != nil || string(f.Data) != want || f.Binary != (want != "header") {
					t.Errorf("%q instead of %q: %v", f.Data, want, err)
				}
			}
			big := strings.Repeat("é", 300_000)
			l.send(packet.TextMessage(big))
			if f, err := p.Receive(); err != nil || string(f.Data) != big {
				t.Errorf("a large message: %d bytes, %v", len(f.Data), err)
			}
			l.settled(t)
		}},
		{"close", func(t *testing.T, l *link, p Peer) {
			l.mu.Lock()
			for i := range 50 {
				l.queue = append(l.queue, packet.TextMessage(fmt.Sprint(i)))
			}
			l.mu.Unlock()
			l.conn.Close(transport.Normal, "enough")
			for i := range 50 {
				if f, err := p.Receive(); err != nil || string(f.Data) != fmt.Sprint(i) {
					t.Fatalf("what was queued before Close: message %d is %q, %v", i, f.Data, err)
				}
			}
			if f, err := p.Receive(); err == nil {
				t.Errorf("behind the close: %q", f.Data)
			}
			p.Close()
			l.lostOnce(t)
		}},
		{"close-at-once", func(t *testing.T, l *link, p Peer) {
			l.conn.Close(transport.NoStatus, "")
			l.lostOnce(t)
			if f, err := p.Receive(); err == nil {
				t.Errorf("got %q", f.Data)
			}
			l.conn.Close(transport.Normal, "again") // must not harm
			l.conn.Flush()
		}},
		{"client-leaves", func(t *testing.T, l *link, p Peer) {
			p.Close()
			if err := l.lostOnce(t); err != nil && !errors.Is(err, transport.ErrClosed) {
				t.Errorf("a client that leaves in order: %v", err)
			}
			l.conn.Flush()
		}},
		{"reset", func(t *testing.T, l *link, p Peer) {
			if err := p.Send(packet.Frame{Data: []byte("last")}); err != nil {
				t.Fatal(err)
			}
			if got := l.next(t); got != "text last" {
				t.Errorf("got %q", got)
			}
			p.Reset()
			l.lostOnce(t)
		}},
		{"error-of-link", func(t *testing.T, l *link, p Peer) {
			l.mu.Lock()
			l.refuse = &transport.Error{Code: transport.ProtocolError, Text: "refused"}
			l.mu.Unlock()
			_ = p.Send(packet.Frame{Data: []byte("x")})
			var e *transport.Error
			if err := l.lostOnce(t); !errors.As(err, &e) || e.Text != "refused" {
				t.Errorf("the error of Frame has become %v", err)
			}
			if f, err := p.Receive(); err == nil {
				t.Errorf("got %q", f.Data)
			}
		}},
		{"detach", func(t *testing.T, l *link, p Peer) {
			hold := make(chan struct{})
			defer close(hold)
			l.mu.Lock()
			l.hold = hold
			l.mu.Unlock()
			for _, m := range []string{"one", "two", "three"} {
				if err := p.Send(packet.Frame{Data: []byte(m)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []string{"text one", "text two", "text three"} { // though the first is still being handled
				if got := l.next(t); got != want {
					t.Fatalf("%q instead of %q", got, want)
				}
			}
		}},
		{"too-big", func(t *testing.T, l *link, p Peer) {
			if u.Limit == 0 {
				t.Skip("the transport has no limit")
			}
			if err := p.Send(packet.Frame{Data: make([]byte, u.Limit)}); err != nil {
				t.Fatal(err)
			}
			if got := l.next(t); len(got) != len("text ")+u.Limit {
				t.Errorf("a message of the limit: %d bytes", len(got))
			}
			_ = p.Send(packet.Frame{Data: make([]byte, u.Limit+1)})
			var e *transport.Error
			if err := l.lostOnce(t); !errors.As(err, &e) || e.Code != transport.TooBig {
				t.Errorf("a larger one: %v", err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
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
			test.run(t, l, p)
			p.Reset()
			l.conn.Close(transport.NoStatus, "")
			l.finally(t)
			hs.Close()
			if left := testkit.Leaked(wire.Patience, "virtsocket.(*watch)", "wheel.(*Wheel).run"); left != "" {
				t.Errorf("goroutines left:\n%s", left)
			}
		})
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
