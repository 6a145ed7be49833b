package redisbus

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

func TestModes(t *testing.T) {
	r := startRedis(t)
	raw := r.client()
	for mode, want := range map[nodewire.Mode][]string{
		nodewire.Dynamic: {"m#/#short#"}, nodewire.Static: nil, nodewire.DynamicPrivate: {"m#/#" + socketID + "#", "m#/#short#"},
	} {
		a, b := join(t, New(r.option(), Options{Wire: Sharded, Mode: mode, Prefix: "m"}), "AAAAA"), join(t, New(r.option(), Options{Wire: Sharded, Mode: mode, Prefix: "m"}), "BBBBB")
		b.watch("/", "short", socketID)
		list, err := do(t, raw, "PUBSUB", "SHARDCHANNELS", "m#/#*#").AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		list = slices.DeleteFunc(list, func(c string) bool { return strings.Contains(c, "AAAAA") || strings.Contains(c, "BBBBB") })
		slices.Sort(list)
		if !slices.Equal(list, want) {
			t.Errorf("mode %d: %q, not %q", mode, list, want)
		}
		x, y := emit(`["x"]`, "short"), emit(`["y"]`, socketID)
		a.say(&x, &y)
		b.next(t, 2)
		for _, p := range []*peer{a, b} {
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRooms(t *testing.T) {
	const rooms = 10_000
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a, b := join(t, New(r.option(), Options{Wire: w}), "AAAAA"), join(t, New(r.option(), Options{Wire: w}), "BBBBB")
		raw := r.client()
		subscribed := func() int {
			list := "CHANNELS"
			if w == Sharded {
				list = "SHARDCHANNELS"
			}
			channels, err := do(t, raw, "PUBSUB", list).AsStrSlice()
			if err != nil {
				t.Fatal(err)
			}
			return len(channels)
		}
		base := subscribed()
		names := make([]string, rooms)
		for i := range names {
			names[i] = "room " + strconv.Itoa(i) + "*" // nothing is a pattern
		}
		began := time.Now()
		for part := range slices.Chunk(names, 1000) {
			b.watch("/", part...)
		}
		t.Logf("%d rooms watched in %v", rooms, time.Since(began))
		want := base + rooms
		if w == Streams {
			want = base
		}
		if n := subscribed(); n != want {
			t.Fatalf("%d channels, not %d", n, want)
		}
		for _, i := range []int{0, rooms / 2, rooms - 1} {
			m := emit(`["x"]`, names[i])
			a.say(&m)
			b.next(t, 1)
		}
		began = time.Now()
		r.Kill()
		b.until(t, "down", func() bool { return b.downs == 1 })
		r.Restart()
		b.returns(1)
		a.returns(1)
		t.Logf("there again after %v", time.Since(began))
		if n := subscribed(); n != want {
			t.Fatalf("%d channels after a restart, not %d", n, want)
		}
		b.unwatch("/", names...)
		if n := subscribed(); n != base {
			t.Errorf("%d channels at the end, not %d", n, base)
		}
		if n, err := do(t, raw, "PUBSUB", "NUMPAT").AsInt64(); n != 0 || err != nil {
			t.Errorf("%d patterns, %v", n, err)
		}
	})
}

func TestWatched(t *testing.T) {
	r := startRedis(t)
	a, b := join(t, New(r.option(), Options{}), "AAAAA"), join(t, New(r.option(), Options{}), "BBBBB")
	b.watch("/", "old", "stays")
	r.Kill()
	b.until(t, "down", func() bool { return b.downs == 1 })
	b.watch("/", "new")
	b.unwatch("/", "old")
	r.Restart()
	a.returns(1)
	b.returns(1)
	for _, room := range []string{"old", "stays", "new"} {
		m := emit(`["`+room+`"]`, room)
		a.say(&m)
	}
	if ms := b.next(t, 2); len(ms) != 2 || string(ms[0].Data) != `["stays"]` || string(ms[1].Data) != `["new"]` {
		t.Errorf("%d messages, %s", len(ms), ms[0].Data)
	}
}

func TestNodes(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a := join(t, New(r.option(), Options{Wire: w}), "AAAAA")
		nodes := func(namespace string, want int) {
			t.Helper()
			if n, err := a.Backend.(cluster.Counter).Nodes(t.Context(), namespace); n != want || err != nil {
				t.Errorf("%d nodes of %s, %v; not %d", n, namespace, err, want)
			}
		}
		nodes("/", 1)
		nodes("/other", 1) // this node, though it does not listen
		b, c := join(t, New(r.option(), Options{Wire: w}), "BBBBB"), join(t, NewWith(r.client(), Options{Wire: w}), "CCCCC")
		nodes("/", 3)
		b.watch("/other", "")
		c.watch("/other", "")
		nodes("/other", 3)
		a.watch("/other", "")
		nodes("/other", 3)
		a.unwatch("/other", "")
		nodes("/other", 3)
		c.unwatch("/", "")
		nodes("/", 2)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes("/", 1)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Backend.(cluster.Counter).Nodes(t.Context(), "/"); !errors.Is(err, cluster.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestSharps(t *testing.T) {
	r := startRedis(t)
	a, b := join(t, New(r.option(), Options{}), "AAAAA"), join(t, New(r.option(), Options{}), "BBBBB")
	b.watch("/a", "", "b")
	b.watch("/a#b", "") // socket.io#/a#b#, as the room b of /a
	x := cluster.Message{Kind: cluster.Emit, Namespace: "/a", Rooms: []string{"b"}, Data: []byte(`["room"]`)}
	y := cluster.Message{Kind: cluster.Emit, Namespace: "/a#b", Data: []byte(`["namespace"]`)}
	a.say(&x, &y)
	ms := b.next(t, 2)
	if ms[0].Namespace != "/a" || ms[1].Namespace != "/a#b" || b.lost > 0 {
		t.Errorf("%+v %+v, %d lost", ms[0], ms[1], b.lost)
	}
	b.unwatch("/a#b", "")
	a.say(&x)
	b.next(t, 1)
}
