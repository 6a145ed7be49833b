package sio

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// late is a Backend that keeps back what comes from the bus, from chosen messages on and in order.
type late struct {
	cluster.Backend
	r cluster.Receiver

	mu   sync.Mutex
	held func(m *cluster.Message) bool // nil: nothing
	list []*cluster.Message
	from map[string]bool // nodes of which something is kept back
	seen int             // how many messages were
}

func (l *late) Start(ctx context.Context, node string, r cluster.Receiver) error {
	l.r = r
	return l.Backend.Start(ctx, node, l)
}

func (l *late) Up()                     { l.r.Up() }
func (l *late) Down(err error)          { l.r.Down(err) }
func (l *late) Lost(n int, err error)   { l.r.Lost(n, err) }
func (l *late) hand(m *cluster.Message) { l.r.Receive(m) }

func (l *late) Receive(m *cluster.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil && (l.from[m.Node] || l.held(m)) {
		l.from[m.Node] = true
		l.list = append(l.list, m.Clone())
		l.seen++
		return
	}
	l.hand(m)
}

// hold keeps back the messages of a node from the first of these on.
func (l *late) hold(these func(m *cluster.Message) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.from, l.seen = these, make(map[string]bool), 0
}

// release hands over what was kept back.
func (l *late) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.list {
		l.hand(m)
	}
	l.held, l.list = nil, nil
}

func (l *late) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// answersOf are the answers of one node, after the first few.
func answersOf(of *Server, skip int) func(m *cluster.Message) bool {
	return func(m *cluster.Message) bool {
		if m.Node != of.Node() {
			return false
		}
		if m.Kind == cluster.Answer {
			skip--
		}
		return skip < 0
	}
}

func eventsOf(of *Server) func(m *cluster.Message) bool {
	return func(m *cluster.Message) bool { return m.Kind == cluster.Emit && m.Node == of.Node() }
}

// movers are three servers with recovery, each behind a late bus, and a client.
type movers struct {
	*nodes
	late    []*late
	sockets []chan *Socket
	r       *returning
}

func newMovers(t *testing.T, set func(srv *Server), opts func(i int, o *Options)) *movers {
	m := &movers{}
	m.nodes = clusteredWith(t, 3, func(i int, o *Options) {
		l := &late{Backend: o.Cluster}
		m.late = append(m.late, l)
		o.Cluster, o.Recovery = l, &Recovery{}
		if opts != nil {
			opts(i, o)
		}
	}, func(srv *Server) {
		m.sockets = append(m.sockets, connected(srv.Of("/")))
		patient(srv)
		if set != nil {
			set(srv)
		}
	})
	t.Cleanup(func() { quiet(t, m.nodes) })
	for _, c := range m.at {
		c.Patience, c.HTTP.Timeout = handoverPatience, handoverPatience
	}
	m.r = newReturning(t, m.at[0], "")
	for _, srv := range m.all[1:] { // what they say to all comes from now on
		m.reach(srv.Of("/").All(), 1)
	}
	return m
}

// handoverPatience is how long everything may take that is to succeed. It is less than
// Options.PingInterval: each ping begins the time of a client that waits anew.
const handoverPatience = 20 * time.Second

// patient has a server wait for others as long.
func patient(srv *Server) {
	if r := srv.recovery; r != nil {
		r.times = handoverTimes{handoverPatience, handoverPatience, handoverPatience}
	}
}

// quiet has all clients leave before Shutdown, which would wait for them.
func quiet(t *testing.T, ns *nodes) {
	for i, srv := range ns.all {
		ns.at[i].Close()
		until(t, "no clients", func() bool { return srv.Stats().Sessions == 0 })
	}
}

// socket is the next socket of a server.
func (m *movers) socket(i int) *Socket {
	m.t.Helper()
	select {
	case s := <-m.sockets[i]:
		return s
	case <-time.After(handoverPatience):
		m.t.Fatal("no socket")
		return nil
	}
}

