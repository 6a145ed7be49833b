package virtsocket

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/transport/polling"
)

// handshakes are the ways in which a session begins: path and query of the
// request, and whether it asks for a websocket.
var handshakes = []struct {
	name, path, query string
	upgrade           bool
}{
	{"eio4 websocket", "", "EIO=4&transport=websocket", true},
	{"eio4 polling", "", "EIO=4&transport=polling", false},
	{"eio3 websocket", "", "EIO=3&transport=websocket", true},
	{"eio3 polling", "", "EIO=3&transport=polling", false},
	{"sio1", "1", "", false},
}

// startless is a duplex transport whose start a test runs itself, or never.
type startless struct{ started chan func() *fakeConn }

func (startless) Name() string { return "websocket" }

func (d startless) Serve(_ host.Exchange, l transport.Link, start func(transport.Conn)) error {
	d.started <- func() *fakeConn {
		c := &fakeConn{link: l, from: time.Now()}
		start(c)
		return c
	}
	return nil
}

func every(d transport.Duplex) Options {
	return filled(Options{
		Dialects: []dialect.Dialect{
			eio4.New(packet.DefaultLimits), eio3.New(packet.DefaultLimits, eio3.RepairNever), sio1.New(packet.DefaultLimits),
		},
		Duplex:  []transport.Duplex{d},
		Forms:   []transport.Form{polling.Transport{}},
		Polling: polling.Transport{},
	})
}

func request(h *Hub, method, path, query string, upgrade bool) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/?"+query, nil)
	if upgrade {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
	}
	w := httptest.NewRecorder()
	host.ServeHTTP(h, w, req, host.HTTPConfig{Path: path})
	return w
}

// ends checks that a hub holds nothing, and that Shutdown ends.
func ends(t *testing.T, h *Hub) {
	t.Helper()
	if n := h.Len(); n != 0 {
		t.Errorf("%d sessions are left in the hub", n)
	}
	select {
	case <-h.Shutdown():
	case <-time.After(time.Minute):
		t.Error("Shutdown does not end")
	}
	time.Sleep(time.Second) // of the bubble: the wheel's goroutine ends
}

// TestClosedInAccept: a socket that application code ends while Accept still runs
// is refused, told once, and not kept; with and without Socket.Handle.
func TestClosedInAccept(t *testing.T) {
	for _, hs := range handshakes {
		for _, early := range []bool{true, false} {
			t.Run(hs.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := startless{make(chan func() *fakeConn, 1)}
					r := &recorder{from: time.Now()}
					o := every(d)
					o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
						if early {
							s.Handle(r)
						}
						ended := make(chan struct{})
						go func() { s.Drop(); close(ended) }()
						<-ended
						return r, nil
					}
					h := NewHub(o)
					w := request(h, http.MethodGet, hs.path, hs.query, hs.upgrade)
					if w.Code != http.StatusServiceUnavailable || len(d.started) != 0 {
						t.Errorf("status %d, %d connections taken over", w.Code, len(d.started))
					}
					if !slices.Equal(r.closed, []Reason{ServerTransportClose}) {
						t.Errorf("closed: %v", r.closed)
					}
					ends(t, h)
				})
			})
		}
	}
}

// TestRefusedInAccept: a handler that was named before the refusal is told.
func TestRefusedInAccept(t *testing.T) {
	for _, hs := range handshakes {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{from: time.Now()}
			o := every(startless{})
			o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
				s.Handle(r)
				return nil, &dialect.Refusal{Code: dialect.Forbidden}
			}
			h := NewHub(o)
			if w := request(h, http.MethodGet, hs.path, hs.query, hs.upgrade); w.Code != http.StatusForbidden {
				t.Errorf("%s: status %d", hs.name, w.Code)
			}
			if len(r.closed) != 1 {
				t.Errorf("%s: closed: %v", hs.name, r.closed)
			}
			ends(t, h)
		})
	}
}

// TestAcceptPanics: an Accept that does not return leaves nothing behind, neither
// in the limits nor with its handler.
func TestAcceptPanics(t *testing.T) {
	for _, hs := range handshakes {
		for _, handled := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var r *recorder
				o := every(fakeDuplex{make(chan *fakeConn, 1)})
				o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
					r = &recorder{s: s, from: time.Now()}
					if handled {
						s.Handle(r)
					}
					panic("in Accept")
				}
				h := NewHub(o)
				func() {
					defer func() { _ = recover() }()
					request(h, http.MethodGet, hs.path, hs.query, hs.upgrade)
				}()
				if told := len(r.closed) == 1; h.Pending() != 0 || told != handled {
					t.Errorf("%s, handled %t: %d pending, closed %v", hs.name, handled, h.Pending(), r.closed)
				}
				ends(t, h)
			})
		}
	}
}

