package redisbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

func TestUnpublishable(t *testing.T) {
	r := startRedis(t)
	a, b := join(t, New(r.option(), Options{}), "AAAAA"), join(t, New(r.option(), Options{}), "BBBBB")
	bad, good := emit(`{"no":"array"}`), emit(`["good"]`)
	answer := &cluster.Message{Kind: cluster.Counted, Namespace: "/", To: "vYNYRq", ID: "1"} // Node has no such answer
	var part *PublishError
	if err := a.try(&bad, &good, answer); !errors.As(err, &part) || !slices.Equal(part.Failed, []int{0, 2}) || part.Of != 3 {
		t.Fatal(err)
	}
	if m := b.next(t, 1)[0]; string(m.Data) != `["good"]` {
		t.Errorf("%+v", m)
	}
}

// TestManyReasons: what one of the messages, or of the channels, has failed of is an error of all.
func TestManyReasons(t *testing.T) {
	down := fmt.Errorf("%w: %w", cluster.ErrDown, net.ErrClosed)
	first, last := errors.New("it cannot be encoded"), errors.New("NOPERM")
	published := &PublishError{Of: 300}
	published.add(0, first)
	for i := range 256 {
		published.add(1+i, down)
	}
	published.add(257, last)
	b := New(rueidis.ClientOption{}, Options{Wire: Sharded}).(*bus)
	interests := []cluster.Interest{{Namespace: "/", Room: "a", On: true}, {Namespace: "/", Room: "b", On: true}, {Namespace: "/", Room: "c", On: true}}
	refused := make(refusals)
	for i, err := range []error{first, down, last} {
		b.channels(&interests[i], func(name string, _ use) { refused[name] = err })
	}
	for _, err := range []error{published, b.untaken(interests, refused)} {
		if !errors.Is(err, first) || !errors.Is(err, cluster.ErrDown) || !errors.Is(err, last) || !strings.Contains(err.Error(), first.Error()) || len(err.Error()) > 200 {
			t.Errorf("%v", err)
		}
	}
	if len(published.Unwrap()) != 3 || published.Unwrap()[0] != published.Err {
		t.Errorf("%q", published.Unwrap())
	}
}

func TestNative(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a, b := join(t, New(r.option(), Options{Wire: w}), "AAAAA"), join(t, New(r.option(), Options{Wire: w}), "BBBBB")
		b.watch("/", "r")
		shards := []string{"socket.io#/#", "socket.io#/#r#", "socket.io-siokit#", "socket.io-siokit#/#", "socket.io-siokit#BBBBB#"}
		if w != Sharded {
			shards = nil
		}
		tap := newTap(t, r, shards...)
		for _, c := range []struct {
			m       cluster.Message
			channel string
		}{
			{cluster.Message{Kind: cluster.Hello, ID: "h", Info: "i"}, "socket.io-siokit#"},
			{cluster.Message{Kind: cluster.Heartbeat, ID: "h"}, "socket.io-siokit#"},
			{cluster.Message{Kind: cluster.Bye, ID: "h"}, "socket.io-siokit#"},
			{cluster.Message{Kind: cluster.Gap, ID: "h", Names: []string{"/"}}, "socket.io-siokit#"},
			{cluster.Message{Kind: cluster.LeaveAll, Namespace: "/", Rooms: []string{"r"}}, "socket.io-siokit#/#"},
			{cluster.Message{Kind: cluster.CloseTransport, Namespace: "/"}, "socket.io-siokit#/#"},
			{cluster.Message{Kind: cluster.Count, Namespace: "/", ID: "1"}, "socket.io-siokit#"},
			{cluster.Message{Kind: cluster.Counted, Namespace: "/", ID: "1", To: "BBBBB", Number: 3}, "socket.io-siokit#BBBBB#"},
			{cluster.Message{Kind: cluster.Asked, Namespace: "/", ID: "1", To: "BBBBB", Number: 2, Names: []string{"one", "two"}}, "socket.io-siokit#BBBBB#"},
			{cluster.Message{Kind: cluster.Acked, Namespace: "/", ID: "1", To: "BBBBB", Names: []string{"one"}, Data: []byte(`["yes"]`)}, "socket.io-siokit#BBBBB#"},
			{cluster.Message{Kind: cluster.Sockets, Namespace: "/", ID: "1", To: "BBBBB", Sockets: []cluster.Socket{{ID: "x"}}}, "socket.io-siokit#BBBBB#"},
			{cluster.Message{Kind: cluster.Emit, Namespace: "/", To: "BBBBB", Rooms: []string{"BBBBB123456789012345"}, Data: []byte(`["x"]`)}, "socket.io-siokit#BBBBB#"},
		} {
			a.say(clone(&c.m))
			if w == Streams && inStream(&c.m) {
				entries, err := do(t, r.client(), "XREVRANGE", "socket.io", "+", "-", "COUNT", "1").AsXRange()
				if err != nil || len(entries) != 1 || entries[0].FieldValues["nsp"] != nativeEntry {
					t.Errorf("%v: %v %v", c.m.Kind, entries, err)
				}
			} else if channel, _ := tap.next(t); channel != c.channel {
				t.Errorf("%v in %s", c.m.Kind, channel)
			}
			got := b.next(t, 1)[0]
			same(t, got, &c.m)
			if got.Node != "AAAAA" || got.To != c.m.To {
				t.Errorf("from %s to %s", got.Node, got.To)
			}
		}
	})
}

