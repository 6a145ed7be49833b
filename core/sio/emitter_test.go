package sio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

func closeEmitter(t *testing.T, em *Emitter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := em.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// joined connects a client at each node, and returns the ids of their sockets; that of node i is
// in the rooms "all" and "node i".
func joined(t *testing.T, ns *nodes) (w []*wire.WS, ids []string) {
	t.Helper()
	for i, c := range ns.at {
		w = append(w, c.Join(""))
		for id := range ns.all[i].Of("/").rooms.ids {
			ids = append(ids, id)
			ns.all[i].Of("/").Socket(id).Join("all", fmt.Sprint("node ", i))
		}
	}
	for _, srv := range ns.all {
		ns.reach(srv.Of("/").To("all"), len(ns.all)) // what was joined is watched
	}
	return w, ids
}

func next(t *testing.T, w *wire.WS, want string) {
	t.Helper()
	if got := w.Next(); got != want {
		t.Errorf("%s instead of %s", got, want)
	}
}

// TestEmitter: what an Emitter emits at once reaches the clients of all servers, in order.
func TestEmitter(t *testing.T) {
	ns := clustered(t, 2, nil)
	w, ids := joined(t, ns)
	em := NewEmitter(ns.bus.Backend(), nil)
	n := em.Of("")
	check := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	}
	said := DeclareEvent[Args2[string, int]](n, "said")
	check(
		n.To(ids[1]).Emit("by id"), // before the node of that socket is known
		n.Emit("all", 1, []byte{1, 2}),
		n.To("node 1").Emit("one"),
		n.To("node 1", "all").Except("node 0").Emit("except"),
		n.To().Emit("nobody"),
		said.Emit(n.To("all"), Args2[string, int]{"x", 2}),
		n.All().Send("text"),
		em.Of("/unknown").Emit("nobody"),
	)
	n.To("all").Join("joined")
	check(n.To("joined").Except(ids[0]).Emit("joined"))
	n.To("joined").Leave("joined")
	n.To("node 1").LeaveAll()
	check(n.To("joined", "node 1").Emit("nobody"), n.Emit("end"))
	n.To(ids[1]).Disconnect()
	closeEmitter(t, em)
	for i := range w {
		if i == 1 {
			next(t, w[i], `42["by id"]`)
		}
		next(t, w[i], `451-["all",1,{"_placeholder":true,"num":0}]`)
		next(t, w[i], "b"+base64.StdEncoding.EncodeToString([]byte{1, 2}))
		if i == 1 {
			next(t, w[i], `42["one"]`)
			next(t, w[i], `42["except"]`)
		}
		next(t, w[i], `42["said","x",2]`)
		next(t, w[i], `42["message","text"]`)
		if i == 1 {
			next(t, w[i], `42["joined"]`)
		}
		next(t, w[i], `42["end"]`)
	}
	next(t, w[1], "41")
	if err := n.Emit("late"); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("Emit after Close: %v", err)
	}
	if err := n.EmitServers("late"); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("EmitServers after Close: %v", err)
	}
	if list, err := CallAll[string](t.Context(), n.All(), "late"); len(list) > 0 || !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("CallAll after Close: %v, %v", list, err)
	}
}

