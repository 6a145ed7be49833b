package sio

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// turnValue is a value that knows whether a handler is in the middle of changing it.
type turnValue struct {
	Text    string
	busy    bool
	exits   bool
	encoded *atomic.Int64
	beside  *atomic.Int64
}

func (v *turnValue) MarshalJSON() ([]byte, error) {
	v.encoded.Add(1)
	if v.busy {
		v.beside.Add(1)
	}
	if v.exits {
		runtime.Goexit()
	}
	return json.Marshal(v.Text)
}

func (v *turnValue) UnmarshalJSON(data []byte) error {
	v.encoded, v.beside = new(atomic.Int64), new(atomic.Int64)
	return json.Unmarshal(data, &v.Text)
}

var turnKey = RestoredKey[*turnValue]("TestJournalTurn")

// storedAs is a session as the journal has it: its rooms, without the id, and the value of turnKey.
func storedAs(t *testing.T, j cluster.Journal, pid string) (rooms []string, value string) {
	t.Helper()
	st, err := j.TakeSession(t.Context(), pid)
	if st == nil || err != nil {
		t.Fatal("the session is not stored", err)
	}
	if err := j.SaveSession(t.Context(), st, time.Minute); err != nil {
		t.Fatal(err)
	}
	var saved savedSession
	if err := json.Unmarshal(st.Extra, &saved); err != nil {
		t.Fatal(err)
	}
	rooms = slices.DeleteFunc(slices.Clone(st.Rooms), func(name string) bool { return name == st.ID })
	return rooms, string(saved.Values["TestJournalTurn"])
}

// TestJournalTurn: the values of a connected client are encoded between its handlers, and never
// while one runs; its rooms are stored all the same.
func TestJournalTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var encoded, beside atomic.Int64
		srv := NewServer(&Options{Cluster: journalBus().Backend(), Recovery: &Recovery{StoreLive: true}, Logger: slog.New(slog.DiscardHandler)})
		n := srv.Of("/")
		n.OnConnect(func(_ context.Context, s *Socket) error {
			turnKey.Set(s, &turnValue{Text: "one", encoded: &encoded, beside: &beside})
			return nil
		})
		goOn := make(chan struct{})
		n.On("work", HandlerFunc(func(_ context.Context, ev *Event) error {
			v, _ := turnKey.Get(ev.Socket)
			v.busy, v.Text = true, "two"
			ev.Socket.Join("room")
			<-goOn
			v.busy, v.Text = false, "three"
			return nil
		}))
		p := &pollingReturning{inMemory: inMemory{t, srv}, returning: returning{t: t}}
		p.connect()
		is := func(room, value string) {
			t.Helper()
			synctest.Wait()
			if rooms, v := storedAs(t, srv.recovery.journal, p.pid); strings.Join(rooms, " ") != room || v != value {
				t.Errorf("stored with the rooms %q and the value %s", rooms, v)
			}
		}
		is("", `"one"`)
		go p.do("POST", p.query, `42["work"]`)
		is("room", `"one"`)
		time.Sleep(3 * srv.opts.PingInterval)
		is("room", `"one"`)
		close(goOn)
		is("room", `"three"`)
		if n := beside.Load(); n > 0 {
			t.Errorf("encoded %d times while a handler ran", n)
		}
		before := encoded.Load()
		time.Sleep(3 * srv.opts.PingInterval)
		is("room", `"three"`)
		if n := encoded.Load() - before; n < 2 || n > 4 {
			t.Errorf("encoded %d times in three intervals", n)
		}
		p.leave()
		is("room", `"three"`)
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // the timers of the server end by themselves
	})
}

// TestHandoverValues: the values of a client that has gone are encoded behind its OnDisconnect, and
// not when another node asks: the client may be back by then, and its handlers change them.
func TestHandoverValues(t *testing.T) {
	var encoded, beside atomic.Int64
	servers := 0
	m := newMovers(t, func(srv *Server) {
		if servers++; servers > 1 {
			return
		}
		srv.Of("/").OnDisconnect(func(_ context.Context, s *Socket, _ Reason) {
			v, _ := turnKey.Get(s)
			v.busy, v.Text = false, v.Text+", and gone"
		})
	}, nil)
	turnKey.Set(m.socket(0), &turnValue{Text: "here", busy: true, encoded: &encoded, beside: &beside})
	m.r.away(m.all[0])
	if n := encoded.Load(); n != 1 {
		t.Errorf("encoded %d times when it has gone", n)
	}
	if !m.move(1) {
		t.Fatal("not recovered")
	}
	if v, _ := turnKey.Get(m.socket(1)); v == nil || v.Text != "here, and gone" {
		t.Errorf("%+v", v)
	}
	if encoded.Load() != 1 || beside.Load() != 0 {
		t.Errorf("encoded %d times, %d of them while a handler ran", encoded.Load(), beside.Load())
	}
}

