package cluster

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/redistest"
)

// TestHistory: what a History with a store emits reaches the clients of Node's processes, which
// see nothing of its position.
func TestHistory(t *testing.T) {
	for wire, o := range map[string]redisbus.Options{
		"classic": {}, "sharded": {Wire: redisbus.Sharded}, "streams": {Wire: redisbus.Streams}, "old": {CommonResponses: true},
	} {
		t.Run(wire, func(t *testing.T) {
			r := redistest.Start(t)
			p := startNode(t, wire, r.Addr)
			p.client("x", "r1")
			option := rueidis.ClientOption{InitAddress: []string{r.Addr}, ForceSingleClient: true}
			client, err := rueidis.NewClient(option)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			up := make(chan struct{})
			srv := sio.NewServer(&sio.Options{Cluster: &reached{redisbus.New(option, o), up}})
			defer func() { _ = srv.Shutdown(t.Context()) }()
			<-up
			h := &mixin.History{Store: redisbus.NewHistory(client, redisbus.HistoryOptions{})}
			for _, room := range []string{"r2", "r1"} { // nobody is in r2
				if err := h.Emit(srv.Of("/"), room, "say", room, []byte{1, 2}); err != nil {
					t.Fatal(err)
				}
			}
			p.event("x", "say", "r1", "hex:0102")
		})
	}
}

// reached is a Backend that says when the bus was reached.
type reached struct {
	cluster.Backend
	up chan struct{}
}

func (b *reached) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return b.Backend.Start(ctx, node, &receiver{Receiver: r, up: b.up})
}

type receiver struct {
	cluster.Receiver
	once sync.Once
	up   chan struct{}
}

func (r *receiver) Up() {
	r.Receiver.Up()
	r.once.Do(func() { close(r.up) })
}
