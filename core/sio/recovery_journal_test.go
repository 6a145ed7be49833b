package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/wire"
)

// journalBus is a bus in memory that is a log.
func journalBus() *cluster.Bus {
	b := cluster.NewBus()
	b.Keep(10_000)
	return b
}

// flush waits until what the servers have emitted is in the log, and has come back.
func flush(t *testing.T, servers ...*Server) {
	t.Helper()
	for _, s := range servers {
		if err := s.node.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "nothing is on its way", func() bool {
			n := 0
			for _, l := range s.recovery.logs() {
				l.mu.Lock()
				n += len(l.line)
				l.mu.Unlock()
			}
			return n == 0
		})
	}
}

// at is the same client, coming to another server.
func (r *returning) at(c *wire.Client) *returning { r.c = c; return r }

type profile struct{ Name string }

var journalProfile = RestoredKey[profile]("profile of the journal test")

// TestJournal: a client comes back to another node, which has never heard of it, as the same
// socket; it gets what it has missed, once and in order, and nothing else. Then it comes back to
// the first.
func TestJournal(t *testing.T) {
	for _, ns := range []string{"", "/chat", "/room/7"} {
		t.Run(ns, func(t *testing.T) {
			bus := journalBus()
			var servers []*Server
			var clients []*wire.Client
			var sockets []chan *Socket
			for range 3 {
				s := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
				n := s.OfPattern("/room/{number}")
				if ns != "/room/7" {
					n = s.Of(ns)
				}
				servers, sockets = append(servers, s), append(sockets, connected(n))
				clients = append(clients, serve(t, s))
			}
			a, b, far := servers[0], servers[1], servers[2]
			r := newReturning(t, clients[0], ns)
			s := <-sockets[0]
			s.Join("room", "left", "except")
			journalProfile.Set(s, profile{"ann"})
			if err := s.ExpireAt(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			_ = s.Emit("one")
			_ = a.Of(ns).To("room").Emit("two")
			flush(t, a)
			_ = far.Of(ns).Emit("three", []byte("x"))
			r.expect("one", "two")
			if m := r.w.Next(); !strings.Contains(m, `["three",{"_placeholder":true,"num":0},"`) {
				t.Fatal(m)
			} else {
				r.event(m)
				_, _, _ = r.w.ReadFrame()
			}
			_ = a.Of(ns).To("left").Emit("four") // it does not read this
			s.Leave("left")
			flush(t, a, far)
			r.away(a)
			_ = far.Of(ns).To("left").Emit("not this")
			_ = far.Of(ns).Emit("five")
			_ = far.Of(ns).To("room").Except("except").Emit("nor this")
			_ = far.Of(ns).To("room", "none").Except("none").Emit("six")
			_ = far.Of(ns).To(r.sid).Emit("seven")
			_ = far.Of(ns).Except(r.sid).Emit("nor this")
			_ = far.Of(ns).All().Volatile().Emit("nor this")
			_ = far.Of(ns).To().Emit("nor this")
			flush(t, far)
			if !r.at(clients[1]).connect("") {
				t.Fatal("not recovered at another node")
			}
			r.expect("four", "five", "six", "seven")
			s = <-sockets[1]
			if v, _ := journalProfile.Get(s); !s.Recovered() || s.ID() != r.sid || !s.In("room") || s.In("left") || v.Name != "ann" {
				t.Errorf("recovered %v, rooms %v, %+v", s.Recovered(), s.Rooms(), v)
			}
			s.mu.Lock()
			if s.expiry == nil {
				t.Error("it does not expire any more")
			}
			s.mu.Unlock()
			_ = far.Of(ns).To(r.sid).Emit("eight")
			flush(t, far)
			_ = a.Of(ns).To("room").Emit("nine")
			r.expect("eight", "nine")
			r.away(b)
			_ = b.Of(ns).Emit("ten")
			flush(t, b)
			if !r.at(clients[0]).connect("") {
				t.Fatal("not recovered at the first node")
			}
			r.expect("ten")
			s = <-sockets[0]
			_ = s.Emit("eleven")
			r.expect("eleven")
			if v, _ := journalProfile.Get(s); v.Name != "ann" {
				t.Error(v)
			}
		})
	}
}

// TestJournalRestart: a client comes back to a server that has ended, and was started again; and to
// another one while its own shuts down.
func TestJournalRestart(t *testing.T) {
	bus := journalBus()
	var live *Server
	start := func() *wire.Client {
		live = NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		until(t, "the bus is there", live.node.Up)
		return serve(t, live)
	}
	r := newReturning(t, start(), "")
	for i := range 3 {
		live.Of("/").Socket(r.sid).Join(fmt.Sprint("room", i))
		_ = live.Of("/").Emit("before")
		r.expect("before")
		ended := live
		if err := ended.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := start()
		_ = live.Of("/").To(fmt.Sprint("room", i)).Emit("after")
		flush(t, live)
		if !r.at(c).connect("") {
			t.Fatalf("restart %d: not recovered", i)
		}
		r.expect("after")
		if rooms := live.Of("/").Socket(r.sid).Rooms(); len(rooms) != i+1 {
			t.Error(rooms)
		}
	}
}

// TestJournalStillThere: the connection of a client is dead, and its server does not know. The
// client comes back to another node.
func TestJournalStillThere(t *testing.T) {
	bus := journalBus()
	a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	reasons := make(chan Reason, 1)
	a.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	sockets := connected(b.Of("/"))
	r := newReturning(t, serve(t, a), "")
	there := serve(t, b)
	until(t, "the nodes know each other", func() bool { return len(a.node.Nodes()) == 1 && len(b.node.Nodes()) == 1 })
	old := r.w
	if !r.at(there).connect("") {
		t.Fatal("not recovered")
	}
	if got := <-reasons; got != TransportClose {
		t.Error(got)
	}
	old.Reset()
	if n, err := b.Of("/").All().Count(t.Context()); n != 1 || err != nil {
		t.Error(n, err)
	}
	_ = a.Of("/").To((<-sockets).ID()).Emit("here")
	r.expect("here")
	st := b.Stats()
	if st.Recovered != 1 || st.NotRecovered != 0 {
		t.Errorf("%+v", st)
	}
}

// TestJournalRefused: who is not recovered at another node is told that it is new.
func TestJournalRefused(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(t *testing.T, bus *cluster.Bus, r *returning, a, b *Server)
		opts Recovery
	}{
		{"the log does not go back so far", func(t *testing.T, bus *cluster.Bus, r *returning, a, b *Server) {
			_ = b.Of("/").Emit("missed")
			_ = b.Of("/").Emit("missed")
			flush(t, b)
			bus.Keep(1)
		}, Recovery{}},
		{"too many events", func(t *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			for range 6 {
				_ = b.Of("/").To("elsewhere").Emit("x")
			}
			flush(t, b)
		}, Recovery{MaxEvents: 5}},
		{"another secret", func(_ *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			r.pid = strings.Repeat("x", 20)
		}, Recovery{}},
		{"no secret's form", func(_ *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			r.pid = strings.Repeat("*", 20)
		}, Recovery{}},
		{"an offset of the future", func(_ *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			r.offset = "9999999999999-0"
		}, Recovery{}},
		{"an offset in another spelling", func(_ *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			r.offset = "0" + r.offset
		}, Recovery{}},
		{"an offset from before the session", func(_ *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			r.offset = "1-0"
		}, Recovery{}},
		{"another namespace", func(_ *testing.T, _ *cluster.Bus, r *returning, a, b *Server) {
			r.ns = "/other"
		}, Recovery{}},
		{"an event that did not get into the log", func(t *testing.T, bus *cluster.Bus, r *returning, a, b *Server) {
			bus.Cut(a.node.Name())
			until(t, "the bus is away", func() bool { return !a.node.Up() })
			_ = a.Of("/").Emit("lost")
			bus.Heal()
			until(t, "the others are told", func() bool { return a.node.Up() && !a.recovery.torn() })
		}, Recovery{}},
	} {
		t.Run(c.what, func(t *testing.T) {
			bus := journalBus()
			a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &c.opts})
			b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &c.opts})
			a.Of("/other")
			b.Of("/other")
			r := newReturning(t, serve(t, a), "")
			there := serve(t, b)
			_ = a.Of("/").Emit("one")
			r.expect("one")
			r.away(a)
			until(t, "the session is kept", func() bool {
				a.recovery.mu.Lock()
				defer a.recovery.mu.Unlock()
				return len(a.recovery.byPID) == 0
			})
			c.do(t, bus, r, a, b)
			if r.at(there).connect("") {
				t.Error("recovered")
			}
			r.expect("recovery")
		})
	}
}