// TestEmitterAsks: an Emitter has the answers of all servers and clients, also at once, and servers
// do not wait for it.
func TestEmitterAsks(t *testing.T) {
	told := make(chan string, 10)
	ns := clustered(t, 2, func(srv *Server) {
		n := srv.Of("/")
		HandleServers(n, "tell", func(_ context.Context, text string) error { told <- text; return nil })
		ReplyServers(n, "double", func(_ context.Context, i int) (int, error) { return 2 * i, nil })
	})
	w, ids := joined(t, ns)
	var nodes []string
	for i, srv := range ns.all {
		nodes = append(nodes, srv.Node())
		srv.OnServer(func(node string, joined bool) {
			if node != ns.all[1-i].Node() {
				t.Errorf("told of %s %v", node, joined)
			}
		})
	}
	em := NewEmitter(ns.bus.Backend(), &EmitterOptions{AckTimeout: 9 * time.Second})
	defer closeEmitter(t, em)
	n := em.Of("/")
	for i := range w {
		go func() {
			q := w[i].Next()
			id, _, _ := strings.Cut(strings.TrimPrefix(q, "42"), "[")
			w[i].Send(fmt.Sprintf(`43%s["client %d"]`, id, i))
		}()
	}
	answers, err := CallAll[string](t.Context(), n.To("all"), "who")
	var values, names []string
	for _, a := range answers {
		values, names = append(values, fmt.Sprint(a.Value, a.Err)), append(names, a.ID)
	}
	slices.Sort(values)
	if err != nil || fmt.Sprint(values) != "[client 0<nil> client 1<nil>]" || !slices.Equal(sorted(names), sorted(ids)) {
		t.Errorf("%v by %v, %v", values, names, err)
	}
	if got, err := n.All().Count(t.Context()); got != 2 || err != nil {
		t.Error(got, err)
	}
	var found []string
	for s, err := range n.To("node 1").Sockets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, s.ID()+fmt.Sprint(s.Rooms()))
		if err := s.Emit("you"); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(found, []string{ids[1] + "[all node 1]"}) {
		t.Error(found)
	}
	next(t, w[1], `42["you"]`)
	if err := n.EmitServers("tell", "x"); err != nil {
		t.Error(err)
	}
	if a, b := <-told, <-told; a != "x" || b != "x" {
		t.Error(a, b)
	}
	double, err := CallServers[int](t.Context(), n, "double", 21)
	var by []string
	for _, a := range double {
		if a.Value != 42 || a.Err != nil {
			t.Error(a)
		}
		by = append(by, a.ID)
	}
	if err != nil || !slices.Equal(sorted(by), sorted(nodes)) {
		t.Error(by, err)
	}
	began := time.Now()
	for _, srv := range ns.all {
		if got, err := CallServers[int](t.Context(), srv.Of("/"), "double", 1); err != nil || len(got) != 1 {
			t.Error(got, err)
		}
		if got, err := srv.Of("/").All().Count(t.Context()); got != 2 || err != nil {
			t.Error(got, err)
		}
	}
	if took := time.Since(began); took > clusterRequestTimeout {
		t.Errorf("the servers have waited %v", took)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// TestEmitterPattern: a pattern stands for all namespaces that match, and one of them is
// addressed by its name.
func TestEmitterPattern(t *testing.T) {
	ns := clustered(t, 2, func(srv *Server) { srv.OfPattern("/p/{id}") })
	w := []*wire.WS{ns.at[0].Join("/p/1,"), ns.at[1].Join("/p/2,")}
	ns.reach(ns.all[0].OfPattern("/p/{id}").All(), 2)
	ns.all[1].Of("/p/2").All().Local().Join("r")
	em := NewEmitter(ns.bus.Backend(), nil)
	p := em.Of("p/{id}")
	if got, err := p.All().Count(t.Context()); got != 2 || err != nil {
		t.Error(got, err)
	}
	_ = p.Emit("pattern")
	_ = p.To("r").Emit("room")
	_ = em.Of("/p/1").Emit("name")
	closeEmitter(t, em)
	next(t, w[0], `42/p/1,["pattern"]`)
	next(t, w[0], `42/p/1,["name"]`)
	next(t, w[1], `42/p/2,["pattern"]`)
	next(t, w[1], `42/p/2,["room"]`)
}

// TestEmitterClose: a process that emits, closes and ends has lost nothing, and one that emits more
// than the queue holds loses nothing with Flush.
func TestEmitterClose(t *testing.T) {
	ns := clustered(t, 2, nil)
	w, _ := joined(t, ns)
	const batches, size = 20, 400 // a client may have 1 024 wait
	for k := range batches {
		em := NewEmitter(ns.bus.Backend(), nil)
		for i := range size {
			if err := em.Of("/").To("all").Emit("n", k*size+i); err != nil {
				t.Fatal(err)
			}
			if i%100 == 50 && k%2 == 1 {
				if err := em.Flush(t.Context()); err != nil || em.srv.node.Stats().Waiting != 0 {
					t.Error(err)
				}
			}
		}
		closeEmitter(t, em)
		closeEmitter(t, em)
		for i := range w {
			for j := range size {
				if got, want := w[i].Next(), fmt.Sprintf(`42["n",%d]`, k*size+j); got != want {
					t.Fatalf("client %d got %s instead of %s", i, got, want)
				}
			}
		}
	}
}

// TestEmitterAway: what is lost is reported, and by Flush and Close.
func TestEmitterAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		bus.Cut()
		var reports atomic.Int32
		em := NewEmitter(bus.Backend(), &EmitterOptions{
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			OnError: func(f Failure) {
				if f.Name == FailureCluster {
					reports.Add(1)
				}
			},
		})
		for range 3 {
			if err := em.Of("/").Emit("lost"); err != nil {
				t.Error(err)
			}
		}
		lost := func(err error, text string, why error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), text) || !errors.Is(err, why) {
				t.Errorf("%v", err)
			}
		}
		lost(em.Flush(t.Context()), " 3 messages", cluster.ErrDown)
		if _, err := em.Of("/").All().Count(t.Context()); !errors.Is(err, cluster.ErrDown) {
			t.Error(err)
		}
		lost(em.Flush(t.Context()), " 1 messages", cluster.ErrDown) // the question
		bus.Heal()
		synctest.Wait()
		if err := errors.Join(em.Of("/").Emit("not lost"), em.Flush(t.Context())); err != nil {
			t.Error(err)
		}
		time.Sleep(3 * clusterHeartbeat)
		synctest.Wait()
		if n := reports.Load(); n != 2 {
			t.Errorf("OnError was told %d times", n)
		}
		lost(em.Close(t.Context()), " 4 messages", cluster.ErrDown)
	})
}

