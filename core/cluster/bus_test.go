package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/bustest"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestBus: the bus in memory passes what every Backend passes.
func TestBus(t *testing.T) {
	bustest.Run(t, func(*testing.T) (func() cluster.Backend, func(), func()) {
		bus := cluster.NewBus()
		return bus.Backend, func() { bus.Cut() }, func() { bus.Heal() }
	})
}

// sink is a Receiver that writes down what it is told.
type sink struct {
	wait chan struct{} // Receive waits for it; nil: not

	mu   sync.Mutex
	got  []string
	lost int
	kept *cluster.Message
}

func (s *sink) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, text)
}

func (s *sink) Up()        { s.note("up") }
func (s *sink) Down(error) { s.note("down") }
func (s *sink) Lost(n int, err error) {
	s.note("lost")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += n
}

func (s *sink) Receive(m *cluster.Message) {
	s.note(string(m.Data))
	s.kept = m
	if s.wait != nil {
		<-s.wait
	}
}

func (s *sink) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.got
	s.got = nil
	return list
}

func start(t *testing.T, bus *cluster.Bus, name string, rooms ...string) (cluster.Backend, *sink) {
	t.Helper()
	b, s := bus.Backend(), new(sink)
	if err := b.Start(t.Context(), name, s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, r := range rooms {
		if err := b.Watch(t.Context(), []cluster.Interest{{Namespace: "/", Room: r, On: true}}); err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	return b, s
}

func expect(t *testing.T, s *sink, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := s.texts(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func emit(text string, rooms ...string) []*cluster.Message {
	return []*cluster.Message{{Kind: cluster.Emit, Namespace: "/", Rooms: rooms, Data: []byte(text)}}
}

// TestBusRouting: a node gets nothing that it need not get.
func TestBusRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		a, as := start(t, bus, "a", "", "r")
		_, bs := start(t, bus, "b", "")
		_, cs := start(t, bus, "c")
		for _, s := range []*sink{as, bs, cs} {
			expect(t, s, "up")
		}
		for _, m := range [][]*cluster.Message{
			emit("all"), emit("room", "r"), emit("rooms", "r", "s"),
			{{Kind: cluster.Emit, Namespace: "/other", Data: []byte("other")}},
			{{Kind: cluster.Count, Namespace: "/other", ID: "1", Data: []byte("request")}},
			{{Kind: cluster.Emit, Namespace: "/", To: "c", Rooms: []string{"id"}, Data: []byte("to c")}},
		} {
			if err := a.Publish(t.Context(), m); err != nil {
				t.Error(err)
			}
		}
		expect(t, as)
		expect(t, bs, "all", "rooms", "request")
		expect(t, cs, "request", "to c")
		if len(bs.kept.Data) != 0 {
			t.Error("what a Receiver has kept is as it was")
		}
	})
}

// TestBusCut one node: the others go on.
func TestBusCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		a, as := start(t, bus, "a", "")
		b, bs := start(t, bus, "b", "")
		_, cs := start(t, bus, "c", "")
		bus.Cut("b", "d")
		bus.Cut("b")
		if err := a.Publish(t.Context(), emit("1")); err != nil {
			t.Error(err)
		}
		if err := b.Publish(t.Context(), emit("2")); !errors.Is(err, cluster.ErrDown) {
			t.Error(err)
		}
		_, ds := start(t, bus, "d", "")
		bus.Heal("b")
		if err := b.Publish(t.Context(), emit("3")); err != nil {
			t.Error(err)
		}
		expect(t, as, "up", "3")
		expect(t, bs, "up", "down", "up")
		expect(t, cs, "up", "1", "3")
		expect(t, ds, "down")
		bus.Heal()
		expect(t, ds, "up")
		expect(t, as)
	})
}

// TestBusSlowNode: what a node does not take is dropped and counted, and holds up nobody.
func TestBusSlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		a, _ := start(t, bus, "a")
		_, slow := start(t, bus, "slow", "")
		_, quick := start(t, bus, "quick", "")
		slow.wait = make(chan struct{})
		const n = 20_000
		for i := range n {
			if err := a.Publish(t.Context(), emit(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		for range 100 { // nobody has noticed
			bus.Cut("slow")
			bus.Heal("slow")
		}
		synctest.Wait()
		if got := quick.texts(); len(got) != n+1 {
			t.Errorf("the quick node got %d", len(got))
		}
		close(slow.wait)
		synctest.Wait()
		got := slow.texts()
		if i := slices.Index(got, "lost"); slow.lost == 0 || i < 0 || i-1+slow.lost != n {
			t.Errorf("%d of %d came before %d were lost", i-1, n, slow.lost)
		}
		if len(got) > 2+n-slow.lost+2 {
			t.Errorf("it was told %q", got[len(got)-5:])
		}
		if err := a.Publish(t.Context(), emit("again")); err != nil {
			t.Error(err)
		}
		expect(t, slow, "again")

		before := slow.lost
		slow.wait = make(chan struct{})
		big := emit(string(make([]byte, 1<<20)))
		for range 100 {
			if err := a.Publish(t.Context(), big); err != nil {
				t.Fatal(err)
			}
		}
		close(slow.wait)
		synctest.Wait()
		if n := slow.lost - before; n < 35 || n > 40 {
			t.Errorf("%d of 100 MiB are lost", n)
		}
	})
}

