package sio

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// TestHandoverShutdown: a server that shuts down hands the sessions of its clients over while it is
// there, and waits for them.
func TestHandoverShutdown(t *testing.T) {
	m := newMovers(t, nil, nil)
	m.socket(0).Join("room")
	m.reach(m.all[1].Of("/").To("room"), 1) // what server 1 says to the room comes from now on
	shut := make(chan error, 1)
	go func() { shut <- m.all[0].Shutdown(context.Background()) }()
	m.r.w.End()
	m.say(1, toRoom, "missed")
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	m.r.expect("missed")
	select {
	case err := <-shut:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(handoverPatience / 2):
		t.Fatal("it waits for nobody")
	}
	m.r.away(m.all[1])
	m.say(1, toRoom, "again")
	if !m.move(2) { // the server that the secret names is not there any more
		t.Fatal("not recovered once more")
	}
	m.r.expect("again")
	_ = m.all[1].Of("/").To(m.r.sid).Emit("to the id")
	m.r.expect("to the id")
}

// TestHandoverShutdownAnswer: a server that shuts down waits until it has answered who takes the last
// session over: before, the answer could be that there is none any more.
func TestHandoverShutdownAnswer(t *testing.T) {
	m := newMovers(t, nil, nil)
	m.socket(0)
	r, log := m.all[0].recovery, &m.all[0].Of("/").recovery.Load().mu
	shut, done := make(chan error, 1), make(chan struct{})
	go func() { shut <- m.all[0].Shutdown(context.Background()) }()
	m.r.w.End()
	m.late[1].hold(answersOf(m.all[0], 0))
	go func() {
		defer close(done)
		until(t, "what the session is comes late", func() bool { return m.late[1].waiting() >= 1 })
		log.Lock() // so that what the client has missed cannot be answered yet
		defer log.Unlock()
		m.late[1].release()
		until(t, "the session is given away", func() bool { return sessionsAt(m.all[0]) == 0 })
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.leaving != 1 {
			t.Error("Shutdown does not wait for the answer")
		}
	}()
	if !m.move(1) {
		t.Error("not recovered")
	}
	<-done
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

// unheard is the handler of a connection whose sockets have not heard yet that it has ended.
type unheard struct{ virtsocket.Handler }

func (unheard) Closed(virtsocket.Reason) {}

// TestHandoverShutdownFast: Shutdown waits also for a client that it has sent away, and that has come
// to another server before its socket has ended here.
func TestHandoverShutdownFast(t *testing.T) {
	reasons := make(chan Reason, 3)
	m := newMovers(t, func(srv *Server) {
		srv.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	}, nil)
	s := m.socket(0)
	shutting := func(on bool) {
		m.all[0].mu.Lock()
		defer m.all[0].mu.Unlock()
		m.all[0].closed = on
	}
	shutting(true)
	s.client.vs.Handle(unheard{s.client})
	s.client.vs.Close(virtsocket.ServerShutdown)
	if !m.move(1) {
		t.Error("not recovered")
	}
	s.client.Closed(virtsocket.ServerShutdown)
	shutting(false)
	if got := <-reasons; got != ServerShutdown {
		t.Error(got)
	}
}

// TestHandoverShutdownAlone: who does not come back is waited for as long as it says, since it was
// sent away.
func TestHandoverShutdownAlone(t *testing.T) {
	m := newMovers(t, nil, nil)
	m.socket(0)
	const wait = 300 * time.Millisecond
	m.all[0].recovery.times.wait = wait
	begin := time.Now()
	if err := m.all[0].Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d < wait {
		t.Error(d)
	}
	if sessionsAt(m.all[0]) != 0 {
		t.Error("a session is left")
	}
}

// TestHandoverShutdownLong: what the server does behind the end of the last client is part of the
// time.
func TestHandoverShutdownLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		other := NewServer(&Options{Cluster: bus.Backend()})
		srv := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		time.Sleep(time.Minute)
		r := srv.recovery
		r.leaving, r.last = 1, r.wheel.Now()
		time.Sleep(maxHandoverWait - time.Second)
		begin := time.Now()
		r.wait(t.Context())
		if d := time.Since(begin); d != time.Second {
			t.Error(d)
		}
		_, _ = srv.Shutdown(t.Context()), other.Shutdown(t.Context())
	})
}

// TestHandoverKilled: a node that falls silent is waited for until the others know that it has gone.
func TestHandoverKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		var all []*Server
		for range 3 {
			all = append(all, NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}}))
		}
		time.Sleep(time.Minute)
		bus.Cut(all[2].Node())
		begin := time.Now()
		counts, err := all[0].recovery.countEvents()
		if d := time.Since(begin); err != nil || len(counts) != 1 || d > handoverTime-takeoverTime {
			t.Error(counts, err, d)
		}
		begin = time.Now()
		if _, err := all[0].recovery.countEvents(); err != nil || time.Since(begin) > 0 {
			t.Error(err, time.Since(begin))
		}
		for _, srv := range all {
			_ = srv.Shutdown(t.Context())
		}
	})
}

// TestHandoverBesideKilled: a client that moves before the cluster has noticed that a third node was
// killed waits for that, and is recovered.
func TestHandoverBesideKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		var all []*Server
		for range 3 {
			all = append(all, NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}}))
		}
		time.Sleep(time.Minute)
		p := &pollingReturning{inMemory: inMemory{t, all[0]}, returning: returning{t: t}}
		p.connect()
		p.leave()
		bus.Cut(all[2].Node())
		_ = all[0].Of("/").Emit("missed")
		p.srv = all[1]
		p.ask()
		time.Sleep(clusterRequestTimeout)
		if got := p.take(); len(got) > 0 {
			t.Errorf("%q comes before the cluster can have noticed", got)
		} else {
			time.Sleep(handoverTime - clusterRequestTimeout)
			if recovered, events := p.answer(); !recovered || !slices.Equal(events, []string{`["missed"]`}) {
				t.Errorf("recovered %v, with %q", recovered, events)
			}
		}
		p.leave()
		for _, srv := range all {
			_ = srv.Shutdown(t.Context())
		}
		time.Sleep(time.Hour) // the timers of the servers end by themselves
	})
}
