package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

func count() *cluster.Message { return &cluster.Message{Kind: cluster.Count, Namespace: "/"} }

// TestRequests: each kind, from all nodes and from one.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa", "bbbbb", "ccccc")
		ps[1].ids, ps[2].ids = []string{"b1", "b2"}, []string{"c1"}
		for _, c := range []struct {
			m    *cluster.Message
			want []string
		}{
			{count(), []string{"bbbbb 2", "ccccc 1"}},
			{&cluster.Message{Kind: cluster.Count, Namespace: "/", To: "ccccc"}, []string{"ccccc 1"}},
			{&cluster.Message{Kind: cluster.Fetch, Namespace: "/"}, []string{"bbbbb 2[]", "ccccc 1[]"}},
			{&cluster.Message{Kind: cluster.ListRooms, Namespace: "/"}, []string{"bbbbb 0[b1 b2]", "ccccc 0[c1]"}},
			{&cluster.Message{Kind: cluster.ServerEvent, Namespace: "/"}, []string{`bbbbb ["bbbbb"]0[]`, `ccccc ["ccccc"]0[]`}},
			{emit(`["e"]`), []string{"bbbbb 2", `bbbbb ["b1"]0[b1]`, `bbbbb ["b2"]0[b2]`, "ccccc 1", `ccccc ["c1"]0[c1]`}},
			{&cluster.Message{Kind: cluster.Emit, Namespace: "/", To: "ccccc", Single: true}, []string{"ccccc 1", `ccccc ["c1"]0[c1]`}},
		} {
			got, err := ps[0].ask(t.Context(), c.m)()
			if err != nil {
				t.Error(err)
			}
			equal(t, fmt.Sprint("kind ", c.m.Kind), got, c.want)
		}
		if n := ps[0].Stats().Requests; n != 0 {
			t.Errorf("%d requests are open", n)
		}
	})
}

// TestAlone: a node that is the only one has all answers at once.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa")
		began := time.Now()
		if got, err := ps[0].ask(t.Context(), count())(); err != nil || len(got) != 0 || time.Since(began) != 0 {
			t.Error(got, err, time.Since(began))
		}
	})
}

// TestNodeKilled: a node that ends without a word is given up within seconds, and named.
func TestNodeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb", "ccccc")
		ps[1].ids, ps[2].ids, ps[2].silent = []string{"b1"}, []string{"c1", "c2"}, true
		time.Sleep(10 * beat)
		bus.Cut("ccccc")
		began := time.Now()
		long := count()
		long.Timeout = time.Hour
		got, err := ps[0].ask(t.Context(), long)()
		missing(t, err, cluster.ErrGone, "ccccc")
		equal(t, "answers", got, []string{"bbbbb 1"})
		if took := time.Since(began); took > (missedBeats+1)*beat {
			t.Errorf("that took %v", took)
		}
		synctest.Wait()
		if ps[0].newsOf("ccccc") != "+ccccc -ccccc" || ps[0].Owner("ccccc123456789012345") != "" {
			t.Errorf("nodes: %s", ps[0].news())
		}
		// Nobody waits for it any more.
		if _, err := ps[0].ask(t.Context(), long)(); err != nil {
			t.Error(err)
		}
		_, err = ps[0].ask(t.Context(), &cluster.Message{Kind: cluster.Count, Namespace: "/", To: "ccccc"})()
		missing(t, err, cluster.ErrGone, "ccccc")

		bus.Heal()
		time.Sleep(settleTime)
		synctest.Wait()
		if ps[0].newsOf("ccccc") != "+ccccc -ccccc +ccccc" {
			t.Errorf("nodes: %s", ps[0].news())
		}
		// One of whose clients acks are awaited.
		began = time.Now()
		m := emit(`["e"]`)
		m.Timeout = time.Hour
		done := ps[0].ask(t.Context(), m)
		synctest.Wait()
		ps[2].acks[0]("1")
		synctest.Wait()
		bus.Cut("ccccc")
		got, err = done()
		missing(t, err, cluster.ErrGone, "ccccc")
		equal(t, "acks", got, []string{"bbbbb 1", `bbbbb ["b1"]0[b1]`, "ccccc 10[c1]", "ccccc 2"})
		if took := time.Since(began); took > (missedBeats+1)*beat {
			t.Errorf("that took %v", took)
		}
	})
}

// TestNodeLeaves: a node that says that it leaves owes nothing.
func TestNodeLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		ps[1].ids, ps[1].silent = []string{"b1"}, true
		m := emit(`["e"]`)
		m.Timeout = time.Hour
		done := ps[0].ask(t.Context(), m)
		ps[1].set(func() { ps[1].answer = func(func([]byte)) {} }) // never answers
		event := ps[0].ask(t.Context(), &cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Timeout: time.Hour})
		synctest.Wait()
		ps[1].leave(t)
		if got, err := done(); err != nil || !slices.Equal(got, []string{"bbbbb 1"}) {
			t.Error(got, err)
		}
		if got, err := event(); err != nil || len(got) != 0 {
			t.Error(got, err)
		}
		synctest.Wait()
		if ps[0].news() != "+bbbbb -bbbbb" {
			t.Errorf("nodes: %s", ps[0].news())
		}
	})
}

