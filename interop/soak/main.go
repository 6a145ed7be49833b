// Command soak has clients of three generations talk to a server, or to three of a cluster,
// through a network that delays, cuts and resets their connections. Every message is numbered. It
// prints what was lost, doubled or reordered although its connection lived, what went with a
// connection that ended, and whether memory, goroutines, descriptors and CPU time at idle grow.
// The exit status is 1 when something is wrong.
//
//	go run ./interop/soak -duration 2m
//
// What must hold on a connection that lives: nothing is lost, doubled or reordered, of broadcasts
// and rooms for each server that emits, of events for one client, of events and acks in the
// other direction. Over the end of a connection: what arrives arrives at most once and in order,
// what was acknowledged was handled, and what stood before a goodbye is handled. What else went
// with the connection is counted.
//
// Traffic and idle phases take turns. At the end of a phase with traffic the network is sound,
// and all that is under way has to arrive. In the idle phase the clients stay; one sample is
// taken in each. The rule of the verdict is in slope.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/testkit"
)

// config is what a run is made of.
type config struct {
	duration      time.Duration
	traffic, idle time.Duration // of one cycle
	seed          uint64
	clients       int
	nodes         int
	host          string
	bus           string
	settles       time.Duration // how long what is under way may take behind the traffic
	answers       time.Duration // how long a client may take for an ack
	trouble       int           // how often the network has faults; 0: never
	// A run that has to fail: spoil is the handler of an event; drop says of a broadcast, by its
	// room, or of an "ack" of a client that it gets lost. nil: all is as it should be.
	spoil func(n *node) sio.Handler
	drop  func(what string) bool
}

// run is one run.
type run struct {
	config
	ledger  *ledger
	logger  *slog.Logger
	nodes   []*node
	proxies []*netfault.Proxy
	clients []*client

	storm    atomic.Bool // there is traffic
	rough    atomic.Bool // the network has faults now
	closing  atomic.Bool // the servers end, one behind the other, and one of them may be the bus
	peers    sync.Map    // the server's side of the connections, by the id of the socket
	joined   atomic.Int64
	messages atomic.Int64 // that have arrived, on either side

	mu   sync.Mutex
	gone []*life // connections that have ended and are not accounted for
}

func main() {
	c := config{trouble: 1, settles: time.Minute, answers: patience}
	flag.DurationVar(&c.duration, "duration", 30*time.Minute, "how long")
	flag.Uint64Var(&c.seed, "seed", 0, "of the faults; 0: a new one, which is printed")
	flag.IntVar(&c.clients, "clients", 80, "how many clients")
	flag.IntVar(&c.nodes, "nodes", 1, "how many servers; more than one are a cluster")
	flag.StringVar(&c.host, "host", "nethttp", "the framework: nethttp, gin, echo, echov5, chi, fiber or fiberv3")
	flag.StringVar(&c.bus, "bus", "memory", "of a cluster: memory or natsembed")
	flag.Parse()
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	c.traffic, c.idle = 15*time.Second, 4*time.Second
	if c.duration < 10*time.Minute {
		c.traffic, c.idle = max(c.duration/48, time.Second), time.Second
	}
	if _, ok := hosts[c.host]; !ok || flag.NArg() > 0 || c.bus != "memory" && c.bus != "natsembed" || c.clients < 1 || c.nodes < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if !soak(c, os.Stdout) {
		os.Exit(1)
	}
}

