package sio

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// recoverable nodes of a cluster, whose clients can come back.
func recoverables(t *testing.T, n int, set func(srv *Server)) *nodes {
	return clusteredWith(t, n, func(_ int, o *Options) { o.Recovery = &Recovery{} }, set)
}

// deaf waits until a node knows that the bus is away, or that it is there.
func (ns *nodes) deaf(srv *Server, want bool) {
	ns.t.Helper()
	until(ns.t, "the node notices", func() bool { _, deaf := srv.node.Deaf(); return deaf == want })
}

// flush waits until the bus has taken, or has not, what a node has emitted.
func (ns *nodes) flush(srv *Server) {
	ns.t.Helper()
	if err := srv.node.Flush(ns.t.Context()); err != nil {
		ns.t.Fatal(err)
	}
}

// TestRecoveryCluster: a client that comes back to its node has what other nodes have emitted while
// it was away, though no socket was in the room. After a gap of the bus it is told that it is new.
func TestRecoveryCluster(t *testing.T) {
	ns := recoverables(t, 2, nil)
	a, b := ns.all[0], ns.all[1]
	sockets := connected(a.Of("/"))
	r := newReturning(t, ns.at[0], "")
	(<-sockets).Join("room")
	until(t, "the other node reaches the room", func() bool { n, _ := b.Of("/").To("room").Count(t.Context()); return n == 1 })
	r.away(a)
	if len(a.Of("/").Rooms()) != 0 {
		t.Error(a.Of("/").Rooms())
	}
	_ = b.Of("/").To("room").Emit("one")
	_ = b.Of("/").Emit("two")
	_ = b.Of("/").To(r.sid).Emit("three")
	ns.flush(b)
	log := a.Of("/").recovery.Load()
	until(t, "the three events are kept", func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		return len(log.events) >= 3
	})
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("one", "two", "three")
	<-sockets
	r.away(a)
	ns.bus.Cut(a.Node())
	ns.deaf(a, true)
	if r.connect("") {
		t.Error("recovered while the bus is away")
	}
	r.expect("recovery")
	ns.bus.Heal(a.Node())
	ns.deaf(a, false)
	r.away(a)
	if r.connect("") {
		t.Error("recovered, and what came while the client was connected, and the bus away, is missing")
	}
	r.expect("recovery")
	r.away(a)
	ns.bus.Cut(a.Node())
	ns.deaf(a, true)
	ns.bus.Heal(a.Node())
	ns.deaf(a, false)
	if r.connect("") {
		t.Error("recovered, and what came in the gap is missing")
	}
	r.expect("recovery")
	r.away(a)
	if !r.connect("") {
		t.Error("not recovered after the gap")
	}
}

// TestRecoveryOtherCut: a node of which another one could not publish events recovers nobody who
// was away then, though nothing was wrong with its own way to the bus.
func TestRecoveryOtherCut(t *testing.T) {
	ns := recoverables(t, 2, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { s.Join("r"); return nil })
	})
	a, b := ns.all[0], ns.all[1]
	r := newReturning(t, ns.at[1], "")
	stays := newReturning(t, ns.at[1], "")
	ns.reach(a.Of("/").To("r"), 2)
	r.away(b)
	ns.bus.Cut(a.Node())
	ns.deaf(a, true)
	_ = a.Of("/").To("r").Emit("lost")
	ns.bus.Heal(a.Node())
	ns.deaf(a, false)
	ns.reach(a.Of("/").To("r"), 1)
	_ = a.Of("/").To("r").Emit("after")
	stays.expect("after")
	if r.connect("") {
		t.Error("recovered without what was lost")
	}
	r.expect("recovery")
	for _, r := range []*returning{r, stays} {
		r.away(b)
		_ = a.Of("/").To("r").Emit("once")
		ns.reach(a.Of("/").To("r"), 1)
		if !r.connect("") {
			t.Fatal("not recovered after the gap")
		}
		r.expect("once")
		_ = a.Of("/").To("r").Emit("both")
		r.expect("both")
		if r != stays {
			stays.expect("once", "both")
		}
	}
}

// picky is a backend that does not take events with a text.
type picky struct{ cluster.Backend }

const refusedText = "too large"

type refusedPart []int

func (refusedPart) Error() string        { return refusedText }
func (r refusedPart) Unpublished() []int { return r }

func (p picky) Publish(ctx context.Context, ms []*cluster.Message) error {
	var lost refusedPart
	var rest []*cluster.Message
	for i, m := range ms {
		if bytes.Contains(m.Data, []byte(refusedText)) {
			lost = append(lost, i)
		} else {
			rest = append(rest, m)
		}
	}
	if err := p.Backend.Publish(ctx, rest); err != nil || lost == nil {
		return err
	}
	return lost
}

