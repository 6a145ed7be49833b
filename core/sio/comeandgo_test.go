package sio

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// life is what one socket of TestComeAndGoBeside has seen.
type life struct {
	last   int
	inside atomic.Int32
	over   bool
}

// comings checks the sockets of one client in one namespace: one lives at a time, and
// each handles what was sent to it, in order.
type comings struct {
	mu      sync.Mutex
	alive   *Socket
	handled int
	joined  int
	told    int // of joined: OnConnected has run
	ended   int
}

// TestComeAndGoBeside: clients join and leave namespaces, and join them again, while
// handlers of others sleep, wait for acks, panic and end their goroutines. Each namespace
// has its order: OnConnect, the events by number, OnDisconnect, OnConnect. Nothing is
// lost or handled twice.
func TestComeAndGoBeside(t *testing.T) {
	const spaces, clients = 6, 3
	count := 500
	if testing.Short() {
		count = 120
	}
	for _, way := range []string{"websocket", "polling"} {
		t.Run(way, func(t *testing.T) {
			srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), MaxInbox: 8, JoinBurst: 1 << 20})
			lives, who := NewKey[*life]("life"), NewKey[*[spaces]comings]("comings")
			for i := range spaces {
				comeAndGo(t, srv.Of(fmt.Sprintf("/%d", i)), i, lives, func(s *Socket) *comings {
					return &who.GetOrSet(s.Conn(), func() *[spaces]comings { return new([spaces]comings) })[i]
				})
			}
			conns := make(chan *Conn, clients)
			srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { conns <- s.Conn(); return nil })
			c := serve(t, srv)
			var all sync.WaitGroup
			sent := make([][spaces]int, clients)
			var list []*Conn
			var goodbyes []func()
			joins := make([]int, clients)
			for k := range clients {
				send, goodbye := wanderer(t, c, way == "polling")
				goodbyes = append(goodbyes, goodbye)
				list = append(list, <-conns)
				all.Go(func() {
					wander(count, func(p string, i int) {
						switch {
						case i >= 0:
							sent[k][i]++
						case p[1] == '0':
							joins[k]++
						}
						send(p)
					}, spaces)
					send("") // no more
				})
			}
			all.Wait()
			for k, goodbye := range goodbyes { // with what waits behind the last join
				until(t, "the last join", func() bool {
					all, ok := who.Get(list[k])
					return ok && told(all[:]) == joins[k]
				})
				goodbye()
			}
			<-srv.running.Idle()
			for k, conn := range list {
				all, _ := who.Get(conn)
				for i := range spaces {
					if s := &all[i]; s.handled != sent[k][i] || s.alive != nil || s.joined != s.ended {
						t.Errorf("client %d in /%d: %d events of %d are handled, %d joins, %d ends", k, i, s.handled, sent[k][i], s.joined, s.ended)
					}
				}
			}
		})
	}
}

// told is how often OnConnected has run.
func told(list []comings) (n int) {
	for i := range list {
		list[i].mu.Lock()
		n += list[i].told
		list[i].mu.Unlock()
	}
	return n
}

// comeAndGo registers what checks the sockets of one namespace.
func comeAndGo(t *testing.T, n *Namespace, i int, lives *Key[*life], of func(*Socket) *comings) {
	n.OnConnect(func(_ context.Context, s *Socket) error {
		lives.Set(s, new(life))
		all := of(s)
		all.mu.Lock()
		if all.alive != nil {
			t.Errorf("/%d is joined before it is left", i)
		}
		all.alive = s
		all.joined++
		all.mu.Unlock()
		if rand.IntN(30) == 0 {
			time.Sleep(55 * time.Millisecond)
		}
		return nil
	})
	n.OnConnected(func(_ context.Context, s *Socket) {
		all := of(s)
		all.mu.Lock()
		defer all.mu.Unlock()
		all.told++
	})
	n.OnDisconnect(func(_ context.Context, s *Socket, _ Reason) {
		l, _ := lives.Get(s)
		if l.over || l.inside.Load() != 0 {
			t.Errorf("/%d: OnDisconnect beside an event, or twice: %v", i, l.over)
		}
		l.over = true
		all := of(s)
		all.mu.Lock()
		defer all.mu.Unlock()
		if all.alive != s {
			t.Errorf("/%d: the end of another socket", i)
		}
		all.alive = nil
		all.ended++
	})
	n.On("x", Handle(func(ctx context.Context, s *Socket, k int) error {
		l, _ := lives.Get(s)
		if l.inside.Add(1) != 1 || l.over || k != l.last+1 {
			t.Errorf("/%d: %d behind %d, over: %v", i, k, l.last, l.over)
		}
		l.last = k
		defer l.inside.Add(-1)
		all := of(s)
		all.mu.Lock()
		all.handled++
		all.mu.Unlock()
		switch rand.IntN(60) {
		case 0:
			time.Sleep(55 * time.Millisecond) // longer than the reader is kept
		case 1:
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_, _ = Call[None](ctx, s, "never answered")
		case 2:
			runtime.Goexit()
		case 3:
			panic("on purpose")
		case 4:
			return s.Emit("x", k)
		}
		return nil
	}))
}

// wander sends what a client of TestComeAndGoBeside does; i is the namespace of an event.
func wander(count int, send func(p string, i int), spaces int) {
	next := make([]int, spaces) // 0: not joined
	for range count {
		i := rand.IntN(spaces)
		switch {
		case next[i] == 0:
			send(fmt.Sprintf("40/%d,", i), -1)
			next[i] = 1
		case rand.IntN(8) == 0:
			send(fmt.Sprintf("41/%d,", i), -1)
			next[i] = 0
		default:
			send(fmt.Sprintf(`42/%d,["x",%d]`, i, next[i]), i)
			next[i]++
		}
	}
}

// wanderer is a client in the default namespace. What it sends by polling goes several
// packets at a time.
func wanderer(t *testing.T, c *wire.Client, polls bool) (send func(string), goodbye func()) {
	if !polls {
		w := c.Join("")
		go func() {
			for {
				if _, err := w.Read(); err != nil {
					return
				}
			}
		}()
		return func(p string) {
			if p != "" {
				w.Send(p)
			}
		}, func() { _ = w.Raw(wire.Frame(0x88, []byte{3, 232})) }
	}
	s := c.Polling()
	s.Join("")
	var kept []string
	return func(p string) {
		if p != "" {
			kept = append(kept, p)
		}
		if len(kept) > rand.IntN(12) || p == "" && kept != nil {
			s.Post(strings.Join(kept, "\x1e"))
			kept = nil
		}
	}, func() { s.Post("1") }
}
