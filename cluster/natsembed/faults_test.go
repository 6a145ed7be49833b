package natsembed_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/clustertest"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/testkit"
)

// The tests of this file have clients at Servers: what they get, and what is reported to the
// application.

func (b *broker) bus() clustertest.Bus { return busAt(b.url()) }

func busAt(url string) clustertest.Bus {
	return clustertest.Bus{Backend: func() cluster.Backend { return natsbus.New(url, &natsbus.Options{Connect: quick()}) }}
}

// TestServersWithoutNATS: the NATS server goes and comes.
func TestServersWithoutNATS(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{})
	clustertest.Away(t, b.bus(), b.stop, b.start)
}

// TestServersCut: the connection of one node is cut, or falls silent.
func TestServersCut(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "refused", true: "silent"}[silent], func(t *testing.T) {
			t.Parallel()
			b := startBroker(t, server.Options{})
			p := netfault.New(t, fmt.Sprint("127.0.0.1:", b.port))
			cut := p.Cut
			if silent {
				cut = p.Freeze
			}
			clustertest.Cut(t, b.bus(), busAt("nats://"+p.Addr), cut, p.Heal, silent)
		})
	}
}

// TestServersKilled: the process of a node is killed.
func TestServersKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{})
	clustertest.Killed(t, b.bus(), b.url())
}

// TestServersStalled: a node stops reading, and the NATS server ends its connection.
func TestServersStalled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{MaxPending: 2 << 20, WriteDeadline: time.Second})
	clustertest.Stalled(t, b.bus(), b.url(), false)
}

// TestServersPoison: what nobody should publish, on every subject.
func TestServersPoison(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{})
	foreign, err := nats.Connect(b.url())
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	clustertest.Poison(t, b.bus(), func(names []string, payload string) (heard int) {
		// The subjects are those in the package's documentation.
		for subject, nodes := range map[string]int{
			"sio.default.nodes": 2, "sio.default.node." + names[0]: 1, "sio.default.node." + names[1]: 1,
			"sio.default.Lw.all": 2, "sio.default.Lw.r.cg": 2,
		} {
			if err := foreign.Publish(subject, []byte(payload)); err != nil {
				t.Error(err)
			}
			heard += nodes
		}
		if err := foreign.Flush(); err != nil {
			t.Error(err)
		}
		return heard
	})
}

// TestServersLoseTheServer: the process that serves ends under traffic. The others go on, and
// one more joins them.
func TestServersLoseTheServer(t *testing.T) {
	t.Parallel()
	port := testkit.Port(t)
	clustertest.First(t, clustertest.Bus{Backend: func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) }})
}

// TestServersServerKilled: the process that serves is killed.
func TestServersServerKilled(t *testing.T) {
	t.Parallel()
	port := testkit.Port(t)
	clustertest.FirstKilled(t, clustertest.Bus{Backend: func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) }}, fmt.Sprint("embedded ", port))
}

// childBackend is for a process that clustertest has started.
func childBackend(arg string) cluster.Backend {
	if port, ok := strings.CutPrefix(arg, "embedded "); ok {
		n, err := strconv.Atoi(port)
		if err != nil {
			panic(err)
		}
		return natsembed.New(&natsembed.Options{Port: n})
	}
	return busAt(arg).Backend()
}
