package redisbus

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/historytest"
	"github.com/siokit/siokit/internal/wire"
)

// TestHistoryContract is what every HistoryStore passes.
func TestHistoryContract(t *testing.T) {
	r := startRedis(t)
	historytest.Run(t, func(t *testing.T) (func() mixin.HistoryStore, func()) {
		look := (&redis{r.Server, t}).client()
		do(t, look, "FLUSHALL")
		open := func() mixin.HistoryStore { return NewHistory((&redis{r.Server, t}).client(), HistoryOptions{}) }
		return open, func() { do(t, look, "FLUSHALL") }
	})
}

// TestHistoryCluster: whoever joins on any node gets each event once, on every wire.
func TestHistoryCluster(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		for name, last := range map[string]int{"all": 100_000, "few": 5} {
			t.Run(name, func(t *testing.T) {
				r := startRedis(t)
				historytest.Cluster(t, historytest.Setup{
					Backend: func() cluster.Backend { return New(r.option(), Options{Wire: w}) },
					Store:   func() mixin.HistoryStore { return NewHistory(r.client(), HistoryOptions{}) },
					Last:    last,
				})
			})
		}
	})
}

// TestHistoryKeys: a room is one key with the prefix, and expires.
func TestHistoryKeys(t *testing.T) {
	r := startRedis(t)
	c := r.client()
	keep := mixin.HistoryBounds{Events: 2, Bytes: 100}
	for _, row := range []struct {
		o    HistoryOptions
		key  string
		life string // of PTTL
	}{
		{HistoryOptions{}, "socket.io-history#/chat,room", "86400000"},
		{HistoryOptions{Prefix: "app", Expire: time.Minute}, "app-history#/chat,room", "60000"},
		{HistoryOptions{Prefix: "short", Expire: 1}, "", ""},
		{HistoryOptions{Prefix: "ever", Expire: -1}, "ever-history#/chat,room", "-1"},
	} {
		do(t, c, "FLUSHALL")
		h := NewHistory(c, row.o)
		for range 3 {
			if _, err := h.Append(t.Context(), "/chat,room", []byte("event"), keep); err != nil {
				t.Fatal(err)
			}
		}
		if row.key == "" { // a millisecond
			for left := int64(1); left > 0; left, _ = do(t, c, "DBSIZE").AsInt64() {
			}
			continue
		}
		keys, _ := do(t, c, "KEYS", "*").AsStrSlice()
		if len(keys) != 1 || keys[0] != row.key {
			t.Errorf("keys %q, want %q", keys, row.key)
		}
		life, _ := do(t, c, "PTTL", row.key).AsInt64()
		if want, _ := time.ParseDuration(row.life + "ms"); row.life == "-1" && life != -1 || life > want.Milliseconds() || row.life != "-1" && life < want.Milliseconds()-30_000 {
			t.Errorf("%s lives for %d ms, want %s", row.key, life, row.life)
		}
		if n, _ := do(t, c, "LLEN", row.key).AsInt64(); n != 3 {
			t.Errorf("%d elements for 2 events", n)
		}
	}
}

// TestHistoryForeignKey: what others have written is an error, and stays.
func TestHistoryForeignKey(t *testing.T) {
	r := startRedis(t)
	c := r.client()
	h := NewHistory(c, HistoryOptions{})
	for _, command := range []string{"SET", "RPUSH"} {
		do(t, c, "FLUSHALL")
		do(t, c, command, "socket.io-history#k", "theirs")
		if _, err := h.Append(t.Context(), "k", []byte("x"), mixin.HistoryBounds{Events: 1, Bytes: 1}); err == nil {
			t.Errorf("%s: Append overwrites", command)
		}
		if n, _ := do(t, c, "DBSIZE").AsInt64(); n != 1 {
			t.Errorf("%s: the key is gone", command)
		}
	}
	do(t, c, "RPUSH", "socket.io-history#k", "more")
	if _, err := h.Last(t.Context(), "k"); !errors.Is(err, errNoHistory) {
		t.Errorf("Last: %v", err)
	}
	do(t, c, "DEL", "socket.io-history#k")
	do(t, c, "RPUSH", "socket.io-history#k", "1 1", "x y")
	if _, err := h.Last(t.Context(), "k"); !errors.Is(err, errNoHistory) {
		t.Errorf("Last: %v", err)
	}
}

