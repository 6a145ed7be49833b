package sio

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// saves is the way of one node to the log. While refuse is set no session is kept, while told is one is
// kept all the same, and while slow, or late, is that takes its time, before it is kept or afterwards.
type saves struct {
	cluster.Backend
	cluster.Journal

	refuse atomic.Bool
	told   atomic.Bool
	slow   atomic.Bool
	late   atomic.Bool
	held   atomic.Pointer[chan struct{}] // the next TakeSession waits until it is closed
}

var errSaves = errors.New("no session is kept")

func (j *saves) SaveSession(ctx context.Context, s *cluster.Session, keep time.Duration) error {
	if j.slow.Load() {
		time.Sleep(2 * takeoverTime)
	}
	if j.refuse.Load() {
		return errSaves
	}
	err := j.Journal.SaveSession(ctx, s, keep)
	if j.late.Load() {
		time.Sleep(2 * takeoverTime)
	}
	if err == nil && j.told.Load() {
		return errSaves
	}
	return err
}

func (j *saves) TakeSession(ctx context.Context, pid string) (*cluster.Session, error) {
	if held := j.held.Swap(nil); held != nil {
		<-*held
	}
	return j.Journal.TakeSession(ctx, pid)
}

var latestKey = RestoredKey[string]("where the client was")

// twoPlaces are two nodes, a and b, with a log, and a client at a, in the room "a". The node a was cut
// off then, and the client was at b, which has put it into the room "b" instead.
type twoPlaces struct {
	*testing.T
	bus  *cluster.Bus
	a, b *Server
	ways [2]*saves
	p    *pollingReturning
	old  *Socket // at a
}

// inTwoPlaces calls do when the client has left b. left: it had left a before, and a knows.
func inTwoPlaces(t *testing.T, left bool, do func(w *twoPlaces)) {
	synctest.Test(t, func(t *testing.T) {
		w := &twoPlaces{T: t, bus: journalBus()}
		node := func(i int) *Server {
			b := w.bus.Backend()
			w.ways[i] = &saves{Backend: b, Journal: b.(cluster.Journal)}
			return NewServer(&Options{Cluster: w.ways[i], Recovery: &Recovery{StoreLive: true}, Logger: slog.New(slog.DiscardHandler)})
		}
		w.a, w.b = node(0), node(1)
		time.Sleep(time.Minute)
		w.p = &pollingReturning{inMemory: inMemory{t, w.a}, returning: returning{t: t}}
		_, events := w.p.connect()
		if len(events) != 1 {
			t.Fatal(events)
		}
		w.p.leave()
		if recovered, _ := w.p.connect(); !recovered { // the node knows the log from now on
			t.Fatal("not recovered where it was")
		}
		w.old = w.a.Of("/").Socket(w.p.sid)
		w.old.Join("a")
		latestKey.Set(w.old, "a")
		time.Sleep(w.a.opts.PingInterval + time.Second)
		w.bus.Cut(w.a.node.Name())
		if left {
			w.p.leave()
		}
		w.come(w.b)
		if recovered, _ := w.p.answer(); !recovered {
			t.Fatal("not recovered by the other node")
		}
		s := w.b.Of("/").Socket(w.p.sid)
		if !s.In("a") {
			t.Fatal("not in its room at the other node")
		}
		s.Leave("a")
		s.Join("b")
		latestKey.Set(s, "b")
		w.p.leave()
		do(w)
		w.bus.Heal()
		for _, srv := range []*Server{w.a, w.b} {
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Hour) // the timers of the servers end by themselves
	})
}

// come has the client ask a node, and waits as long as a node waits for one that is silent.
func (w *twoPlaces) come(srv *Server) {
	w.p.srv = srv
	w.p.ask()
	time.Sleep(2*takeoverTime + takeoverTime/2)
}

// is expects that the client is recovered at a node, with what the other one has done.
func (w *twoPlaces) is(at *Server, events ...string) {
	w.Helper()
	recovered, got := w.p.answer()
	if !recovered {
		w.Fatal("not recovered")
	}
	if !slices.Equal(got, events) {
		w.Errorf("it gets %q", got)
	}
	s := at.Of("/").Socket(w.p.sid)
	if v, _ := latestKey.Get(s); !s.In("b") || s.In("a") || v != "b" {
		w.Errorf("recovered in the rooms %q, with the value %q", s.Rooms(), v)
	}
}

