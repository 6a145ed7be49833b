package sio

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// killedNode is a node with clients, and another one, whose clock is a virtual one.
func killedNode(t *testing.T, live bool, clients int, do func(a, b *Server, all []*pollingReturning, cut, heal func())) {
	synctest.Test(t, func(t *testing.T) {
		bus := journalBus()
		node := func() *Server {
			return NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{StoreLive: live}, Logger: slog.New(slog.DiscardHandler)})
		}
		a, b := node(), node()
		time.Sleep(time.Minute)
		var all []*pollingReturning
		for range clients {
			p := &pollingReturning{inMemory: inMemory{t, a}, returning: returning{t: t}}
			p.connect()
			all = append(all, p)
		}
		do(a, b, all, func() { bus.Cut(a.node.Name()) }, func() { bus.Heal() })
		for _, srv := range []*Server{a, b} {
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Hour) // the timers of the servers end by themselves
	})
}

// TestJournalSilentMany: after a kill, before the cluster has noticed, all clients that come at once wait
// once until the killed process has not answered, and not in turns.
func TestJournalSilentMany(t *testing.T) {
	for _, live := range []bool{true, false} {
		t.Run(map[bool]string{true: "stored", false: "new"}[live], func(t *testing.T) {
			killedNode(t, live, 3*maxClaims, func(a, b *Server, all []*pollingReturning, cut, _ func()) {
				cut()
				for _, p := range all {
					p.srv = b
					p.ask()
				}
				time.Sleep(2*takeoverTime + takeoverTime/2)
				if _, there := b.node.Heard(a.node.Name()); !there {
					t.Error("the cluster has noticed: this shows nothing")
				}
				late, wrong := 0, 0
				for _, p := range all {
					synctest.Wait()
					p.mu.Lock()
					n := len(p.packets)
					p.mu.Unlock()
					if n == 0 {
						late++
					} else if recovered, _ := p.answer(); recovered != live {
						wrong++
					}
				}
				if late > 0 || wrong > 0 {
					t.Errorf("of %d clients %d wait, and %d are recovered or not when they should not", len(all), late, wrong)
				}
			})
		})
	}
}

// TestJournalSilentHeard: a node that was silent and is heard again is asked, and has the last word.
func TestJournalSilentHeard(t *testing.T) {
	killedNode(t, true, 2, func(a, b *Server, all []*pollingReturning, cut, heal func()) {
		name := a.node.Name()
		cut()
		all[0].srv = b
		all[0].ask()
		time.Sleep(2 * takeoverTime)
		if recovered, _ := all[0].answer(); !recovered || !b.recovery.silent(name) {
			t.Errorf("recovered %v, silent %v", recovered, b.recovery.silent(name))
		}
		heal()
		time.Sleep(clusterHeartbeat)
		if b.recovery.silent(name) {
			t.Error("silent, though something has come")
		}
		old := a.Of("/").Socket(all[1].sid)
		if old == nil {
			t.Fatal("its socket has ended: this shows nothing")
		}
		all[1].srv = b
		all[1].ask()
		time.Sleep(takeoverTime / 2)
		if recovered, _ := all[1].answer(); !recovered || old.Connected() {
			t.Errorf("recovered %v, and the socket is connected: %v", recovered, old.Connected())
		}
	})
}
