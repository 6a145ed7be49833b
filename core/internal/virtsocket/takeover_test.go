package virtsocket

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/transport"
)

// upgrading is a session of Engine.IO 4 whose client has probed a websocket, and
// sends its upgrade packet while a POST is under way.
type upgrading struct {
	h    *Hub
	r    *recorder
	conn *fakeConn
	body *io.PipeWriter // of the POST
}

func beginUpgrade(t *testing.T) *upgrading {
	t.Helper()
	u := &upgrading{}
	d := fakeDuplex{make(chan *fakeConn, 1)}
	o := every(d)
	o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
		u.r = &recorder{s: s, from: time.Now()}
		return u.r, nil
	}
	u.h = NewHub(o)
	request(u.h, http.MethodGet, "", "EIO=4&transport=polling", false)
	request(u.h, http.MethodGet, "", "EIO=4&transport=websocket&sid="+u.r.s.ID(), true)
	u.conn = <-d.conns
	if err := u.conn.text("2probe"); err != nil {
		t.Fatal(err)
	}
	var pr *io.PipeReader
	pr, u.body = io.Pipe()
	go func() {
		req := httptest.NewRequest(http.MethodPost, "/?EIO=4&transport=polling&sid="+u.r.s.ID(), pr)
		host.ServeHTTP(u.h, httptest.NewRecorder(), req, host.HTTPConfig{})
	}()
	synctest.Wait()
	return u
}

// finish ends the POST: with a packet that means nothing.
func (u *upgrading) finish() {
	_, _ = u.body.Write([]byte("6"))
	_ = u.body.Close()
}

// TestUpgradeEndsWhileWaiting: the candidate, or the session, ends while complete
// waits for a POST. Nothing of the session is left.
func TestUpgradeEndsWhileWaiting(t *testing.T) {
	for name, end := range map[string]func(u *upgrading){
		"connection": func(u *upgrading) { u.conn.Close(transport.NoStatus, "") },
		"session":    func(u *upgrading) { u.r.s.Close(ServerNamespace) },
		"drop":       func(u *upgrading) { u.r.s.Drop() },
	} {
		synctest.Test(t, func(t *testing.T) {
			u := beginUpgrade(t)
			completed := make(chan error, 1)
			go func() { completed <- u.conn.text("5") }()
			synctest.Wait()
			end(u)
			u.finish()
			if err := <-completed; err == nil {
				t.Errorf("%s: completed", name)
			}
			synctest.Wait()
			if len(u.r.closed) != 1 {
				t.Errorf("%s: closed %v", name, u.r.closed)
			}
			ends(t, u.h)
		})
	}
}

// TestUpgradeInTime: once the upgrade packet has come, the time for it is not
// over while a POST is under way; without the packet it is.
func TestUpgradeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := beginUpgrade(t)
		completed := make(chan error, 1)
		go func() { completed <- u.conn.text("5") }()
		synctest.Wait()
		u.r.s.candidate.Expired(nil) // the wheel tells late
		u.finish()
		if err := <-completed; err != nil {
			t.Error(err)
		}
		u.r.s.mu.Lock()
		conn := u.r.s.conn
		u.r.s.mu.Unlock()
		if _, ok := conn.(*fakeConn); !ok || len(u.r.closed) != 0 {
			t.Errorf("transport %T, closed %v", conn, u.r.closed)
		}
		u.h.Abort()
		ends(t, u.h)
	})
	synctest.Test(t, func(t *testing.T) {
		u := beginUpgrade(t)
		u.r.s.candidate.Expired(nil)
		if err := u.conn.text("5"); err == nil || !u.conn.lost {
			t.Errorf("%v, lost: %t", err, u.conn.lost)
		}
		if u.r.s.Transport() != "polling" || len(u.r.closed) != 0 {
			t.Errorf("transport %q, closed %v", u.r.s.Transport(), u.r.closed)
		}
		u.finish()
		u.h.Abort()
		ends(t, u.h)
	})
}

// moving is a 0.9 session on a websocket whose reader is inside a message.
type moving struct {
	h       *Hub
	d       fakeDuplex
	r       *recorder
	sid     string
	conn    *fakeConn
	release chan struct{}
}