// TestEmitterLate: a question waits until the bus is there and the servers have had the time to
// say so, for as long as it may take.
func TestEmitterLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		em := NewEmitter(silentBus{}, nil)
		began := time.Now()
		_, err := CallAll[string](t.Context(), em.Of("/").All(), "q")
		if took := time.Since(began); took != 10*time.Second || !errors.Is(err, cluster.ErrRequestTimeout) {
			t.Errorf("%v after %v", err, took)
		}
		began = time.Now()
		_, err = em.Of("/").All().Count(t.Context())
		if took := time.Since(began); took != clusterRequestTimeout || !errors.Is(err, cluster.ErrRequestTimeout) {
			t.Errorf("%v after %v", err, took)
		}
		_ = em.Of("/").Emit("waits")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := em.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := em.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), " 1 messages") {
			t.Error(err)
		}
	})
}

// silentBus never says whether it is there.
type silentBus struct{}

func (silentBus) Start(context.Context, string, cluster.Receiver) error { return nil }
func (silentBus) Publish(context.Context, []*cluster.Message) error     { return cluster.ErrDown }
func (silentBus) Watch(context.Context, []cluster.Interest) error       { return nil }
func (silentBus) Close(context.Context) error                           { return nil }

// TestEmitterServesNobody: what is about sockets of this process panics or has none.
func TestEmitterServesNobody(t *testing.T) {
	em := NewEmitter(cluster.NewBus().Backend(), nil)
	defer closeEmitter(t, em)
	n := em.Of("/x")
	for name, f := range map[string]func(){
		"On":            func() { n.On("e", HandlerFunc(func(context.Context, *Event) error { return nil })) },
		"OnConnect":     func() { n.OnConnect(func(context.Context, *Socket) error { return nil }) },
		"Guard":         func() { n.Guard(acl.PolicyFunc(nil)) },
		"HandleServers": func() { HandleServers(n, "e", func(context.Context, None) error { return nil }) },
		"Local":         func() { n.All().Local() },
		"pattern":       func() { em.Of("/{") },
		"no backend":    func() { NewEmitter(nil, nil) },
		"bad option":    func() { NewEmitter(cluster.NewBus().Backend(), &EmitterOptions{AckTimeout: -1}) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "sio: ") {
					t.Errorf("%s: %s", name, text)
				}
			}()
			f()
			t.Errorf("%s does not panic", name)
		}()
	}
	if n.Len() != 0 || len(n.Rooms()) != 0 || n.Socket("x") != nil || n.Server() != nil || n.Path() != "/x" {
		t.Error("there is something")
	}
	n.Set("k", 1)
	if n.Get("k") != 1 {
		t.Error("not kept")
	}
	if err := n.Emit("connect"); err == nil {
		t.Error("a reserved event was emitted")
	}
	for _, to := range []Target{n.All(), n.To()} {
		if err := to.Emit("e", func() {}); err == nil {
			t.Error("a function was encoded")
		}
		if _, err := CallAll[string](t.Context(), to, "e", func() {}); err == nil {
			t.Error("a function was encoded")
		}
		if list, err := CallAll[string](t.Context(), to, "e"); len(list) != 0 || err != nil {
			t.Error(list, err)
		}
	}
}
