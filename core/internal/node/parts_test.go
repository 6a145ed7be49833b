package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// narrow is a backend that takes no large messages, as NATS does.
type narrow struct {
	cluster.Backend
	mu      sync.Mutex
	refused []*cluster.Message
	parts   int // answers with sockets or ids
}

func (n *narrow) Publish(ctx context.Context, ms []*cluster.Message) error {
	var good []*cluster.Message
	var bad part
	n.mu.Lock()
	for i, m := range ms {
		switch b, err := cluster.Append(nil, m); {
		case err != nil:
			panic(err)
		case len(b) > 1<<20:
			bad = append(bad, i)
			n.refused = append(n.refused, m.Clone())
			continue
		}
		if len(m.Sockets)+len(m.Names) > 0 {
			n.parts++
		}
		good = append(good, m)
	}
	n.mu.Unlock()
	if err := n.Backend.Publish(ctx, good); err != nil {
		return err
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// wide starts two nodes, the second one with so many sockets and a bus that takes no large
// messages.
func wide(t *testing.T, sockets int) (a, b *peer, bus *narrow) {
	all := cluster.NewBus()
	more := func(o *Options) { o.MaxBytes = 64 << 20 }
	bus = &narrow{Backend: all.Backend()}
	a, b = newPeer(all.Backend(), "aaaaa", more), newPeer(bus, "bbbbb", more)
	for i := range sockets {
		b.ids = append(b.ids, fmt.Sprintf("bbbbb%015d", i))
	}
	for _, p := range []*peer{a, b} {
		p.start(t).Enter("/", "", false)
	}
	time.Sleep(settleTime)
	synctest.Wait()
	return a, b, bus
}

// TestLargeAnswers: the sockets of a large node, and the ids of its clients, come in parts,
// complete.
func TestLargeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 60_000
		a, b, bus := wide(t, many)
		var got []string
		began := time.Now()
		err := a.Request(t.Context(), &cluster.Message{Kind: cluster.Fetch, Namespace: "/"}, func(m *cluster.Message) {
			for _, s := range m.Sockets {
				got = append(got, s.ID)
			}
		})
		if err != nil || !slices.Equal(got, b.ids) || len(bus.refused) > 0 || time.Since(began) > time.Second {
			t.Errorf("%d sockets after %v, %v; %d messages were refused", len(got), time.Since(began), err, len(bus.refused))
		}
		asked, acked := 0, 0
		err = a.Request(t.Context(), emit(`["e"]`), func(m *cluster.Message) {
			if m.Kind == cluster.Asked {
				asked += len(m.Names)
				if m.Number != many {
					t.Errorf("a part says that %d were asked", m.Number)
				}
			} else {
				acked++
			}
		})
		if asked != many {
			t.Errorf("%d were asked, %v", asked, err)
		}
		// The queue of this test has no room for so many answers at once.
		if acked < 500 {
			t.Errorf("%d acks", acked)
		}
		if bus.parts < 10 {
			t.Errorf("%d parts", bus.parts)
		}
	})
}

// TestTooLargeAnswer: an answer that the bus does not take ends the wait for it at once.
func TestTooLargeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := strings.Repeat("x", 2<<20)
		a, b, bus := wide(t, 1)
		b.set(func() { b.answer = func(say func([]byte)) { say([]byte(`["` + big + `"]`)) } })
		began := time.Now()
		got, err := a.ask(t.Context(), &cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["e"]`)})()
		if err != nil || len(got) != 1 || !strings.Contains(got[0], `{"error":{"code":"internal","message":"the bus has not taken`) {
			t.Errorf("%.200q, %v", got, err)
		}
		b.ids, b.silent = []string{"bbbbb000000000000001"}, true
		done := a.ask(t.Context(), emit(`["e"]`))
		synctest.Wait()
		b.acks[0](`["` + big + `"]`)
		if got, err := done(); err != nil || !slices.Equal(got, []string{"bbbbb 0[bbbbb000000000000001]", "bbbbb 1"}) {
			t.Errorf("%.200q, %v", got, err)
		}
		b.ids, b.rooms = []string{"bbbbb000000000000001"}, []string{big[:60_000]}
		for range 20 {
			b.rooms = append(b.rooms, b.rooms[0])
		}
		_, err = a.ask(t.Context(), &cluster.Message{Kind: cluster.Fetch, Namespace: "/"})()
		if m, ok := err.(*cluster.Missing); !ok || !slices.Equal(m.Nodes, []string{"bbbbb"}) || !strings.Contains(err.Error(), "bbbbb cannot answer: the bus has not taken") {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > time.Second || len(bus.refused) != 3 {
			t.Errorf("after %v, %d messages were refused", took, len(bus.refused))
		}
		synctest.Wait()
		if s := b.Stats(); s.Lost != 3 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPartsBounds: an answer whose parts never end, or are missing, is no answer.
func TestPartsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		for _, name := range []string{"bbbbb", "ccccc"} {
			h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: name, ID: name})
		}
		time.Sleep(settleTime)
		sockets := 0
		done := make(chan error, 1)
		go func() {
			done <- p.Request(t.Context(), &cluster.Message{Kind: cluster.Fetch, Namespace: "/"}, func(m *cluster.Message) { sockets += len(m.Sockets) })
		}()
		synctest.Wait()
		id := h.lastID()
		say := func(node string, whole, n int) {
			h.r.Receive(&cluster.Message{Kind: cluster.Sockets, Node: node, To: "aaaaa", ID: id, Number: whole, Sockets: make([]cluster.Socket, n)})
		}
		for range 2 * maxParts {
			say("bbbbb", 1<<40, 1)
		}
		say("ccccc", 4, 1)
		say("ccccc", 4, 2)
		if sockets != maxParts+3 {
			t.Errorf("%d sockets", sockets)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("the request is over: %v", err)
		default:
		}
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb", ID: "bbbbb"})
		say("ccccc", 4, 1)
		say("ccccc", 4, 1) // one too many
		missing(t, <-done, cluster.ErrRequestTimeout, "bbbbb")
		if sockets != maxParts+4 {
			t.Errorf("%d sockets", sockets)
		}
	})
}

// TestWholeForNode: processes of Node know no parts.
func TestWholeForNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa", func(o *Options) { o.MaxBytes = 64 << 20 }).start(t)
		for i := range 20_000 {
			p.ids = append(p.ids, fmt.Sprintf("aaaaa%015d", i))
		}
		synctest.Wait()
		h.r.Receive(&cluster.Message{Kind: cluster.Fetch, Node: "0123456789", Namespace: "/", ID: "1"})
		synctest.Wait()
		if n := h.kinds(cluster.Sockets); n != 1 {
			t.Errorf("%d answers", n)
		}
	})
}

// TestAnswerDown: an answer that is lost because the bus has gone is not published in another form.
func TestAnswerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := strings.Repeat("x", 2*maxRefused)
		answers := 0
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			for i, m := range ms {
				if m.Kind == cluster.Answer {
					answers++
					return errors.Join(cluster.ErrDown, part{i})
				}
			}
			return nil
		}}
		p := newPeer(h, "aaaaa")
		p.answer = func(say func([]byte)) { say([]byte(`["` + big + `"]`)) }
		p.start(t)
		synctest.Wait()
		h.r.Receive(&cluster.Message{Kind: cluster.ServerEvent, Node: "bbbbb", Namespace: "/", ID: "1", Data: []byte(`["e"]`)})
		synctest.Wait()
		if s := p.Stats(); answers != 1 || s.Lost != 1 {
			t.Errorf("%d answers, %+v", answers, s)
		}
	})
}