// TestNodeLeavesAtOnce: a node that leaves, or is given up, while the request to it is on its way
// out of its caller's goroutine is no other than one that does so later.
func TestNodeLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa", "bbbbb", "ccccc")
		r := newRequest(count(), nil)
		if _, err := ps[0].Node.open(r); err != nil {
			t.Fatal(err)
		}
		ps[1].leave(t)
		synctest.Wait()
		r.asked()
		if _, waits := r.waiting["bbbbb"]; waits || r.over || len(r.lost) > 0 {
			t.Errorf("waits for %v, over: %v, missing: %v", r.waiting, r.over, r.lost)
		}
		ps[2].leave(t)
		synctest.Wait()
		if !r.over || r.err != nil {
			t.Errorf("over: %v, %v", r.over, r.err)
		}
		// Nobody is there any more.
		alone := newRequest(count(), nil)
		if _, err := ps[0].Node.open(alone); err != nil || alone.over {
			t.Error(err, alone.over)
		}
		if alone.asked(); !alone.over || alone.err != nil {
			t.Errorf("over: %v, %v", alone.over, alone.err)
		}
	})
}

// TestTimeout: who has not answered is named; an answer that comes later is ignored.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa", "bbbbb", "ccccc")
		var late func([]byte)
		ps[2].set(func() { ps[2].answer = func(a func([]byte)) { late = a } })
		event := &cluster.Message{Kind: cluster.ServerEvent, Namespace: "/"}
		got, err := ps[0].ask(t.Context(), event)()
		missing(t, err, cluster.ErrRequestTimeout, "ccccc")
		equal(t, "answers", got, []string{`bbbbb ["bbbbb"]0[]`})
		if !strings.Contains(err.Error(), "ccccc") {
			t.Error(err)
		}
		synctest.Wait()
		late([]byte("late"))
		synctest.Wait()
		equal(t, "answers", got, []string{`bbbbb ["bbbbb"]0[]`})

		ps[2].ids, ps[2].silent = []string{"c1"}, true
		_, err = ps[0].ask(t.Context(), emit(`["e"]`))()
		missing(t, err, cluster.ErrRequestTimeout, "ccccc")

		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		done := ps[0].ask(ctx, event)
		synctest.Wait()
		cancel(why)
		_, err = done()
		missing(t, err, why, "ccccc")
	})
}

// TestDownEndsRequests at once, and those that are made while the bus is away.
func TestDownEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		ps[1].set(func() { ps[1].answer = func(func([]byte)) {} })
		event := &cluster.Message{Kind: cluster.ServerEvent, Namespace: "/"}
		done := ps[0].ask(t.Context(), event)
		synctest.Wait()
		began := time.Now()
		bus.Cut()
		_, err := done()
		missing(t, err, cluster.ErrDown, "bbbbb")
		_, err = ps[0].ask(t.Context(), event)()
		missing(t, err, cluster.ErrDown, "bbbbb")
		if took := time.Since(began); took != 0 {
			t.Errorf("that took %v", took)
		}
	})
}

// TestUnsaidRequest: one that the bus has refused ends at once.
func TestUnsaidRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("refused")
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			if ms[0].Kind == cluster.Count {
				return why
			}
			return nil
		}}
		p := newPeer(h, "aaaaa").start(t)
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb"})
		time.Sleep(settleTime)
		synctest.Wait()
		began := time.Now()
		_, err := p.ask(t.Context(), count())()
		missing(t, err, why, "bbbbb")
		if took := time.Since(began); took != 0 {
			t.Errorf("that took %v", took)
		}
	})
}

// TestLateJoiner: a request that a node makes the moment it starts asks all that are
// there; what a node answers that nobody has heard of is handed over too.
func TestLateJoiner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		ps[0].ids, ps[1].ids = []string{"a1"}, []string{"b1"}
		c := newPeer(bus.Backend(), "ccccc").start(t)
		got, err := c.ask(t.Context(), count())()
		if err != nil {
			t.Error(err)
		}
		equal(t, "answers", got, []string{"aaaaa 1", "bbbbb 1"})
		synctest.Wait()
		if info, ok := c.Info("bbbbb"); info != "http://bbbbb" || !ok {
			t.Errorf("info of b: %q, %v", info, ok)
		}
		if !slices.Equal(ps[0].Nodes(), []string{"bbbbb", "ccccc"}) {
			t.Errorf("nodes: %v", ps[0].Nodes())
		}

		// The bus was away, and a node came meanwhile.
		bus.Cut("ccccc")
		d := newPeer(bus.Backend(), "ddddd").start(t)
		d.ids = []string{"d1"}
		time.Sleep(beat / 2)
		bus.Heal("ccccc")
		synctest.Wait()
		if got, err = c.ask(t.Context(), count())(); err != nil {
			t.Error(err)
		}
		equal(t, "answers", got, []string{"aaaaa 1", "bbbbb 1", "ddddd 1"})
	})
}

