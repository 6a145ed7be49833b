package natsembed_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/clustertest"
	"github.com/siokit/siokit/internal/testkit"
)

// The tests of package natsbus that need a server are here too: its module must not require
// one.
func TestMain(m *testing.M) {
	if port := os.Getenv(childPort); port != "" {
		child(port)
		return
	}
	if clustertest.Child(childBackend) {
		return
	}
	testkit.Main(m)
}

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// recorder is a Receiver that remembers.
type recorder struct {
	hold chan struct{} // when it is not nil, Receive waits for it

	mu    sync.Mutex
	news  chan struct{} // closed and replaced with each thing that happens
	log   []string      // "up", "down", "lost N", and what the messages say
	ups   int
	downs int
	lost  int
	errs  []error
	got   []string
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{})} }

func (r *recorder) note(s string, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.log = append(r.log, s)
	close(r.news)
	r.news = make(chan struct{})
}

func (r *recorder) Receive(m *cluster.Message) {
	if r.hold != nil {
		<-r.hold
	}
	s := say(m)
	r.note(s, func() { r.got = append(r.got, s) })
}

func (r *recorder) Up() { r.note("up", func() { r.ups++ }) }

func (r *recorder) Down(err error) {
	r.note("down", func() { r.downs++; r.errs = append(r.errs, err) })
}

func (r *recorder) Lost(n int, err error) {
	r.note(fmt.Sprint("lost ", n), func() { r.lost += n; r.errs = append(r.errs, err) })
}

// await waits until the condition holds.
func (r *recorder) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		r.mu.Lock()
		ok, news := cond(), r.news
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-late.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("%s: has not come; the end of the log: %q, errors %v", what, r.log[max(0, len(r.log)-20):], r.errs)
		}
	}
}

func (r *recorder) awaitUp(t *testing.T, n int) {
	t.Helper()
	r.await(t, fmt.Sprint("up ", n), func() bool { return r.ups >= n })
}

func (r *recorder) awaitMessage(t *testing.T, s string) {
	t.Helper()
	r.await(t, s, func() bool {
		for i := len(r.got) - 1; i >= 0; i-- {
			if r.got[i] == s {
				return true
			}
		}
		return false
	})
}

func (r *recorder) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// say is what a message of these tests says.
func say(m *cluster.Message) string {
	if m.Kind != cluster.Emit {
		return fmt.Sprint("kind ", uint8(m.Kind), " ", m.ID)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(m.Data), `["`), `"]`)
}

// emit is an event with a name, for rooms.
func emit(name string, rooms ...string) *cluster.Message {
	return &cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: rooms, Data: []byte(`["` + name + `"]`)}
}

// member is a node of the tests.
type member struct {
	cluster.Backend
	*recorder
	t    *testing.T
	name string
}

func join(t *testing.T, name string, b cluster.Backend) *member {
	t.Helper()
	m := &member{b, newRecorder(), t, name}
	m.start()
	return m
}

func (m *member) start() {
	m.t.Helper()
	if err := m.Start(m.t.Context(), m.name, m.recorder); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(m.leave)
}

func (m *member) leave() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		m.t.Error("close:", err)
	}
}

func (m *member) publish(ms ...*cluster.Message) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	for _, msg := range ms {
		msg.Node = m.name
	}
	return m.Publish(ctx, ms)
}

func (m *member) send(ms ...*cluster.Message) {
	m.t.Helper()
	if err := m.publish(ms...); err != nil {
		m.t.Fatal(err)
	}
}

func (m *member) watch(rooms ...string) { m.t.Helper(); m.change(true, rooms...) }

func (m *member) unwatch(rooms ...string) { m.t.Helper(); m.change(false, rooms...) }

func (m *member) change(on bool, rooms ...string) {
	m.t.Helper()
	var changes []cluster.Interest
	for _, r := range rooms {
		changes = append(changes, cluster.Interest{Namespace: "/", Room: r, On: on})
	}
	if err := m.Watch(m.t.Context(), changes); err != nil {
		m.t.Fatal(err)
	}
}

// broker is a NATS server that can be restarted.
type broker struct {
	t    *testing.T
	port int
	opts server.Options
	srv  *server.Server
}

func startBroker(t *testing.T, o server.Options) *broker {
	t.Helper()
	b := &broker{t: t, port: testkit.Port(t), opts: o}
	b.start()
	t.Cleanup(b.stop)
	return b
}

// options are those of the server that runs.
func (b *broker) options() server.Options {
	o := b.opts
	o.AuthTimeout = patience.Seconds() // a login on a machine that stands still
	o.Host, o.Port, o.NoLog, o.NoSigs, o.NoSystemAccount = "127.0.0.1", b.port, true, true, true
	return o
}

// reload changes options of the server while it runs.
func (b *broker) reload(change func(o *server.Options)) {
	b.t.Helper()
	o := b.options()
	change(&o)
	if err := b.srv.ReloadOptions(&o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) start() {
	b.t.Helper()
	o := b.options()
	srv, err := server.NewServer(&o)
	if err != nil {
		b.t.Fatal(err)
	}
	srv.Start()
	if srv.Addr() == nil {
		b.t.Fatalf("cannot listen on %d", b.port)
	}
	b.srv = srv
}

func (b *broker) stop() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

func (b *broker) url() string { return "nats://127.0.0.1:" + strconv.Itoa(b.port) }

// node starts a node that connects to the broker, quickly when it was away.
func (b *broker) node(name string, options ...nats.Option) *member {
	b.t.Helper()
	return join(b.t, name, natsbus.New(b.url(), &natsbus.Options{App: "test", Connect: append(quick(), options...)}))
}

func quick() []nats.Option {
	// What a machine that stands still for longer than the two seconds of nats.go would end is no
	// part of these tests.
	return []nats.Option{nats.Timeout(patience), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(time.Millisecond, time.Millisecond)}
}
