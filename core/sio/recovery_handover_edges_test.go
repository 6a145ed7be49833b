package sio

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// TestHandoverOnce: an event that comes late to the node of the client is not sent again.
func TestHandoverOnce(t *testing.T) {
	m := newMovers(t, nil, nil)
	r := m.r
	m.socket(0).Join("room")
	m.reach(m.all[2].Of("/").To("room"), 1)
	m.late[1].hold(eventsOf(m.all[2]))
	_ = m.all[2].Of("/").Emit("had")
	r.expect("had")
	r.away(m.all[0])
	_ = m.all[2].Of("/").To("room").Emit("not to server 1") // nobody there is in the room
	_ = m.all[2].Of("/").Emit("missed")
	until(t, "two events are late", func() bool { return m.late[1].waiting() >= 2 })
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	r.expect("not to server 1", "missed")
	m.late[1].release()
	m.say(2, toRoom, "next")
	r.expect("next")
	m.say(2, toAll, "last")
	r.expect("last")
}

// TestHandoverMeanwhile: what is emitted while the session is on its way is sent once, and in the
// order of who has emitted it.
func TestHandoverMeanwhile(t *testing.T) {
	m := newMovers(t, nil, nil)
	r := m.r
	m.socket(0).Join("room")
	r.away(m.all[0])
	m.say(2, toAll, "missed")
	m.late[1].hold(answersOf(m.all[0], 1)) // what the session is comes, and not the events
	done := make(chan struct{})
	go func() {
		defer close(done)
		until(t, "the events wait", func() bool { return m.late[1].waiting() >= 1 })
		_ = m.all[2].Of("/").To("room").Emit("from 2")
		until(t, "the event is there", func() bool { return hasLogged(m.all[1], "from 2") })
		_ = m.all[1].Of("/").To("room").Emit("from 1")
		_ = m.all[1].Of("/").All().Local().Emit("here")
		_ = m.all[0].Of("/").To("room").Emit("from 0")
		m.late[1].release()
	}()
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	<-done
	r.expect("missed", "from 2", "from 1", "here", "from 0")
}

// TestHandoverAnonymous: an event of somebody who does not number events may have come to the other
// node, or not.
func TestHandoverAnonymous(t *testing.T) {
	for _, to := range []string{"room", "others"} {
		t.Run(to, func(t *testing.T) {
			m := newMovers(t, nil, nil)
			m.socket(0).Join("room")
			em := NewEmitter(m.bus.Backend(), nil)
			defer func() { _ = em.Close(context.Background()) }()
			m.r.away(m.all[0])
			m.late[1].hold(answersOf(m.all[0], 1))
			go func() {
				until(t, "the events wait", func() bool { return m.late[1].waiting() >= 1 })
				_ = em.Of("/").To(to, "and").Emit("whose")
				until(t, "the event is there", func() bool { return hasLogged(m.all[1], "whose") })
				m.late[1].release()
			}()
			if got := m.move(1); got != (to == "others") {
				t.Error("recovered:", got)
			}
		})
	}
}

// TestHandoverTwice: two nodes ask for one session; one of them has it at most.
func TestHandoverTwice(t *testing.T) {
	m := newMovers(t, nil, nil)
	m.socket(0)
	for range 4 {
		m.r.away(m.all[0])
		var wg sync.WaitGroup
		var got [3]bool
		copies := [3]returning{*m.r, *m.r, *m.r}
		for i := range copies {
			copies[i].c = m.at[i]
			wg.Go(func() {
				w := copies[i].again()
				answer, _ := w.Read() // nothing when another one has taken the session over
				got[i] = strings.Contains(answer, m.r.pid)
			})
		}
		wg.Wait()
		n := 0
		for _, srv := range m.all {
			if srv.Of("/").Socket(m.r.sid) != nil {
				n++
			}
		}
		if n > 1 {
			t.Fatal("recovered by", got)
		}
		*m.r = *newReturning(t, m.at[0], "")
	}
}

// TestHandoverLeaves: a client that leaves again before the events have come comes back to the
// session where it is.
func TestHandoverLeaves(t *testing.T) {
	for _, row := range []struct {
		name string
		skip int // answers that come before the client leaves
		to   int // where it comes back
	}{{"before", 0, 0}, {"after", 1, 1}, {"after, and elsewhere", 1, 2}} {
		t.Run(row.name, func(t *testing.T) {
			m := newMovers(t, nil, nil)
			m.socket(0).Join("room")
			m.reach(m.all[2].Of("/").To("room"), 1) // what server 2 says to the room comes from now on
			m.r.away(m.all[0])
			m.say(2, toRoom, "one")
			m.late[1].hold(answersOf(m.all[0], row.skip))
			m.r.c = m.at[1]
			w := m.r.again()
			until(t, "the answer is late", func() bool { return m.late[1].waiting() >= 1 })
			w.Reset()
			until(t, "the server knows", func() bool { return m.all[1].Stats().Sessions == 0 || connsEnded(m.all[1]) })
			m.say(2, toRoom, "two")
			m.late[1].release()
			until(t, "nothing is on its way", func() bool { return m.all[1].recovery.asking.Load() == 0 })
			until(t, "the session is somewhere", func() bool { return awayAt(m.all[0])+awayAt(m.all[1]) == 1 })
			m.say(2, toRoom, "three")
			if !m.move(row.to) {
				t.Fatal("not recovered")
			}
			m.r.expect("one", "two", "three")
		})
	}
}

