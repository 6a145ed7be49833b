// NATS as the bus of a cluster, inside of the process, on net/http: two nodes hear of each
// other before the application listens.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// node is told what a Server would be.
type node struct{ up, came chan bool }

func (n node) Up()                      { n.up <- true }
func (n node) Down(err error)           { log.Fatal(err) }
func (n node) Lost(_ int, err error)    { log.Fatal(err) }
func (n node) Receive(*cluster.Message) { n.came <- true }

func main() {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()

	nodes := make(map[string]node)
	backends := map[string]cluster.Backend{}
	for _, name := range []string{"embed", "plain"} {
		b := natsembed.New(&natsembed.Options{Port: port})
		if name == "plain" {
			b = natsbus.New("nats://127.0.0.1:"+strconv.Itoa(port), nil)
		}
		n := node{make(chan bool, 1), make(chan bool, 1)}
		if err := b.Start(context.Background(), name, n); err != nil {
			log.Fatal(err)
		}
		<-n.up
		nodes[name], backends[name] = n, b
	}
	if err := backends["plain"].Publish(context.Background(), []*cluster.Message{{Kind: cluster.Heartbeat, Node: "plain"}}); err != nil {
		log.Fatal(err)
	}
	<-nodes["embed"].came

	mux := http.NewServeMux()
	srv := sio.NewServer(nil)
	srv.Of("/").On("greet", sio.Reply(func(_ context.Context, _ *sio.Socket, name string) (string, error) {
		return "hello " + name, nil
	}))
	mux.Handle("/socket.io/", srv)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, mux))
}
