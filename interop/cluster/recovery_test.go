package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/redistest"
)

// switchboard is a proxy that takes each new connection to one of several servers.
type switchboard struct {
	addr string

	mu    sync.Mutex
	to    []string // nobody is connected while there is none
	conns []net.Conn
}

func newSwitchboard(t *testing.T) *switchboard {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	b := &switchboard{addr: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go b.connect(c)
		}
	}()
	return b
}

func (b *switchboard) connect(client net.Conn) {
	b.mu.Lock()
	if len(b.to) == 0 {
		b.mu.Unlock()
		_ = client.Close()
		return
	}
	to := b.to[rand.IntN(len(b.to))]
	b.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil {
		_ = client.Close()
		return
	}
	b.mu.Lock()
	b.conns = append(b.conns, client)
	b.mu.Unlock()
	done := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		_, _ = client.Close(), server.Close()
		b.mu.Lock()
		b.conns = slices.DeleteFunc(b.conns, func(c net.Conn) bool { return c == client })
		b.mu.Unlock()
	}
	go done(client, server)
	go done(server, client)
}

// serve sets where new connections go, and cuts some of those that there are.
func (b *switchboard) serve(to []string, cut func(n int) bool) {
	b.mu.Lock()
	b.to = to
	list := slices.Clone(b.conns)
	b.mu.Unlock()
	for i, c := range list {
		if cut(i) {
			_ = c.Close()
		}
	}
}

// speaker emits numbered events.
type speaker struct {
	t    *testing.T
	name string
	srv  *sio.Server
	node *process // instead of srv

	mu   sync.Mutex
	sent map[string]int
}

func (e *speaker) emit(to string) {
	if e.node != nil {
		e.node.do("emit", fmt.Sprintf(`"to":%q`, to))
		e.mu.Lock()
		e.sent[to]++
		e.mu.Unlock()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent[to]++
	target := e.srv.Of("/").All()
	if to != "all" {
		target = e.srv.Of("/").To(to)
	}
	var data any
	if e.sent[to]%7 == 0 {
		data = []byte("abc")
	}
	if err := target.Emit("event", e.name, strings.TrimRight(to, "0123456789"), e.sent[to], data); err != nil {
		e.t.Error(err)
	}
}

// some emits to all, to a room and to a client.
func (e *speaker) some(clients int) {
	e.emit("all")
	e.emit("room" + strconv.Itoa(rand.IntN(10)))
	e.emit("client" + strconv.Itoa(rand.IntN(clients)))
}

// moving is a cluster whose clients move.
type moving struct {
	t        *testing.T
	redis    *redistest.Server
	board    *switchboard
	speakers []*speaker
	hosts    []string // of the siokit servers
	node     string
	clients  *process
	client   rueidis.Client
	count    int
}

func newMoving(t *testing.T, count int) *moving {
	t.Helper()
	m := &moving{t: t, redis: redistest.Start(t), board: newSwitchboard(t), count: count}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{m.redis.Addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	m.client = client
	p := launch(t, "recovery.mjs", "server", m.redis.Addr)
	m.node = fmt.Sprint("127.0.0.1:", p.next("ready")["port"])
	m.speakers = []*speaker{{t: t, name: "node", node: p, sent: map[string]int{}}, m.server("a"), m.server("b")}
	// In front of the first entry there is no place that Node knows.
	if err := client.Do(t.Context(), client.B().Xadd().Key("socket.io").Id("*").FieldValue().FieldValue("nsp", "/none").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	return m
}

// server starts a Server.
func (m *moving) server(name string) *speaker {
	srv := sio.NewServer(&sio.Options{
		Cluster:  redisbus.New(rueidis.ClientOption{InitAddress: []string{m.redis.Addr}, ForceSingleClient: true}, redisbus.Options{Wire: redisbus.Streams, MaxLen: 1_000_000}),
		Recovery: &sio.Recovery{MaxEvents: 100_000, MaxBytes: 256 << 20},
		// On a slow machine a client misses much.
		MaxQueueMessages: 100_000, MaxQueueBytes: 256 << 20,
		OnError: func(f sio.Failure) { m.t.Errorf("OnError: %+v", f) },
	})
	srv.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		if s.Recovered() {
			return nil
		}
		var auth struct{ Client int }
		if err := s.Auth(&auth); err != nil {
			return err
		}
		s.Join("room"+strconv.Itoa(auth.Client%10), "client"+strconv.Itoa(auth.Client))
		return nil
	})
	if _, err := srv.Of("/").All().Count(m.t.Context()); err != nil { // when Redis is reached
		m.t.Fatal(err)
	}
	host := httptest.NewServer(srv)
	m.t.Cleanup(func() { _ = srv.Shutdown(context.Background()); host.Close() })
	m.hosts = append(m.hosts, host.Listener.Addr().String())
	return &speaker{t: m.t, name: name, srv: srv, sent: map[string]int{}}
}

// emit has some servers emit some events each.
func (m *moving) emit(times int, from ...*speaker) {
	for range times {
		for _, e := range from {
			e.some(m.count)
		}
	}
}

// until waits for something.
func (m *moving) until(what string, f func() bool) {
	m.t.Helper()
	for late := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			m.t.Fatalf("never happened: %s", what)
		}
	}
}

