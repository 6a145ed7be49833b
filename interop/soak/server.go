package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// rooms is how many rooms there are that clients stay in. The room "x" they join and leave.
const rooms = 4

const (
	pingInterval = time.Second
	pingTimeout  = 3 * time.Second
)

// node is a server of the run. What it emits to many is numbered for each target.
type node struct {
	*run
	*sio.Server
	number int
	others atomic.Int64 // servers of the cluster

	mu   sync.Mutex     // held while a number is taken and emitted, so that the order is the same
	sent map[string]int // by target: how many
}

// peer is one connection as the server sees it.
type peer struct {
	node *node
	sock *sio.Socket

	mu      sync.Mutex
	sent    int // events to this client alone
	got     int // events of this client
	asked   int // of the acks of the client
	over    bool
	reason  sio.Reason
	handled int // the highest number whose ack was asked for, and one more
}

func newNode(r *run, number int, b cluster.Backend) *node {
	n := &node{run: r, number: number, sent: make(map[string]int)}
	n.Server = sio.NewServer(&sio.Options{
		Cluster: b, PingInterval: pingInterval, PingTimeout: pingTimeout, ConnectTimeout: 20 * time.Second,
		Legacy:  sio.Legacy{CloseTimeout: pingInterval + pingTimeout, PollDuration: time.Second},
		OnError: n.failed, Logger: r.logger, AckTimeout: r.answers,
		// Joins are part of the traffic.
		JoinBurst: 1000, MaxPending: -1, MaxPendingPerAddress: -1,
	})
	n.OnServer(func(_ string, joined bool) {
		if joined {
			n.others.Add(1)
		} else {
			n.others.Add(-1)
		}
	})
	root := n.Of("/")
	root.OnConnect(n.connect)
	root.OnDisconnect(func(_ context.Context, s *sio.Socket, why sio.Reason) {
		r.ledger.count("ended: "+why.String(), 1)
		if v, ok := r.peers.LoadAndDelete(s.ID()); ok {
			p := v.(*peer)
			p.mu.Lock()
			p.over, p.reason = true, why
			p.mu.Unlock()
		}
	})
	plain := sio.Handle(func(_ context.Context, s *sio.Socket, i int) error { return n.event(s, i) })
	if r.spoil != nil {
		plain = r.spoil(n)
	}
	root.On("c", plain)
	root.On("a", sio.Reply(func(_ context.Context, s *sio.Socket, i int) (int, error) {
		if err := n.event(s, i); err != nil {
			return 0, err
		}
		p := n.peer(s)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.handled = i + 1
		return i, nil
	}))
	root.On("in", sio.Reply(func(_ context.Context, s *sio.Socket, room string) (int, error) { s.Join(room); return 0, nil }))
	root.On("out", sio.Reply(func(_ context.Context, s *sio.Socket, room string) (int, error) { s.Leave(room); return 0, nil }))
	return n
}

// failed: some failures come with cut connections; the others are faults.
func (n *node) failed(f sio.Failure) {
	switch {
	case f.Name == sio.FailureSession, f.Name == sio.FailureRequest, f.Name == sio.FailureCluster && n.closing.Load():
		n.ledger.count("failure: "+f.Name, 1)
	default:
		n.ledger.fault("failure "+f.Name, "node %d: %s: %v %s", n.number, f.Where, f.Err, f.Reason)
	}
}

func (n *node) peer(s *sio.Socket) *peer {
	v, ok := n.peers.Load(s.ID())
	if !ok {
		return new(peer) // OnDisconnect has run; nothing of a peer is looked at then
	}
	return v.(*peer)
}

func (n *node) connect(_ context.Context, s *sio.Socket) error {
	p := &peer{node: n, sock: s}
	n.peers.Store(s.ID(), p)
	room := fmt.Sprint("r", n.joined.Add(1)%rooms)
	s.Join(room)
	return s.Emit("hello", s.ID(), room)
}

// event checks the number of an event of a client.
func (n *node) event(s *sio.Socket, i int) error {
	p := n.peer(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sock == nil {
		n.ledger.fault("late event", "an event behind OnDisconnect: %d", i)
		return nil
	}
	st := stream{true, p.got}
	if kind := st.got(i); kind != "" {
		n.ledger.fault(kind, "of a client that lives: event %d came behind %d", i, p.got-1)
	}
	p.got = max(p.got, i+1)
	n.messages.Add(1)
	return nil
}

// many emits the next number to a target; "" is everybody.
func (n *node) many(room string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.Of("/").All()
	if room != "" {
		t = t.To(room)
	}
	if n.drop != nil && n.drop(room) {
		n.sent[room]++
		return
	}
	if err := t.Emit("m", room, n.number, n.sent[room]); err != nil {
		n.ledger.fault("emit", "node %d: %v", n.number, err)
	}
	n.sent[room]++
}

// single sends the next number to one client.
func (p *peer) single() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if err := p.sock.Emit("s", p.sent); err != nil {
		if !errors.Is(err, sio.ErrDisconnected) {
			p.node.ledger.fault("emit", "to one client: %v", err)
		}
		return
	}
	p.sent++
}

// ask waits for the ack of a client, which comes within Options.AckTimeout unless the connection
// ends.
func (p *peer) ask() {
	if !p.sock.Connected() { // its OnConnect may run still: the client cannot answer yet
		return
	}
	p.mu.Lock()
	k := p.asked
	p.asked++
	over := p.over
	p.mu.Unlock()
	if over {
		return
	}
	got, err := sio.Call[json.Number](context.Background(), p.sock, "q", k)
	switch {
	case errors.Is(err, sio.ErrDisconnected):
		p.node.ledger.count("asked, and the connection ended", 1)
	case err != nil:
		p.node.ledger.fault("ack", "of a client that lives, to question %d: %v", k, err)
	case got.String() != fmt.Sprint(k):
		p.node.ledger.fault("ack", "of a client: %s for %d", got, k)
	default:
		p.node.ledger.count("answered by clients", 1)
	}
}

// traffic emits until the context ends.
func (n *node) traffic(ctx context.Context, seed uint64, wg *sync.WaitGroup) {
	rnd := rand.New(rand.NewPCG(seed, uint64(n.number)))
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		n.many("")
		n.many(fmt.Sprint("r", rnd.IntN(rooms)))
		n.many("x")
		n.peers.Range(func(_, v any) bool {
			p := v.(*peer)
			if p.node != n || rnd.IntN(4) > 0 {
				return true
			}
			for range 1 + rnd.IntN(4) {
				p.single()
			}
			if rnd.IntN(8) == 0 {
				wg.Go(p.ask)
			}
			return true
		})
	}
}