// TestShutdownInAccept: Shutdown comes while Accept runs.
func TestShutdownInAccept(t *testing.T) {
	for _, hs := range handshakes {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{from: time.Now()}
			o := every(startless{})
			var h *Hub
			o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
				h.Shutdown()
				return r, nil
			}
			h = NewHub(o)
			w := request(h, http.MethodGet, hs.path, hs.query, hs.upgrade)
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "shutting down") {
				t.Errorf("%s: %d %s", hs.name, w.Code, w.Body)
			}
			if !slices.Equal(r.closed, []Reason{ServerShutdown}) {
				t.Errorf("%s: closed: %v", hs.name, r.closed)
			}
			ends(t, h)
		})
	}
}

// TestClosedBeforeStart: the socket ends when it is accepted, and its connection
// is not taken over yet. TestNeverStarted: the host never hands one over.
func TestClosedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startless{make(chan func() *fakeConn, 1)}
		r := &recorder{from: time.Now()}
		o := every(d)
		o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) { r.s = s; return r, nil }
		h := NewHub(o)
		request(h, http.MethodGet, "", "EIO=4&transport=websocket", true)
		r.s.Drop()
		if c := (<-d.started)(); !c.lost {
			t.Error("the connection is still open")
		}
		if len(r.closed) != 1 {
			t.Errorf("closed: %v", r.closed)
		}
		ends(t, h)
	})
}

func TestNeverStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startless{make(chan func() *fakeConn, 1)}
		r := &recorder{from: time.Now()}
		o := every(d)
		o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) { return r, nil }
		h := NewHub(o)
		request(h, http.MethodGet, "", "EIO=4&transport=websocket", true)
		time.Sleep(h.opts.UpgradeTimeout + time.Second)
		synctest.Wait()
		if len(r.closed) != 1 {
			t.Errorf("closed: %v", r.closed)
		}
		ends(t, h)
	})
}

// TestEndsWhileEnlisted: the transport ends between its installation and the
// moment in which the hub learns of the session.
func TestEndsWhileEnlisted(t *testing.T) {
	h, _, _ := open(t, Options{})
	before := h.Len()
	s := h.newSocket(h.opts.Dialects[0])
	s.handler = &recorder{}
	if !s.install(&fakeConn{link: s}, nil) {
		t.Fatal("not installed")
	}
	s.Lost(nil)
	h.register(s)
	if n := h.Len(); n != before {
		t.Errorf("%d sessions more in the hub", n-before)
	}
	h.Abort()
}

// TestFirstMessageWaits: a client that has the first message of its session does not
// miss what is sent next. In 0.9 that message is what connects it.
func TestFirstMessageWaits(t *testing.T) {
	for _, hs := range handshakes {
		t.Run(hs.name, func(t *testing.T) {
			d := fakeDuplex{make(chan *fakeConn, 1)}
			queued := -1
			o := every(d)
			o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
				r := &recorder{s: s, from: time.Now()}
				r.opened = func() {
					s.out.mu.Lock()
					queued = len(s.out.queue)
					s.out.mu.Unlock()
					_ = s.Send(s.Dialect().Encode(&packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["x"]`)}, true))
				}
				return r, nil
			}
			h := NewHub(o)
			w := request(h, http.MethodGet, hs.path, hs.query, hs.upgrade)
			if hs.name == "sio1" {
				sid, _, _ := strings.Cut(w.Body.String(), ":")
				w = request(h, http.MethodGet, "1/xhr-polling/"+sid, "", false)
				if got := w.Body.String(); got != "1::" {
					t.Errorf("the first poll: %q", got)
				}
				if got := request(h, http.MethodGet, "1/xhr-polling/"+sid, "", false).Body.String(); got != `5:::{"name":"x"}` {
					t.Errorf("the second poll: %q", got)
				}
			}
			if queued != 1 {
				t.Errorf("%d messages waited while the handler was told", queued)
			}
			h.Abort()
		})
	}
}