// settle waits until what was emitted is in the stream, and Node has read it.
func (m *moving) settle() {
	m.t.Helper()
	sent := 0
	for _, e := range m.speakers {
		for _, n := range e.sent {
			sent += n
		}
	}
	last := ""
	m.until("all that was emitted is in the stream", func() bool {
		entries, err := m.client.Do(m.t.Context(), m.client.B().Xrange().Key("socket.io").Start("-").End("+").Build()).AsXRange()
		if err != nil {
			m.t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			if e.FieldValues["type"] == "3" && !strings.Contains(e.FieldValues["data"], `"recovery"`) {
				n++
			}
			last = e.ID
		}
		return n == sent
	})
	m.until("Node has read it", func() bool {
		node := m.speakers[0].node
		node.do("read", "")
		return node.next("read")["last"] == last
	})
}

// begin connects the clients.
func (m *moving) begin(to ...string) {
	m.t.Helper()
	m.board.serve(to, func(int) bool { return false })
	m.clients = launch(m.t, "recovery.mjs", "clients", "http://"+m.board.addr, strconv.Itoa(m.count))
	m.clients.next("all there")
}

// result is what a client has got.
type result struct {
	Client, Recovered, Fresh, Events int
	Last                             map[string]int // the number of the last event, by who and to whom
	Errors                           []string
}

// results are those of all clients.
func (m *moving) results() (list []result) {
	m.t.Helper()
	m.clients.do("report", "")
	text, _ := json.Marshal(m.clients.next("report")["results"])
	if err := json.Unmarshal(text, &list); err != nil {
		m.t.Fatal(err)
	}
	return list
}

// verify has each server emit something to everybody, and compares what the clients have got then
// with what was emitted. It returns how often they were recovered, and how often they were told
// that they are new.
func (m *moving) verify(from ...*speaker) (recovered, fresh int) {
	m.t.Helper()
	for _, e := range from {
		e.emit("all")
		for i := range 10 {
			e.emit("room" + strconv.Itoa(i))
		}
		for i := range m.count {
			e.emit("client" + strconv.Itoa(i))
		}
	}
	missing := ""
	m.until("all has come", func() bool {
		missing = m.missing(m.results(), from)
		return missing == ""
	})
	events := 0
	for _, r := range m.results() {
		recovered, fresh, events = recovered+r.Recovered, fresh+r.Fresh, events+r.Events
		if len(r.Errors) > 0 {
			m.t.Errorf("client %d: %q", r.Client, r.Errors)
		}
	}
	m.t.Logf("%d clients, %d times recovered, %d times new, %d events", m.count, recovered, fresh, events)
	return recovered, fresh
}

// missing names something that has not come yet.
func (m *moving) missing(list []result, from []*speaker) string {
	for _, r := range list {
		for _, e := range from {
			for kind, to := range map[string]string{"all": "all", "room": "room" + strconv.Itoa(r.Client%10), "client": "client" + strconv.Itoa(r.Client)} {
				if got := r.Last[e.name+" "+kind]; got != e.sent[to] {
					return fmt.Sprintf("client %d has %s %s up to %d of %d", r.Client, e.name, kind, got, e.sent[to])
				}
			}
		}
	}
	return ""
}