// TestJournalBound: a session is of no use to others, also not on another node; who tries does not
// end it. One that nobody has bound, as Node's are, is of no use where connections are bound.
func TestJournalBound(t *testing.T) {
	bus := journalBus()
	node := func() *Server {
		return NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}, OnHandshake: func(ctx context.Context, r *Request, _ host.Exchange) error {
			if user := r.Query().Get("user"); user != "" {
				ConnFromContext(ctx).BindRecovery(user)
			}
			return nil
		}})
	}
	a, b := node(), node()
	ca, cb := serve(t, a), serve(t, b)
	until(t, "the nodes know each other", func() bool { return len(a.node.Nodes()) == 1 && len(b.node.Nodes()) == 1 })
	open := func(c *wire.Client, user, auth string) (w *wire.WS, sid, pid string) {
		w, _ = c.WebSocket("&user=" + user)
		w.Send("40" + auth)
		var is struct{ Sid, Pid string }
		_ = json.Unmarshal([]byte(w.Next()[2:]), &is)
		return w, is.Sid, is.Pid
	}
	w, sid, pid := open(ca, "ann", "")
	r := &returning{t: t, c: ca, w: w, sid: sid}
	r.expect("recovery")
	auth := fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, r.offset)
	for round := range 2 {
		for _, user := range []string{"eve", ""} {
			if _, stolen, _ := open(cb, user, auth); stolen == sid {
				t.Errorf("recovered by %q", user)
			}
		}
		if s := a.Of("/").Socket(sid); round == 0 && (s == nil || !s.Connected()) {
			t.Fatal("the socket was ended by another")
		}
		r.away(a)
	}
	if _, again, _ := open(cb, "ann", auth); again != sid {
		t.Error("not recovered by its own client")
	}
	foreign := cluster.Session{ID: "12345678901234567890", PID: strings.Repeat("p", 20), Rooms: []string{"12345678901234567890", "room"}, Data: json.RawMessage(`{"a":1}`)}
	if err := b.recovery.journal.SaveSession(t.Context(), &foreign, time.Minute); err != nil {
		t.Fatal(err)
	}
	auth = fmt.Sprintf(`{"pid":%q,"offset":%q}`, foreign.PID, r.offset)
	if _, sid, _ = open(ca, "ann", auth); sid == foreign.ID {
		t.Error("a session of nobody is somebody's")
	}
	if w, sid, _ = open(ca, "", auth); sid != foreign.ID || !a.Of("/").Socket(sid).In("room") {
		t.Error("a session of Node is not recovered")
	}
	r = &returning{t: t, c: ca, w: w, sid: sid}
	r.away(a)
	var st *cluster.Session
	until(t, "it is kept again", func() bool { st, _ = b.recovery.journal.TakeSession(t.Context(), foreign.PID); return st != nil })
	if string(st.Data) != `{"a":1}` || !slices.Equal(st.Rooms, foreign.Rooms) {
		t.Errorf("%+v", st)
	}
}

