package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

// failures are what OnError was told.
type failures struct {
	mu   sync.Mutex
	list []Failure
}

func (fs *failures) told(f Failure) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = append(fs.list, f)
}

func (fs *failures) of(name string) (list []Failure) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if f.Name == name {
			list = append(list, f)
		}
	}
	return list
}

func (fs *failures) await(t *testing.T, n int) []Failure {
	t.Helper()
	for until := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if list := fs.of(FailureCluster); len(list) >= n {
			return list
		}
		if time.Now().After(until) {
			t.Fatalf("OnError was told %+v", fs.list)
		}
	}
}

// hearing is what one client gets: the numbers of each node, in order.
type hearing struct {
	w    *wire.WS
	done chan struct{}
	got  map[int][]int
	err  error
}

func listen(w *wire.WS, nodes int) *hearing {
	h := &hearing{w: w, done: make(chan struct{}), got: make(map[int][]int)}
	go func() {
		defer close(h.done)
		for ends := 0; ends < nodes; {
			text, err := w.Read()
			if err != nil {
				h.err = err
				return
			}
			var node, i int
			if strings.Contains(text, "end") {
				ends++
			} else if _, err := fmt.Sscanf(text, `42["n",%d,%d]`, &node, &i); err != nil {
				h.err = fmt.Errorf("%s: %w", text, err)
				return
			} else {
				h.got[node] = append(h.got[node], i)
			}
		}
	}()
	return h
}

// TestClusterCut: a node loses the bus under traffic. Its clients get what is emitted there,
// the other nodes go on, what is lost is counted exactly, and nothing comes twice or late.
func TestClusterCut(t *testing.T) {
	t.Parallel()
	fs := make([]*failures, 3)
	ns := clusteredWith(t, 3, func(i int, o *Options) {
		fs[i] = new(failures)
		o.OnError = fs[i].told
		o.MaxQueueMessages = 1 << 20 // no client is taken for a slow one
	}, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { s.Join("r"); return nil })
	})
	var hs []*hearing
	for _, c := range ns.at {
		hs = append(hs, listen(c.Join(""), 3))
	}
	for _, srv := range ns.all {
		ns.reach(srv.Of("/").To("r"), 3)
	}
	name := ns.all[2].node.Name()
	emitted := make([]atomic.Int64, 3)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, srv := range ns.all {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond): // traffic, not a flood
				}
				target := srv.Of("/").To("r")
				if k%2 == 1 {
					target = srv.Of("/").All()
				}
				if err := target.Emit("n", i, k); err != nil {
					t.Error(err)
				}
				emitted[i].Add(1)
			}
		})
	}
	more := func(n int64) {
		from := emitted[2].Load()
		for emitted[2].Load() < from+n {
			time.Sleep(time.Millisecond)
		}
	}
	more(100)
	for range 3 { // one gap, however often
		ns.bus.Cut(name)
		more(100)
		ns.bus.Heal(name)
		more(10)
	}
	list := fs[2].await(t, 2)
	close(stop)
	wg.Wait()
	for _, srv := range ns.all {
		ns.reach(srv.Of("/").To("r"), 3) // as before
		_ = srv.Of("/").To("r").Emit("end")
	}
	missing := make(map[[2]int]int)
	for i, h := range hs {
		<-h.done
		if h.err != nil {
			t.Fatalf("node %d: %v", i, h.err)
		}
		for from := range 3 {
			got := h.got[from]
			for k := 1; k < len(got); k++ {
				if got[k] <= got[k-1] {
					t.Fatalf("node %d got %d of node %d behind %d", i, got[k], from, got[k-1])
				}
			}
			missing[[2]int{from, i}] = int(emitted[from].Load()) - len(got)
		}
	}
	for pair, n := range missing {
		if cut := (pair[0] == 2) != (pair[1] == 2); cut != (n > 0) {
			t.Errorf("%d of node %d are missing at node %d", n, pair[0], pair[1])
		}
	}
	if missing[[2]int{2, 0}] != missing[[2]int{2, 1}] {
		t.Errorf("two nodes miss different numbers: %v", missing)
	}
	if want := fmt.Sprintf(" %d messages to other nodes were lost", missing[[2]int{2, 0}]); !strings.Contains(list[1].Reason, want) {
		t.Errorf("%q, want %q", list[1].Reason, want)
	}
	if !regexp.MustCompile(`cannot be reached since`).MatchString(list[0].Reason) || !errors.Is(list[0].Err, cluster.ErrDown) {
		t.Errorf("%+v", list[0])
	}
	if n := len(fs[2].of(FailureCluster)); n != 2 || len(fs[0].list)+len(fs[1].list) > 0 {
		t.Errorf("%d failures, and %+v, %+v", n, fs[0].list, fs[1].list)
	}
}

