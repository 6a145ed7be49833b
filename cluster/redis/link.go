package redisbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

var (
	errSilent = errors.New("redisbus: what was published to this node itself has not come")
	errMoved  = errors.New("redisbus: Redis has ended a subscription")
	errEnded  = errors.New("redisbus: the connection has ended")
)

// link is the connections to Redis from one failure to the next.
type link struct {
	bus    *bus
	client rueidis.Client
	own    bool
	send   rueidis.CoreClient      // the client, or sendOn
	sendOn rueidis.DedicatedClient // nil when send is the client
	reads  rueidis.DedicatedClient // the stream; nil on other wires
	// recv are the connections that subscribe: one, or on the wire Sharded one for each server
	// of a Redis Cluster; then slots says which it is for each slot.
	recv  []rueidis.DedicatedClient
	slots []rueidis.DedicatedClient

	denied error      // why Redis has not taken a channel when the link was made; nil: it has taken all
	broken chan error // the first failure
	dead   atomic.Bool
	heard  atomic.Int64 // messages that have come

	// What this node has said about itself and what of that has come back, as what others say
	// does; before and came are the two numbers when Behind was called before.
	said, echoed atomic.Int64
	before, came int64

	cancel  context.CancelFunc // of the workers
	workers sync.WaitGroup
}

// connect makes a link. When ctx ends it returns; the connection that is being made then is
// closed as soon as it is there, or is given up after the time limit for dialling.
func (b *bus) connect(ctx context.Context) (*link, error) {
	type result struct {
		l   *link
		err error
	}
	made := make(chan result, 1)
	go func() {
		l, err := b.dial()
		made <- result{l, err}
	}()
	select {
	case r := <-made:
		return r.l, r.err
	case <-ctx.Done():
		go func() {
			if r := <-made; r.l != nil {
				r.l.close()
			}
		}()
		return nil, ctx.Err()
	}
}

func (b *bus) dial() (*link, error) {
	l := &link{bus: b, client: b.client, own: b.client == nil, broken: make(chan error, 1), cancel: func() {}}
	if l.own {
		client, err := rueidis.NewClient(b.option)
		if err != nil {
			return nil, fmt.Errorf("redisbus: %w", err)
		}
		l.client = client
	}
	if err := l.open(); err != nil {
		l.close()
		return nil, fmt.Errorf("redisbus: %w", err)
	}
	return l, nil
}

// open takes the connections.
func (l *link) open() error {
	b := l.bus
	clustered := l.client.Mode() == rueidis.ClientModeCluster
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	switch {
	case clustered && b.opts.Wire == Sharded:
		if err := l.openShards(ctx); err != nil {
			return err
		}
	case clustered && b.opts.Wire == Streams && b.opts.Count > 1:
		return errors.New("several streams on a Redis Cluster are not supported")
	default:
		l.receive(l.client)
	}
	if l.own && !clustered || b.opts.Wire == Sharded && clustered {
		l.send = l.client
	} else { // the client may spread over several connections what is to stay in order
		l.sendOn, _ = l.client.Dedicate()
		l.follow(l.sendOn, rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
		l.send = l.sendOn
	}
	if b.opts.Wire == Streams && !b.answers {
		l.reads, _ = l.client.Dedicate()
	}
	for _, c := range l.recv {
		if err := c.Do(ctx, c.B().Ping().Build()).Error(); err != nil {
			return err
		}
	}
	first := l.send.B().Ping().Build()
	if b.opts.Wire == Streams { // in a Redis Cluster the first key chooses the server
		first = l.send.B().Exists().Key(b.opts.Stream).Build()
	}
	if err := l.send.Do(ctx, first).Error(); err != nil || l.reads == nil {
		return err
	}
	return l.reads.Do(ctx, l.reads.B().Exists().Key(b.opts.Stream).Build()).Error()
}

// receive makes a connection that subscribes.
func (l *link) receive(c rueidis.Client) rueidis.DedicatedClient {
	b := l.bus
	recv, _ := c.Dedicate()
	l.follow(recv, rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { b.message(l, m.Channel, m.Message) },
		OnSubscription: func(s rueidis.PubSubSubscription) {
			if strings.HasSuffix(s.Kind, "unsubscribe") && b.wants(s.Channel) {
				l.fail(errMoved)
			}
		},
	})
	l.recv = append(l.recv, recv)
	return recv
}