// soak runs, prints and reports whether all is well.
func soak(c config, out io.Writer) bool {
	r := &run{config: c, ledger: newLedger(out), logger: slog.New(slog.DiscardHandler)}
	r.ledger.say("soak: %v, seed %d, %d clients, %d servers on %s, bus: %s", c.duration, c.seed, c.clients, c.nodes, c.host, c.bus)
	filesBefore := files()
	stop := r.start()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, cl := range r.clients {
		wg.Go(func() { cl.loop(ctx) })
	}
	started := time.Now()
	var samples []sample
	for cycle := uint64(0); time.Since(started) < c.duration && r.ledger.faults() < 1000; cycle++ {
		r.busy(c.seed + cycle)
		r.settle()
		s := measure(started, c.idle)
		samples = append(samples, s)
		r.ledger.say("%8v  %9d messages, heap %7.0f KiB, %5.0f goroutines, %5.0f descriptors, CPU at idle %6.1f ms/s, %d wrong",
			s.at.Round(time.Second), r.messages.Load(), s.heap/1024, s.goroutines, s.files, s.cpu, r.ledger.faults())
	}
	cancel()
	wg.Wait()
	stop()
	if left := testkit.Leaked(patience, "main.main"); left != "" {
		r.ledger.fault("leak", "goroutines at the end:\n%s", left)
	}
	for until := time.Now().Add(patience); files() > filesBefore+2 && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
	}
	if n := files(); n > filesBefore+2 { // the poller of the runtime has two
		r.ledger.fault("leak", "%d descriptors at the end, %d at the start", n, filesBefore)
	}
	return r.report(samples)
}

// start starts servers, proxies and clients. stop ends the servers and the proxies.
func (r *run) start() (stop func()) {
	backend := func() cluster.Backend { return nil }
	if r.config.nodes > 1 {
		bus := cluster.NewBus()
		backend = bus.Backend
		if r.bus == "natsembed" {
			port, _ := testkit.FreePort()
			backend = func() cluster.Backend { return natsembed.New(&natsembed.Options{App: "soak", Port: port}) }
		}
	}
	t := new(tb)
	var stops []func()
	for i := range r.config.nodes {
		n := newNode(r, i, backend())
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		stops = append(stops, hosts[r.host](ln, n.Server))
		r.nodes = append(r.nodes, n)
		r.proxies = append(r.proxies, netfault.NewFlows(t, ln.Addr().String(), r.flows(uint64(i))))
	}
	for _, n := range r.nodes { // what is emitted before the bus is reached is lost
		for late := time.Now().Add(patience); int(n.others.Load()) < len(r.nodes)-1 && time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
		}
	}
	for i := range r.config.clients {
		r.clients = append(r.clients, &client{run: r, number: i, rnd: rand.New(rand.NewPCG(r.seed, 1000+uint64(i)))})
	}
	return func() {
		r.closing.Store(true)
		for i, n := range r.nodes {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			if err := n.Shutdown(ctx); err != nil {
				r.ledger.fault("shutdown", "node %d: %v", i, err)
			}
			cancel()
			stops[i]()
		}
		t.cleanup()
	}
}

// busy is a phase with traffic.
func (r *run) busy(seed uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), r.traffic)
	defer cancel()
	r.storm.Store(true)
	r.rough.Store(r.trouble > 0)
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		wg.Go(func() { n.traffic(ctx, seed, &wg) })
	}
	<-ctx.Done()
	r.rough.Store(false)
	r.storm.Store(false)
	wg.Wait()
}

// ended is told of each connection that has ended.
func (r *run) ended(l *life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = append(r.gone, l)
}

