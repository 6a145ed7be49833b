package sio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// valve is the way of one node to the bus. While it is shut, what is for the log waits, and with
// late it has passed already; with an error Publish returns that.
type valve struct {
	cluster.Backend
	cluster.Journal

	mu      sync.Mutex
	gate    chan struct{} // closed by open; nil: it is open
	late    bool
	err     error
	holding sync.Mutex // held: what comes from the bus waits
}

func newValve(b cluster.Backend) *valve { return &valve{Backend: b, Journal: b.(cluster.Journal)} }

func (v *valve) shut(late bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gate, v.late, v.err = make(chan struct{}), late, nil
}

// open lets everything through, also what waits; with an error it fails, until the next open or
// shut.
func (v *valve) open(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err = err; v.gate != nil {
		close(v.gate)
		v.gate = nil
	}
}

func (v *valve) state() (gate chan struct{}, late bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.gate, v.late, v.err
}

func (v *valve) Publish(ctx context.Context, ms []*cluster.Message) error {
	gate, late, err := v.state()
	if gate == nil && err == nil || !slices.ContainsFunc(ms, func(m *cluster.Message) bool { return m.Ticket > 0 }) {
		return v.Backend.Publish(ctx, ms)
	}
	if late {
		_ = v.Backend.Publish(ctx, ms)
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if _, _, err := v.state(); late || err != nil {
		return err
	}
	return v.Backend.Publish(ctx, ms)
}

// Start has what comes from the bus wait for holding.
func (v *valve) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return v.Backend.Start(ctx, node, heldReceiver{r, v})
}

type heldReceiver struct {
	cluster.Receiver
	v *valve
}

func (r heldReceiver) Receive(m *cluster.Message) {
	r.v.holding.Lock()
	defer r.v.holding.Unlock()
	r.Receiver.Receive(m)
}

// TestJournalOnItsWay: rooms, and the end of a socket, while events are on their way to the log: an
// event is for those who were there when it was emitted.
func TestJournalOnItsWay(t *testing.T) {
	bus := journalBus()
	v := newValve(bus.Backend())
	a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
	n := a.Of("/")
	sockets := connected(n)
	c := serve(t, a)
	r := newReturning(t, c, "")
	s := <-sockets
	s.Join("room", "old")
	v.shut(false)
	_ = n.To("room").Emit("one")
	_ = n.To("old").Emit("two")
	s.Leave("old")
	_ = n.To("new").Emit("not this")
	s.Join("new")
	_ = n.To("new").Emit("three")
	_ = n.All().Local().Emit("five")
	_ = s.Emit("six")
	v.open(nil)
	r.expect("one", "two", "three", "five", "six")
	// Who is taken out gets what was emitted before.
	v.shut(false)
	_ = s.Emit("seven")
	_ = n.Emit("eight")
	s.Disconnect()
	r.expect("seven", "eight")
	if m := r.w.Next(); m != "41" {
		t.Error(m)
	}
	v.open(nil)
	// Who comes later does not.
	v.shut(false)
	_ = n.Emit("not this")
	other := &returning{t: t, c: c}
	other.connect("")
	if m := other.next(); m != `["recovery"]` {
		t.Error(m)
	}
	_ = (<-sockets).Emit("nine")
	v.open(nil)
	other.expect("nine")
}

// TestJournalFails: events that the log does not take, or may have taken, reach the clients of this
// node all the same, in order and once. A client that comes back across them is new; afterwards all
// is well.
func TestJournalFails(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, end := range []string{"error", "cut"} {
			t.Run(fmt.Sprint(end, " late ", late), func(t *testing.T) {
				bus := journalBus()
				v := newValve(bus.Backend())
				a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
				b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
				n := a.Of("/")
				sockets := connected(n)
				r := newReturning(t, serve(t, a), "")
				there := serve(t, b)
				s := <-sockets
				_ = s.Emit("one")
				r.expect("one")
				offset := r.offset
				v.shut(late)
				_ = n.Emit("two")
				_ = s.Emit("three")
				if end == "error" {
					v.open(errors.New("the answer was lost"))
				} else {
					bus.Cut(a.node.Name())
				}
				r.expect("two", "three")
				if end == "cut" {
					_ = n.Emit("four")
					r.expect("four")
				}
				v.open(nil)
				bus.Heal()
				a.recovery.mend()
				until(t, "the log is mended", func() bool { return a.node.Up() && !a.recovery.torn() })
				_ = n.Emit("five")
				r.expect("five")
				// Else the other node has not read "two" yet, and hands it to the new session.
				until(t, "the other node has read that", func() bool { return b.recovery.journal.Reached() >= a.recovery.journal.Reached() })
				r.away(a)
				r.offset = offset
				if r.at(there).connect("") {
					t.Errorf("recovered from %s, with the gap behind it", offset)
				}
				r.expect("recovery")
				_ = n.Emit("six")
				r.expect("six")
				r.away(b)
				_ = n.Emit("seven")
				flush(t, a)
				if !r.connect("") {
					t.Error("not recovered behind the gap")
				}
				r.expect("seven")
			})
		}
	}
}