// move has the client come back to a server.
func (m *movers) move(to int) bool {
	m.t.Helper()
	m.r.c = m.at[to]
	return m.r.connect("")
}

// say emits from one server, and waits until the others have had it.
func (m *movers) say(from int, t func(n *Namespace) Target, event string) {
	m.t.Helper()
	if err := t(m.all[from].Of("/")).Emit(event); err != nil {
		m.t.Error(err)
	}
	m.sync(from)
}

// sync waits until what a server has said has come to the others.
func (m *movers) sync(from int) {
	m.t.Helper()
	if _, err := m.all[from].recovery.countEvents(); err != nil {
		m.t.Error(err)
	}
}

// hasLogged reports whether the log of the default namespace has an event.
func hasLogged(srv *Server, event string) bool {
	l := srv.Of("/").recovery.Load()
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.events, func(e keptEvent) bool { return strings.HasPrefix(string(e.packet.Data), `["`+event+`"`) })
}

// connsEnded reports whether the connections of a server have.
func connsEnded(srv *Server) bool {
	over := true
	srv.hub.Each(func(vs *virtsocket.Socket) { over = over && vs.Ended() })
	return over
}

func awayAt(srv *Server) int {
	srv.recovery.mu.Lock()
	defer srv.recovery.mu.Unlock()
	return srv.recovery.away.Len()
}

func sessionsAt(srv *Server) int {
	srv.recovery.mu.Lock()
	defer srv.recovery.mu.Unlock()
	return len(srv.recovery.byPID)
}

// hasRoom reports whether a server listens to the room of these tests.
func hasRoom(srv *Server) bool {
	sh := srv.Of("/").rooms.shard("room")
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.m["room"] != nil
}

func toAll(n *Namespace) Target  { return n.All() }
func toRoom(n *Namespace) Target { return n.To("room") }

var movedName = RestoredKey[map[string]int]("TestHandover")

// TestHandover: a client goes from node to node, and has everything that was for it, once and in
// order, whoever has emitted it; and all nodes reach it.
func TestHandover(t *testing.T) {
	m := newMovers(t, nil, nil)
	r := m.r
	s := m.socket(0)
	s.Join("room", "left")
	movedName.Set(s, map[string]int{"x": 1})
	m.reach(m.all[1].Of("/").To("room"), 1)
	m.say(1, toRoom, "zero")
	r.expect("zero")
	_ = s.Emit("one")
	s.Leave("left")
	at := 0
	for step, to := range []int{1, 2, 0, 2, 1, 0} {
		r.away(m.all[at])
		m.say(at, toAll, "two")
		m.say(to, toRoom, "three")
		m.say(2, func(n *Namespace) Target { return n.To(r.sid) }, "four")
		m.say(1, func(n *Namespace) Target { return n.To("left") }, "not this")
		m.say(2, func(n *Namespace) Target { return n.To("room").Except(r.sid) }, "nor this")
		if !m.move(to) {
			t.Fatal("not recovered", step)
		}
		if step == 0 {
			r.expect("one")
		}
		r.expect("two", "three", "four")
		s := m.socket(to)
		if v, _ := movedName.Get(s); !s.Recovered() || !s.In("room") || s.In("left") || v["x"] != 1 {
			t.Errorf("recovered %v, rooms %v, value %v", s.Recovered(), s.Rooms(), v)
		}
		for from := range m.all {
			m.say(from, toRoom, "room")
			m.say(from, func(n *Namespace) Target { return n.To(r.sid) }, "one")
			r.expect("room", "one")
			found := 0
			for s, err := range m.all[from].Of("/").To(r.sid).Sockets(t.Context()) {
				if err != nil || s.ID() != r.sid || !slices.Equal(s.Rooms(), []string{"room"}) {
					t.Error(s, err)
				}
				found++
			}
			if n, err := m.all[from].Of("/").All().Count(t.Context()); found != 1 || n != 1 || err != nil {
				t.Error(found, n, err)
			}
		}
		for i, srv := range m.all {
			if got := hasRoom(srv); got != (i == to) {
				t.Errorf("server %d has the room: %v", i, got)
			}
		}
		at = to
	}
}

