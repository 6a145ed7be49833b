package redisbus

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/netfault"
)

func TestRefused(t *testing.T) {
	r := startRedis(t)
	a, b := join(t, New(r.option(), Options{Wire: Streams}), "AAAAA"), join(t, New(r.option(), Options{Wire: Streams}), "BBBBB")
	raw := r.client()
	do(t, raw, "CONFIG", "SET", "maxmemory", "1")
	x, y := emit(`["x"]`), emit(`["y"]`)
	err := a.try(&x, &cluster.Message{Kind: cluster.Fetch, Namespace: "/", ID: "1"}, &y)
	var part *PublishError
	if !errors.As(err, &part) || !slices.Equal(part.Failed, []int{0, 2}) || part.Of != 3 || !strings.Contains(err.Error(), "OOM") {
		t.Fatal(err)
	}
	if m := b.next(t, 1)[0]; m.Kind != cluster.Fetch {
		t.Errorf("%+v", m)
	}
	do(t, raw, "CONFIG", "SET", "maxmemory", "0")
	a.say(&x)
	b.next(t, 1)
	if a.downs+b.downs > 0 {
		t.Error("the connection was given up")
	}
}

func TestReadOnly(t *testing.T) {
	r := startRedis(t)
	a := join(t, New(r.option(), Options{Wire: Streams}), "AAAAA")
	raw := r.client()
	do(t, raw, "REPLICAOF", "127.0.0.1", "1")
	m := emit(`["x"]`)
	// Redis also ends the XREAD that waits, and the node may have noticed that first.
	if err := a.try(&m); err == nil || !strings.Contains(err.Error(), "READONLY") && !errors.Is(err, cluster.ErrDown) {
		t.Error(err)
	}
	a.until(t, "down", func() bool { return a.downs == 1 })
	do(t, raw, "REPLICAOF", "NO", "ONE")
	a.returns(1)
	for a.try(&m) != nil { // a link of before may still be there
		a.reach()
	}
}

func TestStreamGap(t *testing.T) {
	r := startRedis(t)
	p := netfault.New(t, r.Addr)
	a := join(t, New(r.option(), Options{Wire: Streams}), "AAAAA")
	b := join(t, New(at(p.Addr), Options{Wire: Streams}), "BBBBB")
	raw := r.client()
	n := 0
	add := func(count int) {
		var ms []*cluster.Message
		for range count {
			m := emit(`["n",` + strconv.Itoa(n) + `]`)
			ms = append(ms, &m)
			n++
		}
		a.say(ms...)
	}
	expect := func(from, to int) {
		t.Helper()
		got := b.next(t, to-from)
		for i, m := range got {
			if string(m.Data) != `["n",`+strconv.Itoa(from+i)+`]` {
				t.Fatalf("%s in place of %d", m.Data, from+i)
			}
		}
	}
	away := func(f func()) {
		t.Helper()
		p.Cut()
		b.mu.Lock()
		downs := b.downs
		b.mu.Unlock()
		b.until(t, "down", func() bool { return b.downs > b.ups-1 })
		f()
		p.Heal()
		b.returns(downs)
	}
	add(10)
	expect(0, 10)
	away(func() { add(250) })
	expect(10, 260)
	if b.lost != 0 {
		t.Fatalf("%d lost, %v", b.lost, b.errs)
	}
	away(func() {
		add(50)
		do(t, raw, "XTRIM", "socket.io", "MAXLEN", "20")
	})
	expect(290, 310)
	b.until(t, "30 lost", func() bool { return b.lost == 30 })
	away(func() { // exactly what was read is dropped
		add(20)
		do(t, raw, "XTRIM", "socket.io", "MAXLEN", "20")
	})
	expect(310, 330)
	away(func() { // the stream begins anew
		do(t, raw, "DEL", "socket.io")
		add(5)
	})
	expect(330, 335)
	add(5)
	expect(335, 340)
	if b.lost != 30 {
		t.Errorf("%d lost, %v", b.lost, b.errs)
	}
	away(func() {
		add(10)
		do(t, raw, "XTRIM", "socket.io", "MAXLEN", "0")
		add(1)
	})
	expect(350, 351)
	b.until(t, "more lost", func() bool { return b.lost > 30 })
}

func TestStreams(t *testing.T) {
	r := startRedis(t)
	o := Options{Wire: Streams, Count: 4, Stream: "s", MaxLen: 100}
	a, b := join(t, New(r.option(), o), "AAAAA"), join(t, New(r.option(), o), "BBBBB")
	raw := r.client()
	for namespace, number := range map[string]int{"/": 3, "/news": 2, "/é😀": 1, "/admin": 0, "/ns-number-0": -3, "/x😀é-1": -3} {
		b.watch(namespace, "")
		m := cluster.Message{Kind: cluster.Emit, Namespace: namespace, Data: []byte(`["x"]`)}
		stream := "s-" + strconv.Itoa(number)
		before, _ := do(t, raw, "XLEN", stream).AsInt64()
		a.say(&m)
		if got := b.next(t, 1)[0]; got.Namespace != namespace {
			t.Errorf("%+v", got)
		}
		if after, _ := do(t, raw, "XLEN", stream).AsInt64(); after != before+1 {
			t.Errorf("%s is not in %s", namespace, stream)
		}
	}
	for range 10 {
		var ms []*cluster.Message
		for range 100 {
			m := emit(`["x"]`)
			ms = append(ms, &m)
		}
		a.say(ms...)
	}
	// Redis may drop entries before they are read; they are counted.
	b.until(t, "1000 messages, or their loss", func() bool { return len(b.ms)+b.lost == 1000 })
	if n, err := do(t, raw, "XLEN", streamFor(&o, "/")).AsInt64(); n > 300 || err != nil {
		t.Errorf("%d entries are kept, %v", n, err)
	}
}

// TestStreamBehind: a node that was busy while others have added more than the stream keeps knows
// what was dropped as soon as it has caught up, also when the stream is never silent.
func TestStreamBehind(t *testing.T) {
	r := startRedis(t)
	o := Options{Wire: Streams, MaxLen: 200}
	a, b := join(t, New(r.option(), o), "AAAAA"), join(t, New(r.option(), o), "BBBBB")
	busy, release, first := make(chan struct{}), make(chan struct{}), true
	b.slow = func() {
		if first {
			first = false
			close(busy)
			<-release
		}
	}
	sent := 0 // b.mu guards it
	add := func(n int) {
		var ms []*cluster.Message
		for range n {
			m := emit(`["n"]`)
			ms = append(ms, &m)
		}
		a.say(ms...)
		b.note(func() { sent += n })
	}
	add(1)
	<-busy
	for range 50 {
		add(100)
	}
	close(release)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond):
				add(1)
			}
		}
	}()
	b.until(t, "all are there or counted", func() bool { return len(b.ms)+b.lost == sent })
	close(over)
	<-done
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.Logf("%d of %d have come, %d were counted as dropped", len(b.ms), sent, b.lost); b.lost == 0 || b.downs > 0 {
		t.Errorf("%d lost, %d times down", b.lost, b.downs)
	}
}