// settle waits until all clients are connected and all that is under way has arrived, and until
// the server has noticed the end of every connection that has ended. Each node emits once more
// to everybody and to each room, so that a client which has connected behind the traffic has to
// get something too; and again, as long as something is missing.
func (r *run) settle() {
	late := time.Now().Add(r.settles)
	r.emit()
	emitted := time.Now()
	waits := func(what func() string) {
		for {
			text := what()
			if text == "" {
				return
			}
			if time.Now().After(late) {
				r.ledger.fault("lost", "still missing, %v behind the traffic: %s", r.settles, text)
				return
			}
			if time.Since(emitted) > time.Second {
				r.emit()
				emitted = time.Now()
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	for _, c := range r.clients {
		waits(func() string {
			l := c.now.Load()
			if l == nil {
				return fmt.Sprintf("the connection of client %d", c.number)
			}
			if text := l.pending(r.nodes); text != "" {
				return fmt.Sprintf("%s: %s", kinds[l.kind].name, text)
			}
			return ""
		})
	}
	r.mu.Lock()
	gone := r.gone
	r.gone = nil
	r.mu.Unlock()
	for _, l := range gone {
		waits(func() string {
			if l.over() {
				return ""
			}
			return "that the server notices the end of " + kinds[l.kind].name
		})
		l.account()
	}
	waits(func() string {
		sockets := 0
		for _, n := range r.nodes {
			sockets += n.Stats().Sockets
		}
		if sockets != len(r.clients) {
			return fmt.Sprintf("%d sockets of %d clients", sockets, len(r.clients))
		}
		return ""
	})
}

// emit has each node emit one event to everybody, and to each room.
func (r *run) emit() {
	for _, n := range r.nodes {
		n.many("")
		n.many("x")
		for i := range rooms {
			n.many(fmt.Sprint("r", i))
		}
	}
}

// over says whether the server knows that the connection has ended.
func (l *life) over() bool {
	l.mu.Lock()
	p := l.peer
	l.mu.Unlock()
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// flows are the faults of the network in front of a node. What happens to a connection is
// decided by the seed, its number, and how often something has come.
func (r *run) flows(node uint64) func(n int) (up, down netfault.Flow) {
	return func(n int) (up, down netfault.Flow) {
		one := func(way uint64) netfault.Flow {
			rnd := rand.New(rand.NewPCG(r.seed, node<<48|uint64(n)<<1|way))
			return func(b []byte, forward func([]byte) error) error { return r.pass(rnd, b, forward) }
		}
		return one(0), one(1)
	}
}

func (r *run) pass(rnd *rand.Rand, b []byte, forward func([]byte) error) error {
	if !r.rough.Load() || len(b) == 0 {
		return forward(b)
	}
	wait := func(d time.Duration) { // ends with the trouble
		for until := time.Now().Add(d); r.rough.Load() && time.Now().Before(until); time.Sleep(time.Millisecond) {
		}
	}
	switch k := rnd.IntN(2000 / r.trouble); {
	case k < 4:
		_ = forward(b[:rnd.IntN(len(b))])
		r.ledger.count("network: cut", 1)
		return io.EOF
	case k < 7:
		_ = forward(b[:rnd.IntN(len(b))])
		r.ledger.count("network: reset", 1)
		return netfault.ErrReset
	case k < 10:
		r.ledger.count("network: stalled for up to 2 s", 1)
		wait(time.Duration(rnd.IntN(2000)) * time.Millisecond)
	case k < 11:
		r.ledger.count("network: stalled for 6 s", 1)
		wait(6 * time.Second)
	case k < 400:
		wait(time.Duration(rnd.IntN(20)) * time.Millisecond)
	case k < 600: // in two pieces
		i := rnd.IntN(len(b))
		if err := forward(b[:i]); err != nil {
			return err
		}
		b = b[i:]
	}
	return forward(b)
}

// report prints what was counted, and the verdict.
func (r *run) report(samples []sample) bool {
	l := r.ledger
	for _, what := range slices.Sorted(maps.Keys(l.counts)) {
		l.say("%9d %s", l.counts[what], what)
	}
	for _, kind := range slices.Sorted(maps.Keys(l.wrong)) {
		l.say("%9d WRONG: %s", l.wrong[kind], kind)
	}
	if len(l.wrong) == 0 {
		l.say("nothing was lost, doubled or reordered on a connection that lived")
	}
	texts, flat := verdicts(samples)
	for _, text := range texts {
		l.say("%s", text)
	}
	ok := flat && len(l.wrong) == 0
	verdict := "FAILED"
	if ok {
		verdict = "passed"
	}
	l.say("soak %s: %d messages, seed %d", verdict, r.messages.Load(), r.seed)
	return ok
}
