package redisbus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/clustertest"
	"github.com/siokit/siokit/internal/redistest"
	"github.com/siokit/siokit/internal/testkit"
)

// A process of a node is started with the name of its wire and the address of Redis.
func TestMain(m *testing.M) {
	if clustertest.Child(func(arg string) cluster.Backend {
		wire, addr, _ := strings.Cut(arg, " ")
		o := Options{MaxLen: stalledLen}
		for _, w := range []Wire{Classic, Sharded, Streams} {
			if w.String() == wire {
				o.Wire = w
			}
		}
		return busAt(addr, o).Backend()
	}) {
		return
	}
	testkit.Main(m)
}

// redis is a server of Redis, with clients for it.
type redis struct {
	*redistest.Server
	t *testing.T
}

func startRedis(t *testing.T, args ...string) *redis {
	t.Helper()
	return &redis{redistest.Start(t, args...), t}
}

func (r *redis) option() rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{r.Addr}, DisableCache: true, ForceSingleClient: true}
}

// client is a connection to look from outside.
func (r *redis) client() rueidis.Client {
	r.t.Helper()
	c, err := rueidis.NewClient(r.option())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// do runs a command.
func do(t *testing.T, c rueidis.CoreClient, args ...string) rueidis.RedisResult {
	t.Helper()
	res := c.Do(t.Context(), c.B().Arbitrary(args...).Build())
	if err := res.Error(); err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%.200q: %v", args, err)
	}
	return res
}

// recorder is a Receiver.
type recorder struct {
	node string
	all  bool // also what the node itself has said

	mu    sync.Mutex
	moved *sync.Cond
	ms    []*cluster.Message
	ups   int
	downs int
	lost  int
	errs  []error
	slow  func() // called in Receive
}

func newRecorder(node string) *recorder {
	r := &recorder{node: node}
	r.moved = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.moved.Broadcast()
}

func (r *recorder) Receive(m *cluster.Message) {
	if m.Node == r.node && !r.all || m.To != "" && m.To != r.node {
		return
	}
	if r.slow != nil {
		r.slow()
	}
	r.note(func() { r.ms = append(r.ms, clone(m)) })
}
func (r *recorder) Up()            { r.note(func() { r.ups++ }) }
func (r *recorder) Down(err error) { r.note(func() { r.downs++; r.errs = append(r.errs, err) }) }
func (r *recorder) Lost(n int, err error) {
	r.note(func() { r.lost += n; r.errs = append(r.errs, err) })
}

// until waits for something that f, which is called with the lock held, sees.
func (r *recorder) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(30*time.Second, func() { r.note(func() { late = true }) })
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !f() {
		if late {
			t.Fatalf("%s: not within 30 s; node %s: %d messages, %d up, %d down, %d lost, errors %v", what, r.node, len(r.ms), r.ups, r.downs, r.lost, r.errs)
		}
		r.moved.Wait()
	}
}

// next waits for messages, and takes them.
func (r *recorder) next(t *testing.T, n int) []*cluster.Message {
	t.Helper()
	r.until(t, fmt.Sprintf("%d messages", n), func() bool { return len(r.ms) >= n })
	r.mu.Lock()
	defer r.mu.Unlock()
	ms := r.ms
	r.ms = nil
	return ms
}

func clone(m *cluster.Message) *cluster.Message {
	c := *m
	c.Rooms, c.Except, c.Names = append([]string{}, m.Rooms...), append([]string{}, m.Except...), append([]string{}, m.Names...)
	c.Data = append([]byte{}, m.Data...)
	c.Attachments = nil
	for _, a := range m.Attachments {
		c.Attachments = append(c.Attachments, append([]byte{}, a...))
	}
	c.Sockets = nil
	for _, s := range m.Sockets {
		c.Sockets = append(c.Sockets, cluster.Socket{ID: s.ID, Rooms: append([]string{}, s.Rooms...), Data: append([]byte{}, s.Data...), Handshake: append([]byte{}, s.Handshake...)})
	}
	return &c
}

// peer is a node.
type peer struct {
	cluster.Backend
	*recorder
	t *testing.T
}

// join makes a node, and waits until it has reached Redis, and watches the namespace /.
func join(t *testing.T, b cluster.Backend, node string) *peer {
	t.Helper()
	p := &peer{b, newRecorder(node), t}
	if err := b.Start(t.Context(), node, p.recorder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	p.until(t, "up", func() bool { return p.ups == 1 })
	p.watch("/", "")
	return p
}

func (p *peer) change(on bool, namespace string, rooms ...string) {
	p.t.Helper()
	var list []cluster.Interest
	for _, r := range rooms {
		list = append(list, cluster.Interest{Namespace: namespace, Room: r, Socket: len(r) == 20, On: on})
	}
	if err := p.Watch(p.t.Context(), list); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) watch(namespace string, rooms ...string)   { p.change(true, namespace, rooms...) }
func (p *peer) unwatch(namespace string, rooms ...string) { p.change(false, namespace, rooms...) }

// say publishes as the engine does: with the node's name.
func (p *peer) say(ms ...*cluster.Message) {
	p.t.Helper()
	if err := p.try(ms...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) try(ms ...*cluster.Message) error {
	for _, m := range ms {
		m.Node = p.node
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return p.Publish(ctx, ms)
}