func beginMove(t *testing.T, enter bool) *moving {
	t.Helper()
	m := &moving{d: fakeDuplex{make(chan *fakeConn, 1)}, release: make(chan struct{})}
	o := every(m.d)
	o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
		m.r = &recorder{s: s, from: time.Now()}
		m.r.handle = func(data string) {
			if data != "3:::slow" {
				return
			}
			if enter {
				s.AllowHandoff()
			}
			<-m.release
		}
		return m.r, nil
	}
	m.h = NewHub(o)
	m.sid, _, _ = strings.Cut(request(m.h, http.MethodGet, "1", "", false).Body.String(), ":")
	m.conn = m.websocket()
	go func() { _ = m.conn.text("3:::slow") }()
	synctest.Wait()
	return m
}

func (m *moving) websocket() *fakeConn {
	request(m.h, http.MethodGet, "1/websocket/"+m.sid, "", true)
	return <-m.d.conns
}

// TestTakeoverWaits: the next transport is read when what the older one is bringing
// has its turn, and not before; in the order of the client.
func TestTakeoverWaits(t *testing.T) {
	for _, entered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := beginMove(t, entered)
			next := make(chan *fakeConn, 1)
			go func() { next <- m.websocket() }()
			synctest.Wait()
			if waits := len(next) == 0; waits == entered {
				t.Errorf("entered %t: it waits: %t", entered, waits)
			}
			if entered {
				if err := m.conn.text("3:::late"); err == nil {
					t.Error("the older transport still brings messages")
				}
			}
			close(m.release)
			if err := (<-next).text("3:::next"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if err := m.conn.text("3:::late"); err == nil {
				t.Error("the older transport still brings messages")
			}
			if !slices.Equal(m.r.got, []string{"3:::slow", "3:::next"}) || len(m.r.closed) != 0 {
				t.Errorf("got %q, closed %v", m.r.got, m.r.closed)
			}
			m.h.Abort()
			ends(t, m.h)
		})
	}
}

// TestTakeoverWaitsForTheBatch: what one read has brought counts to its end, and precedes
// what the next transport brings, whatever that is.
func TestTakeoverWaitsForTheBatch(t *testing.T) {
	for _, path := range []string{"1/websocket/", "1/xhr-polling/"} {
		synctest.Test(t, func(t *testing.T) {
			m := beginMove(t, false)
			close(m.release)
			synctest.Wait()
			m.release = make(chan struct{})
			m.r.got = nil
			go func() { _ = m.conn.text("3:::slow", "3:::one", "3:::two") }()
			synctest.Wait()
			over := make(chan struct{})
			go func() {
				defer close(over)
				if path == "1/websocket/" {
					if err := m.websocket().text("3:::next"); err != nil {
						t.Error(err)
					}
					return
				}
				ctx, leave := context.WithTimeout(context.Background(), time.Minute)
				defer leave()
				req := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
				host.ServeHTTP(m.h, httptest.NewRecorder(), req, host.HTTPConfig{Path: path + m.sid})
			}()
			synctest.Wait()
			m.conn.mu.Lock()
			if m.conn.lost {
				t.Error("the connection is cut before its batch has ended")
			}
			m.conn.mu.Unlock()
			close(m.release)
			synctest.Wait()
			want := []string{"3:::slow", "3:::one", "3:::two"}
			if path == "1/websocket/" {
				want = append(want, "3:::next")
			} else if w := post(m.h, path+m.sid, "", "3:::next"); w.Code != http.StatusOK {
				t.Errorf("POST: %d", w.Code)
			} else {
				want = append(want, "3:::next")
			}
			if !slices.Equal(m.r.got, want) || len(m.r.closed) != 0 {
				t.Errorf("%s: got %q, closed %v", path, m.r.got, m.r.closed)
			}
			m.h.Abort()
			<-over
			ends(t, m.h)
		})
	}
}