// TestBusClose: a Receiver that does not return keeps Close for as long as its context.
func TestBusClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		a, _ := start(t, bus, "a")
		b, s := start(t, bus, "b", "")
		s.wait = make(chan struct{})
		for range 3 {
			if err := a.Publish(t.Context(), emit("x")); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(s.wait)
		expect(t, s, "up", "x")
		if err := b.Start(t.Context(), "b", s); err == nil {
			t.Error("a Backend can be started twice")
		}
		if err := a.Start(t.Context(), "a", s); err == nil {
			t.Error("a Backend can be started twice")
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := bus.Backend().Start(ended, "c", s); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestClone shares nothing.
func TestClone(t *testing.T) {
	m := &cluster.Message{
		Rooms: []string{"a"}, Except: []string{"b"}, Names: []string{"c"}, Data: []byte("d"), Attachments: [][]byte{[]byte("e")},
		Sockets: []cluster.Socket{{ID: "f", Rooms: []string{"g"}, Data: []byte("h"), Handshake: []byte("i")}},
	}
	c := m.Clone()
	m.Rooms[0], m.Except[0], m.Names[0], m.Data[0], m.Attachments[0][0] = "", "", "", 0, 0
	m.Sockets[0].Rooms[0], m.Sockets[0].Data[0], m.Sockets[0].Handshake[0] = "", 0, 0
	m.Sockets[0].ID = ""
	s := c.Sockets[0]
	if got := c.Rooms[0] + c.Except[0] + c.Names[0] + string(c.Data) + string(c.Attachments[0]) + s.ID + s.Rooms[0] + string(s.Data) + string(s.Handshake); got != "abcdefghi" {
		t.Error(got)
	}
}

// TestMissing says who is missing.
func TestMissing(t *testing.T) {
	for want, m := range map[string]*cluster.Missing{
		"cluster: no answer from the nodes a, b: cluster: request timed out":                                           {Nodes: []string{"a", "b"}, Err: cluster.ErrRequestTimeout},
		"cluster: no answer from the nodes a; no answer from 2 nodes without a known name: cluster: request timed out": {Nodes: []string{"a"}, Others: 2, Err: cluster.ErrRequestTimeout},
		"cluster: not every answer has come: cluster: the bus is away":                                                 {Err: cluster.ErrDown},
	} {
		if m.Error() != want || !errors.Is(m, m.Err) {
			t.Errorf("%q, want %q", m.Error(), want)
		}
	}
}

// TestBusBehind: a node is behind while what had come before waits, or is handed over, and when
// something was dropped.
func TestBusBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		a, _ := start(t, bus, "a")
		b, s := start(t, bus, "b", "")
		expect(t, s, "up")
		wait := make(chan struct{})
		s.wait = wait
		behind := func(when string, want bool) {
			t.Helper()
			if got := b.(cluster.Lagger).Behind(); got != want {
				t.Errorf("%s: %v", when, got)
			}
		}
		publish := func(n int) {
			t.Helper()
			for range n {
				if err := a.Publish(t.Context(), emit("x")); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		behind("at first", false)
		publish(2)
		behind("they have just come", false)
		behind("they wait", true)
		wait <- struct{}{}
		synctest.Wait()
		behind("one is handed over", true)
		wait <- struct{}{}
		synctest.Wait()
		behind("all were", false)
		publish(1)
		behind("one more", false)
		wait <- struct{}{}
		publish(1)
		behind("the one of before was handed over", false)
		publish(1 << 14)
		behind("many wait", true)
		close(wait)
		synctest.Wait()
		behind("nothing was dropped since", false)
		s.wait = make(chan struct{})
		publish(1<<14 + 2)
		close(s.wait)
		synctest.Wait()
		behind("one was dropped", true)
		behind("long ago", false)
		if s.lost == 0 {
			t.Error("nothing was lost")
		}
	})
}
