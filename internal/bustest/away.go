package bustest

import (
	"context"
	"fmt"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// away: nodes are told that the bus has gone and has come back. What was refused meanwhile
// does not come later, what was watched is watched still.
func away(b *bus) {
	if b.cut == nil {
		b.Skip("the bus cannot be cut")
	}
	a, n := b.node("aaaaa"), b.node("bbbbb", "r")
	a.publish(emit("before", "r"))
	n.expect("before")
	b.cut()
	a.until("Down", func() bool { return a.down > 0 })
	n.until("Down", func() bool { return n.down > 0 })
	taken := map[string]bool{}
	for i := range 5 {
		began := time.Now()
		if err := a.try(time.Second, emit(fmt.Sprint(i), "r")); err == nil {
			taken[fmt.Sprint(i)] = true // then the Backend is to say that it was lost, or it comes
		}
		if took := time.Since(began); took > 5*time.Second {
			b.Errorf("Publish took %v, with a context of a second", took)
		}
	}
	b.heal()
	a.until("Up", func() bool { return a.ups > 1 && a.ups > a.down })
	n.until("Up", func() bool { return n.ups > 1 && n.ups > n.down })
	a.publish(emit("after", "r"), emit("to all"))
	n.until("the end", func() bool { return len(n.got) > 0 && text(n.got[len(n.got)-1]) == "to all" })
	time.Sleep(silence)
	var got []string
	for _, m := range n.take() {
		if !taken[text(m)] {
			got = append(got, text(m))
		}
	}
	if len(got) != 2 || got[0] != "after" {
		b.Errorf("after the bus has come back %q arrived", got)
	}
}

// awayInterest: what is watched and given up while the bus is away holds when it is back.
func awayInterest(b *bus) {
	if b.cut == nil {
		b.Skip("the bus cannot be cut")
	}
	a, n := b.node("aaaaa"), b.node("bbbbb", "old", "kept")
	b.cut()
	n.until("Down", func() bool { return n.down > 0 })
	a.until("Down", func() bool { return a.down > 0 })
	n.tryWatch(cluster.Interest{Namespace: "/", Room: "new", On: true}, cluster.Interest{Namespace: "/", Room: "old"})
	b.heal()
	a.until("Up", func() bool { return a.ups > 1 && a.ups > a.down })
	n.until("Up", func() bool { return n.ups > 1 && n.ups > n.down })
	a.publish(emit("kept", "kept"), emit("new", "new"))
	n.expect("kept", "new")
}

// awayStart: a node that starts while the bus is away gets to it later, unless its Start says
// that it never will.
func awayStart(b *bus) {
	if b.cut == nil {
		b.Skip("the bus cannot be cut")
	}
	a := b.node("aaaaa")
	b.cut()
	a.until("Down", func() bool { return a.down > 0 })
	n := b.started("bbbbb")
	n.tryWatch(cluster.Interest{Namespace: "/", On: true}, cluster.Interest{Namespace: "/", Room: "r", On: true})
	b.heal()
	a.until("Up", func() bool { return a.ups > 1 && a.ups > a.down })
	n.until("Up", func() bool { return n.ups == 1 })
	a.publish(emit("hello", "r"))
	n.expect("hello")
}

// tryWatch is a Watch while the bus is away: it may fail, and is kept.
func (n *node) tryWatch(changes ...cluster.Interest) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.Watch(ctx, changes)
}
