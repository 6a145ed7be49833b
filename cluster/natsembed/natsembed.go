// Package natsembed makes the processes of one machine a cluster, without anything that has
// to be installed or started: one of the processes is the NATS server of all.
//
//	io := sio.NewServer(&sio.Options{Cluster: natsembed.New(nil)})
//
// Each process tries to listen on one port of the loopback interface. Who succeeds serves, the
// others are clients. When that process ends, the first of the others that notices takes the
// port over, and all connect to it within a second. For that time the bus is down, with all
// that this means: see package natsbus, which this package uses, for what is promised.
//
// A process that still has the port and answers no more, because it was stopped by a debugger,
// say, keeps the cluster apart until it goes on or ends.
//
// Any process of the machine can connect to the port, and send any event to any client. Where
// other users share the machine, set Options.Token.
//
// A message may have 8 MiB.
//
// Processes on several machines need a NATS server of their own, and package natsbus.
package natsembed

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/core/cluster"
)

// Options of a backend. The zero value is fine.
type Options struct {
	// Port is the port on the loopback interface; 0 is 14222. A NATS server that was
	// started otherwise may have it as well.
	Port int
	// App tells applications that share a port from each other; see natsbus.Options.App.
	App string
	// Token is a secret that all processes of the application share: who does not know it
	// cannot connect. "" lets everybody on the machine in. Applications with different
	// tokens need different ports.
	Token string
}

const (
	defaultPort = 14222
	// maxPayload is the largest message. NATS advises against more.
	maxPayload = 8 << 20
	// reconnectWait is the time between attempts to reach the server, or to be the server.
	reconnectWait = 50 * time.Millisecond
	dialTimeout   = 2 * time.Second
)

// New returns a backend. It connects, or begins to serve, when the Server starts it.
func New(o *Options) cluster.Backend {
	if o == nil {
		o = &Options{}
	}
	b := &backend{port: o.Port, token: o.Token}
	if b.port == 0 {
		b.port = defaultPort
	}
	connect := []nats.Option{
		nats.SetCustomDialer(b),
		nats.IgnoreDiscoveredServers(),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.Timeout(dialTimeout),
	}
	if b.token != "" {
		connect = append(connect, nats.Token(b.token))
	}
	b.Backend = natsbus.New("nats://"+b.address(), &natsbus.Options{App: o.App, Connect: connect})
	return b
}

type backend struct {
	cluster.Backend // the client
	port            int
	token           string

	mu     sync.Mutex
	server *server.Server // while this process serves
	closed bool
	ended  chan struct{} // closed when the server has ended
}

var _ cluster.Lagger = (*backend)(nil)

// Behind is a method of cluster.Lagger.
func (b *backend) Behind() bool {
	l, ok := b.Backend.(cluster.Lagger)
	return ok && l.Behind()
}

func (b *backend) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// Dial connects to the process that serves. When nobody does, this one tries to. nats.go
// calls it, for the first connection and for each that follows.
func (b *backend) Dial(network, address string) (net.Conn, error) {
	if s := b.serving(); s != nil {
		return s.InProcessConn()
	}
	if c, err := net.DialTimeout(network, address, dialTimeout); err == nil {
		return c, nil
	}
	s, err := b.serve()
	if err != nil {
		// Most likely another process was quicker.
		c, dial := net.DialTimeout(network, address, dialTimeout)
		if dial != nil {
			return nil, errors.Join(dial, err)
		}
		return c, nil
	}
	return s.InProcessConn()
}

func (b *backend) serving() *server.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server
}

// serve starts the server.
func (b *backend) serve() (*server.Server, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, cluster.ErrClosed
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "siokit", Host: "127.0.0.1", Port: b.port, Authorization: b.token, MaxPayload: maxPayload,
		NoLog: true, NoSigs: true, NoSystemAccount: true,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	if s.Addr() == nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("natsembed: cannot listen on " + b.address())
	}
	b.server = s
	return s, nil
}

// Close leaves the bus. When this process serves, it ends the server; another process takes
// over then.
func (b *backend) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true // no server begins any more
	b.mu.Unlock()
	err := b.Backend.Close(ctx)
	select {
	case <-b.shut():
	case <-ctx.Done():
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	return err
}

// shut ends the server, and returns what is closed when it has ended.
func (b *backend) shut() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended == nil {
		b.ended = make(chan struct{})
		go func(s *server.Server) {
			defer close(b.ended)
			if s != nil {
				s.Shutdown()
				s.WaitForShutdown()
			}
		}(b.server)
		b.server = nil
	}
	return b.ended
}