// TestJournalKilled: with StoreLive a client is recovered whose server is there no more, and has
// said nothing: with the rooms that it was in. A server that is there has the last word.
func TestJournalKilled(t *testing.T) {
	bus := journalBus()
	node := func() *Server {
		return NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{StoreLive: true}})
	}
	a, b := node(), node()
	r := newReturning(t, serve(t, a), "")
	there := serve(t, b)
	until(t, "the nodes know each other", func() bool { return len(a.node.Nodes()) == 1 && len(b.node.Nodes()) == 1 })
	s := a.Of("/").Socket(r.sid)
	s.Join("one", "two", "three")
	s.Leave("two")
	journalProfile.Set(s, profile{"ann"})
	_ = a.Of("/").To("three").Emit("here")
	r.expect("here")
	stored := func() (found bool) {
		j := a.recovery.journal
		st, err := j.TakeSession(t.Context(), r.pid)
		if st != nil && err == nil {
			slices.Sort(st.Rooms)
			found = len(st.Rooms) == 3 && slices.Contains(st.Rooms, "three")
			_ = j.SaveSession(t.Context(), st, time.Minute)
		}
		return found
	}
	until(t, "the session is stored", stored)
	// The server is there, and has the last word.
	old := r.w
	if !r.at(there).connect("") || b.Of("/").Socket(r.sid) == nil {
		t.Fatal("not recovered")
	}
	old.Reset()
	_ = a.Of("/").To("three").Emit("moved")
	r.expect("moved")
	until(t, "the session is stored by the other node", stored)
	// It is not there any more.
	bus.Cut(b.node.Name())
	_ = a.Of("/").To("three").Emit("missed")
	_ = a.Of("/").To("two").Emit("not this")
	flush(t, a)
	if !r.at(serve(t, a)).connect("") {
		t.Fatal("not recovered from a dead node")
	}
	r.expect("missed")
	if s := a.Of("/").Socket(r.sid); s == nil || !s.In("three") || s.In("two") {
		t.Error("not in its rooms")
	} else if v, _ := journalProfile.Get(s); v.Name != "ann" {
		t.Error(v)
	}
	until(t, "the session is stored once more", stored)
	s = a.Of("/").Socket(r.sid)
	s.Disconnect()
	waitOver(t, s)
	<-a.recovery.saves.Idle()
	if stored() {
		t.Error("a session that has ended is kept")
	}
}
