package bustest

import (
	"context"
	"slices"

	"github.com/siokit/siokit/core/cluster"
)

// emitter: a node that serves nobody is heard, has answers, and is not counted; one that the
// Backend was told of gets nothing that is for sockets.
func emitter(b *bus) {
	a, n := b.node("aaaaa", "r"), b.node("bbbbb")
	e := b.startedAs("eeeee", func(back cluster.Backend) {
		if w, ok := back.(cluster.AnswerWatcher); ok {
			w.WatchAnswers()
		}
	})
	e.until("Up", func() bool { return e.ups == 1 && e.down == 0 })
	_, told := e.Backend.(cluster.AnswerWatcher)
	counted := func(when string) {
		b.Helper()
		for _, c := range []*node{a, n, e} {
			if others := c.others(); others != 0 {
				b.Errorf("%s: for %s there are %d nodes of another kind", when, c.name, others)
			}
		}
	}
	watch := func(on bool) {
		if told {
			e.watch(on, "")
		}
	}

	// Who is there.
	e.sayAs("emitter", &cluster.Message{Kind: cluster.Hello, ID: "i"})
	for _, other := range []*node{a, n} {
		other.until("Hello", func() bool {
			return slices.ContainsFunc(other.got, func(m *cluster.Message) bool { return m.Kind == cluster.Hello && m.Node == "emitter" })
		})
		other.publish(&cluster.Message{Kind: cluster.Heartbeat, ID: other.name})
	}
	e.until("Heartbeats", func() bool { // its own Hello may come as well
		beats := 0
		for _, m := range e.got {
			if m.Kind == cluster.Heartbeat {
				beats++
			}
		}
		return beats == 2
	})
	e.take()
	counted("before it asks")

	// An event, and a question behind it.
	watch(true)
	e.sayAs("emitter", emit("event", "r"))
	ask := emit("ask")
	ask.ID = "ask"
	e.publish(ask)
	a.until("an event and a question", func() bool { // in any order: with streams the question goes beside
		have := make(map[string]bool)
		for _, m := range a.got {
			have[text(m)] = true
		}
		return have["event"] && have["ask"]
	})
	for _, m := range a.take() {
		if from := map[string]string{"event": "emitter", "ask": "eeeee"}[text(m)]; m.Kind == cluster.Emit && m.Node != from {
			b.Errorf("%s is of %q, want %q", m.Data, m.Node, from)
		}
	}
	counted("while it asks")
	a.publish(emit("for nodes"), emit("for nodes", "r"), &cluster.Message{Kind: cluster.Count, Namespace: "/", ID: "other"},
		&cluster.Message{Kind: cluster.Asked, To: e.name, Namespace: "/", ID: "ask", Number: 1, Names: []string{"s"}},
		&cluster.Message{Kind: cluster.Acked, To: e.name, Namespace: "/", ID: "ask", Names: []string{"s"}, Data: []byte(`["ack"]`)})
	e.until("an ack", func() bool { return len(e.got) > 0 && e.got[len(e.got)-1].Kind == cluster.Acked })
	answers := 0
	for _, m := range e.take() {
		switch {
		case (m.Kind == cluster.Asked || m.Kind == cluster.Acked) && m.ID == "ask" && m.Node == a.name:
			answers++
		case told && m.Kind != cluster.Count: // a request may reach all nodes
			b.Errorf("it got a %v of %s: %s", m.Kind, m.Node, m.Data)
		}
	}
	if answers != 2 {
		b.Errorf("it got %d answers", answers)
	}
	watch(false)
	counted("afterwards")
	e.sayAs("emitter", emit("last"))
	a.until("the last event", func() bool { return len(a.got) > 0 && text(a.got[len(a.got)-1]) == "last" })
}

// sayAs publishes under a name.
func (n *node) sayAs(name string, m *cluster.Message) {
	n.t.Helper()
	m.Node = name
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Publish(ctx, []*cluster.Message{m}); err != nil {
		n.t.Fatalf("Publish of %s: %v", n.name, err)
	}
}

// others is how many nodes of another kind listen to "/", when the Backend knows it.
func (n *node) others() int {
	n.t.Helper()
	c, ok := n.Backend.(cluster.Counter)
	if !ok {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	count, err := c.Others(ctx, "/")
	if err != nil {
		n.t.Fatalf("Others of %s: %v", n.name, err)
	}
	return count
}
