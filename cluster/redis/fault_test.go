package redisbus

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/internal/netfault"
)

// traffic publishes numbered messages, in batches of different sizes, until it is stopped.

// end stops the traffic, and publishes a last message, which is the end for check.

// check looks at what has come: in order, nothing twice, and nothing missing but what Publish has

// called lost, or what was published while the receiver was without Redis.

// flows waits until so many messages more have come.

// reach waits until Redis answers the node.

// TestStopped: Redis does not answer, and its connections live.

// connections are the ids of a node's connections, by what they are for.

// named is an option with a name for CLIENT LIST.

// TestConnections ends each connection under traffic.

// TestRefused: Redis refuses some of a batch and the connection lives.

// TestReadOnly: a server that has become a replica is left.

// TestUnpublishable: what may not be published is refused, the rest of the batch is not.

// TestPoison publishes garbage in every channel that a node listens to.

func TestPoison(t *testing.T) {
	garbage := []string{"", "{", "{}", "[]", "null", "\xc1", "\xc0", "\x93", "\x93\xa1a\x80", "\x93\xa1a\x83\xa4type\x05\xa4data\x91\xa1x\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		"\x00\x00", "\x01\x01\x00", "\x01\xff\x00\x00", `{"type":3}`, `{"type":3,"data":null,"uid":"u","nsp":"/"}`, `{"type":99,"data":{},"uid":"u","nsp":"/"}`,
		`{"uid":"u","type":5,"requestId":"1"}`, strings.Repeat("[", 10_000), "\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff"}
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a, b := join(t, New(r.option(), Options{Wire: w}), "AAAAA"), join(t, New(r.option(), Options{Wire: w}), "BBBBB")
		b.watch("/", "r")
		raw := r.client()
		list, publish := "CHANNELS", "PUBLISH"
		if w == Sharded {
			list, publish = "SHARDCHANNELS", "SPUBLISH"
		}
		channels, err := do(t, raw, "PUBSUB", list).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for _, c := range channels {
			if strings.Contains(c, "AAAAA") {
				continue
			}
			for _, g := range garbage {
				do(t, raw, publish, c, g)
				sent++
			}
		}
		if w == Streams {
			for _, g := range garbage {
				do(t, raw, "XADD", "socket.io", "*", "uid", "u", "nsp", "/", "type", "3", "data", g)
				do(t, raw, "XADD", "socket.io", "*", "what", g)
				sent += 2
			}
		}
		m := emit(`["after"]`, "r")
		a.say(&m)
		b.until(t, "the message after the garbage", func() bool { return len(b.ms) > 0 && string(b.ms[len(b.ms)-1].Data) == `["after"]` })
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.lost+len(b.ms)-1 != sent || b.lost < sent*9/10 || b.downs > 0 {
			t.Errorf("of %d messages %d counted as lost, %d taken, %d down", sent, b.lost, len(b.ms)-1, b.downs)
		}
		for _, m := range b.ms {
			t.Logf("taken: %v %s", m.Kind, m.Data)
		}
		for _, err := range b.errs {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		}
	})
}

// TestSlow: what a node does not take waits in Redis, which ends the connection when it is too

// much. Then the node is told.

func TestSlow(t *testing.T) {
	r := startRedis(t, "--client-output-buffer-limit", "pubsub 1mb 1mb 1")
	a, b := join(t, New(r.option(), Options{}), "AAAAA"), join(t, New(r.named("slow"), Options{}), "BBBBB")
	hold, once := make(chan struct{}), sync.Once{}
	release := func() { once.Do(func() { close(hold) }) }
	defer release()
	b.slow = func() { <-hold }
	raw := r.client()
	large := strings.Repeat("x", 100_000)
	for i := 0; len(connections(t, raw, "slow")["receive"]) > 0; i++ {
		m := emit(`["n",` + strconv.Itoa(i) + `,"` + large + `"]`)
		a.say(&m)
	}
	release()
	b.returns(1)
	last := emit(`["last"]`)
	a.say(&last)
	b.until(t, "the last message", func() bool { return string(b.ms[len(b.ms)-1].Data) == `["last"]` })
	for i, m := range b.ms[:len(b.ms)-1] {
		if !strings.HasPrefix(string(m.Data), `["n",`+strconv.Itoa(i)+`,`) {
			t.Fatalf("message %d is %.20s", i, m.Data)
		}
	}
}

// TestModes: which rooms have a channel on the wire Sharded.

// TestProbe: a connection that is there and brings nothing is given up.

func TestProbe(t *testing.T) {
	r := startRedis(t)
	p := netfault.New(t, r.Addr)
	a := join(t, New(at(p.Addr), Options{Probe: time.Second}), "AAAAA")
	raw := r.client()
	// An idle connection stays: its probes come back. A process that stands still gives it up.
	tap := newTap(t, r)
	downs := 0
	for came, tries := 0, 0; came < 3; came++ {
		if channel, text := tap.next(t); channel != "socket.io-siokit#AAAAA#" || text != probeText {
			t.Fatalf("%s %q", channel, text)
		}
		if n := a.count(); n > downs {
			if downs, came, tries = n, -1, tries+1; tries > 5 {
				t.Fatal("an idle connection is given up")
			}
		}
	}
	p.Freeze()
	a.until(t, "down", func() bool { return a.downs > downs })
	a.mu.Lock()
	if err := a.errs[len(a.errs)-1]; !errors.Is(err, errSilent) && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(a.errs)
	}
	a.mu.Unlock()
	p.Cut()
	p.Heal()
	a.returns(downs + 1)
	do(t, raw, "PUBLISH", "socket.io-request#/#", `{"uid":"vYNYRq","requestId":"k","type":1}`)
	a.next(t, 1)
}

// TestStreamGap: what was added while a node was away is read, and what was dropped is counted.

// TestStreams: the stream of a namespace is the one that Node computes, also where Node does not

// read it.

// TestEvicted: Redis ends connections that take too much of its memory, but for those that

// are exempt.

func TestEvicted(t *testing.T) {
	r := startRedis(t)
	o := r.option()
	o.ClientNoEvict = true
	raw, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	a, b := join(t, New(o, Options{}), "AAAAA"), join(t, New(r.option(), Options{}), "BBBBB")
	do(t, raw, "CONFIG", "SET", "maxmemory-clients", "1")
	b.until(t, "down", func() bool { return b.downs > 0 })
	do(t, raw, "CONFIG", "SET", "maxmemory-clients", "0")
	b.returns(1)
	b.reach()
	m := emit(`["x"]`)
	a.say(&m)
	b.next(t, 1)
	if a.downs > 0 {
		t.Error("the exempt connection was ended")
	}
}

// TestWatched: rooms that have come and gone while Redis was away.

// TestNative: what Node does not know goes where Node does not listen.

// TestAway: a Backend without Redis starts, says so, and gets there later; Close does not wait.

// TestForeign: a client of the application stays open, and keeps nothing.

// TestLeavesNothing: no goroutine of rueidis lives on either.

// TestSharps: rooms and namespaces with a # in them may have the same channel.