// TestHandoverValueExits: a value that ends the goroutine in which it is encoded does not keep its
// socket from ending. The client is recovered where it was, and nowhere else.
func TestHandoverValueExits(t *testing.T) {
	var encoded, beside atomic.Int64
	m := newMovers(t, nil, func(_ int, o *Options) { o.Logger = slog.New(slog.DiscardHandler) })
	turnKey.Set(m.socket(0), &turnValue{exits: true, encoded: &encoded, beside: &beside})
	m.r.away(m.all[0])
	if !m.move(0) {
		t.Fatal("not recovered where it was")
	}
	m.r.away(m.all[0])
	if m.move(1) {
		t.Error("recovered without its value")
	}
	if n := encoded.Load(); n != 2 {
		t.Errorf("encoded %d times", n)
	}
}

// TestJournalTwoKeys: a value whose name two keys have is not stored for other processes, and what
// another process has stored under such a name is nobody's.
func TestJournalTwoKeys(t *testing.T) {
	one, two := RestoredKey[string]("TestJournalTwoKeys"), RestoredKey[string]("TestJournalTwoKeys")
	synctest.Test(t, func(t *testing.T) {
		bus := journalBus()
		var all []*Server
		for range 2 {
			all = append(all, NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}, Logger: slog.New(slog.DiscardHandler)}))
		}
		time.Sleep(time.Minute)
		p := &pollingReturning{inMemory: inMemory{t, all[0]}, returning: returning{t: t}}
		p.connect()
		s := all[0].Of("/").Socket(p.sid)
		one.Set(s, "one")
		two.Set(s, "two")
		p.leave()
		if recovered, _ := p.connect(); !recovered {
			t.Fatal("not recovered where it was")
		}
		s = all[0].Of("/").Socket(p.sid)
		a, _ := one.Get(s)
		if b, _ := two.Get(s); a != "one" || b != "two" {
			t.Errorf("the values are %q and %q", a, b)
		}
		p.leave()
		p.srv = all[1]
		p.ask()
		time.Sleep(restoreTime)
		if recovered, _ := p.answer(); recovered {
			t.Error("recovered by another process")
		}
		other := NewKey[string]("other")
		s = all[1].Of("/").Socket(p.sid)
		other.Set(s, "kept with the socket alone")
		p.leave()
		st, err := all[1].recovery.journal.TakeSession(t.Context(), p.pid)
		if st == nil || err != nil {
			t.Fatal("no session is stored", err)
		}
		var saved savedSession
		if err := json.Unmarshal(st.Extra, &saved); err != nil {
			t.Fatal(err)
		}
		saved.Values = map[string]json.RawMessage{"TestJournalTwoKeys": []byte(`"whose"`)}
		st.Extra, _ = json.Marshal(saved)
		_ = all[1].recovery.journal.SaveSession(t.Context(), st, time.Minute)
		p.ask()
		time.Sleep(restoreTime)
		if recovered, _ := p.answer(); recovered {
			t.Error("recovered with a value that is nobody's")
		}
		p.leave()
		for _, srv := range all {
			_ = srv.Shutdown(t.Context())
		}
		time.Sleep(time.Hour) // the timers of the servers end by themselves
	})
}

// TestJournalStoredAtOnce: the session of a new client is stored with its rooms and values when the
// client is told of it, however long OnConnected takes; what OnConnected does is stored behind it.
// A log that is slow is not waited for.
func TestJournalStoredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := journalBus().Backend()
		way := &saves{Backend: b, Journal: b.(cluster.Journal)}
		srv := NewServer(&Options{Cluster: way, Recovery: &Recovery{StoreLive: true}, Logger: slog.New(slog.DiscardHandler)})
		var encoded, beside atomic.Int64
		goOn := make(chan struct{})
		n := srv.Of("/")
		n.OnConnect(func(_ context.Context, s *Socket) error {
			turnKey.Set(s, &turnValue{Text: "one", encoded: &encoded, beside: &beside})
			s.Join("room")
			return nil
		})
		n.OnConnected(func(_ context.Context, s *Socket) {
			v, _ := turnKey.Get(s)
			v.busy = true
			<-goOn
			v.busy, v.Text = false, "two"
		})
		time.Sleep(time.Minute)
		p := &pollingReturning{inMemory: inMemory{t, srv}, returning: returning{t: t}}
		is := func(value string) {
			t.Helper()
			synctest.Wait()
			if rooms, v := storedAs(t, way.Journal, p.pid); strings.Join(rooms, " ") != "room" || v != value {
				t.Errorf("stored with the rooms %q and the value %s", rooms, v)
			}
		}
		_, sid, _ := strings.Cut(p.do("GET", "", "").Body.String(), `"sid":"`)
		sid, _, _ = strings.Cut(sid, `"`)
		go p.do("POST", "sid="+sid, "40")
		p.packets = strings.Split(p.do("GET", "sid="+sid, "").Body.String(), "\x1e")
		p.answer()
		is(`"one"`)
		close(goOn)
		is(`"two"`)
		if n := beside.Load(); n > 0 {
			t.Errorf("encoded %d times while OnConnected ran", n)
		}
		way.slow.Store(true)
		q := &pollingReturning{inMemory: inMemory{t, srv}, returning: returning{t: t}}
		began := time.Now()
		q.connect()
		if waited := time.Since(began); waited > 0 {
			t.Errorf("it has waited %v for a log that is slow", waited)
		}
		way.slow.Store(false)
		time.Sleep(3 * saveTime)
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // the timers of the server end by themselves
	})
}
