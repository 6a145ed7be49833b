package suite

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/redis/rueidis"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	redisbus "github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

// buses are the columns of the table. With the bus in memory each adapter's own test runs the
// whole suite.
var buses = []struct {
	name string
	bus  func() func() cluster.Backend
}{
	{"redis-classic", onRedis(redisbus.Classic)},
	{"redis-sharded", onRedis(redisbus.Sharded)},
	{"redis-streams", onRedis(redisbus.Streams)},
	{"nats", onNATS},
	{"natsembed", embedded},
}

var used atomic.Int64

// fresh is a name that no other case has.
func fresh() string { return fmt.Sprintf("suite-%d-%d", os.Getpid(), used.Add(1)) }

func onRedis(w redisbus.Wire) func() func() cluster.Backend {
	return func() func() cluster.Backend {
		name := fresh()
		return func() cluster.Backend {
			return redisbus.New(rueidis.ClientOption{InitAddress: []string{os.Getenv(redisAddr)}, ForceSingleClient: true},
				redisbus.Options{Wire: w, Prefix: name, Stream: name})
		}
	}
}

func onNATS() func() cluster.Backend {
	name := fresh()
	return func() cluster.Backend { return natsbus.New(os.Getenv(natsURL), &natsbus.Options{App: name}) }
}

// embedded is a port on which one of the servers of a case is the NATS server of all three.
func embedded() func() cluster.Backend {
	port, ok := testkit.FreePort()
	if !ok {
		panic("no port is free")
	}
	name := fresh()
	return func() cluster.Backend { return natsembed.New(&natsembed.Options{App: name, Port: port}) }
}
