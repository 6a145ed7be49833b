package redisbus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

// TestBehind: a node is behind while its Receiver does not take what comes, and what the node has
// said about itself waits behind.
func TestBehind(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a := join(t, New(r.option(), Options{Wire: w}), "AAAAA")
		b := join(t, New(r.option(), Options{Wire: w}), "BBBBB")
		l := b.Backend.(cluster.Lagger)
		beat := func() { b.say(&cluster.Message{Kind: cluster.Heartbeat, ID: "b"}) }
		hold := make(chan struct{})
		b.note(func() { b.slow = func() { <-hold } })
		for range 2 {
			beat()
			testkit.Until(t, 10*time.Second, "not behind: nothing waits", func() bool { return !l.Behind() })
		}
		a.say(&cluster.Message{Kind: cluster.Heartbeat, ID: "a"})
		beat()
		testkit.Until(t, 10*time.Second, "behind: much waits", func() bool {
			if l.Behind() {
				return true
			}
			beat()
			return false
		})
		close(hold)
		testkit.Until(t, 10*time.Second, "no longer behind", func() bool { return !l.Behind() })
	})
}

// TestBehindLost: an echo that never comes makes the node behind once, and not for ever.
func TestBehindLost(t *testing.T) {
	l := new(link)
	b := new(bus)
	b.link.Store(l)
	beat := func(echo bool) bool {
		behind := b.Behind()
		if l.said.Add(1); echo {
			l.echoed.Add(1)
		}
		return behind
	}
	for i, row := range []struct{ echo, behind bool }{
		{true, false}, {true, false}, {false, false}, {false, false}, {false, true}, {false, true}, {true, true},
		{true, false}, {true, false}, {true, false}, {false, false}, {true, true}, {true, false},
	} {
		if got := beat(row.echo); got != row.behind {
			t.Errorf("beat %d: behind %v", i, got)
		}
	}
}

// TestTotal: a server that cannot be reached, or says nothing, costs a request no more than a
// moment when others answer; what a server answers is not left out.
func TestTotal(t *testing.T) {
	dead := errors.New("connection refused")
	const silent, refused = -1, -2
	for _, row := range []struct {
		servers []int
		want    int
		err     bool
		atMost  time.Duration
	}{
		{[]int{3}, 3, false, countTime},
		{[]int{3, 0, 4}, 7, false, countTime},
		{[]int{refused, 3, 4}, 7, false, countTime},
		{[]int{3, silent, 4}, 7, false, 3 * countTime},
		{[]int{silent, refused, 4}, 4, false, 3 * countTime},
		{[]int{refused}, 0, true, countTime},
		{[]int{refused, refused}, 0, true, countTime},
		{[]int{silent, silent}, 0, true, 5 * countTime},
		{nil, 0, false, countTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*countTime)
			from := time.Now()
			got, err := total(ctx, len(row.servers), func(ctx context.Context, i int) (int, error) {
				switch n := row.servers[i]; n {
				case silent:
					<-ctx.Done()
					return 0, ctx.Err()
				case refused:
					return 0, dead
				default:
					return n, nil
				}
			})
			cancel()
			if got != row.want || (err != nil) != row.err || time.Since(from) > row.atMost {
				t.Errorf("%v: %d, %v, after %v", row.servers, got, err, time.Since(from))
			}
		})
	}
}

// TestReplicaDies: in a Redis Cluster a replica that has died does not fail the requests.
func TestReplicaDies(t *testing.T) {
	servers, option := startCluster(t)
	port := freePort(t)
	replica := startRedis(t, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "60000")
	raw := replica.client()
	self, err := do(t, servers[0].client(), "CLUSTER", "NODES").ToString() // ID HOST:PORT@BUS ... myself
	if err != nil {
		t.Fatal(err)
	}
	self = strings.TrimPrefix(self, "txt:") // a verbatim string of RESP3, where its own line is the first
	self = self[strings.LastIndexByte(self[:strings.Index(self, "myself")], '\n')+1:]
	id, rest, _ := strings.Cut(self, " ")
	rest, _, _ = strings.Cut(rest, " ")
	address, bus, _ := strings.Cut(rest, "@")
	host, main, _ := strings.Cut(address, ":")
	if host == "" {
		host = "127.0.0.1"
	}
	bus, _, _ = strings.Cut(bus, ",")
	do(t, raw, "CLUSTER", "MEET", host, main, bus)
	testkit.Until(t, time.Minute, "the replica knows its server", func() bool {
		return raw.Do(t.Context(), raw.B().Arbitrary("CLUSTER", "REPLICATE", id).Build()).Error() == nil
	})
	testkit.Until(t, time.Minute, "all servers know the replica", func() bool {
		known := 0
		for _, s := range servers {
			text, err := do(t, s.client(), "CLUSTER", "NODES").ToString()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(text, "slave") {
				known++
			}
		}
		return known == len(servers)
	})
	p := join(t, New(option, Options{}), "AAAAA")
	c := p.Backend.(cluster.Counter)
	ask := func(when string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if n, err := c.Others(ctx, "/"); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", when, n, err)
		}
	}
	ask("with the replica")
	replica.Kill()
	ask("without the replica")
}