// allHave reports whether all clients have had the last event that a server has emitted to all.
func (m *moving) allHave(e *speaker) bool {
	m.t.Helper()
	return !slices.ContainsFunc(m.results(), func(r result) bool { return r.Last[e.name+" all"] != e.sent["all"] })
}

// sockets is how many sockets there are at all servers.
func (m *moving) sockets() (n int) {
	m.t.Helper()
	for _, e := range m.speakers {
		if e.srv != nil {
			n += e.srv.Of("/").Len()
			continue
		}
		e.node.do("count", "")
		n += int(e.node.next("count")["sockets"].(float64))
	}
	return n
}

// stored is how many sessions Redis has.
func (m *moving) stored() int {
	m.t.Helper()
	keys, err := m.client.Do(m.t.Context(), m.client.B().Keys().Pattern("sio:session:*").Build()).AsStrSlice()
	if err != nil {
		m.t.Fatal(err)
	}
	return len(keys)
}

// TestRecovery: official clients move between two Servers and a process of Node, in every
// direction, and get what all three have emitted while they were away, once and in order.
//
// Two faults of Node are left out. To its own clients Node sends what it emits itself in another
// order than that of the stream, and takes the last offset that a client has for the largest: so
// that is settled when connections end. And what comes while a client is coming back Node sends
// twice: so nothing does.
func TestRecovery(t *testing.T) {
	m := newMoving(t, 30)
	everywhere := append(slices.Clone(m.hosts), m.node)
	m.begin(everywhere...)
	const rounds = 15
	for range rounds {
		m.emit(5, m.speakers...)
		m.settle()
		m.speakers[1].emit("all")
		m.until("clients of Node have an offset behind that", func() bool { return m.allHave(m.speakers[1]) })
		m.emit(5, m.speakers[1:]...)
		m.board.serve(nil, func(int) bool { return true })
		m.until("the servers notice", func() bool { return m.sockets() == 0 })
		m.emit(5, m.speakers...)
		m.settle()
		m.until("all sessions are stored", func() bool { return m.stored() == m.count })
		m.board.serve(everywhere, func(int) bool { return false })
		m.clients.next("all there")
	}
	if recovered, fresh := m.verify(m.speakers...); recovered != rounds*m.count || fresh > 0 {
		t.Error("not all were recovered")
	}
}

// TestRecoveryTraffic: official clients move between two Servers while those, and a process of
// Node, emit.
func TestRecoveryTraffic(t *testing.T) {
	m := newMoving(t, 60)
	m.begin(m.hosts...)
	recovered := func() (n int64) {
		for _, e := range m.speakers[1:] {
			n += e.srv.Stats().Recovered
		}
		return n
	}
	m.until("enough are recovered", func() bool {
		m.emit(1, m.speakers...)
		one := rand.IntN(20)
		m.board.serve(m.hosts, func(i int) bool { return i == one })
		return recovered() >= 500
	})
	// Who is new was away for too long, on a slow machine.
	if recovered, fresh := m.verify(m.speakers...); fresh > recovered/10 {
		t.Error("too many were new")
	}
}

// TestRecoveryRestart: the Servers are restarted one after the other, while all emit.
func TestRecoveryRestart(t *testing.T) {
	m := newMoving(t, 40)
	m.begin(m.hosts...)
	node, live := m.speakers[0], m.speakers[1:]
	for i := range 4 {
		old := live[0]
		live = []*speaker{live[1], m.server(fmt.Sprint("c", i))}
		m.hosts = m.hosts[1:]
		m.board.serve(m.hosts, func(int) bool { return false })
		m.emit(10, old)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for tick := time.NewTicker(5 * time.Millisecond); ; {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
					m.emit(1, node, live[0], live[1])
				}
			}
		}()
		if err := old.srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		m.until("all are there again", func() bool { return live[0].srv.Of("/").Len()+live[1].srv.Of("/").Len() == m.count })
		close(stop)
		<-done
	}
	if recovered, fresh := m.verify(node, live[0], live[1]); fresh > recovered/10 {
		t.Error("too many were new")
	}
}
