package sio

import (
	"context"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

// crowd is a server with clients in one room that read and do nothing else.
type crowd struct {
	srv     *Server
	sockets []*Socket
	read    []atomic.Int64 // bytes, of each client
	size    int64          // of one event, as it is read
	sent    int64
	bus     *counted // nil when nothing is published
}

func newCrowd(tb testing.TB, clients int, o *Options) *crowd {
	c := &crowd{srv: NewServer(o), read: make([]atomic.Int64, clients)}
	c.bus, _ = o.Cluster.(*counted)
	sockets := make(chan *Socket, clients)
	c.srv.Of("/").OnConnected(func(_ context.Context, s *Socket) { s.Join("lobby"); sockets <- s })
	hs := httptest.NewServer(c.srv)
	w := wire.New(tb, hs.URL, "/socket.io/")
	tb.Cleanup(func() {
		w.Close()
		if err := c.srv.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		hs.Close()
	})
	for i := range clients {
		conn := w.Join("").Conn
		c.sockets = append(c.sockets, <-sockets)
		go count(conn, &c.read[i])
	}
	return c
}

func count(c net.Conn, to *atomic.Int64) {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		to.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// pace waits until the clients have read all but a few events, and the bus has taken as much.
func (c *crowd) pace(few int64) {
	if c.sent++; c.sent%few != 0 {
		return
	}
	for i := range c.read {
		for c.read[i].Load() < c.sent*c.size {
			time.Sleep(20 * time.Microsecond)
		}
	}
	for c.bus != nil && c.bus.taken.Load() < c.sent {
		time.Sleep(20 * time.Microsecond)
	}
}

// counted is a backend that counts what was published.
type counted struct {
	cluster.Backend
	taken atomic.Int64
}

func (c *counted) Publish(ctx context.Context, ms []*cluster.Message) error {
	err := c.Backend.Publish(ctx, ms)
	for _, m := range ms {
		if m.Kind == cluster.Emit {
			c.taken.Add(1)
		}
	}
	return err
}

// measure finds out how long an event is on the wire.
func (c *crowd) measure(emit func()) {
	emit()
	for last := int64(-1); c.size == 0 || last != c.size; {
		last = c.size
		time.Sleep(5 * time.Millisecond)
		c.size = c.read[0].Load()
	}
	for i := range c.read {
		for c.read[i].Load() < c.size {
			time.Sleep(time.Millisecond)
		}
	}
	c.sent = 1
}

const benchText = "0123456789abcdef"

// emits are what BenchmarkClusterEmit measures.
var emits = []struct {
	name    string
	clients int // the last is the sender
	emit    func(c *crowd) error
}{
	{"room", 1, func(c *crowd) error { return c.srv.Of("/").To("lobby").Emit("hello", benchText) }},
	{"all", 1, func(c *crowd) error { return c.srv.Of("/").Emit("hello", benchText) }},
	{"id", 1, func(c *crowd) error {
		c.bus = nil // nothing is published
		return c.srv.Of("/").To(c.sockets[0].id).Emit("hello", benchText)
	}},
	{"others", 2, func(c *crowd) error { return c.sockets[1].To("lobby").Emit("hello", benchText) }},
}

// modes are servers without a cluster, and with another node that has no sockets.
func modes(tb testing.TB) []struct {
	name string
	opts func() *Options
} {
	return []struct {
		name string
		opts func() *Options
	}{
		{"alone", func() *Options { return &Options{} }},
		{"cluster", func() *Options {
			bus := cluster.NewBus()
			other := NewServer(&Options{Cluster: bus.Backend()})
			tb.Cleanup(func() { _ = other.Shutdown(context.Background()) })
			return &Options{Cluster: &counted{Backend: bus.Backend()}}
		}},
	}
}

// emitter prepares one row.
func emitter(tb testing.TB, o *Options, clients int, emit func(c *crowd) error) (c *crowd, once func()) {
	c = newCrowd(tb, clients, o)
	if clients > 1 {
		c.read = c.read[:1] // the sender gets nothing
	}
	once = func() {
		if err := emit(c); err != nil {
			tb.Fatal(err)
		}
	}
	if c.srv.node != nil {
		if err := c.srv.node.Ready(context.Background()); err != nil {
			tb.Fatal(err)
		}
	}
	// What has come before the first event does not count.
	for i := range c.read {
		for c.read[i].Load() > 0 {
			c.read[i].Store(0)
			time.Sleep(5 * time.Millisecond)
		}
	}
	c.measure(once)
	return c, once
}

// BenchmarkClusterEmit is an event for a room of one client, with and without a cluster.
func BenchmarkClusterEmit(b *testing.B) {
	for _, row := range emits {
		for _, mode := range modes(b) {
			b.Run(row.name+"/"+mode.name, func(b *testing.B) {
				c, once := emitter(b, mode.opts(), row.clients, row.emit)
				b.ReportAllocs()
				for b.Loop() {
					once()
					c.pace(256)
				}
			})
		}
	}
}

// BenchmarkClusterReceive is an event for a room of 500 clients, of the own node and of another.
func BenchmarkClusterReceive(b *testing.B) {
	m := cluster.Message{Kind: cluster.Emit, Node: "other", Namespace: "/", Rooms: []string{"lobby"}, Data: []byte(`["hello","` + benchText + `"]`)}
	for _, row := range []struct {
		name string
		emit func(c *crowd) error
	}{
		{"local", func(c *crowd) error { return c.srv.Of("/").To("lobby").Local().Emit("hello", benchText) }},
		{"remote", func(c *crowd) error { clusterHost{c.srv}.Deliver(&m); return nil }},
	} {
		b.Run(row.name, func(b *testing.B) {
			c, once := emitter(b, &Options{Cluster: cluster.NewBus().Backend()}, 500, row.emit)
			c.read = c.read[:cap(c.read)]
			b.ReportAllocs()
			for b.Loop() {
				once()
				c.pace(8)
			}
		})
	}
}