// heal gives a its connection back, and waits until it has done what it does then.
func (w *twoPlaces) heal() {
	w.bus.Heal(w.a.node.Name())
	w.p.take() // what has come over the old connection
}

// TestJournalNewer: a node that was cut off has a session of a client still, and another node has had
// the client since. Whichever node the client comes to then, it has what the other node has made of
// the session.
func TestJournalNewer(t *testing.T) {
	for _, left := range []bool{true, false} {
		t.Run(map[bool]string{true: "the client has left", false: "its old connection lives"}[left], func(t *testing.T) {
			for _, row := range []struct {
				what string
				do   func(w *twoPlaces)
			}{
				{"the older one is saved", func(w *twoPlaces) {
					w.heal()
					w.come(w.a)
					w.is(w.a)
				}},
				{"the older one is saved, and the client comes elsewhere", func(w *twoPlaces) {
					w.heal()
					time.Sleep(w.a.opts.PingInterval + time.Second) // what is stored is stored again
					w.come(w.b)
					w.is(w.b)
				}},
				{"the older one is here", func(w *twoPlaces) {
					w.ways[0].refuse.Store(true)
					w.heal()
					w.come(w.a)
					w.is(w.a)
				}},
				{"and something was missed", func(w *twoPlaces) {
					w.ways[0].refuse.Store(true)
					_ = w.b.Of("/").To("a").Emit("not this")
					_ = w.b.Of("/").To("b").Emit("missed")
					synctest.Wait()
					w.heal()
					w.come(w.a)
					w.is(w.a, `["missed"]`)
				}},
				{"the other node has not noticed that the client has left", func(w *twoPlaces) {
					w.ways[0].refuse.Store(true)
					w.come(w.b)
					w.is(w.b)
					w.heal()
					w.come(w.a)
					w.is(w.a)
				}},
				{"the other node was killed", func(w *twoPlaces) {
					w.ways[0].refuse.Store(true)
					w.come(w.b)
					w.is(w.b)
					w.bus.Cut(w.b.node.Name())
					w.heal()
					w.come(w.a)
					w.is(w.a)
				}},
				{"two connections claim it at once", func(w *twoPlaces) {
					w.ways[0].refuse.Store(true)
					w.heal()
					held := make(chan struct{})
					first := &pollingReturning{inMemory: w.p.inMemory, returning: w.p.returning}
					first.srv = w.a
					w.ways[0].held.Store(&held)
					go first.ask()
					synctest.Wait()
					w.ways[0].refuse.Store(false)
					w.p.srv = w.a
					go w.p.ask()
					synctest.Wait()
					close(held)
					time.Sleep(2 * takeoverTime)
					w.is(w.a)
				}},
			} {
				t.Run(row.what, func(t *testing.T) { inTwoPlaces(t, left, row.do) })
			}
		})
	}
}

// TestJournalNewerEnded: the other node has ended the session for good: then there is none.
func TestJournalNewerEnded(t *testing.T) {
	inTwoPlaces(t, true, func(w *twoPlaces) {
		w.ways[0].refuse.Store(true)
		w.come(w.b)
		w.is(w.b)
		w.heal()
		// The journal has what b has said last, as if b could not take it back.
		st, err := w.ways[1].Journal.TakeSession(w.Context(), w.p.pid)
		if st == nil || err != nil {
			w.Fatal("nothing is stored", err)
		}
		w.b.Of("/").Socket(w.p.sid).Disconnect()
		w.p.take() // the client is told
		_ = w.ways[1].Journal.SaveSession(w.Context(), st, time.Minute)
		w.come(w.a)
		if recovered, _ := w.p.answer(); recovered {
			w.Error("recovered after its end")
		}
	})
}

// TestJournalNewerOver: the other node has ended the session for good, and nothing of it is stored. What
// this node has still is older.
func TestJournalNewerOver(t *testing.T) {
	for _, saved := range []bool{true, false} {
		inTwoPlaces(t, true, func(w *twoPlaces) {
			w.come(w.b)
			w.is(w.b)
			w.b.Of("/").Socket(w.p.sid).Disconnect()
			w.p.take() // the client is told
			time.Sleep(time.Second)
			w.ways[0].refuse.Store(!saved)
			w.heal()
			w.ways[0].refuse.Store(false)
			w.come(w.a)
			if recovered, _ := w.p.answer(); recovered {
				w.Errorf("recovered after its end; this node could save what it had: %v", saved)
			}
		})
	}
}

