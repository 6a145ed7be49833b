//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/rueidis"

	"github.com/siokit/siokit/bench/cluster/internal/orders"
	natsbus "github.com/siokit/siokit/cluster/nats"
	redisbus "github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// traffic is what one node, or one listener, gets from the bus.
type traffic struct{ messages, bytes atomic.Int64 }

func (t *traffic) read() (messages, bytes float64) {
	return float64(t.messages.Load()), float64(t.bytes.Load())
}

// countedConn counts what is read.
type countedConn struct {
	net.Conn
	t *traffic
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.bytes.Add(int64(n))
	return n, err
}

// Dial makes a traffic a dialer of nats.go.
func (t *traffic) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return countedConn{c, t}, err
}

func (t *traffic) redis(address string) rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true,
		DialCtxFn: func(_ context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return t.Dial("tcp", address)
		}}
}

// countedBus counts what is handed to the Receiver.
type countedBus struct {
	cluster.Backend
	t *traffic
}

func (b countedBus) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return b.Backend.Start(ctx, node, countedReceiver{r, b.t})
}

type countedReceiver struct {
	cluster.Receiver
	t *traffic
}

func (r countedReceiver) Receive(m *cluster.Message) {
	r.t.messages.Add(1)
	r.Receiver.Receive(m)
}

// countedRedis keeps what the classic wire is beside a Backend.
type countedRedis struct {
	countedBus
	cluster.Counter
	cluster.SocketWatcher
}

func (t *traffic) backend(wire, address string) cluster.Backend {
	if wire == "nats" {
		return countedBus{natsbus.New(address, &natsbus.Options{Connect: []nats.Option{nats.SetCustomDialer(t)}}), t}
	}
	kinds := map[string]redisbus.Wire{"classic": redisbus.Classic, "sharded": redisbus.Sharded, "streams": redisbus.Streams}
	b := redisbus.New(t.redis(address), redisbus.Options{Wire: kinds[wire], Prefix: wire, Stream: wire})
	if watcher, ok := b.(cluster.SocketWatcher); ok {
		return countedRedis{countedBus{b, t}, b.(cluster.Counter), watcher}
	}
	return countedBus{b, t}
}

// everything listens to all rooms, as the adapters for Node do on the classic wire.
func (t *traffic) everything(wire, address string) error {
	if wire == "nats" {
		nc, err := nats.Connect(address, nats.SetCustomDialer(t))
		if err != nil {
			return err
		}
		atEnd(nc.Close)
		_, err = nc.Subscribe("sio.default.>", func(*nats.Msg) { t.messages.Add(1) })
		return err
	}
	client, err := rueidis.NewClient(t.redis(address))
	if err != nil {
		return err
	}
	atEnd(client.Close)
	conn, _ := client.Dedicate()
	conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) { t.messages.Add(1) }})
	return conn.Do(context.Background(), conn.B().Psubscribe().Pattern(wire+"#/#*").Build()).Error()
}

// In growth each node has so many rooms, with a client of its own and one of the next node,
// and emits so often to each of them.
const (
	ownRooms  = 8
	growTicks = 30
	growEvery = 80 * time.Millisecond
)

// growth prints what one node gets when the cluster, and all its traffic, grows.
func growth(s *settings) error {
	var wires []string
	for _, w := range s.wires {
		if w != "memory" {
			wires = append(wires, w)
		}
	}
	addresses, err := buses(wires)
	if err != nil {
		return err
	}
	fmt.Printf("Each node has %d rooms with members on two nodes, and emits to each %.3g times a second.\n"+
		"Counted at the Receiver and at the connections, in a second; in bold against two nodes.\n"+
		"Everything: a listener to all rooms, as the adapter for Node has it (NATS: to all subjects).\n", ownRooms, 1/growEvery.Seconds())
	for _, w := range wires {
		fmt.Printf("\n### %s\n\n", w)
		head("nodes", "emits of all", "one node: messages", "bytes", "everything: messages", "bytes")
		var first [4]float64
		for _, n := range []int{2, 4, 8, 16, 32} {
			started := len(cleanups)
			got, took, err := grown(w, addresses[w], n)
			if err != nil {
				return fmt.Errorf("%s, %d nodes: %w", w, n, err)
			}
			cleanUp(started)
			cells := []string{strconv.Itoa(n), fmt.Sprintf("%.0f", float64(n*ownRooms*growTicks)/took)}
			for i, v := range got {
				if v /= took; n == 2 {
					first[i] = v
				}
				if first[i] == 0 {
					cells = append(cells, "-")
					continue
				}
				cells = append(cells, fmt.Sprintf("%.0f **%.2f**", v, v/first[i]))
			}
			row(cells...)
		}
	}
	return nil
}

