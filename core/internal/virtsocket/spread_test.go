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
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/transport/htmlfile"
	"github.com/siokit/siokit/core/internal/transport/polling"
)

// crowd is a hub whose clients all come at the same time.
type crowd struct {
	h       *Hub
	d       fakeDuplex
	sockets []*Socket
	closed  []*recorder
}

// each is how long a period of the crowd's heartbeats lasts: of pings, and of polls.
const each = 25 * time.Second

func newCrowd() *crowd {
	c := &crowd{d: fakeDuplex{make(chan *fakeConn, 1)}}
	o := every(c.d)
	o.Forms = []transport.Form{polling.Transport{}, htmlfile.Form{}}
	o.PollDuration = each
	o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
		r := &recorder{s: s, from: time.Now()}
		c.sockets, c.closed = append(c.sockets, s), append(c.closed, r)
		return r, nil
	}
	c.h = NewHub(o)
	return c
}

// member is one client: how often it has heard from the server, and its answer.
type member struct {
	heard  func() int
	answer func()
}

// websocket is a client on a websocket; it has been sent some messages already.
func (c *crowd) websocket(path, query, pong string) member {
	request(c.h, http.MethodGet, path, query, true)
	conn := <-c.d.conns
	before := len(conn.all())
	return member{func() int { return len(conn.all()) - before }, func() { _ = conn.text(pong) }}
}

// old returns the id of a session of 0.9 that has no transport yet.
func (c *crowd) old() string {
	sid, _, _ := strings.Cut(request(c.h, http.MethodGet, "1", "", false).Body.String(), ":")
	return sid
}

// ear counts what a stream brings.
type ear struct {
	httptest.ResponseRecorder
	of string
	mu sync.Mutex
	n  int
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n += strings.Count(string(p), e.of)
	return len(p), nil
}

func (e *ear) heard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n
}

// stream is a client of 0.9 on htmlfile.
func (c *crowd) stream(sid string) member {
	e := &ear{of: `"2::"`}
	get := httptest.NewRequest(http.MethodGet, "/", nil)
	go host.ServeHTTP(c.h, e, get, host.HTTPConfig{Path: "1/htmlfile/" + sid})
	return member{e.heard, func() {
		post := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("2::"))
		host.ServeHTTP(c.h, httptest.NewRecorder(), post, host.HTTPConfig{Path: "1/htmlfile/" + sid})
	}}
}

// poll is a client of 0.9 that polls a few times, and is about to come by another
// transport.
func (c *crowd) poll(sid string, times int) {
	go func() {
		for range times {
			request(c.h, http.MethodGet, "1/xhr-polling/"+sid, "", false)
		}
	}()
}

// polls is a client of 0.9 that polls until its session ends.
func (c *crowd) polls(sid string) member {
	e := &ear{}
	go func() {
		for {
			switch body := request(c.h, http.MethodGet, "1/xhr-polling/"+sid, "", false).Body.String(); body {
			case "8::":
				e.mu.Lock()
				e.n++
				e.mu.Unlock()
			case "1::", "news":
			default:
				return
			}
		}
	}()
	return member{e.heard, func() {}}
}

// ways are the ways to a transport on which clients hear from the server again and
// again. Each brings all clients to it at one moment.
var ways = []struct {
	name string
	come func(c *crowd, clients int) []member
}{
	{"eio4 websocket", func(c *crowd, n int) (ms []member) {
		for range n {
			ms = append(ms, c.websocket("", "EIO=4&transport=websocket", "3"))
		}
		return ms
	}},
	{"eio4 upgrade", func(c *crowd, n int) (ms []member) {
		for i := range n {
			request(c.h, http.MethodGet, "", "EIO=4&transport=polling", false)
			m := c.websocket("", "EIO=4&transport=websocket&sid="+c.sockets[i].ID(), "3")
			conn := c.sockets[i].candidate.conn.(*fakeConn)
			_, _ = conn.text("2probe"), conn.text("5")
			all := m.heard
			before := all()
			m.heard = func() int { return all() - before }
			ms = append(ms, m)
		}
		return ms
	}},
	{"websocket", func(c *crowd, n int) (ms []member) {
		for range n {
			ms = append(ms, c.websocket("1/websocket/"+c.old(), "", "2::"))
		}
		return ms
	}},
	{"takeover", func(c *crowd, n int) (ms []member) {
		for range n {
			c.poll(c.old(), 2)
		}
		time.Sleep(7 * time.Second) // all of them wait in a poll
		for _, s := range c.sockets {
			ms = append(ms, c.websocket("1/websocket/"+s.ID(), "", "2::"))
		}
		return ms
	}},
	{"takeover again", func(c *crowd, n int) (ms []member) {
		for range n {
			ms = append(ms, c.websocket("1/websocket/"+c.old(), "", "2::"))
		}
		time.Sleep(each + time.Second) // all of them have been pinged
		for _, s := range c.sockets {
			c.poll(s.ID(), 1)
		}
		synctest.Wait()
		for i, s := range c.sockets {
			ms[i] = c.websocket("1/websocket/"+s.ID(), "", "2::")
		}
		return ms
	}},
	{"stream", func(c *crowd, n int) (ms []member) {
		for range n {
			ms = append(ms, c.stream(c.old()))
		}
		return ms
	}},
	{"stream after polls", func(c *crowd, n int) (ms []member) {
		for range n {
			c.poll(c.old(), 2)
		}
		time.Sleep(7 * time.Second)
		for _, s := range c.sockets {
			ms = append(ms, c.stream(s.ID()))
		}
		return ms
	}},
	{"stream after stream", func(c *crowd, n int) (ms []member) {
		for range n {
			c.stream(c.old())
		}
		time.Sleep(each + time.Second) // all of them have been pinged, and are silent
		for _, s := range c.sockets {
			ms = append(ms, c.stream(s.ID()))
		}
		return ms
	}},
	{"polls", func(c *crowd, n int) (ms []member) {
		for range n {
			ms = append(ms, c.polls(c.old()))
		}
		return ms
	}},
	{"polls after news", func(c *crowd, n int) (ms []member) {
		for range n {
			ms = append(ms, c.polls(c.old()))
		}
		time.Sleep(7 * time.Second)
		for _, s := range c.sockets {
			_ = s.Send(packet.TextMessage("news"))
		}
		return ms
	}},
}

