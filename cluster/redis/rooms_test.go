package redisbus

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
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

// TestOthers: nodes of siokit are not counted, whatever they listen to.
func TestOthers(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a := join(t, New(r.option(), Options{Wire: w}), "AAAAA")
		others := func(namespace string, want int) {
			t.Helper()
			if n, err := a.Backend.(cluster.Counter).Others(t.Context(), namespace); n != want || err != nil {
				t.Errorf("%d others in %s, %v; not %d", n, namespace, err, want)
			}
		}
		b, c := join(t, New(r.option(), Options{Wire: w}), "BBBBB"), join(t, NewWith(r.client(), Options{Wire: w}), "CCCCC")
		others("/", 0)
		b.watch("/other", "")
		c.watch("/other", "", "r")
		others("/other", 0)
		asNode(t, r, w, "/other")
		others("/other", 1)
		a.watch("/other", "")
		others("/other", 1)
		a.unwatch("/other", "")
		asNode(t, r, w, "/other", "/")
		others("/other", 2)
		others("/", 1)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		others("/", 1)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Backend.(cluster.Counter).Others(t.Context(), "/"); !errors.Is(err, cluster.ErrClosed) {
			t.Error(err)
		}
	})
}

// asNode listens to requests in namespaces as a process of Node does.
func asNode(t *testing.T, r *redis, w Wire, namespaces ...string) {
	t.Helper()
	c, leave := r.client().Dedicate()
	t.Cleanup(leave)
	c.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
	for _, namespace := range namespaces {
		cmd := c.B().Subscribe().Channel("socket.io#" + namespace + "#").Build()
		switch w {
		case Classic:
			cmd = c.B().Subscribe().Channel("socket.io-request#" + namespace + "#").Build()
		case Sharded:
			cmd = c.B().Ssubscribe().Channel("socket.io#" + namespace + "#").Build()
		}
		if err := c.Do(t.Context(), cmd).Error(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRequestOnce: a request reaches nodes of siokit once, whatever they listen to, and Node
// when Node is there.
func TestRequestOnce(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a, b, c := join(t, New(r.option(), Options{Wire: w}), "AAAAA"), join(t, New(r.option(), Options{Wire: w}), "BBBBB"), join(t, New(r.option(), Options{Wire: w}), "CCCCC")
		c.unwatch("/", "")
		requests := "socket.io#/#"
		if w == Classic {
			requests = "socket.io-request#/#"
		}
		published := monitor(t, r)
		ask := func(channels ...string) {
			t.Helper()
			for _, m := range []*cluster.Message{
				{Kind: cluster.Fetch, Namespace: "/", ID: "1"},
				{Kind: cluster.ServerEvent, Namespace: "/", ID: "2", Data: []byte(`["sse"]`)},
				{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["sse"]`)},
				{Kind: cluster.Emit, Namespace: "/", ID: "3", Timeout: time.Second, Data: []byte(`["ask"]`)},
			} {
				a.say(m, &cluster.Message{Kind: cluster.Hello, ID: "h"})
				for _, p := range []*peer{b, c} {
					if ms := p.next(t, 2); len(ms) != 2 || ms[0].Kind != m.Kind || ms[0].ID != m.ID || ms[1].Kind != cluster.Hello {
						t.Errorf("%v of %s reached %s as %d messages", m.Kind, m.ID, p.node, len(ms))
					}
				}
				want := channels
				if m.Kind == cluster.ServerEvent && m.ID == "" { // nobody was counted for it
					want = []string{"socket.io-siokit#", requests}
				}
				var got []string
				for range len(want) + 1 { // and the Hello
					got = append(got, <-published)
				}
				if !slices.Equal(got, append(slices.Clone(want), "socket.io-siokit#")) {
					t.Errorf("%v in the channels %q, not %q", m.Kind, got, want)
				}
			}
		}
		ask("socket.io-siokit#", requests) // it is not known yet who is there
		if n, err := a.Backend.(cluster.Counter).Others(t.Context(), "/"); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		ask("socket.io-siokit#")
		asNode(t, r, w, "/")
		if n, err := a.Backend.(cluster.Counter).Others(t.Context(), "/"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		ask("socket.io-siokit#", requests)
	})
}

// monitor says in which channels something is published.
func monitor(t *testing.T, r *redis) <-chan string {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	lines, channels := bufio.NewReader(c), make(chan string, 1000)
	fmt.Fprint(c, "MONITOR\r\n")
	if ok, err := lines.ReadString('\n'); err != nil || ok != "+OK\r\n" {
		t.Fatalf("%q, %v", ok, err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			// +1795643376.327 [0 127.0.0.1:40000] "PUBLISH" "channel" "text"
			if f := strings.SplitN(line, `"`, 5); len(f) == 5 && strings.HasSuffix(strings.ToUpper(f[1]), "PUBLISH") && !strings.HasPrefix(f[4], ` "\x00"`) {
				channels <- f[3]
			}
		}
	}()
	return channels
}

// TestPaired: one command names both channels of a namespace.
func TestPaired(t *testing.T) {
	b := New(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}, Options{}).(socketBus).bus
	var names []string
	for i := range maxNames {
		names = append(names, fmt.Sprintf("socket.io#/%d#", i), fmt.Sprintf("socket.io-request#/%d#", i))
	}
	for i := range maxNames {
		names = append(names, fmt.Sprintf("socket.io-siokit#/%d#", maxNames-1-i))
	}
	names = append(names, "socket.io-siokit#", "socket.io-siokit#AAAAA#", "socket.io-siokit#/alone#")
	got := b.paired(names)
	if slices.Sort(names); !slices.Equal(slices.Sorted(slices.Values(got)), names) {
		t.Errorf("%d names have become %d", len(names), len(got))
	}
	for part := range slices.Chunk(got, maxNames) {
		for i := range maxNames {
			if all, own := slices.Contains(part, fmt.Sprintf("socket.io-request#/%d#", i)), slices.Contains(part, fmt.Sprintf("socket.io-siokit#/%d#", i)); all != own {
				t.Fatalf("the channels of /%d are apart", i)
			}
		}
	}
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