// grown measures a cluster of n nodes: the messages and bytes of one node, the median of all,
// and those of a listener to everything.
func grown(wire, address string, n int) (got [4]float64, seconds float64, err error) {
	nodes := make([]*sio.Server, n)
	counts := make([]traffic, n)
	crowds := make([]crowd, n)
	var all traffic
	if wire == "nats" || wire == "classic" {
		if err := all.everything(wire, address); err != nil {
			return got, 0, err
		}
	}
	for i := range nodes {
		nodes[i] = sio.NewServer(&sio.Options{Cluster: counts[i].backend(wire, address), Logger: slog.New(slog.DiscardHandler)})
		addr, err := grow(nodes[i], i, n)
		if err != nil {
			return got, 0, err
		}
		atEnd(crowds[i].close)
		if err := crowds[i].join(addr, 1); err != nil {
			return got, 0, err
		}
	}
	// Every node hears the one before it.
	if err := eventually(func() error {
		for i := range nodes {
			if err := nodes[i].Of("/").To(roomOf(i, 0)).Emit("hello", orders.Text); err != nil {
				return err
			}
		}
		time.Sleep(300 * time.Millisecond)
		for i := range crowds {
			if crowds[i].events.Swap(0) != 2 {
				return fmt.Errorf("node %d does not hear its neighbour", i)
			}
		}
		return nil
	}); err != nil {
		return got, 0, err
	}
	var before [4][]float64
	take := func() (v [4][]float64) {
		for i := range counts {
			m, b := counts[i].read()
			v[0], v[1] = append(v[0], m), append(v[1], b)
		}
		m, b := all.read()
		v[2], v[3] = []float64{m}, []float64{b}
		return v
	}
	before = take()
	begin := time.Now()
	tick := time.NewTicker(growEvery)
	defer tick.Stop()
	for range growTicks {
		<-tick.C
		for i := range nodes {
			for k := range ownRooms {
				if err := nodes[i].Of("/").To(roomOf(i, k)).Emit("hello", orders.Text); err != nil {
					return got, 0, err
				}
			}
		}
	}
	seconds = time.Since(begin).Seconds()
	for i := range crowds {
		crowds[i].expects(2 * ownRooms * growTicks)
		if err := crowds[i].wait(); err != nil {
			return got, 0, fmt.Errorf("node %d: %w", i, err)
		}
	}
	for i, after := range take() {
		for k := range after {
			after[k] -= before[i][k]
		}
		got[i] = median(after)
	}
	return got, seconds, nil
}

func roomOf(node, k int) string { return fmt.Sprintf("room-%d-%d", node, k) }

// grow serves a node whose clients join the rooms of it and of the one before it.
func grow(io *sio.Server, i, n int) (addr string, err error) {
	io.Of("/").OnConnected(func(_ context.Context, s *sio.Socket) {
		for k := range ownRooms {
			s.Join(roomOf(i, k), roomOf((i+n-1)%n, k))
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	hs := &http.Server{Handler: mux}
	go func() { _ = hs.Serve(ln) }()
	atEnd(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = io.Shutdown(ctx)
		_ = hs.Close()
	})
	return ln.Addr().String(), nil
}
