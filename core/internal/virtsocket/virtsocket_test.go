package virtsocket

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fakeConn is a duplex transport without a network. It records what it was told
// to send, and when.
type fakeConn struct {
	link transport.Link
	mu   sync.Mutex
	sent []string
	at   []time.Duration
	from time.Time
	jam  bool // nothing leaves
	lost bool
	code transport.Code
}

func (c *fakeConn) Name() string { return "websocket" }
func (c *fakeConn) Enter()       {}
func (c *fakeConn) Detach()      {}

func (c *fakeConn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jam {
		return
	}
	for ms := c.link.Next(); ms != nil; ms = c.link.Next() {
		for _, m := range ms {
			c.sent = append(c.sent, string(m.Data()))
			c.at = append(c.at, time.Since(c.from))
		}
		c.link.Sent(ms)
	}
}

func (c *fakeConn) Close(code transport.Code, _ string) {
	c.Flush()
	c.mu.Lock()
	again := c.lost
	c.lost = true
	if !again {
		c.code = code
	}
	c.mu.Unlock()
	if !again {
		c.link.Lost(transport.ErrClosed)
	}
}

func (c *fakeConn) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.sent...)
}

// fakeDuplex hands the conn of each exchange to the test.
type fakeDuplex struct{ conns chan *fakeConn }

func (fakeDuplex) Name() string { return "websocket" }

func (d fakeDuplex) Serve(_ host.Exchange, l transport.Link, start func(transport.Conn)) error {
	c := &fakeConn{link: l, from: time.Now()}
	start(c)
	d.conns <- c
	return nil
}

// recorder is a Handler that writes down what happens.
type recorder struct {
	s      *Socket
	got    []string
	closed []Reason
	after  time.Duration
	from   time.Time
	handle func(data string)
	opened func()
}

func (r *recorder) Opened() {
	if r.opened != nil {
		r.opened()
	}
}

func (*recorder) Overdue() {}

func (*recorder) Visit(host.Exchange) *dialect.Refusal { return nil }

func (r *recorder) Message(_ bool, data []byte, _ bool) Reason {
	r.got = append(r.got, string(data))
	if r.handle != nil {
		r.handle(string(data))
	}
	return 0
}

func (r *recorder) Closed(reason Reason) {
	r.closed = append(r.closed, reason)
	r.after = time.Since(r.from)
}

func open(t *testing.T, o Options) (*Hub, *fakeConn, *recorder) {
	t.Helper()
	d := fakeDuplex{make(chan *fakeConn, 1)}
	var r *recorder
	o = filled(o)
	o.Dialects = []dialect.Dialect{eio4.New(packet.DefaultLimits)}
	o.Duplex = []transport.Duplex{d}
	o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
		r = &recorder{s: s, from: time.Now()}
		return r, nil
	}
	h := NewHub(o)
	req := httptest.NewRequest(http.MethodGet, "/?EIO=4&transport=websocket", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	host.ServeHTTP(h, httptest.NewRecorder(), req, host.HTTPConfig{})
	return h, <-d.conns, r
}

// text delivers a message as the reader of a connection would.
// They have come with one read.
func (c *fakeConn) text(messages ...string) error {
	c.link.Begin()
	defer c.link.End()
	for _, s := range messages {
		if err := c.link.Frame(packet.Frame{Data: []byte(s)}); err != nil {
			return err
		}
	}
	return nil
}

// near allows for the resolution of the wheel.
func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+250*time.Millisecond {
		t.Errorf("%s after %v instead of %v", what, got, want)
	}
}

func TestPingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := open(t, Options{})
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if len(c.sent) != 2 || c.sent[1] != "2" {
			t.Fatalf("sent %q", c.sent)
		}
		if at := c.at[1]; at < 12500*time.Millisecond || at > 25*time.Second+100*time.Millisecond {
			t.Errorf("ping after %v", at)
		}
		if len(r.closed) != 1 || r.closed[0] != PingTimeout {
			t.Fatalf("closed %v", r.closed)
		}
		near(t, "timeout", r.after, 45*time.Second)
		if h.Len() != 0 {
			t.Errorf("%d sockets left", h.Len())
		}
	})
}

func TestPongKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := open(t, Options{})
		for i := range 5 {
			time.Sleep(25*time.Second + 500*time.Millisecond)
			if n := len(c.all()); n != i+2 {
				t.Fatalf("after %d pings: %q", i, c.all())
			}
			for range 10 { // only the one that is awaited moves the timer
				if err := c.text("3"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(r.closed) != 0 {
			t.Errorf("closed %v", r.closed)
		}
		<-h.Shutdown()
		if len(r.closed) != 1 || r.closed[0] != ServerShutdown || c.code != transport.GoingAway {
			t.Errorf("closed %v, code %d", r.closed, c.code)
		}
		time.Sleep(time.Second)
	})
}