// TestHistoryTrips: a call is one command to Redis, once the script is there.
func TestHistoryTrips(t *testing.T) {
	r := startRedis(t)
	c := r.client()
	h := NewHistory(c, HistoryOptions{})
	add := func() {
		if _, err := h.Append(t.Context(), "k", []byte("x"), mixin.HistoryBounds{Events: 5, Bytes: 100}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	do(t, c, "CONFIG", "RESETSTAT")
	for range 10 {
		add()
	}
	info, _ := do(t, c, "INFO", "commandstats").ToString()
	if !strings.Contains(info, "cmdstat_evalsha:calls=10,") || strings.Contains(info, "cmdstat_eval:") {
		t.Errorf("10 calls of Append: %s", info)
	}
}

// TestHistoryAway: an Emit and a Join whose Redis does not answer end in time, with an error
// and nothing done, and hold up nobody; when Redis is back they work, and history is there.
func TestHistoryAway(t *testing.T) {
	r := startRedis(t)
	store := NewHistory(r.client(), HistoryOptions{})
	h := &mixin.History{Store: store, Timeout: 300 * time.Millisecond}
	patient := &mixin.History{Store: store, Timeout: 10 * time.Second} // when Redis answers; this process may stand still
	var now atomic.Pointer[mixin.History]
	now.Store(patient)
	srv := sio.NewServer(&sio.Options{Cluster: New(r.option(), Options{})})
	n := srv.Of("/")
	n.On("join", sio.Reply(func(_ context.Context, s *sio.Socket, room string) (bool, error) {
		err := now.Load().Join(s, room)
		return s.In(room), err
	}))
	hs := httptest.NewServer(srv)
	c := wire.New(t, hs.URL, "/socket.io/")
	c.Patience = 20 * time.Second
	defer func() {
		c.Close()
		_ = srv.Shutdown(context.Background())
		hs.Close()
	}()
	old, late := c.Join(""), c.Join("")
	old.Send(`420["join","r"]`)
	if m := old.Next(); m != `430[true]` {
		t.Fatal(m)
	}
	if err := patient.Emit(n, "r", "before"); err != nil {
		t.Fatal(err)
	}
	now.Store(h)
	r.Stop()
	began := time.Now()
	err := h.Emit(n, "r", "away")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Emit: %v", err)
	}
	late.Send(`420["join","r"]`)
	if err := n.To("r").Emit("plain"); err != nil { // nobody waits for the store
		t.Error(err)
	}
	if m := old.Next() + old.Next(); m != `42["before"]42["plain"]` {
		t.Error(m)
	}
	m := late.Next()
	if m == `42["plain"]` { // it has entered before, and waits for the store
		m = late.Next()
	}
	if !strings.Contains(m, "internal") {
		t.Errorf("Join: %s", m)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	r.Continue()
	now.Store(patient)
	late.Send(`421["join","r"]`)
	for m := late.Next(); m != `42["before"]`; m = late.Next() {
		if strings.Contains(m, "internal") { // the connection may have been given up
			late.Send(`421["join","r"]`)
			continue
		}
		t.Fatal(m)
	}
}

// TestHistoryRestart: when all servers have ended, history is there for the next ones.
func TestHistoryRestart(t *testing.T) {
	r := startRedis(t)
	for i, want := range []string{"", `42["life",0,{"a":"ß"}]`, `42["life",0,{"a":"ß"}]42["life",1,{"a":"ß"}]`} {
		client, err := rueidis.NewClient(r.option())
		if err != nil {
			t.Fatal(err)
		}
		h := &mixin.History{Store: NewHistory(client, HistoryOptions{}), Timeout: 10 * time.Second}
		srv := sio.NewServer(nil)
		srv.Of("/").Mix(&mixin.Rooms{Enter: h.Join}, h)
		hs := httptest.NewServer(srv)
		c := wire.New(t, hs.URL, "/socket.io/")
		w := c.Join("")
		w.Send(`420["join","r"]`)
		var got strings.Builder
		for m := w.Next(); m != `430["r"]`; m = w.Next() {
			got.WriteString(m)
		}
		if got.String() != want {
			t.Errorf("life %d: %s", i, got.String())
		}
		if err := h.Emit(srv.Of("/"), "r", "life", i, map[string]string{"a": "ß"}); err != nil {
			t.Error(err)
		}
		c.Close()
		_ = srv.Shutdown(context.Background())
		hs.Close()
		client.Close()
	}
}
