package node

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/siokit/siokit/core/cluster"
)

// TestNumbers: with a mark each event has its number, in the order in which it leaves; nothing else
// has one.
func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		var got []string
		b := newPeer(bus.Backend(), "bbbbb")
		b.onDeliver = func(m *cluster.Message) { got = append(got, fmt.Sprintf("%s %q", m.Data, m.Except)) }
		b.start(t).Enter("/", "", false)
		a := newPeer(bus.Backend(), "aaaaa", func(o *Options) { o.Mark = "#" }).start(t)
		synctest.Wait()
		for i := range 40 {
			if n, ok := a.PublishExcept(emit(fmt.Sprint(i)), ""); !ok || n != uint64(i+1) {
				t.Fatal(n, ok)
			}
		}
		if n, ok := a.PublishExcept(&cluster.Message{Kind: cluster.Join, Namespace: "/", Names: []string{"r"}}, ""); n != 0 || !ok {
			t.Error(n, ok)
		}
		m := emit("last")
		m.Except = []string{"x"}
		if n, ok := a.PublishExcept(m, "y"); n != 41 || !ok || a.Numbered() != 41 {
			t.Error(n, ok, a.Numbered())
		}
		if n, ok := b.PublishExcept(emit("none"), ""); n != 0 || !ok || b.Numbered() != 0 {
			t.Error(n, ok)
		}
		synctest.Wait()
		if len(got) != 42 || got[0] != `0 ["#1"]` || got[36] != `36 ["#11"]` || got[40] != ` []` || got[41] != `last ["x" "y" "#15"]` {
			t.Errorf("%q", got)
		}
		if len(m.Except) != 1 {
			t.Error("the message of the caller was changed")
		}
		bus.Cut("aaaaa")
		synctest.Wait()
		if n, ok := a.PublishExcept(emit("lost"), ""); n != 0 || ok || a.Numbered() != 41 {
			t.Error(n, ok)
		}
	})
}

// TestPoll: nodes of other kinds are not waited for.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, _ := counted(t)
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb", ID: "b"})
		done := make(chan error)
		var got []string
		go func() { done <- p.Poll(t.Context(), count(), func(m *cluster.Message) { got = append(got, m.Node) }) }()
		synctest.Wait()
		h.r.Receive(&cluster.Message{Kind: cluster.Counted, Node: "bbbbb", ID: h.lastID(), Number: 7})
		if err := <-done; err != nil || !slices.Equal(got, []string{"bbbbb"}) {
			t.Error(got, err)
		}
	})
}

// TestQuestion: what is asked of one node does not wait for handlers of events for servers, and comes
// in order with events.
func TestQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa", "bbbbb")
		a, b := ps[0], ps[1]
		block := make(chan struct{})
		b.set(func() { b.onEvent = func(*cluster.Message) { <-block } })
		a.Publish(&cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["slow"]`)})
		a.Publish(emit("before"))
		got, err := a.ask(t.Context(), &cluster.Message{Kind: cluster.ServerEvent, To: "bbbbb", Namespace: "/", Data: []byte(`["question"]`)})()
		if err != nil || !slices.Equal(got, []string{`bbbbb ["bbbbb alone"]0[]`}) {
			t.Error(got, err)
		}
		equal(t, "delivered", b.texts("aaaaa"), []string{"before", `["question"]`})
		close(block)
	})
}

type unordered struct{ held }

func (*unordered) Unordered() bool { return true }

// TestOrdered: a backend may say that it keeps no order.
func TestOrdered(t *testing.T) {
	if newPeer(new(unordered), "aaaaa").Ordered() {
		t.Error("it keeps no order")
	}
}