// TestHeartbeatsSpread: clients that come to a transport at the same time do not
// hear from the server at the same time, neither first nor later, and none hears
// later than it must.
func TestHeartbeatsSpread(t *testing.T) {
	const clients = 1000
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd()
				ms := way.come(c, clients)
				synctest.Wait()
				seen := make([]int, clients)
				var counts [51]int
				for second := range counts {
					time.Sleep(time.Second)
					synctest.Wait()
					for i, m := range ms {
						if n := m.heard(); n > seen[i] {
							seen[i] = n
							counts[second]++
							m.answer()
						}
					}
					if second == 25 { // the interval, and a tick
						for i, n := range seen {
							if n == 0 {
								t.Fatalf("client %d has heard nothing", i)
							}
						}
					}
				}
				for second, n := range counts {
					if n > clients/6 { // 13 seconds share them
						t.Errorf("%d of %d hear in second %d", n, clients, second)
					}
				}
				for _, r := range c.closed {
					if len(r.closed) != 0 {
						t.Fatalf("closed %v after %v", r.closed, r.after)
					}
				}
				c.h.Abort()
				time.Sleep(time.Minute) // a client that polls waits so long for nothing
				synctest.Wait()
			})
		})
	}
}

// TestSpreadKeepsDeadlines: a client that is silent is given up an interval and a
// timeout after it has come, whenever it was pinged.
func TestSpreadKeepsDeadlines(t *testing.T) {
	for _, way := range ways {
		if strings.HasPrefix(way.name, "polls") || way.name == "takeover again" || way.name == "stream after stream" {
			continue // these have come when their session was older, or are not pinged
		}
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd()
				begin := time.Now()
				way.come(c, 20)
				came := time.Since(begin)
				time.Sleep(each + c.h.opts.PingTimeout + time.Second)
				synctest.Wait()
				for _, r := range c.closed {
					if len(r.closed) != 1 || r.closed[0] != PingTimeout {
						t.Fatalf("closed %v", r.closed)
					}
					near(t, "end", r.after-came, each+c.h.opts.PingTimeout)
				}
				c.h.Abort()
				time.Sleep(time.Minute)
				synctest.Wait()
			})
		})
	}
}

// TestStreamEndsLast: a stream whose place a poll has taken may end after that poll.
// The time until the next poll has begun all the same.
func TestStreamEndsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		request(c.h, http.MethodGet, "1/xhr-polling/"+c.old(), "", false)
		s := c.sockets[0]
		s.arrived(s.poll, transport.PollRequest{Answer: transport.Answer{Stream: true}})
		s.arrived(s.poll, transport.PollRequest{})
		s.departed() // the poll
		s.departed()
		time.Sleep(c.h.opts.CloseTimeout + time.Second)
		synctest.Wait()
		if r := c.closed[0].closed; len(r) != 1 || r[0] != PingTimeout {
			t.Errorf("closed %v", r)
		}
		c.h.Abort()
		time.Sleep(time.Minute)
	})
}

// TestPollComesLate: a poll that finds that a websocket has just taken over does not
// end the heartbeats there.
func TestPollComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		sid := c.old()
		request(c.h, http.MethodGet, "1/xhr-polling/"+sid, "", false)
		s := c.sockets[0]
		poll := s.poll
		m := c.websocket("1/websocket/"+sid, "", "2::")
		s.arrived(poll, transport.PollRequest{})
		s.departed()
		time.Sleep(each + time.Second)
		synctest.Wait()
		if m.heard() != 1 {
			t.Errorf("%d heartbeats", m.heard())
		}
		c.h.Abort()
		time.Sleep(time.Second)
	})
}