func TestCommonResponses(t *testing.T) {
	r := startRedis(t)
	a := join(t, New(r.option(), Options{CommonResponses: true, Prefix: "app"}), "AAAAA")
	tap := newTap(t, r)
	a.say(&cluster.Message{Kind: cluster.Asked, Namespace: "/", ID: "x", To: "vYNYRq"})
	if channel, _ := tap.next(t); channel != "app-response#/#" {
		t.Error(channel)
	}
	b := join(t, New(r.option(), Options{Prefix: "app"}), "vYNYRq")
	a.say(&cluster.Message{Kind: cluster.Asked, Namespace: "/", ID: "x", To: "vYNYRq", Number: 7})
	if m := b.next(t, 1)[0]; m.Number != 7 || m.To != "vYNYRq" || m.ID != "x" {
		t.Errorf("%+v", m)
	}
}

func TestAway(t *testing.T) {
	r := startRedis(t)
	r.Kill()
	rec := newRecorder("AAAAA")
	b := New(r.option(), Options{})
	if err := b.Start(t.Context(), "AAAAA", rec); err != nil {
		t.Fatal(err)
	}
	rec.until(t, "down", func() bool { return rec.downs == 1 })
	m := emit(`["x"]`)
	if err := b.Publish(t.Context(), []*cluster.Message{&m}); !errors.Is(err, cluster.ErrDown) {
		t.Error(err)
	}
	if err := b.Watch(t.Context(), []cluster.Interest{{Namespace: "/", On: true}}); err != nil {
		t.Error(err)
	}
	if _, err := b.(cluster.Counter).Others(t.Context(), "/"); !errors.Is(err, cluster.ErrDown) {
		t.Error(err)
	}
	r.Restart()
	rec.until(t, "up", func() bool { return rec.ups == 1 })
	if n, err := b.(cluster.Counter).Others(t.Context(), "/"); n != 0 || err != nil {
		t.Error(n, err)
	}
	if rec.downs != 1 {
		t.Errorf("Down was called %d times", rec.downs)
	}
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := b.Publish(t.Context(), []*cluster.Message{&m}); !errors.Is(err, cluster.ErrClosed) {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	some := rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}
	for _, b := range []cluster.Backend{
		New(rueidis.ClientOption{}, Options{}), New(some, Options{Wire: 9}), New(some, Options{Mode: 9}), New(some, Options{Count: -1}), New(some, Options{Probe: -1}),
	} {
		if err := b.Start(t.Context(), "AAAAA", newRecorder("AAAAA")); err == nil {
			t.Error("started")
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, ok := New(some, Options{}).(cluster.SocketWatcher); !ok {
		t.Error("the classic wire has a channel for each socket")
	}
	if _, ok := New(some, Options{Wire: Sharded}).(cluster.SocketWatcher); ok {
		t.Error("the sharded wire has none")
	}
}

func TestForeign(t *testing.T) {
	r := startRedis(t, "--requirepass", "secret")
	o := r.option()
	o.Password = "secret"
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := join(t, NewWith(c, Options{}), "AAAAA")
	b := join(t, New(o, Options{}), "BBBBB")
	m := emit(`["x"]`)
	a.say(&m)
	b.next(t, 1)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, c, "PING")
	if n, err := do(t, c, "PUBSUB", "NUMSUB", "socket.io-request#/#").AsIntMap(); n["socket.io-request#/#"] != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestRESP2(t *testing.T) {
	r := startRedis(t)
	o := r.option()
	o.AlwaysRESP2 = true
	a, b := join(t, New(o, Options{}), "AAAAA"), join(t, New(o, Options{}), "BBBBB")
	b.watch("/", "r")
	m := emit(`["x"]`, "r")
	a.say(&m)
	b.next(t, 1)
	r.Kill()
	b.until(t, "down", func() bool { return b.downs == 1 })
	r.Restart()
	a.returns(1)
	b.returns(1)
	a.say(&m)
	b.next(t, 1)
}

func TestLeavesNothing(t *testing.T) {
	r := startRedis(t)
	for _, w := range []Wire{Classic, Streams} {
		b := New(r.option(), Options{Wire: w})
		rec := newRecorder("AAAAA")
		if err := b.Start(t.Context(), "AAAAA", rec); err != nil {
			t.Fatal(err)
		}
		rec.until(t, "up", func() bool { return rec.ups == 1 })
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := testkit.Leaked(5 * time.Second); left != "" {
			t.Errorf("%v left:\n%s", w, left)
		}
	}
}

// TestCloseConnecting: Close does not wait for a Redis that does not answer.
func TestCloseConnecting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := rueidis.ClientOption{InitAddress: []string{l.Addr().String()}, ForceSingleClient: true}
	o.Dialer.Timeout = 10 * time.Second
	b := New(o, Options{})
	rec := newRecorder("AAAAA")
	if err := b.Start(t.Context(), "AAAAA", rec); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	if rec.downs+rec.ups > 0 {
		t.Error("the Receiver was told of its own Close")
	}
	if err := b.Watch(t.Context(), nil); !errors.Is(err, cluster.ErrClosed) {
		t.Error(err)
	}
	if err := b.Start(t.Context(), "AAAAA", rec); err == nil {
		t.Error("started again")
	}
}

// TestWatchLate: what a Watch could not subscribe to in its time is subscribed to by the next.
func TestWatchLate(t *testing.T) {
	r := startRedis(t)
	a := join(t, New(r.option(), Options{}), "AAAAA")
	b := join(t, New(r.option(), Options{Wire: Classic}), "BBBBB")
	turn := b.Backend.(socketBus).turn
	turn <- struct{}{} // as if Redis took its time to subscribe
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Watch(ended, []cluster.Interest{{Namespace: "/", Room: "late", On: true}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-turn
	b.watch("/", "other")
	m := emit(`["x"]`, "late")
	a.say(&m)
	b.next(t, 1)
}