// TestTrafficRestartsOnce: while a pong is due, other traffic puts the timeout
// off, but one time only.
func TestTrafficRestartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, r := open(t, Options{})
		time.Sleep(40 * time.Second) // ping at 25 s
		_ = c.text("4a")             // timeout now at 60 s
		time.Sleep(15 * time.Second)
		_ = c.text("4b")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(r.closed) != 1 || r.closed[0] != PingTimeout {
			t.Fatalf("closed %v", r.closed)
		}
		near(t, "timeout", r.after, 60*time.Second)
	})
}

func TestStallSuspendsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, r := open(t, Options{})
		r.s.PauseHeartbeat(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(r.closed) != 0 {
			t.Fatalf("closed %v", r.closed)
		}
		r.s.PauseHeartbeat(false)
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if len(r.closed) != 1 {
			t.Error("never closed")
		}
	})
}

func TestWrongHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, r := open(t, Options{})
		if err := c.text("2"); err == nil {
			t.Error("a ping of the client was accepted")
		}
		if len(r.closed) != 1 || r.closed[0] != TransportError {
			t.Errorf("closed %v", r.closed)
		}
		time.Sleep(time.Second)
	})
}

// TestCork: answers to one read leave together, at its end or when a handler
// has run for a while, and at once when it says so.
func TestCork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := open(t, Options{})
		say := func(s string) {
			_ = r.s.Send(r.s.Dialect().Control(packet.Unit{Kind: packet.MessageUnit, Data: []byte(s)}))
		}
		r.handle = func(data string) {
			r.s.WatchHandler()
			switch data {
			case "quick":
				say("a")
				say("b")
				if n := len(c.all()); n != 1 {
					t.Errorf("before the end of the batch: %q", c.all())
				}
			case "long":
				say("c")
				from := time.Now()
				time.Sleep(50 * time.Millisecond)
				if got := c.all(); got[len(got)-1] != "4c" {
					t.Errorf("after 50 ms: %q", got)
				}
				c.mu.Lock()
				late := c.at[len(c.at)-1] - from.Sub(c.from)
				c.mu.Unlock()
				if late > 5*time.Millisecond {
					t.Errorf("left only after %v", late)
				}
				say("d") // no longer kept back
				if got := c.all(); got[len(got)-1] != "4d" {
					t.Errorf("after that: %q", got)
				}
			case "waits":
				say("e")
				r.s.Detach()
				if got := c.all(); got[len(got)-1] != "4e" {
					t.Errorf("before waiting: %q", got)
				}
			}
		}
		for _, m := range []string{"4quick", "4long", "4waits"} {
			if err := c.text(m); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(c.all()[1:], " "); got != "4a 4b 4c 4d 4e" {
			t.Errorf("%s", got)
		}
		<-h.Shutdown()
		time.Sleep(time.Second)
	})
}

// TestBurst: what one handler sends in one go may be more than the queue holds,
// as long as the connection takes it.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := open(t, Options{MaxQueueMessages: 100})
		m := packet.TextMessage("4x")
		r.handle = func(string) {
			for range 5000 {
				if err := r.s.Send(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.text("4go")
		if n := len(c.all()); n != 5001 {
			t.Errorf("%d messages", n)
		}
		<-h.Shutdown()
		time.Sleep(time.Second)
	})
}

func TestQueueBounds(t *testing.T) {
	for name, o := range map[string]Options{
		"messages": {MaxQueueMessages: 10},
		"bytes":    {MaxQueueBytes: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c, r := open(t, o)
				c.mu.Lock()
				c.jam = true
				c.mu.Unlock()
				big := packet.TextMessage("4" + strings.Repeat("x", 100))
				n := 0
				for r.s.Send(big) == nil {
					n++
				}
				if n < 8 || n > 10 {
					t.Errorf("%d messages fit", n)
				}
				if len(r.closed) != 1 || r.closed[0] != SlowClient {
					t.Errorf("closed %v", r.closed)
				}
				if r.s.out.queue != nil {
					t.Error("the queue is still held")
				}
				if err := r.s.Send(big); err != ErrClosed {
					t.Errorf("afterwards: %v", err)
				}
				time.Sleep(time.Second)
			})
		})
	}
}