// TestJournalDoubled: an event that the log has taken though its node was told otherwise comes
// once: the clients of this node have it before it comes back, or have it when it does.
func TestJournalDoubled(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprint("held ", held), func(t *testing.T) {
			bus := journalBus()
			v := newValve(bus.Backend())
			a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
			b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
			ra, rb := newReturning(t, serve(t, a), ""), newReturning(t, serve(t, b), "")
			for i := range 20 {
				n, m, x := fmt.Sprint("n", i), fmt.Sprint("m", i), fmt.Sprint("x", i)
				at := ""
				v.shut(i%2 == 0)
				if held {
					v.holding.Lock()
				}
				_ = a.Of("/").Emit(n)
				v.open(fmt.Errorf("failure %d", i))
				if held { // another one waits when it comes back
					ra.expect(n)
					v.open(nil)
					_ = a.Of("/").Emit(x)
					if err := a.node.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
					v.holding.Unlock()
					ra.expect(x)
					at = ra.offset
				}
				flush(t, a)
				v.open(nil)
				_ = a.Of("/").Emit(m)
				if !held {
					ra.expect(n)
				}
				ra.expect(m)
				if i%2 == 0 {
					rb.expect(n)
				}
				if held {
					if rb.expect(x); rb.offset != at {
						t.Errorf("%s is at %s and at %s", x, at, rb.offset)
					}
				}
				rb.expect(m)
				if ra.offset != rb.offset {
					t.Errorf("%s is at %s and at %s", m, ra.offset, rb.offset)
				}
			}
		})
	}
}

// TestJournalDropped: events that the log has dropped before their node has read them are sent when
// that is known.
func TestJournalDropped(t *testing.T) {
	bus := journalBus()
	v := newValve(bus.Backend())
	a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
	r := newReturning(t, serve(t, a), "")
	v.holding.Lock()
	_ = a.Of("/").Emit("one")
	if err := a.node.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.recovery.Missed()
	r.expect("one")
	v.holding.Unlock()
	flush(t, a)
	_ = a.Of("/").Emit("two")
	r.expect("two")
}

// TestJournalMany: clients move between three nodes at random, while all of them emit to all, to
// rooms and to single sockets. What a recovered client gets is complete, once, and in the order of
// each node.
func TestJournalMany(t *testing.T) {
	bus := journalBus()
	var servers []*Server
	var clients []*wire.Client
	for range 3 {
		s := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		s.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
			if !s.Recovered() {
				s.Join("room")
			}
			return nil
		})
		servers, clients = append(servers, s), append(clients, serve(t, s))
	}
	const wanderers = 8
	var emitting sync.WaitGroup
	stop := make(chan struct{})
	ids := make(chan string, wanderers)
	var rs []*returning
	for i := range wanderers {
		r := newReturning(t, clients[i%3], "")
		rs = append(rs, r)
		ids <- r.sid
	}
	close(ids)
	var all []string
	for id := range ids {
		all = append(all, id)
	}
	last := make([]int, 3)
	for k, s := range servers {
		emitting.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					last[k] = n
					_ = s.Of("/").Emit("end", k)
					return
				default:
				}
				_ = s.Of("/").Emit("all", k, n)
				_ = s.Of("/").To("room").Emit("room", k, n)
				_ = s.Of("/").To(all[n%len(all)]).Emit("one", k, n)
				time.Sleep(time.Duration(1+rand.IntN(8)) * time.Millisecond)
			}
		})
	}
	var moving sync.WaitGroup
	for i, r := range rs {
		moving.Go(func() { roam(t, r, clients, i, stop) })
	}
	count := func() (recovered, refused int64) {
		for _, s := range servers {
			st := s.Stats()
			recovered, refused = recovered+st.Recovered, refused+st.NotRecovered
		}
		return recovered, refused
	}
	<-time.After(2 * time.Second) // under traffic
	testkit.Until(t, time.Minute, "clients have moved, three times each or so", func() bool {
		recovered, _ := count()
		return recovered >= 3*wanderers
	})
	close(stop)
	emitting.Wait()
	moving.Wait()
	recovered, refused := count()
	t.Logf("%d recoveries, %d refused, %d rounds", recovered, refused, last)
	if refused > 0 {
		t.Errorf("%d recovered, %d refused", recovered, refused)
	}
}

// roam moves a client between nodes and checks what it gets.
func roam(t *testing.T, r *returning, clients []*wire.Client, number int, stop chan struct{}) {
	seen := map[string][]int{"all": make([]int, 3), "room": make([]int, 3), "one": make([]int, 3)}
	ends := 0
	for ends < 3 {
		moved := time.Now().Add(time.Duration(20+rand.IntN(100)) * time.Millisecond)
		for ends < 3 && (time.Now().Before(moved) || stopped(stop)) {
			var args []any
			_ = json.Unmarshal([]byte(r.next()), &args)
			switch kind, _ := args[0].(string); kind {
			case "end":
				ends++
			case "all", "room", "one":
				k, n := int(args[1].(float64)), int(args[2].(float64))
				want := seen[kind][k] + 1
				if kind == "one" {
					want = seen[kind][k] + 8
					if seen[kind][k] == 0 {
						want = n // the first one for it
					}
				} else if seen[kind][k] == 0 {
					want = n
				}
				if n != want {
					t.Errorf("client %d: %s %d of node %d after %d", number, kind, n, k, seen[kind][k])
				}
				seen[kind][k] = n
			}
		}
		if ends == 3 {
			break
		}
		if rand.IntN(2) == 0 {
			r.w.Reset() // else the old connection stays
		}
		if !r.at(clients[rand.IntN(len(clients))]).connect("") {
			t.Errorf("client %d: not recovered", number)
			return
		}
	}
}

func stopped(stop chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