// TestClusterKilled: a node that ends without a word is missing by name, then gone, and is one
// of the cluster again when it is back.
func TestClusterKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it waits until heartbeats are missed")
	}
	t.Parallel()
	ns := clusteredWith(t, 3, func(_ int, o *Options) { o.AckTimeout = time.Second }, func(srv *Server) {
		ReplyServers(srv.Of("/"), "ping", func(context.Context, None) (string, error) { return "pong", nil })
	})
	for _, c := range ns.at {
		w := c.Join("")
		go func() {
			for {
				q, err := w.Read()
				if err != nil {
					return
				}
				if id, _, ok := strings.Cut(strings.TrimPrefix(q, "42"), "["); ok && id != "" {
					w.Send(`43` + id + `["yes"]`)
				}
			}
		}()
	}
	n, name := ns.all[0].Of("/"), ns.all[2].node.Name()
	ns.reach(n.All(), 3)
	ns.bus.Cut(name)
	ctx := context.Background()
	ask := map[string]func(n *Namespace) (int, error){
		"Count": func(n *Namespace) (int, error) { return n.All().Count(ctx) },
		"Sockets": func(n *Namespace) (count int, missing error) {
			for _, err := range n.All().Sockets(ctx) {
				if missing = err; err == nil {
					count++
				}
			}
			return count, missing
		},
		"CallAll": func(n *Namespace) (int, error) {
			list, err := CallAll[string](ctx, n.All(), "q")
			return len(list), err
		},
		"CallServers": func(n *Namespace) (int, error) {
			list, err := CallServers[string](ctx, n, "ping")
			return 1 + len(list), err
		},
	}
	var wg sync.WaitGroup
	for what, f := range ask {
		wg.Go(func() {
			from := time.Now()
			got, err := f(n)
			var missing *cluster.Missing
			if !errors.As(err, &missing) || !slices.Equal(missing.Nodes, []string{name}) || missing.Others != 0 || got != 2 {
				t.Errorf("%s: %d, %v", what, got, err)
			}
			if took := time.Since(from); took > 9*time.Second {
				t.Errorf("%s took %v", what, took)
			}
		})
		wg.Go(func() {
			from := time.Now()
			got, err := f(ns.all[2].Of("/"))
			var missing *cluster.Missing
			if !errors.As(err, &missing) || len(missing.Nodes) != 2 || !errors.Is(err, cluster.ErrDown) || got != 1 {
				t.Errorf("%s of the node without a bus: %d, %v", what, got, err)
			}
			if took := time.Since(from); took > 4*time.Second { // less than clusterRequestTimeout
				t.Errorf("%s of the node without a bus took %v", what, took)
			}
		})
	}
	wg.Wait()
	for until := time.Now().Add(15 * time.Second); len(ns.all[0].node.Nodes()) != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the node is there for ever")
		}
	}
	for what, f := range ask {
		if got, err := f(n); got != 2 || err != nil {
			t.Errorf("%s without the node: %d, %v", what, got, err)
		}
	}
	ns.bus.Heal(name)
	ns.settle()
	for what, f := range ask {
		for i, srv := range ns.all {
			if got, err := f(srv.Of("/")); got != 3 || err != nil {
				t.Errorf("%s at node %d with the node again: %d, %v", what, i, got, err)
			}
		}
	}
}

