package redisbus

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/wire"
)

// recovering is a Server that recovers clients by the stream.
type recovering struct {
	*sio.Server
	client *wire.Client
	host   *httptest.Server
}

func startRecovering(t *testing.T, addr string) *recovering {
	t.Helper()
	s := &recovering{Server: sio.NewServer(&sio.Options{Cluster: New(at(addr), Options{Wire: Streams, Probe: quick}), Recovery: &sio.Recovery{}})}
	s.Of("/").OnConnect(func(_ context.Context, c *sio.Socket) error {
		if !c.Recovered() {
			c.Join("room")
		}
		return nil
	})
	if _, err := s.Of("/").All().Count(t.Context()); err != nil { // when Redis is reached
		t.Fatal(err)
	}
	s.host = httptest.NewServer(s)
	s.client = wire.New(t, s.host.URL, "/socket.io/")
	t.Cleanup(func() {
		s.client.Close()
		_ = s.Shutdown(context.Background())
		s.host.Close()
	})
	return s
}

// guest is a client that can be recovered.
type guest struct {
	t                *testing.T
	w                *wire.WS
	sid, pid, offset string
}

func (g *guest) connect(s *recovering) (recovered bool) {
	g.t.Helper()
	g.w, _ = s.client.WebSocket()
	auth := ""
	if g.pid != "" {
		auth = fmt.Sprintf(`{"pid":%q,"offset":%q}`, g.pid, g.offset)
	}
	g.w.Send("40" + auth)
	var is struct{ Sid, Pid string }
	if m := g.w.Next(); json.Unmarshal([]byte(strings.TrimPrefix(m, "40")), &is) != nil {
		g.t.Fatal(m)
	}
	recovered = g.sid == is.Sid
	g.sid, g.pid = is.Sid, is.Pid
	if !recovered {
		g.expect("recovery")
	}
	return recovered
}

func (g *guest) expect(events ...string) {
	g.t.Helper()
	for _, e := range events {
		m := g.w.Next()
		var args []any
		if _, text, _ := strings.Cut(m, "["); json.Unmarshal([]byte("["+text), &args) != nil || len(args) < 2 || args[0] != e {
			g.t.Fatalf("%s instead of %s", m, e)
		}
		g.offset = args[len(args)-1].(string)
	}
}

// shown waits until what a Server has emitted has come to a client, so that it is in the stream.
func (g *guest) shown(s *recovering, event string) {
	g.t.Helper()
	_ = s.Of("/").Emit(event)
	g.expect(event)
}

// TestRecovery: a client moves between Servers, one of which is ended and one restarted, and
// between them Redis is away for a while.
func TestRecovery(t *testing.T) {
	r := startRedis(t)
	a, b := startRecovering(t, r.Addr), startRecovering(t, r.Addr)
	g, watcher := &guest{t: t}, &guest{t: t}
	g.connect(a)
	watcher.connect(b)
	_ = a.Of("/").To(g.sid).Emit("one")
	_ = a.Of("/").To("room").Emit("two", []byte("x"))
	g.expect("one")
	if m := g.w.Next(); !strings.HasPrefix(m, `451-["two",{"_placeholder":true,"num":0},"`) {
		t.Fatal(m)
	} else {
		g.offset = strings.Split(m, `"`)[7]
		_, _, _ = g.w.ReadFrame()
	}
	watcher.w.Next()
	_, _, _ = watcher.w.ReadFrame()
	g.w.Reset()
	_ = b.Of("/").To(g.sid).Emit("three")
	watcher.shown(b, "four")
	if !g.connect(b) {
		t.Fatal("not recovered at the other Server")
	}
	g.expect("three", "four")
	if rooms := b.Of("/").Socket(g.sid).Rooms(); len(rooms) != 1 {
		t.Error(rooms)
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = a.Of("/").To("room").Emit("five")
	c := startRecovering(t, r.Addr)
	watcher = &guest{t: t}
	watcher.connect(c)
	watcher.shown(a, "six")
	if !g.connect(c) {
		t.Fatal("not recovered at a Server that is new")
	}
	g.expect("five", "six")
	// Both nodes are there, and the old connection is, too.
	_ = c.Of("/").Emit("seven")
	g.expect("seven")
	if !g.connect(a) {
		t.Fatal("not recovered while the other Server had the connection")
	}
	_ = c.Of("/").Emit("eight")
	g.expect("eight")
}

// TestRecoveryWithoutRedis: while Redis is away the clients of a Server get what that emits, once
// and in order, and who comes back across that time is new. What others have emitted comes late,
// and is no gap.
func TestRecoveryWithoutRedis(t *testing.T) {
	r := startRedis(t)
	p := netfault.New(t, r.Addr)
	a, b := startRecovering(t, p.Addr), startRecovering(t, r.Addr)
	g, far := &guest{t: t}, &guest{t: t}
	g.connect(a)
	far.connect(b)
	for i := range 3 {
		before := g.offset
		stop := make(chan struct{})
		done := make(chan int)
		go func() { // under way when the connection is cut
			for n := 0; ; n++ {
				select {
				case <-stop:
					done <- n
					return
				case <-time.After(200 * time.Microsecond):
					_ = a.Of("/").To(g.sid).Emit(fmt.Sprint("n", i, "-", n))
				}
			}
		}()
		<-time.After(50 * time.Millisecond)
		p.Cut()
		<-time.After(50 * time.Millisecond)
		close(stop)
		for n := range <-done {
			g.expect(fmt.Sprint("n", i, "-", n))
		}
		far.shown(b, "far")
		p.Heal()
		g.expect("far")
		_ = a.Of("/").Emit("mended") // behind what says that there was a gap
		far.expect("mended")
		g.w.Reset()
		g.offset = before
		if g.connect(b) {
			t.Error("recovered across the gap")
		}
		g.w.Reset()
		g = &guest{t: t}
		g.connect(a)
		_ = a.Of("/").Emit("again")
		g.expect("again")
		far.expect("again")
	}
}

// TestRecoveryVolatile: a volatile event is an entry of the stream as well, which its own node does
// not send for the second time.
func TestRecoveryVolatile(t *testing.T) {
	r := startRedis(t)
	a, b := startRecovering(t, r.Addr), startRecovering(t, r.Addr)
	own, other := &guest{t: t}, &guest{t: t}
	own.connect(a)
	other.connect(b)
	for i := range 1000 { // one is dropped while an earlier message waits for the client
		dropped := a.Stats().DroppedVolatile + b.Stats().DroppedVolatile
		_ = a.Of("/").To("room").Volatile().Emit("volatile")
		_ = a.Of("/").Emit("end", i)
		counts := make(map[*guest]int)
		for _, g := range []*guest{own, other} {
			for m := g.w.Next(); !strings.HasPrefix(m, fmt.Sprintf(`42["end",%d,`, i)); m = g.w.Next() {
				counts[g]++
			}
		}
		if counts[own] == 1 && counts[other] == 1 {
			return
		}
		if counts[own] > 1 || counts[other] > 1 || a.Stats().DroppedVolatile+b.Stats().DroppedVolatile == dropped {
			t.Fatalf("it came %d times at its node, and %d times at the other", counts[own], counts[other])
		}
	}
	t.Error("it is always dropped")
}
