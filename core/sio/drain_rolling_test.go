package sio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

// restarts is a cluster of three servers that start again one after the other, with clients
// that go from one to the next.
type restarts struct {
	t   *testing.T
	bus *cluster.Bus

	mu      sync.Mutex
	servers []*Server
	urls    []string
	handled map[string]int // events, by their names
	acked   map[string]int
	latest  map[string]bool // the last event of each client, under way when the test ended
	waited  time.Duration   // the longest time from the end of a connection to the next one
	stop    bool
}

// start puts a new server into a place of the cluster.
func (r *restarts) start(i int, d Drain) {
	srv := NewServer(&Options{Cluster: r.bus.Backend(), Drain: d, Logger: slog.New(slog.DiscardHandler)})
	srv.Of("/").On("say", Reply(func(_ context.Context, s *Socket, name string) (string, error) {
		time.Sleep(time.Millisecond) // some are under way whenever a server shuts down
		r.mu.Lock()
		r.handled[name]++
		r.mu.Unlock()
		return name, s.To("room").Emit("said", name)
	}))
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { s.Join("room"); return nil })
	hs := httptest.NewServer(srv)
	r.t.Cleanup(func() {
		_ = srv.Shutdown(r.t.Context())
		hs.CloseClientConnections()
		hs.Close()
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[i], r.urls[i] = srv, hs.URL
}

// next is the address of a server that is ready, as a load balancer would choose one.
func (r *restarts) next(n int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.servers {
		if at := (n + i) % len(r.servers); r.servers[at].Ready() {
			return r.urls[at]
		}
	}
	r.t.Error("no server is ready")
	return r.urls[0]
}

func (r *restarts) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stop
}

// connected notes when a client has its next connection; last is the end of its last one.
func (r *restarts) connected(last time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !last.IsZero() {
		r.waited = max(r.waited, time.Since(last))
	}
}

// answer notes an ack, and reports whether p is one.
func (r *restarts) answer(p string) bool {
	if !strings.HasPrefix(p, "43") {
		return false
	}
	_, name, _ := strings.Cut(p, `["`)
	name, _, _ = strings.Cut(name, `"`)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked[name]++
	return true
}

// leaves notes the last event of a client.
func (r *restarts) leaves(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest[name] = true
}

// frames is a client with websockets. It sends the next event when the last one is answered,
// and goes on elsewhere when the connection ends.
func (r *restarts) frames(id int) {
	n, name := 0, ""
	defer func() { r.leaves(name) }()
	var last time.Time
	for conns := 0; !r.over(); conns++ {
		w, _ := wire.New(r.t, r.next(id+conns), "/socket.io/").Upgrade("EIO=4&transport=websocket", "")
		if w == nil {
			continue
		}
		w.Send("40")
		for {
			p, err := w.Read()
			if err != nil {
				break
			}
			if strings.HasPrefix(p, "40") {
				r.connected(last)
			}
			if strings.HasPrefix(p, "40") || r.answer(p) {
				n++
				name = fmt.Sprintf("frames %d: %d", id, n)
				w.Send(fmt.Sprintf(`42%d["say","%s"]`, n, name))
			}
			if r.over() {
				return
			}
		}
		last = time.Now()
	}
}

// polls is such a client that polls.
func (r *restarts) polls(id int) {
	n, name := 0, ""
	defer func() { r.leaves(name) }()
	ctx := r.t.Context()
	var last time.Time
	for conns := 0; !r.over(); conns++ {
		c := wire.New(r.t, r.next(id+conns), "/socket.io/")
		a, err := c.Do(ctx, "GET", "EIO=4&transport=polling", "")
		if err != nil || a.Status != 200 || !strings.HasPrefix(a.Body, "0") {
			continue
		}
		_, sid, _ := strings.Cut(a.Body, `"sid":"`)
		sid, _, _ = strings.Cut(sid, `"`)
		query := "EIO=4&transport=polling&sid=" + sid
		_, _ = c.Do(ctx, "POST", query, "40")
		for ended := false; !ended && !r.over(); {
			a, err := c.Do(ctx, "GET", query, "")
			if ended = err != nil || a.Status != 200; ended {
				break
			}
			for _, p := range strings.Split(a.Body, "\x1e") {
				ended = ended || p == "1"
				if strings.HasPrefix(p, "40") {
					r.connected(last)
				}
				if strings.HasPrefix(p, "40") || r.answer(p) {
					n++
					name = fmt.Sprintf("polls %d: %d", id, n)
					_, _ = c.Do(ctx, "POST", query, fmt.Sprintf(`42%d["say","%s"]`, n, name))
				}
			}
		}
		last = time.Now()
	}
}

// TestRollingRestart: three nodes of a cluster start again one after the other, under traffic.
// Every event that was handled has its ack, and every ack is that of an event that was
// handled, once. No client waits for its next server.
func TestRollingRestart(t *testing.T) {
	r := &restarts{t: t, bus: cluster.NewBus(), servers: make([]*Server, 3), urls: make([]string, 3),
		handled: map[string]int{}, acked: map[string]int{}, latest: map[string]bool{}}
	const clients, rate = 6, 60 // of each kind
	drain := Drain{Rate: rate}
	for i := range r.servers {
		r.start(i, drain)
	}
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() { r.frames(id) })
		wg.Go(func() { r.polls(id) })
	}
	acks := func() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.acked) }
	for i := range 2 * len(r.servers) {
		from := acks()
		until(t, "traffic", func() bool { return acks() > from+5*clients })
		i %= len(r.servers)
		begun := time.Now()
		if err := r.servers[i].Shutdown(t.Context()); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
		if took := time.Since(begun); took > 2*clients*time.Second/rate+5*time.Second {
			t.Errorf("server %d took %v", i, took)
		}
		r.start(i, drain)
	}
	from := acks()
	until(t, "traffic", func() bool { return acks() > from+5*clients })
	r.mu.Lock()
	r.stop = true
	r.mu.Unlock()
	wg.Wait()
	r.check()
}

// check compares what was handled with what was acknowledged.
func (r *restarts) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, times := range r.handled {
		if times != 1 {
			r.t.Errorf("%q was handled %d times", name, times)
		}
		if r.acked[name] == 0 && !r.latest[name] {
			r.t.Errorf("%q was handled and has no ack", name)
		}
	}
	for name, times := range r.acked {
		if times != 1 || r.handled[name] == 0 {
			r.t.Errorf("%q has %d acks, and was handled %d times", name, times, r.handled[name])
		}
	}
	if r.waited > 5*time.Second {
		r.t.Errorf("a client has waited %v for its next server", r.waited)
	}
	r.t.Logf("%d events, %d acks, at most %v between two connections", len(r.handled), len(r.acked), r.waited)
}
