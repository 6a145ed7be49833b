package sio

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// TestForwardSilent: what is passed on to a node that is cut off from the bus alone goes on, and
// ends when the node cannot be reached either.
func TestForwardSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it waits until heartbeats are missed")
	}
	t.Parallel()
	sp := spreadOver(t, 2, func(_ int, o *Options) { o.PingInterval = time.Hour }, echoes) // a ping would end the poll
	s := sp.c.Polling()
	s.Join("")
	o := sp.owner(s.Open.SID)
	other := sp.all[0]
	if other == o {
		other = sp.all[1]
	}
	hs := httptest.NewServer(other)
	defer hs.Close()
	there, name := &wire.Session{Client: wire.New(t, hs.URL, "/socket.io/"), Open: s.Open}, o.Node()
	there.HTTP.Timeout = time.Minute // the poll lasts longer than it takes until the node is given up
	held := there.Hold()
	until(t, "the poll is passed on", func() bool { return other.forward.Passing() > 0 })
	sp.bus.Cut(name)
	until(t, "the node is given up", func() bool { _, silent := other.forward.Address(name); return silent })
	if a := there.Post(`42["echo","silent"]`); a.Status != 200 {
		t.Error(a)
	}
	if a := <-held; a.Status != 200 || a.Body != `42["echoed","silent"]` {
		t.Error(a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := o.forward.Close(ctx); err != nil { // as of a process that was killed
		t.Fatal(err)
	}
	until(t, "the node is not reached", func() bool { _, silent := other.forward.Address(name); return !silent })
	if a := there.Post("3"); a.Status != 400 {
		t.Error(a)
	}
}

// TestForwardUntold: the sessions of a node that has been given up go on also while the function that
// is told of servers takes its time, and nobody has looked yet whether the node can be reached.
func TestForwardUntold(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it waits until heartbeats are missed")
	}
	t.Parallel()
	sp := spreadOver(t, 2, func(_ int, o *Options) { o.PingInterval = time.Hour }, echoes)
	s := sp.c.Polling()
	s.Join("")
	o := sp.owner(s.Open.SID)
	other := sp.all[0]
	if other == o {
		other = sp.all[1]
	}
	busy, hold := make(chan struct{}), make(chan struct{})
	defer close(hold)
	other.OnServer(func(name string, joined bool) {
		if joined && name != o.Node() {
			close(busy)
			<-hold
		}
	})
	third := NewServer(&Options{Cluster: sp.bus.Backend(), Logger: sp.log.Logger()})
	defer func() { _ = third.Shutdown(context.Background()) }()
	select {
	case <-busy:
	case <-time.After(wire.Patience):
		t.Fatal("nobody is told of the third server")
	}
	hs := httptest.NewServer(other)
	defer hs.Close()
	there := &wire.Session{Client: wire.New(t, hs.URL, "/socket.io/"), Open: s.Open}
	sp.bus.Cut(o.Node())
	until(t, "the node is given up", func() bool { return !slices.Contains(other.node.Nodes(), o.Node()) })
	if a := there.Post(`42["echo","silent"]`); a.Status != 200 {
		t.Error(a)
	}
	if a := there.Get(); a.Status != 200 || a.Body != `42["echoed","silent"]` {
		t.Error(a)
	}
}