// TestStrangers: answers of nodes that were not asked, answers given twice, and acks that
// nobody has asked for end no request, and are not handed over.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		for _, name := range []string{"bbbbb", "ccccc"} {
			h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: name, ID: name})
		}
		time.Sleep(settleTime)
		m := emit(`["e"]`)
		done := p.ask(t.Context(), m)
		synctest.Wait()
		id := h.lastID()
		say := func(k cluster.Kind, node, to string, number int, names ...string) {
			h.r.Receive(&cluster.Message{Kind: k, Node: node, To: to, ID: id, Number: number, Names: names})
		}
		for range 100 {
			say(cluster.Acked, "bbbbb", "aaaaa", 0, "b1") // before anybody was asked
		}
		say(cluster.Asked, "bbbbb", "aaaaa", 2, "b1", "b2")
		say(cluster.Asked, "bbbbb", "aaaaa", 0) // again
		for range 100 {
			say(cluster.Acked, "bbbbb", "aaaaa", 0, "b1")
			say(cluster.Acked, "bbbbb", "aaaaa", 0, "x")
			say(cluster.Acked, "bbbbb", "aaaaa", 0)
			say(cluster.Acked, "ccccc", "aaaaa", 0, "b2")
			say(cluster.Acked, "zzzzz", "aaaaa", 0, "b2")
		}
		say(cluster.Asked, "ccccc", "bbbbb", 0) // for another node
		say(cluster.Asked, "ccccc", "aaaaa", -5)
		say(cluster.Asked, "zzzzz", "aaaaa", 1<<62)
		synctest.Wait()
		if n := p.Stats().Requests; n != 1 {
			t.Error("the request is over")
		}
		say(cluster.Acked, "bbbbb", "aaaaa", 0, "b2")
		got, err := done()
		missing(t, err, cluster.ErrRequestTimeout, "zzzzz")
		want := []string{"bbbbb 0[b1]", "bbbbb 0[b2]", "bbbbb 2", "ccccc 0", fmt.Sprint("zzzzz ", maxAsked)}
		equal(t, "answers", got, want)

		// A request to one node takes nothing of others.
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb", ID: "bbbbb"})
		done = p.ask(t.Context(), &cluster.Message{Kind: cluster.Count, Namespace: "/", To: "bbbbb"})
		synctest.Wait()
		id = h.lastID()
		say(cluster.Counted, "ccccc", "aaaaa", 7)
		say(cluster.Counted, "bbbbb", "aaaaa", 1)
		if got, err = done(); err != nil || !slices.Equal(got, []string{"bbbbb 1"}) {
			t.Error(got, err)
		}
	})
}

// TestSingle: the first ack is the last, from whomever it comes.
func TestSingle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &counting{others: 2}
		p := newPeer(h, "aaaaa").start(t)
		time.Sleep(settleTime)
		m := emit(`["e"]`, "id")
		m.Single = true
		done := p.ask(t.Context(), m)
		synctest.Wait()
		id := h.lastID()
		h.r.Receive(&cluster.Message{Kind: cluster.Acked, ID: id, Data: []byte("1")})
		h.r.Receive(&cluster.Message{Kind: cluster.Acked, ID: id, Data: []byte("2")})
		if got, err := done(); err != nil || len(got) != 1 {
			t.Error(got, err)
		}
	})
}

// TestMuchAtOnce: the number of open requests is bounded.
func TestMuchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(new(held), "aaaaa").start(t)
		for range maxRequests {
			if _, err := p.requests.add(newRequest(count(), nil)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := p.ask(t.Context(), count())()
		missing(t, err, errTooManyRequests)
		clear(p.requests.open)
	})
}

// TestEachReenters: each may publish, end the context and look at the node.
func TestEachReenters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa", "bbbbb", "ccccc")
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		err := ps[0].Request(ctx, count(), func(*cluster.Message) {
			calls++
			ps[0].Publish(emit("x"))
			ps[0].Stats()
			ps[0].Enter("/", "r", false)
			cancel()
			short, end := context.WithTimeout(context.Background(), 0)
			defer end()
			_ = ps[0].Request(short, count(), func(*cluster.Message) {})
		})
		if err != nil && !errors.Is(err, context.Canceled) || calls == 0 {
			t.Error(calls, err)
		}
	})
}
