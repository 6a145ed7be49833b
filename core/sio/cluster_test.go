package sio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

// nodes is a cluster of servers on one bus.
type nodes struct {
	t   *testing.T
	bus *cluster.Bus
	all []*Server
	at  []*wire.Client
}

func clustered(t *testing.T, n int, set func(srv *Server)) *nodes {
	return clusteredWith(t, n, func(int, *Options) {}, set)
}

func clusteredWith(t *testing.T, n int, opts func(i int, o *Options), set func(srv *Server)) *nodes {
	ns := &nodes{t: t, bus: cluster.NewBus()}
	for i := range n {
		o := Options{Cluster: ns.bus.Backend()}
		opts(i, &o)
		srv := NewServer(&o)
		if set != nil {
			set(srv)
		}
		ns.all = append(ns.all, srv)
		ns.at = append(ns.at, serve(t, srv))
	}
	ns.settle()
	return ns
}

// settle waits until every node knows all others.
func (ns *nodes) settle() {
	ns.t.Helper()
	for _, srv := range ns.all {
		for until := time.Now().Add(10 * time.Second); len(srv.node.Nodes()) != len(ns.all)-1; {
			if time.Now().After(until) {
				ns.t.Fatalf("%s knows %v", srv.node.Name(), srv.node.Nodes())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// reach waits until what one node emits reaches this many sockets: what a node has answered,
// it has said after the bus was told of its rooms.
func (ns *nodes) reach(t Target, want int) {
	ns.t.Helper()
	if got, err := t.Count(context.Background()); got != want || err != nil {
		ns.t.Fatalf("%d sockets, %v, want %d", got, err, want)
	}
}

// TestClusterEmit: what one node emits reaches the clients of all, of every generation, in
// order, once.
func TestClusterEmit(t *testing.T) {
	ns := clustered(t, 3, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { s.Join("r"); return nil })
	})
	var next []func() string
	for _, c := range ns.at {
		next = append(next, c.Join("").Next)
	}
	n := ns.all[0].Of("/")
	ns.reach(n.To("r"), 3)
	for i := range 10 {
		if err := n.Emit("all", i, []byte{1, byte(i)}); err != nil {
			t.Fatal(err)
		}
		_ = n.To("r").Emit("room", i)
		_ = n.To("r", "other").Except("nobody").Emit("rooms", i)
	}
	_ = n.To("r").Local().Emit("local")
	_ = n.Emit("end")
	for i, f := range next {
		for k := range 10 {
			for _, want := range []string{fmt.Sprintf(`451-["all",%d,{"_placeholder":true,"num":0}]`, k), fmt.Sprintf(`42["room",%d]`, k), fmt.Sprintf(`42["rooms",%d]`, k)} {
				if got := f(); got != want {
					t.Fatalf("node %d: %s instead of %s", i, got, want)
				}
				if strings.HasPrefix(want, "451-") {
					if got, want := f(), "b"+base64.StdEncoding.EncodeToString([]byte{1, byte(k)}); got != want {
						t.Fatalf("node %d: %s instead of %s", i, got, want)
					}
				}
			}
		}
		if i == 0 {
			if got := f(); got != `42["local"]` {
				t.Errorf("%s", got)
			}
		}
		if got := f(); got != `42["end"]` {
			t.Errorf("node %d: %s", i, got)
		}
	}
}

// TestClusterTargets: rooms, leaving, disconnecting and asking reach other nodes.
func TestClusterTargets(t *testing.T) {
	ctx := context.Background()
	ns := clustered(t, 3, nil)
	var w []*wire.WS
	for _, c := range ns.at {
		w = append(w, c.Join(""))
	}
	n := ns.all[0].Of("/")
	if got, err := n.All().Count(ctx); got != 3 || err != nil {
		t.Fatal(got, err)
	}
	var ids []string
	for s, err := range n.All().Sockets(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID())
		s.Join("joined")
	}
	if len(ids) != 3 {
		t.Fatal(ids)
	}
	slices.Sort(ids)
	_ = n.To("joined").Emit("x")
	for i := range w {
		if got := w[i].Next(); got != `42["x"]` {
			t.Errorf("%d: %s", i, got)
		}
	}
	answers := make(chan []Answer[string], 1)
	go func() {
		got, err := CallAll[string](ctx, n.All(), "who")
		if err != nil {
			t.Error(err)
		}
		answers <- got
	}()
	for i := range w {
		q := w[i].Next()
		id, _, _ := strings.Cut(strings.TrimPrefix(q, "42"), "[")
		w[i].Send(fmt.Sprintf(`43%s["client %d"]`, id, i))
	}
	got := <-answers
	var values, names []string
	for _, a := range got {
		values, names = append(values, a.Value), append(names, a.ID)
	}
	slices.Sort(values)
	slices.Sort(names)
	if fmt.Sprint(values) != "[client 0 client 1 client 2]" || !slices.Equal(names, ids) {
		t.Errorf("%v by %v, not %v", values, names, ids)
	}
	n.To("joined").Except(ids[0]).Leave("joined")
	if got, _ := n.To("joined").Count(ctx); got != 1 {
		t.Error(got)
	}
	n.All().Disconnect()
	for i := range w {
		if got := w[i].Next(); got != "41" {
			t.Errorf("%d: %s", i, got)
		}
	}
}

// TestClusterCallAll: clients of other nodes that do not answer, or leave, are named like those
// of this one, and their nodes are not missing.
func TestClusterCallAll(t *testing.T) {
	t.Parallel()
	ns := clustered(t, 2, nil)
	var w []*wire.WS
	for _, c := range ns.at {
		w = append(w, c.Join(""), c.Join(""), c.Join(""))
	}
	var clients []*client
	for _, srv := range ns.all {
		srv.Of("/").All().every(func(s *Socket) { clients = append(clients, s.client) })
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		list, err := CallAll[string](ctx, ns.all[0].Of("/").All(), "who")
		var texts []string
		for _, a := range list {
			switch {
			case errors.Is(a.Err, ErrAckTimeout):
				a.Value = "silent"
			case errors.Is(a.Err, ErrDisconnected):
				a.Value = "gone"
			case a.Err != nil:
				a.Value = a.Err.Error()
			}
			texts = append(texts, a.Value)
		}
		slices.Sort(texts)
		done <- fmt.Sprint(texts, err)
	}()
	for i := range w {
		q := w[i].Next()
		id, _, _ := strings.Cut(strings.TrimPrefix(q, "42"), "[")
		switch i % 3 {
		case 0:
			w[i].Send(fmt.Sprintf(`43%s["yes"]`, id))
		case 1:
			w[i].Send("41")
		}
	}
	if got, want := <-done, "[gone gone silent silent yes yes] <nil>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// No inbox takes a question for open any more.
	for _, c := range clients {
		until(t, "an inbox without an open question", func() bool { return c.inbox.State().Calls == 0 })
	}
}

// TestClusterDynamic: a namespace of a pattern is addressed by name and by its pattern
// from a node where it does not exist.
func TestClusterDynamic(t *testing.T) {
	ns := clustered(t, 2, func(srv *Server) { srv.OfPattern("/p/{id}") })
	w := ns.at[1].Join("/p/7,")
	if ns.all[0].Lookup("/p/7") != nil {
		t.Fatal("it exists here")
	}
	ns.reach(ns.all[0].Of("/p/7").All(), 1)
	_ = ns.all[0].Of("/p/7").Emit("name")
	_ = ns.all[0].OfPattern("/p/{id}").Emit("pattern")
	for _, want := range []string{`42/p/7,["name"]`, `42/p/7,["pattern"]`} {
		if got := w.Next(); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
}

// TestClusterServers: servers tell and ask each other.
func TestClusterServers(t *testing.T) {
	ctx := context.Background()
	told := make(chan string, 10)
	ns := clustered(t, 3, func(srv *Server) {
		n := srv.Of("/")
		HandleServers(n, "tell", func(_ context.Context, text string) error { told <- srv.node.Name() + " " + text; return nil })
		ReplyServers(n, "double", func(_ context.Context, i int) (int, error) { return 2 * i, nil })
		ReplyServers(n, "fail", func(context.Context, None) (int, error) { return 0, Errorf("no", "not today") })
	})
	n := ns.all[0].Of("/")
	if err := n.EmitServers("tell", "hello"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := <-told; !strings.HasSuffix(got, " hello") || strings.HasPrefix(got, ns.all[0].node.Name()) {
			t.Error(got)
		}
	}
	got, err := CallServers[int](ctx, n, "double", 21)
	if err != nil || len(got) != 2 || got[0].Value != 42 || got[1].Value != 42 {
		t.Error(got, err)
	}
	for _, event := range []string{"fail", "unknown"} {
		got, err := CallServers[int](ctx, n, event)
		var e *Error
		if err != nil || len(got) != 2 || !errors.As(got[0].Err, &e) {
			t.Error(event, got, err)
		}
	}
}

// TestOnServer: a function is told of the servers that are there, and of those that leave.
func TestOnServer(t *testing.T) {
	ns := clustered(t, 2, nil)
	come := make(chan struct{})
	ns.all[0].OnServer(func(_ string, joined bool) {
		if joined {
			close(come)
		}
	})
	<-come // told by now, or when the other one is noticed
	told := make(chan string, 2)
	ns.all[0].OnServer(func(node string, joined bool) { told <- fmt.Sprint(node, joined) })
	if len(told) != 1 {
		t.Fatalf("told of %d servers", len(told))
	}
	name := ns.all[1].Node()
	if got := <-told; got != name+"true" || name == "" {
		t.Errorf("%s, not of %s", got, name)
	}
}
