package interop

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/siokit/siokit/cluster/natsembed"
	redisbus "github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/redistest"
	"github.com/siokit/siokit/internal/testkit"
)

// TestRecoveryNodes: official clients whose connections are cut all the time, and whose next
// connection goes to any of three nodes, get every event once and in order, or are told that they
// were not recovered.
func TestRecoveryNodes(t *testing.T) {
	need(t)
	for _, row := range []struct {
		name    string
		clients int
		bus     func(t *testing.T) func() cluster.Backend
	}{
		{"memory", 60, func(*testing.T) func() cluster.Backend { return cluster.NewBus().Backend }},
		{"natsembed", 60, func(t *testing.T) func() cluster.Backend {
			o := &natsembed.Options{Port: testkit.Port(t), Token: "of this test"}
			return func() cluster.Backend { return natsembed.New(o) }
		}},
		{"classic", 200, onRedis(redisbus.Classic)},
		{"sharded", 60, onRedis(redisbus.Sharded)},
	} {
		t.Run(row.name, func(t *testing.T) { recoverAtNodes(t, row.clients, row.bus(t)) })
	}
}

func onRedis(w redisbus.Wire) func(t *testing.T) func() cluster.Backend {
	return func(t *testing.T) func() cluster.Backend {
		at := rueidis.ClientOption{InitAddress: []string{redistest.Start(t).Addr}}
		return func() cluster.Backend { return redisbus.New(at, redisbus.Options{Wire: w}) }
	}
}

func recoverAtNodes(t *testing.T, clients int, bus func() cluster.Backend) {
	const nodes = 3
	c := newCrowd(clients)
	var servers []*sio.Server
	var addrs []string
	for range nodes {
		srv := sio.NewServer(&sio.Options{
			Logger:       slog.New(slog.DiscardHandler),
			Cluster:      bus(),
			Forward:      &sio.Forward{Listen: "127.0.0.1:0", Secret: []byte("0123456789abcdef")},
			Recovery:     &sio.Recovery{MaxEvents: 100_000, MaxBytes: 256 << 20},
			PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second,
		})
		c.serve(srv.Of("/"))
		hs := httptest.NewServer(srv)
		t.Cleanup(hs.Close)
		servers, addrs = append(servers, srv), append(addrs, hs.Listener.Addr().String())
	}
	defer func() {
		for _, srv := range servers {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_ = srv.Shutdown(ctx)
			cancel()
		}
	}()
	for _, srv := range servers {
		for answers := 0; answers < nodes-1; time.Sleep(10 * time.Millisecond) {
			list, err := sio.CallServers[string](t.Context(), srv.Of("/"), "there")
			if answers = len(list); err != nil && answers == nodes-1 {
				t.Fatal(err)
			}
		}
	}
	recovered, fresh := c.run(t, clients, addrs...)
	if recovered < clients || fresh > recovered/10 {
		t.Error("too few")
	}
}