// follow sets the hooks of a connection, and ends the link with it.
func (l *link) follow(c rueidis.DedicatedClient, hooks rueidis.PubSubHooks) {
	ended := c.SetPubSubHooks(hooks)
	l.workers.Go(func() {
		err, ok := <-ended
		if !ok {
			err = errEnded
		}
		l.fail(fmt.Errorf("redisbus: %w", err))
		for range ended { // until it is closed: then no hook runs
		}
	})
}

// openShards makes a connection to each server of a Redis Cluster that has slots.
func (l *link) openShards(ctx context.Context) error {
	ranges, err := l.client.Do(ctx, l.client.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return err
	}
	l.slots = make([]rueidis.DedicatedClient, 1<<14)
	nodes, have := l.client.Nodes(), make(map[string]rueidis.DedicatedClient)
	for _, r := range ranges { // first slot, last slot, master (host, port, ...), replicas
		parts, err := r.ToArray()
		if err != nil || len(parts) < 3 {
			return fmt.Errorf("CLUSTER SLOTS: %d parts, %w", len(parts), err)
		}
		first, err1 := parts[0].AsInt64()
		last, err2 := parts[1].AsInt64()
		master, err3 := parts[2].ToArray()
		if err := errors.Join(err1, err2, err3); err != nil || len(master) < 2 || first < 0 || last >= int64(len(l.slots)) {
			return fmt.Errorf("CLUSTER SLOTS: %d to %d, %w", first, last, err)
		}
		host, _ := master[0].ToString()
		port, _ := master[1].AsInt64()
		addr := net.JoinHostPort(host, strconv.FormatInt(port, 10))
		if have[addr] == nil {
			if nodes[addr] == nil {
				return fmt.Errorf("%s has slots, and is not known yet", addr)
			}
			have[addr] = l.receive(nodes[addr])
		}
		for i := first; i <= last; i++ {
			l.slots[i] = have[addr]
		}
	}
	return nil
}

// on is the connection for a channel; nil when nobody has its slot.
func (l *link) on(channel string) rueidis.DedicatedClient {
	if l.slots == nil {
		return l.recv[0]
	}
	cmd := l.client.B().Ssubscribe().Channel(channel).Build()
	return l.slots[cmd.Slot()]
}

// dialTimeout is how long a new connection may take for its first answer.
const dialTimeout = 5 * time.Second

// fail ends the link.
func (l *link) fail(err error) {
	l.dead.Store(true)
	select {
	case l.broken <- err:
	default:
	}
}

// wait returns when the link has failed, or ctx has ended.
func (l *link) wait(ctx context.Context) error {
	probe := time.NewTicker(l.bus.opts.Probe)
	defer probe.Stop()
	heard, probed := l.heard.Load(), false
	for {
		select {
		case err := <-l.broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-probe.C:
		}
		switch now := l.heard.Load(); {
		case now != heard:
			heard, probed = now, false
		case probed:
			return errSilent
		default:
			probed = true
			l.workers.Go(l.probe)
		}
	}
}

// probe publishes a message to the node itself.
func (l *link) probe() {
	b := l.bus
	ctx, cancel := context.WithTimeout(context.Background(), b.opts.Probe)
	defer cancel()
	if err := l.send.Do(ctx, b.publish(l.send, b.nativeNode(b.node), probeText)).NonRedisError(); err != nil {
		l.fail(fmt.Errorf("redisbus: %w", err))
	}
}

// probeText is the message of a probe. No other message is a single zero.
const probeText = "\x00"

// leaveTimeout is how long Redis may take to say that this node listens no more.
const leaveTimeout = time.Second

// leave unsubscribes from the channels whose listeners are counted. Redis notices later that a
// connection was closed, and who has counted this node meanwhile would wait for its answer.
func (l *link) leave() {
	l.dead.Store(true)
	b := l.bus
	var names []string
	b.mu.Lock()
	for namespace := range b.watched {
		names = append(names, b.name(b.requests(namespace)), b.nativeNamespace(namespace))
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_, _ = l.subscribe(ctx, nil, names) // else the end of the connection does it
}

// close closes the connections, and returns when nothing more comes from them.
func (l *link) close() {
	l.dead.Store(true)
	l.cancel()
	var wg sync.WaitGroup
	for _, c := range append(l.recv, l.sendOn, l.reads) {
		if c != nil {
			wg.Go(c.Close) // waits up to a second for a silent Redis
		}
	}
	if l.own {
		wg.Go(l.client.Close)
	}
	wg.Wait()
	l.workers.Wait()
}