// TestCut plays what may be under way on a connection that is cut off: the cut waits for
// the batches that are open, but not for one whose message is inside application code.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		steps string // B: Begin, f: a message is inside, t: it has its turn, r: it returns, E: End
		waits bool
	}{
		{"", false}, {"B", true}, {"Bf", true}, {"Bfr", true}, {"BfrE", false},
		{"Bft", false}, {"Bftr", true}, {"BftrE", false},
		{"BftB", true}, {"BftBE", false}, {"BftBf", true}, {"BftBft", false}, {"BftBfrE", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &replaceableLink{Socket: &Socket{hub: &Hub{}}}
			conn := &fakeConn{link: l}
			var inside []uint64
			for _, step := range c.steps {
				switch step {
				case 'B':
					l.Begin()
				case 'E':
					l.End()
				case 'f':
					l.frames++
					l.inside = l.frames
					inside = append(inside, l.frames)
				case 't':
					l.hasTurn(conn, l.current())
				case 'r':
					l.returned(inside[len(inside)-1])
					inside = inside[:len(inside)-1]
				}
			}
			cut := make(chan bool, 1)
			go func() { l.cut(conn); cut <- true }()
			synctest.Wait()
			if waits := len(cut) == 0; waits != c.waits {
				t.Errorf("%q: it waits: %t", c.steps, waits)
			}
			for ; len(inside) > 0; inside = inside[1:] {
				l.returned(inside[0])
			}
			for range strings.Count(c.steps, "B") - strings.Count(c.steps, "E") {
				l.End()
			}
			synctest.Wait()
			if len(cut) == 0 || !l.gone.Load() || !conn.lost {
				t.Errorf("%q: the cut does not end", c.steps)
			}
		})
	}
}

// TestWaitingPostsInTakeover: POSTs that wait for the one before them are handled, in
// their order and before what the next transport brings.
func TestWaitingPostsInTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := beginPosts(t, "1")
		answers := make([]<-chan int, 3)
		for i, body := range []string{"3:::slow", "3:::one", "3:::two"} {
			answers[i] = q.post(body)
			synctest.Wait()
		}
		next := make(chan *fakeConn, 1)
		go func() {
			request(q.h, http.MethodGet, "1/websocket/"+q.r.s.ID(), "", true)
			next <- <-q.d.conns
		}()
		synctest.Wait()
		if len(next) != 0 {
			t.Error("the next transport does not wait")
		}
		close(q.release)
		if err := (<-next).text("3:::next"); err != nil {
			t.Error(err)
		}
		for i, a := range answers {
			if status := <-a; status != http.StatusOK {
				t.Errorf("POST %d: %d", i, status)
			}
		}
		if want := []string{"3:::slow", "3:::one", "3:::two", "3:::next"}; !slices.Equal(q.r.got, want) || len(q.r.closed) != 0 {
			t.Errorf("got %q, closed %v", q.r.got, q.r.closed)
		}
		q.h.Abort()
		ends(t, q.h)
	})
}

// TestEndsInTakeover: a session that ends while another transport takes over is
// not left in the hub.
func TestEndsInTakeover(t *testing.T) {
	for _, path := range []string{"1/websocket/", "1/xhr-polling/"} {
		synctest.Test(t, func(t *testing.T) {
			m := beginMove(t, false)
			answered := make(chan struct{})
			go func() {
				request(m.h, http.MethodGet, path+m.sid, "", path == "1/websocket/")
				close(answered)
			}()
			synctest.Wait()
			m.r.s.Close(ServerNamespace)
			close(m.release)
			<-answered
			if len(m.d.conns) > 0 {
				if c := <-m.d.conns; !c.lost {
					t.Error("the next connection is still open")
				}
			}
			if len(m.r.closed) != 1 {
				t.Errorf("closed %v", m.r.closed)
			}
			ends(t, m.h)
		})
	}
}

// TestTakeoverKeepsNobody: requests that come while a takeover waits do not wait
// for ever, and not at all for a client that has left.
func TestTakeoverKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := beginMove(t, false)
		next := make(chan *fakeConn, 1)
		go func() { next <- m.websocket() }()
		synctest.Wait()
		from := time.Now()
		ctx, leave := context.WithCancel(context.Background())
		leave()
		req := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		host.ServeHTTP(m.h, httptest.NewRecorder(), req, host.HTTPConfig{Path: "1/xhr-polling/" + m.sid})
		if d := time.Since(from); d != 0 {
			t.Errorf("a client that has left is waited for: %v", d)
		}
		w := request(m.h, http.MethodGet, "1/xhr-polling/"+m.sid, "", false)
		if d := time.Since(from); w.Code != http.StatusServiceUnavailable || d != m.h.opts.UpgradeTimeout {
			t.Errorf("status %d after %v", w.Code, d)
		}
		if c := m.websocket(); !c.lost {
			t.Error("another websocket is kept open")
		}
		close(m.release)
		if err := (<-next).text("3:::next"); err != nil || len(m.r.closed) != 0 {
			t.Errorf("those that gave up ended the session: %v, closed %v", err, m.r.closed)
		}
		m.h.Abort()
		ends(t, m.h)
	})
}
