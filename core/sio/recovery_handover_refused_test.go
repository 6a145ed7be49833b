package sio

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
)

var movedFunc = RestoredKey[func()]("TestHandoverRefused")

// TestHandoverRefused: what is not whole, or not the client's, is a new session, and no node keeps
// anything of it.
func TestHandoverRefused(t *testing.T) {
	user := func(i int, o *Options) {
		o.OnHandshake = func(ctx context.Context, _ *Request, _ host.Exchange) error {
			ConnFromContext(ctx).BindRecovery([]string{"ann", "eve", "ann"}[i])
			return nil
		}
	}
	for name, row := range map[string]struct {
		opts func(i int, o *Options)
		do   func(m *movers, s *Socket)
	}{
		"unknown pid":    {nil, func(m *movers, _ *Socket) { m.r.pid = m.r.pid[:19] + "!" }},
		"short pid":      {nil, func(m *movers, _ *Socket) { m.r.pid = m.r.pid[:19] }},
		"unknown offset": {nil, func(m *movers, _ *Socket) { m.r.offset = "Q8Ki8vE" }},
		"later offset":   {nil, func(m *movers, _ *Socket) { m.r.offset = m.r.offset[:6] + "zz" }},
		"no offset":      {nil, func(m *movers, _ *Socket) { m.r.offset = "" }},
		"too many":       {nil, func(m *movers, _ *Socket) { emitMany(m.all[2], 1000, 1) }},
		"too large":      {nil, func(m *movers, _ *Socket) { emitMany(m.all[2], 6, 100<<10) }},
		"dropped": {func(_ int, o *Options) { o.Recovery = &Recovery{MaxEvents: 3} },
			func(m *movers, _ *Socket) { emitMany(m.all[2], 4, 1) }},
		"no value":            {nil, func(_ *movers, s *Socket) { movedFunc.Set(s, func() {}) }},
		"another user":        {user, func(*movers, *Socket) {}},
		"cut off from others": {nil, func(m *movers, _ *Socket) { m.bus.Cut(m.all[0].Node()) }},
		"others cut off":      {nil, func(m *movers, _ *Socket) { m.bus.Cut(m.all[1].Node()) }},
		"a third is silent":   {nil, func(m *movers, _ *Socket) { m.late[2].hold(func(*cluster.Message) bool { return true }) }},
		"a gap before": {nil, func(m *movers, _ *Socket) {
			m.bus.Cut(m.all[0].Node())
			m.deaf(m.all[0], true)
			m.bus.Heal()
			m.deaf(m.all[0], false)
			m.settle()
		}},
		"too many questions": {nil, func(m *movers, _ *Socket) { m.all[1].recovery.asking.Add(maxHandovers) }},
		"too many answers":   {nil, func(m *movers, _ *Socket) { m.all[0].recovery.asked.Add(maxHandovers) }},
		"no recovery there":  {func(i int, o *Options) { o.Recovery = []*Recovery{{}, {}, nil}[i] }, func(m *movers, _ *Socket) { m.r.pid = m.all[2].newID() }},
		"out of time": {nil, func(m *movers, s *Socket) {
			_ = s.ExpireAt(time.Now().Add(time.Hour))
			s.mu.Lock()
			s.expiry.at = time.Now().Round(0)
			s.mu.Unlock()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMovers(t, nil, row.opts)
			s := m.socket(0)
			s.Join("room")
			if name == "no value" || name == "out of time" {
				row.do(m, s)
				m.r.away(m.all[0])
			} else {
				m.r.away(m.all[0])
				row.do(m, s)
			}
			if name == "a third is silent" || name == "cut off from others" {
				m.all[1].recovery.times = handoverTimes{takeover: takeoverTime / 2, handover: takeoverTime / 2}
			}
			if m.move(1) {
				t.Fatal("recovered")
			}
			if s := m.socket(1); s.Recovered() || len(s.Rooms()) > 0 {
				t.Error(s.Recovered(), s.Rooms())
			}
			if hasRoom(m.all[1]) {
				t.Error("the room is left behind")
			}
			if st := m.all[1].Stats(); st.Recovered != 0 || st.NotRecovered != 1 {
				t.Errorf("%+v", st)
			}
			m.late[2].release()
			m.bus.Heal()
		})
	}
}

// TestRestoredKeyNames: a name stands for one key.
func TestRestoredKeyNames(t *testing.T) {
	srv := NewServer(nil)
	defer func() { _ = srv.Shutdown(context.Background()) }()
	one := RestoredKey[int]("TestRestoredKeyNames")
	data, err := srv.encodeValues(map[any]any{one: 7})
	if err != nil || string(data["TestRestoredKeyNames"]) != "7" {
		t.Fatal(data, err)
	}
	if v, ok := srv.decodeValues(data); !ok || v[one] != 7 {
		t.Error(v, ok)
	}
	if _, ok := srv.decodeValues(map[string]json.RawMessage{"TestRestoredKeyNames": []byte(`"x"`)}); ok {
		t.Error("a text is a number")
	}
	if _, ok := srv.decodeValues(map[string]json.RawMessage{"none": []byte(`1`)}); ok {
		t.Error("no key has the name")
	}
	RestoredKey[int]("TestRestoredKeyNames")
	if _, err := srv.encodeValues(map[any]any{one: 7}); err != errTwoKeys {
		t.Error("two keys have the name", err)
	}
}

// TestFences: who waits while a question is on its way shares the next one.
func TestFences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fences
		asked := 0
		ask := func() (map[string]uint64, error) {
			asked++
			n := uint64(asked)
			time.Sleep(time.Second)
			return map[string]uint64{"a": n}, nil
		}
		var wg sync.WaitGroup
		wait := func(want uint64) {
			wg.Go(func() {
				if counts, err := f.wait(t.Context(), ask); err != nil || counts["a"] != want {
					t.Error(counts, err, want)
				}
			})
		}
		wait(1)
		synctest.Wait()
		for range 100 {
			wait(2)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := f.wait(ctx, ask); err == nil {
			t.Error("no answer, and no error")
		}
		wg.Wait()
		wait(3)
		wg.Wait()
		synctest.Wait()
		if asked != 3 || f.runs {
			t.Error(asked, f.runs)
		}
	})
}