// TestRecoveryOwnLoss: an event that the bus does not take is in the log of its own node, whose
// clients are recovered. Those of other nodes are not, in the namespace of the event, unless it was
// volatile.
func TestRecoveryOwnLoss(t *testing.T) {
	ns := clusteredWith(t, 2, func(_ int, o *Options) {
		o.Cluster, o.Recovery = picky{o.Cluster}, &Recovery{}
	}, func(srv *Server) { srv.Of("/other") })
	a, b := ns.all[0], ns.all[1]
	here, there, other := newReturning(t, ns.at[0], ""), newReturning(t, ns.at[1], ""), newReturning(t, ns.at[1], "/other")
	ns.reach(a.Of("/").All(), 2)
	ns.reach(a.Of("/other").All(), 1)
	emit := func(target Target) {
		here.away(a)
		there.away(b)
		other.away(b)
		_ = target.Emit("large", refusedText)
		_ = a.Of("/").Emit("fine")
		ns.flush(a)
		ns.reach(a.Of("/").All(), 0)
	}
	emit(a.Of("/").All())
	if !here.connect("") {
		t.Fatal("not recovered by the node that has lost nothing for its own clients")
	}
	if m := here.next(); m != `["large","`+refusedText+`"]` {
		t.Error(m)
	}
	here.expect("fine")
	if there.connect("") {
		t.Error("recovered without what was lost")
	}
	there.expect("recovery")
	if !other.connect("") {
		t.Error("not recovered in another namespace")
	}
	emit(a.Of("/").All().Volatile())
	if !here.connect("") || !there.connect("") || !other.connect("") {
		t.Error("not recovered because of an event that nobody keeps")
	}
	here.expect("fine")
	there.expect("fine")
}

// TestRecoveryOwnLossPattern: the loss in a namespace of a pattern, or in the pattern, concerns
// the clients of that namespace, whichever name the other node has for it.
func TestRecoveryOwnLossPattern(t *testing.T) {
	for _, name := range []string{"/project/7", "/project/{id}"} {
		ns := clusteredWith(t, 2, func(_ int, o *Options) {
			o.Cluster, o.Recovery = picky{o.Cluster}, &Recovery{}
		}, func(srv *Server) { srv.OfPattern("/project/{id}") })
		r := newReturning(t, ns.at[1], "/project/7")
		a, b := ns.all[0], ns.all[1]
		target := a.Of("/project/7").All()
		if strings.HasSuffix(name, "}") {
			target = a.OfPattern(name).All()
		}
		ns.reach(target, 1)
		s := b.Lookup("/project/7").Socket(r.sid)
		r.w.Reset()
		waitOver(t, s)
		_ = target.Emit("large", refusedText)
		ns.flush(a)
		ns.reach(target, 0)
		if r.connect("") {
			t.Errorf("%s: recovered without what was lost", name)
		}
	}
}

// TestRecoveryGapAtOnce: a gap counts from the moment in which the node knows of it, also while
// application code keeps those waiting who are told, and while the client that comes back is asked.
func TestRecoveryGapAtOnce(t *testing.T) {
	inside, goOn := make(chan struct{}, 10), make(chan struct{})
	ns := recoverables(t, 1, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
			if s.Recovered() {
				inside <- struct{}{}
				<-goOn
			}
			return nil
		})
		srv.OnServer(func(string, bool) { inside <- struct{}{}; <-goOn })
	})
	defer close(goOn)
	a := ns.all[0]
	ns.deaf(a, false)
	r := newReturning(t, ns.at[0], "")
	r.away(a)
	w := r.again()
	<-inside
	ns.bus.Cut()
	ns.deaf(a, true)
	goOn <- struct{}{}
	for {
		m, err := w.Read()
		if err != nil {
			break // it comes back, and is new
		}
		if strings.HasPrefix(m, fmt.Sprintf(`40{"sid":%q`, r.sid)) {
			t.Fatal("recovered, and the bus was away while OnConnect ran")
		}
	}
	ns.bus.Heal()
	ns.deaf(a, false)
	if r.connect("") {
		t.Error("recovered, and the bus was away while OnConnect ran")
	}
	r.expect("recovery")
	r.away(a)

	other := NewServer(&Options{Cluster: ns.bus.Backend()})
	serve(t, other)
	<-inside // OnServer does not return
	ns.bus.Cut()
	ns.deaf(a, true)
	if r.connect("") {
		t.Error("recovered, and nobody was told of the gap yet")
	}
	r.expect("recovery")
	ns.bus.Heal()
	ns.deaf(a, false)
	r.away(a)
	if r.connect("") {
		t.Error("recovered, and nobody was told of the end of the gap yet")
	}
}

// TestRecoveryDeep: an event that this node drops because it is nested too deep is missing, and no
// other that it drops.
func TestRecoveryDeep(t *testing.T) {
	ns := recoverables(t, 1, nil)
	a := ns.all[0]
	ns.deaf(a, false)
	r := newReturning(t, ns.at[0], "")
	ns.reach(a.Of("/").All(), 1)
	alien := ns.bus.Backend()
	if err := alien.Start(t.Context(), "alien", idle{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alien.Close(context.Background()) }()
	deep := `["e",` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "]"
	for i, row := range []struct {
		m         cluster.Message
		recovered bool
	}{
		{cluster.Message{Data: []byte(`["e"`)}, true},
		{cluster.Message{Data: []byte(deep + "]")}, true},
		{cluster.Message{Data: []byte(deep), Volatile: true}, true},
		{cluster.Message{Data: []byte(deep), ID: "question"}, true},
		{cluster.Message{Data: []byte(deep)}, false},
		{cluster.Message{Data: []byte(`[1]`)}, true},
	} {
		r.away(a)
		row.m.Kind, row.m.Node, row.m.Namespace = cluster.Emit, "alien", "/"
		if err := alien.Publish(t.Context(), []*cluster.Message{&row.m}); err != nil {
			t.Fatal(err)
		}
		until(t, "the event is dropped", func() bool { return a.Stats().Failures[FailureCluster] == int64(i+1) })
		if recovered := r.connect(""); recovered != row.recovered {
			t.Errorf("%.40s: recovered %v", row.m.Data, recovered)
		} else if !recovered {
			r.expect("recovery")
		}
	}
}
