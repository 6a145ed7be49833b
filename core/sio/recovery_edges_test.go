package sio

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

// again sends the CONNECT of a client that comes back, over a new connection.
func (r *returning) again() *wire.WS {
	r.t.Helper()
	w, _ := r.c.WebSocket()
	w.Send(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.pid, r.offset))
	return w
}

// TestRecoveryServerRooms: a client that comes back, and has been in none but the server's own
// rooms, may be refused.
func TestRecoveryServerRooms(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
		if s.Recovered() {
			return Errorf("no", "refused")
		}
		s.Join(serverRoom + "mine")
		return nil
	})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	if got := r.again().Next(); got != `44{"message":"refused"}` {
		t.Error(got)
	}
	if r.connect("") {
		t.Error("recovered after a refusal")
	}
}

// TestRecoveryCutAgain: an attempt that did not get as far as the answer counts for nothing, also
// when events are dropped behind it.
func TestRecoveryCutAgain(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{MaxEvents: 5}})
	n := srv.Of("/")
	inside, goOn := make(chan *Socket), make(chan struct{})
	n.OnConnect(func(_ context.Context, s *Socket) error {
		if s.Recovered() {
			inside <- s
			<-goOn
		}
		return nil
	})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	emit := func() {
		for i := range 5 {
			_ = n.Emit("missed", i)
		}
	}
	emit()
	w := r.again()
	s := <-inside
	w.Reset()
	<-s.Context().Done()
	goOn <- struct{}{}
	waitOver(t, s)
	emit() // the first five are dropped
	if r.connect("") {
		t.Error("recovered without what was dropped")
	}
}

// TestRecoveryEmitInside: what OnConnect emits to a client that comes back does not make it a
// client that has missed something.
func TestRecoveryEmitInside(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{MaxEvents: 5}})
	n := srv.Of("/")
	n.OnConnect(func(_ context.Context, s *Socket) error {
		if s.Recovered() {
			return s.Emit("hello")
		}
		return nil
	})
	r := newReturning(t, serve(t, srv), "")
	for i := range 20 {
		_ = n.To("others").Emit("x", i)
	}
	r.away(srv)
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("hello")
}

// TestRecoveryLeft: who has said goodbye is not recovered, also when the connection has ended
// before the goodbye had its turn.
func TestRecoveryLeft(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	running, goOn := make(chan *Socket), make(chan struct{})
	n.On("block", Handle(func(_ context.Context, s *Socket, _ None) error {
		running <- s
		<-goOn
		return nil
	}))
	reasons := make(chan Reason, 1)
	n.OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	r := newReturning(t, serve(t, srv), "")
	r.w.Send(`42["block"]`)
	s := <-running
	r.w.Send("41")
	until(t, "the goodbye waits", func() bool { return s.client.inbox.State().Waiting == 1 })
	r.w.Reset()
	<-s.Context().Done()
	close(goOn)
	if got := <-reasons; got != ClientNamespace {
		t.Error(got)
	}
	if r.connect("") {
		t.Error("recovered after its goodbye")
	}
}

// TestRecoveryOthersOnly: a client does not get what its socket has emitted to others, from
// OnConnect too.
func TestRecoveryOthersOnly(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	n.OnConnect(func(_ context.Context, s *Socket) error {
		if !s.Recovered() {
			s.Join("room")
			_ = s.To("room").Emit("joined")
		}
		return nil
	})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	_ = n.To("room").Emit("missed")
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("missed")
}

// TestRecoveryManyAtOnce: the bound of sessions holds when many connections end together.
func TestRecoveryManyAtOnce(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{MaxSessions: 2}})
	c := serve(t, srv)
	var all []*returning
	for range 20 {
		all = append(all, newReturning(t, c, ""))
	}
	for _, r := range all {
		r.w.Reset()
	}
	until(t, "two sessions", func() bool {
		srv.recovery.mu.Lock()
		defer srv.recovery.mu.Unlock()
		return srv.recovery.away.Len() == 2 && len(srv.recovery.byPID) == 2
	})
}

// TestRecoveryReleasesRooms: a client that leaves leaves no room behind in a cluster.
func TestRecoveryReleasesRooms(t *testing.T) {
	srv := NewServer(&Options{Cluster: cluster.NewBus().Backend(), Recovery: &Recovery{}})
	n := srv.Of("/")
	sockets := connected(n)
	r := newReturning(t, serve(t, srv), "")
	s := <-sockets
	s.Join("room")
	r.w.Send("41")
	waitOver(t, s)
	until(t, "no room", func() bool {
		sh := n.rooms.shard("room")
		sh.mu.Lock()
		defer sh.mu.Unlock()
		return sh.m["room"] == nil
	})
}

// TestRecoveryTakeoverElsewhere: a takeover in one namespace loses nothing that the client had sent
// to another.
func TestRecoveryTakeoverElsewhere(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	running, goOn := make(chan struct{}, 1), make(chan struct{})
	srv.Of("/").OnConnect(func(context.Context, *Socket) error { return nil })
	handled := make(chan int, 2)
	srv.Of("/chat").On("n", Handle(func(_ context.Context, _ *Socket, i int) error {
		running <- struct{}{}
		<-goOn
		handled <- i
		return nil
	}))
	r := newReturning(t, serve(t, srv), "")
	r.w.Send("40/chat,")
	r.w.Next()
	r.w.Next()
	r.w.Send(`42/chat,["n",1]`)
	<-running
	r.w.Send(`42/chat,["n",2]`)
	c := srv.Of("/").Socket(r.sid).client
	until(t, "the second event waits", func() bool { return c.inbox.State().Waiting == 1 })
	if !r.connect("") {
		t.Error("not recovered")
	}
	close(goOn)
	for want := 1; want <= 2; want++ {
		select {
		case got := <-handled:
			if got != want {
				t.Errorf("%d instead of %d", got, want)
			}
		case <-time.After(wire.Patience):
			t.Fatalf("%d was not handled", want)
		}
	}
}
