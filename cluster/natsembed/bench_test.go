package natsembed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/core/cluster"
)

// counter is a Receiver that counts.
type counter struct {
	came chan struct{}
	up   chan struct{}
}

func (c *counter) Receive(*cluster.Message) { c.came <- struct{}{} }
func (c *counter) Up()                      { c.up <- struct{}{} }
func (c *counter) Down(error)               {}
func (c *counter) Lost(int, error)          {}

// BenchmarkPublish is a message from one node to another, in batches of some size: an
// operation is one message that was published, taken by the server, and has come. The
// time of a batch of one is the way there plus the server's answer.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, NoSystemAccount: true})
			if err != nil {
				b.Fatal(err)
			}
			srv.Start()
			defer srv.WaitForShutdown()
			defer srv.Shutdown()
			var nodes [2]cluster.Backend
			c := &counter{make(chan struct{}, size), make(chan struct{}, 2)}
			for i := range nodes {
				nodes[i] = natsbus.New(srv.ClientURL(), nil)
				if err := nodes[i].Start(b.Context(), fmt.Sprint("node", i), c); err != nil {
					b.Fatal(err)
				}
				defer func() { _ = nodes[i].Close(context.Background()) }()
				<-c.up
			}
			if err := nodes[1].Watch(b.Context(), []cluster.Interest{{Namespace: "/", Room: "room", On: true}}); err != nil {
				b.Fatal(err)
			}
			m := emit("name", "room")
			m.Data = fmt.Appendf(nil, `["name","%0200d"]`, 1)
			var ms []*cluster.Message
			for range size {
				ms = append(ms, m)
			}
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			b.ReportAllocs()
			for i := 0; i < b.N; i += size {
				if err := nodes[0].Publish(ctx, ms); err != nil {
					b.Fatal(err)
				}
				for range size {
					<-c.came
				}
			}
		})
	}
}