// TestClusterMalformed: what is malformed on the bus is told to OnError each time, and to the
// log once, and brings nobody to close a connection, now or when what was missed is sent again.
func TestClusterMalformed(t *testing.T) {
	fs, log := new(failures), new(logged)
	ns := clusteredWith(t, 1, func(_ int, o *Options) {
		o.OnError, o.Logger = fs.told, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		o.Recovery = &Recovery{}
	}, nil)
	ns.deaf(ns.all[0], false)
	r := newReturning(t, ns.at[0], "")
	ns.reach(ns.all[0].Of("/").All(), 1)
	b := ns.bus.Backend()
	if err := b.Start(t.Context(), "alien", idle{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	bad := []string{
		"", "[", `{}`, `[]`, `[1]`, `["connect"]`, `["e","` + "\xff" + `"]`, `["e",` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "]",
		`["e",{"_placeholder":true,"num":0}] `, "[\"e\",{\"_placeholder\":true,\"num\":0}]\n", ` ["e",{"_placeholder":true,"num":0}]`,
		`[ "e",{"_placeholder":true,"num":0}]`, `["e" ,{"_placeholder":true,"num":0}]`, `["e",{"_placeholder":true,"num":-1}]`, `["e",{"_placeholder":true,"num":1}]`, `["e",{"_placeholder":true}]`, `["e",{"_placeholder":1,"num":0}]`, `["e"]`,
	}
	for _, data := range bad {
		_ = b.Publish(t.Context(), []*cluster.Message{
			{Kind: cluster.Emit, Node: "alien", Namespace: "/", Data: []byte(data), Attachments: [][]byte{{1}}},
			{Kind: cluster.Emit, Node: "alien", Namespace: "/", Data: []byte(data), Attachments: [][]byte{{1}}, ID: "question"},
		})
	}
	_ = b.Publish(t.Context(), []*cluster.Message{
		{Kind: 99, Node: strings.Repeat("x", 1<<20), Namespace: "/", Data: []byte("x")},
		{Kind: cluster.Counted, Node: "alien", ID: "1", Number: -5}, {Kind: cluster.Hello, Node: strings.Repeat("x", 1<<20)},
		{Kind: cluster.Emit, Node: "alien", Namespace: "/", Data: []byte(`["end"]`)},
	})
	r.expect("end")
	fs.await(t, 2*len(bad))
	if got := strings.Count(log.String(), "malformed message"); got != 1 {
		t.Errorf("%d lines of the log:\n%s", got, log)
	}
}

// TestClusterReports: an OnError that takes its time, or asks other nodes, does not hold up what
// comes from the bus, and is not called any number of times at once.
func TestClusterReports(t *testing.T) {
	release, running := make(chan struct{}), new(atomic.Int64)
	ns := clusteredWith(t, 1, func(_ int, o *Options) {
		o.OnError = func(Failure) { running.Add(1); <-release }
	}, nil)
	w := ns.at[0].Join("")
	ns.reach(ns.all[0].Of("/").All(), 1)
	b := ns.bus.Backend()
	if err := b.Start(t.Context(), "alien", idle{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	const many = 1000
	for range many {
		_ = b.Publish(t.Context(), []*cluster.Message{{Kind: cluster.Emit, Node: "alien", Namespace: "/", Data: []byte("x")}})
	}
	_ = b.Publish(t.Context(), []*cluster.Message{{Kind: cluster.Emit, Node: "alien", Namespace: "/", Data: []byte(`["end"]`)}})
	if got := w.Next(); got != `42["end"]` {
		t.Errorf("%s", got)
	}
	until(t, "every failure is counted", func() bool { return ns.all[0].Stats().Failures[FailureCluster] == many })
	if got := running.Load(); got > maxClusterReports {
		t.Errorf("OnError ran %d times at once", got)
	}
	close(release)
}

// idle is a Receiver that does nothing.
type idle struct{}

func (idle) Receive(*cluster.Message) {}
func (idle) Up()                      {}
func (idle) Down(error)               {}
func (idle) Lost(int, error)          {}

// logged is a log.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