// TestHandoverQuiet: a client that gets no event between two moves can go on, and goes on with the
// events that a connection has lost.
func TestHandoverQuiet(t *testing.T) {
	m := newMovers(t, nil, nil)
	r := m.r
	m.socket(0)
	for i, to := range []int{1, 1, 2, 0, 0, 1} {
		r.away(m.all[[]int{0, 1, 1, 2, 0, 0}[i]])
		if !m.move(to) {
			t.Fatal("not recovered", i)
		}
		m.socket(to)
	}
	r.away(m.all[1])
	for i := range 4 {
		m.say(i%3, toAll, fmt.Sprint("e", i))
	}
	for i, to := range []int{2, 2, 0} { // each time one event more arrives before the connection is lost
		if !m.move(to) {
			t.Fatal("not recovered", i)
		}
		m.socket(to)
		r.expect(fmt.Sprint("e", i))
		r.away(m.all[to])
	}
	m.say(0, toAll, "e4")
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	r.expect("e3", "e4")
}

// TestHandoverLive: the socket that the client had is ended first.
func TestHandoverLive(t *testing.T) {
	reasons := make(chan Reason, 3)
	m := newMovers(t, func(srv *Server) {
		srv.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	}, nil)
	m.socket(0).Join("room")
	_ = m.all[0].Of("/").To("room").Emit("lost in the network")
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	if got := <-reasons; got != TransportClose {
		t.Error(got)
	}
	m.r.expect("lost in the network")
	if n := m.all[0].Of("/").Len(); n != 0 {
		t.Error(n)
	}
}

// TestHandoverPattern: the namespace exists at the other node from then on.
func TestHandoverPattern(t *testing.T) {
	m := newMovers(t, func(srv *Server) { srv.OfPattern("/p/{x}") }, nil)
	r := newReturning(t, m.at[0], "/p/7")
	m.all[0].Of("/p/7").Socket(r.sid).Join("room")
	m.sync(0)
	r.away(m.all[0])
	for i, srv := range m.all {
		_ = srv.OfPattern("/p/{x}").To("room").Emit(fmt.Sprint("pattern ", i))
		_ = srv.Of("/p/7").To("room").Emit(fmt.Sprint("name ", i))
		m.sync(i)
	}
	r.c = m.at[1]
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("pattern 0", "name 0", "pattern 1", "name 1", "pattern 2", "name 2")
	if m.all[0].Lookup("/p/7") != nil {
		t.Error("the namespace is left behind")
	}
	r.w.Send("41/p/7,")
	until(t, "the namespace has gone", func() bool { return m.all[1].Lookup("/p/7") == nil })
}

// TestHandoverBinary: attachments, and an application's own form of messages.
func TestHandoverBinary(t *testing.T) {
	m := newMovers(t, nil, nil)
	s := m.socket(0)
	m.r.away(m.all[0])
	_ = m.all[2].Of("/").Emit("binary", []byte{1, 2}, 3, []byte{})
	m.sync(2)
	_ = s.ns.Server().Of("/").All().Send("text")
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	if got := m.r.w.Next(); !strings.HasPrefix(got, `452-["binary",{"_placeholder":true,"num":0},3,{"_placeholder":true,"num":1},"`) {
		t.Error(got)
	}
	for _, want := range []string{"\x01\x02", ""} {
		if _, p, err := m.r.w.ReadFrame(); err != nil || string(p) != want {
			t.Errorf("%q %v", p, err)
		}
	}
	if got := m.r.next(); got != `["message","text"]` {
		t.Error(got)
	}
}
