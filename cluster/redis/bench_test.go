package redisbus

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/redistest"
)

// counting is a Receiver that counts.
type counting struct {
	ups  chan struct{}
	n    atomic.Int64
	more chan struct{} // holds one when n has grown
}

func (c *counting) Up()             { c.ups <- struct{}{} }
func (c *counting) Down(error)      {}
func (c *counting) Lost(int, error) {}
func (c *counting) Receive(m *cluster.Message) {
	if m.Node == "AAAAA" {
		c.n.Add(1)
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}

// wait returns when n messages have come.
func (c *counting) wait(n int64) {
	for c.n.Load() < n {
		<-c.more
	}
}

// BenchmarkPublish publishes events to one room, in batches, until another node has received
// them.
func BenchmarkPublish(b *testing.B) {
	for _, w := range []Wire{Classic, Sharded, Streams} {
		for _, size := range []int{1, 64} {
			b.Run(fmt.Sprintf("%v/%d", w, size), func(b *testing.B) {
				r := redistest.Start(b)
				var nodes []cluster.Backend
				var last *counting
				for _, name := range []string{"AAAAA", "BBBBB"} {
					n := New(rueidis.ClientOption{InitAddress: []string{r.Addr}, ForceSingleClient: true}, Options{Wire: w})
					last = &counting{ups: make(chan struct{}, 1), more: make(chan struct{}, 1)}
					if err := n.Start(b.Context(), name, last); err != nil {
						b.Fatal(err)
					}
					defer n.Close(b.Context())
					<-last.ups
					if err := n.Watch(b.Context(), []cluster.Interest{{Namespace: "/", On: true}, {Namespace: "/", Room: "r", On: true}}); err != nil {
						b.Fatal(err)
					}
					nodes = append(nodes, n)
				}
				ms := make([]*cluster.Message, size)
				for i := range ms {
					m := emit(`["hello",{"a":1,"b":"some text","c":[1,2,3]}]`, "r")
					m.Node = "AAAAA"
					ms[i] = &m
				}
				b.ReportAllocs()
				b.ResetTimer()
				for sent := 0; sent < b.N; sent += size {
					// Redis cuts off who does not keep up, so the receiver is waited for.
					if sent/size%16 == 15 {
						last.wait(int64(sent))
					}
					if err := nodes[0].Publish(b.Context(), ms); err != nil {
						b.Fatal(err)
					}
				}
				last.wait(int64((b.N + size - 1) / size * size))
			})
		}
	}
}
