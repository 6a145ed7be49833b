package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// pace has emitters wait for clients, none of which may fall so far behind that it is refused.
type pace struct {
	mu      sync.Mutex
	changed sync.Cond
	emitted int
	seen    []int // by each client
}

// maxBehind is how many rounds a client may be behind; each is three events for it.
const maxBehind = 60

func newPace(clients int) *pace {
	p := &pace{seen: make([]int, clients)}
	p.changed.L = &p.mu
	return p
}

// next waits until there may be one more round.
func (p *pace) next() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		least := p.seen[0]
		for _, n := range p.seen {
			least = min(least, n)
		}
		if p.emitted-least < maxBehind {
			break
		}
		p.changed.Wait()
	}
	p.emitted++
}

func (p *pace) saw(client int) { p.advance(client, 1) }

// leave has nobody wait for a client any more.
func (p *pace) leave(client int) { p.advance(client, math.MaxInt/2) }

func (p *pace) advance(client, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[client] += n
	p.changed.Broadcast()
}

// numbered is a client of TestHandoverStress, which moves from node to node at random.
type numbered struct {
	*returning
	all  func()         // has seen an event to all
	had  map[string]int // the last number of each emitter and target
	ends int
}

// took checks that the numbers of each emitter and target follow each other, from one on.
func (w *numbered) took(m string) {
	var args []any
	if err := json.Unmarshal([]byte(m), &args); err != nil {
		w.t.Error(m, err)
	}
	name := args[0].(string)
	if name == "end" {
		w.ends++
	}
	if len(args) < 2 { // the end, or a volatile event
		return
	}
	n := int(args[1].(float64))
	if last := w.had[name]; n != last+1 {
		w.t.Errorf("%s: %d comes after %d", name, n, last)
	}
	w.had[name] = n
	if strings.HasPrefix(name, "all") {
		w.all()
	}
}

// read takes the next event.
func (w *numbered) read() {
	if m := w.w.Next(); strings.HasPrefix(m, "42[") {
		w.took(w.event(m))
	} else {
		w.t.Errorf("%s is no event", m)
	}
}

// TestHandoverStress: numbered events of three nodes, to all, to a room and to the client, while
// clients move at random. None is lost, doubled or out of order.
func TestHandoverStress(t *testing.T) {
	const clients = 4
	moves := 60
	if testing.Short() {
		moves = 15
	}
	ns := clusteredWith(t, 3, func(_ int, o *Options) { o.Recovery = &Recovery{} }, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { s.Join("room"); return nil })
		patient(srv)
	})
	t.Cleanup(func() { quiet(t, ns) })
	for _, c := range ns.at {
		c.Patience, c.HTTP.Timeout = handoverPatience, handoverPatience
	}
	p := newPace(clients)
	var all [clients]*numbered
	var ids [clients]string
	for i := range all {
		all[i] = &numbered{returning: newReturning(t, ns.at[i%3], ""), all: func() { p.saw(i) }, had: make(map[string]int)}
		ids[i] = all[i].sid
	}
	for _, srv := range ns.all { // all nodes reach them from now on
		ns.reach(srv.Of("/").To("room"), clients)
	}
	var moved atomic.Int64 // clients that have done all their moves
	var emitters, movers sync.WaitGroup
	sent := make([]map[string]int, 3)
	for i, srv := range ns.all {
		sent[i] = make(map[string]int)
		emitters.Go(func() {
			n := srv.Of("/")
			emit := func(to Target, name string) {
				name += fmt.Sprint(i)
				sent[i][name]++
				_ = to.Emit(name, sent[i][name])
			}
			for moved.Load() < clients {
				p.next()
				emit(n.All(), "all")
				emit(n.To("room"), "room")
				_ = n.To("room", "none").Volatile().Emit("volatile")
				for c, id := range ids {
					emit(n.To(id), fmt.Sprintf("client %d from ", c))
				}
			}
			_ = n.Emit("end")
		})
	}
	for c, w := range all {
		movers.Go(func() {
			over := sync.OnceFunc(func() { moved.Add(1) })
			defer over() // also when the client fails
			defer p.leave(c)
			for range moves {
				for range rand.IntN(60) {
					w.read()
				}
				if rand.IntN(2) == 0 {
					w.w.Reset()
				}
				w.c = ns.at[rand.IntN(3)]
				if !w.connect("") {
					t.Error("told that it is new")
					return
				}
			}
			over()
			for w.ends < 3 {
				w.read()
			}
		})
	}
	movers.Wait()
	emitters.Wait()
	sum := 0
	for i := range sent {
		for name, n := range sent[i] {
			sum += n
			for c, w := range all {
				his := !strings.HasPrefix(name, "client ") || strings.HasPrefix(name, fmt.Sprintf("client %d ", c))
				if his && w.had[name] != n {
					t.Errorf("%d events %s of %d", w.had[name], name, n)
				}
			}
		}
	}
	t.Logf("%d clients moved %d times each, %d events", clients, moves, sum)
}