// TestJournalNewerUnknown: a node that cannot reach the journal does not know whether another one has
// had the client since: the client is new. A session that no other node can have is recovered.
func TestJournalNewerUnknown(t *testing.T) {
	for _, left := range []bool{true, false} {
		inTwoPlaces(t, left, func(w *twoPlaces) {
			w.come(w.a)
			if recovered, _ := w.p.answer(); recovered {
				w.Error("recovered, and nobody knows where it was")
			}
		})
	}
	killedNode(t, false, 1, func(a, _ *Server, all []*pollingReturning, cut, heal func()) {
		all[0].leave()
		all[0].connect() // the node knows the log from now on
		cut()
		all[0].leave()
		if recovered, _ := all[0].connect(); !recovered {
			t.Error("not recovered, and no other node can have had it")
		}
		heal()
	})
}

// TestJournalNewerTold: what a node has saved, though it was told otherwise, is not newer than what it
// has, and nothing of it is left.
func TestJournalNewerTold(t *testing.T) {
	inTwoPlaces(t, true, func(w *twoPlaces) {
		w.heal()
		w.come(w.b)
		w.is(w.b)
		w.ways[1].told.Store(true)
		w.p.leave()
		w.come(w.b)
		w.is(w.b)
	})
}

// TestJournalNewerTaken: the journal has nothing of a session any more that this node has stored. When
// another node has it, that node is asked; when none has, this one has the last word.
func TestJournalNewerTaken(t *testing.T) {
	inTwoPlaces(t, true, func(w *twoPlaces) {
		w.ways[0].refuse.Store(true)
		w.come(w.b)
		w.is(w.b)
		w.heal()
		if st, err := w.ways[0].Journal.TakeSession(w.Context(), w.p.pid); st == nil || err != nil {
			w.Fatal("nothing is stored", err)
		}
		w.come(w.a)
		w.is(w.a)
		w.ways[0].refuse.Store(false)
		time.Sleep(w.a.opts.PingInterval + time.Second)
		w.ways[0].refuse.Store(true)
		w.p.leave()
		if st, err := w.ways[0].Journal.TakeSession(w.Context(), w.p.pid); st == nil || err != nil {
			w.Fatal("nothing is stored", err)
		}
		w.ways[0].refuse.Store(false)
		w.come(w.a)
		w.is(w.a)
	})
}

// TestJournalNewerKept: the end of an old socket does not end the session that another node has.
func TestJournalNewerKept(t *testing.T) {
	inTwoPlaces(t, false, func(w *twoPlaces) {
		w.heal()
		if !w.old.Connected() {
			w.Fatal("the old socket has ended: this shows nothing")
		}
		w.old.Disconnect()
		w.p.take() // the old connection is told
		w.come(w.b)
		w.is(w.b)
	})
}

// TestJournalSavedLate: a client that comes back while its node does not know yet that the session was
// saved is recovered.
func TestJournalSavedLate(t *testing.T) {
	for _, sent := range []bool{true, false} { // before the client is back
		savedLate(t, sent)
	}
}

func savedLate(t *testing.T, sent bool) {
	synctest.Test(t, func(t *testing.T) {
		b := journalBus().Backend()
		way := &saves{Backend: b, Journal: b.(cluster.Journal)}
		srv := NewServer(&Options{Cluster: way, Recovery: &Recovery{}, Logger: slog.New(slog.DiscardHandler)})
		time.Sleep(time.Minute)
		p := &pollingReturning{inMemory: inMemory{t, srv}, returning: returning{t: t}}
		p.connect()
		way.late.Store(sent)
		way.slow.Store(!sent)
		p.leave()
		p.ask()
		time.Sleep(4 * takeoverTime)
		if recovered, _ := p.answer(); !recovered {
			t.Errorf("not recovered; sent before: %v", sent)
		}
		way.late.Store(false)
		way.slow.Store(false)
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // the timers of the server end by themselves
	})
}
