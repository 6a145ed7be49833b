package redisbus

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// TestEmitterCluster: an Emitter reaches servers and their clients, and has their answers.
func TestEmitterCluster(t *testing.T) {
	for _, w := range []Wire{Classic, Sharded, Streams} {
		t.Run(w.String(), func(t *testing.T) {
			r := startRedis(t)
			conformance.RunCluster(t, func() cluster.Backend { return New(r.option(), Options{Wire: w}) }, conformance.Only("emitter"))
		})
	}
}

// TestEmitterChannels: an Emitter subscribes to what may be an answer, while it asks, and to nothing
// that Redis counts a server by.
func TestEmitterChannels(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		c := r.client()
		command := "CHANNELS"
		if w == Sharded {
			command = "SHARDCHANNELS"
		}
		channels := func() []string {
			list, err := do(t, c, "PUBSUB", command).AsStrSlice()
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(list)
			return list
		}
		em := sio.NewEmitter(New(r.option(), Options{Wire: w}), nil)
		n := em.Of("/chat")
		if err := n.Emit("e"); err != nil {
			t.Fatal(err)
		}
		if err := em.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		idle := channels()
		if len(idle) != 2 || idle[0] != "socket.io-siokit#" {
			t.Errorf("it listens to %q", idle)
		}
		name := idle[1][len("socket.io-siokit#") : len(idle[1])-1]
		// A question that nobody answers ends at once; what it was asked with stays a while.
		if got, err := sio.CallServers[int](t.Context(), n, "q"); len(got) > 0 || err != nil {
			t.Error(got, err)
		}
		if err := em.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		want := []string{idle[0], idle[1]}
		if w == Classic {
			want = append(want, "socket.io-response#/chat#", fmt.Sprintf("socket.io-response#/chat#%s#", name))
		} else {
			want = append(want, fmt.Sprintf("socket.io#/chat#%s#", name))
		}
		slices.Sort(want)
		if got := channels(); !slices.Equal(got, want) {
			t.Errorf("it listens to %q, want %q", got, want)
		}
		closing, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := em.Close(closing); err != nil {
			t.Error(err)
		}
	})
}

// TestEmitterReads: an Emitter does not read streams, and misses none of their entries.
func TestEmitterReads(t *testing.T) {
	r := startRedis(t)
	b := New(r.option(), Options{Wire: Streams, MaxLen: 10})
	b.(cluster.AnswerWatcher).WatchAnswers()
	e := newRecorder("eeeee")
	if err := b.Start(t.Context(), "eeeee", e); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	e.until(t, "up", func() bool { return e.ups == 1 })
	p := join(t, New(r.option(), Options{Wire: Streams, MaxLen: 10}), "aaaaa")
	for range 10 {
		var ms []*cluster.Message
		for range 200 {
			ms = append(ms, &cluster.Message{Kind: cluster.Emit, Namespace: "/", Data: []byte(`["e"]`)})
		}
		p.say(ms...)
	}
	do(t, r.client(), "CLIENT", "KILL", "TYPE", "pubsub")
	e.until(t, "up again", func() bool { return e.ups == 2 })
	p.until(t, "up again", func() bool { return p.ups == 2 })
	p.say(&cluster.Message{Kind: cluster.Heartbeat, ID: "i"})
	e.until(t, "a heartbeat", func() bool { return len(e.ms) > 0 })
	if len(e.ms) != 1 || e.lost != 0 {
		t.Errorf("it got %d messages, and %d are lost", len(e.ms), e.lost)
	}
}