// TestHandoverBehind: the old node is behind with what a third one has said, and waits for it.
func TestHandoverBehind(t *testing.T) {
	m := newMovers(t, nil, nil)
	m.socket(0).Join("room")
	m.reach(m.all[2].Of("/").To("room"), 1)
	m.r.away(m.all[0])
	m.late[0].hold(eventsOf(m.all[2]))
	_ = m.all[2].Of("/").To("room").Emit("missed")
	until(t, "the event is late", func() bool { return m.late[0].waiting() >= 1 })
	released := make(chan struct{})
	go func() {
		defer close(released)
		until(t, "the old node has asked the third", func() bool { return m.late[0].waiting() >= 2 })
		m.late[0].release()
	}()
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	<-released // else the old node has not waited
	m.r.expect("missed")
}

// TestHandoverTurn: a client that comes back to the node that has its session, while another node
// asks for it, has it there, and what it does then is not lost.
func TestHandoverTurn(t *testing.T) {
	m := newMovers(t, nil, nil)
	m.socket(0)
	m.r.away(m.all[0])
	questions := 0
	m.late[0].hold(func(m *cluster.Message) bool {
		if m.Kind != cluster.ServerEvent || m.To == "" {
			return false
		}
		questions++
		return questions > 1
	})
	other := *m.r
	other.c = m.at[1]
	w := other.again()
	until(t, "the second question is late", func() bool { return m.late[0].waiting() >= 1 })
	if !m.move(0) {
		t.Fatal("not recovered")
	}
	m.socket(0).Join("room")
	m.r.away(m.all[0])
	_ = m.all[0].Of("/").To("room").Emit("to the room")
	m.late[0].release()
	if got := w.Next(); strings.Contains(got, m.r.pid) {
		t.Error("recovered by another node, which does not know the room", got)
	}
	if !m.move(0) {
		t.Fatal("not recovered")
	}
	m.r.expect("to the room")
}

// TestHandoverLate: an answer that comes too late is of no use, and nothing of the session stays.
func TestHandoverLate(t *testing.T) {
	for skip := range 2 {
		m := newMovers(t, nil, nil)
		m.socket(0).Join("room")
		m.r.away(m.all[0])
		m.late[1].hold(answersOf(m.all[0], skip))
		short := &m.all[1].recovery.times.takeover
		if skip == 1 {
			short = &m.all[1].recovery.times.handover
		}
		*short = takeoverTime / 2
		if m.move(1) {
			t.Error("recovered")
		}
		given := skip == 1 && m.late[1].waiting() > 0 // else the node was too slow to ask
		m.late[1].release()
		m.sync(0)
		if hasRoom(m.all[1]) {
			t.Error("the room is left behind")
		}
		if n := awayAt(m.all[0]); given == (n == 1) {
			t.Errorf("%d sessions are left, given up: %v", n, given)
		}
	}
}

// TestHandoverDenied: a client that is refused at the new node has no session any more.
func TestHandoverDenied(t *testing.T) {
	m := newMovers(t, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
			if s.Recovered() {
				return Errorf("no", "refused")
			}
			s.Join("room")
			return nil
		})
	}, nil)
	m.r.away(m.all[0])
	m.r.c = m.at[1]
	if got := m.r.again().Next(); got != `44{"message":"refused"}` {
		t.Error(got)
	}
	until(t, "no session is left", func() bool { return sessionsAt(m.all[0])+sessionsAt(m.all[1]) == 0 })
	if m.move(2) {
		t.Error("recovered after a refusal")
	}
}

// TestHandoverDropped: what a session has brought is forgotten after a while. When that happens while
// OnConnect runs for a client that has not had it, the client is not told that it is recovered.
func TestHandoverDropped(t *testing.T) {
	for _, had := range []bool{false, true} {
		t.Run(map[bool]string{false: "not had", true: "had"}[had], func(t *testing.T) {
			entered, goOn := make(chan struct{}), make(chan struct{})
			var waits atomic.Bool
			m := newMovers(t, func(srv *Server) {
				srv.Of("/").OnConnect(func(context.Context, *Socket) error {
					if waits.CompareAndSwap(true, false) {
						close(entered)
						<-goOn
					}
					return nil
				})
			}, nil)
			m.r.away(m.all[0])
			m.say(2, toAll, "missed")
			if !m.move(1) {
				t.Fatal("not recovered")
			}
			if had {
				m.r.expect("missed")
			}
			m.r.away(m.all[1])
			waits.Store(true)
			w := m.r.again()
			<-entered
			r := m.all[1].recovery
			r.mu.Lock()
			moved := r.byPID[m.r.pid].moved
			r.mu.Unlock()
			moved.Expired(nil)
			until(t, "it is forgotten", func() bool {
				moved.log.mu.Lock()
				defer moved.log.mu.Unlock()
				return moved.carried == nil
			})
			close(goOn)
			answer, _ := w.Read()
			if recovered := strings.Contains(answer, m.r.pid); recovered != had {
				t.Errorf("recovered %v, by %q", recovered, answer)
			}
			if !had && m.move(1) {
				t.Error("recovered when it comes once more")
			}
		})
	}
}
