package redisbus

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/clustertest"
	"github.com/siokit/siokit/internal/netfault"
)

// The tests of this file have clients at Servers: what they get, and what is reported to the
// application.

// quick is the Probe of nodes that have to notice a silent Redis: longer than this process may stand
// still. Others keep the default: a busy machine may be silent for a while.
const quick = 3 * time.Second

func (r *redis) bus(o Options) clustertest.Bus { return busAt(r.Addr, o) }

func busAt(addr string, o Options) clustertest.Bus {
	return clustertest.Bus{Keeps: o.Wire == Streams, Backend: func() cluster.Backend {
		return New(at(addr), o)
	}}
}

func at(addr string) rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}
}

// servers runs a test on all wires at once, whatever -parallel says: most of the time is waiting.
func servers(t *testing.T, f func(t *testing.T, w Wire)) {
	t.Parallel()
	var wg sync.WaitGroup
	for _, w := range []Wire{Classic, Sharded, Streams} {
		wg.Go(func() { t.Run(w.String(), func(t *testing.T) { f(t, w) }) })
	}
	wg.Wait()
}

// TestServersRestart: Redis is killed, and started again.
func TestServersRestart(t *testing.T) {
	servers(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		clustertest.Away(t, r.bus(Options{Wire: w}), r.Kill, r.Restart)
	})
}

// TestServersRefused: a room that Redis refuses when it is there again.
func TestServersRefused(t *testing.T) {
	t.Parallel()
	for _, w := range []Wire{Classic, Sharded} {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			rules := "user partly on >CHANGE-ME ~* +@all resetchannels &socket.io-* &socket.io#/# &socket.io#/#r#"
			for _, length := range []int{5, 20} { // a node has a channel, and on the wire Classic a socket
				rules += " &socket.io#/#" + strings.Repeat("?", length) + "#"
			}
			r, root := guarded(t, rules+"\n")
			clustertest.Refused(t, New(r.as("partly"), Options{Wire: w}), "NOPERM", r.Kill, r.Restart, func() {
				c, err := rueidis.NewClient(root)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				do(t, c, "ACL", "SETUSER", "partly", "&socket.io#/#bad#")
			})
		})
	}
}

// TestServersStopped: Redis says nothing for 10 s, and its connections stay.
func TestServersStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes 20 s")
	}
	servers(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		var stopped time.Time
		length := 3 * time.Second // 10 s under traffic
		clustertest.Away(t, r.bus(Options{Wire: w, Probe: quick}), func() {
			r.Stop()
			stopped = time.Now()
		}, func() {
			<-time.After(time.Until(stopped.Add(length))) // the silence is what the test is about
			r.Continue()
			length = 10 * time.Second
		})
	})
}

// TestServersCut: the connections of one node are cut.
func TestServersCut(t *testing.T) {
	servers(t, func(t *testing.T, w Wire) { cut(t, w, (*netfault.Proxy).Cut, false) })
}

// TestServersSilent: the connections of one node fall silent.
func TestServersSilent(t *testing.T) {
	servers(t, func(t *testing.T, w Wire) { cut(t, w, (*netfault.Proxy).Freeze, true) })
}

func cut(t *testing.T, w Wire, f func(p *netfault.Proxy), waits bool) {
	r := startRedis(t)
	p := netfault.New(t, r.Addr)
	clustertest.Cut(t, r.bus(Options{Wire: w}), busAt(p.Addr, Options{Wire: w, Probe: quick}), func() { f(p) }, p.Heal, waits)
}

// TestServersKilled: the process of a node is killed.
func TestServersKilled(t *testing.T) {
	servers(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		clustertest.Killed(t, r.bus(Options{Wire: w}), w.String()+" "+r.Addr)
	})
}

// TestServersStalled: a node stops reading, and Redis drops what is for that node: connections of
// subscribers that let too much wait, or entries of a stream that has become too long.
func TestServersStalled(t *testing.T) {
	servers(t, func(t *testing.T, w Wire) {
		r := startRedis(t, "--client-output-buffer-limit", "pubsub 1mb 1mb 1")
		clustertest.Stalled(t, r.bus(Options{Wire: w, MaxLen: stalledLen}), w.String()+" "+r.Addr, w == Streams)
	})
}

// stalledLen is how many entries a stream keeps in TestServersStalled: fewer than are added.
const stalledLen = 1000

// TestServersPoison: what nobody should publish, in every channel, and in the stream.
func TestServersPoison(t *testing.T) {
	servers(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		raw := r.client()
		list, publish := "CHANNELS", "PUBLISH"
		if w == Sharded {
			list, publish = "SHARDCHANNELS", "SPUBLISH"
		}
		clustertest.Poison(t, r.bus(Options{Wire: w}), func(names []string, payload string) (heard int) {
			channels, err := do(t, raw, "PUBSUB", list).AsStrSlice()
			if err != nil {
				t.Error(err)
			}
			for _, c := range channels {
				n, err := do(t, raw, publish, c, payload).AsInt64()
				if err != nil {
					t.Error(err)
				}
				heard += int(n)
			}
			if w != Streams {
				return heard
			}
			for _, entry := range [][]string{
				{"uid", "u", "nsp", "/", "type", "3", "data", payload}, {"what", payload}, {"uid", "u", "nsp", nativeEntry, "type", "0", "data", payload},
				{"uid", "u", "nsp", "/", "type", payload, "data", "{}"}, {"uid", "u", "nsp", "", "type", "3", "data", payload},
			} {
				do(t, raw, append([]string{"XADD", "socket.io", "*"}, entry...)...)
				heard += len(names)
			}
			return heard
		})
	})
}
