package node

import (
	"context"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// publisher is the one goroutine that speaks to the bus. It ends when the queue has ended
// and is empty, or when the node's context ends.
func (n *Node) publisher() {
	defer close(n.published)
	beat := time.NewTicker(n.opts.Heartbeat)
	defer beat.Stop()
	exits := time.NewTimer(time.Hour) // for rooms that linger
	defer exits.Stop()
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	defer settle.Stop()
	for {
		if n.greet.Swap(false) {
			n.say(cluster.Hello)
			select {
			case <-n.greeted:
			default:
				settle.Reset(settleTime)
			}
		}
		changes, next := n.interests.take(time.Now())
		if len(changes) > 0 {
			n.watch(changes)
		}
		if !next.IsZero() {
			exits.Reset(time.Until(next))
		}
		n.flush()
		if n.out.over() {
			return
		}
		select {
		case <-n.out.wake:
		case <-n.interests.wake:
		case <-exits.C:
		case <-settle.C:
			close(n.greeted)
		case now := <-beat.C:
			n.beat(now)
		case <-n.ctx.Done():
			return
		}
	}
}

// say publishes a message about the node itself.
func (n *Node) say(k cluster.Kind) {
	n.Publish(&cluster.Message{Kind: k, ID: n.instance, Info: n.opts.Info})
}

// beat says that the node is there, and gives up those of which nothing has come.
func (n *Node) beat(now time.Time) {
	if !n.gaps.isDown() {
		n.say(cluster.Heartbeat)
		for _, name := range n.members.silent(now.Add(-missedBeats * n.opts.Heartbeat)) {
			n.left(name)
		}
	}
	n.gaps.tick(now.Add(-n.opts.Heartbeat))
}

// watch tells the backend of rooms.
func (n *Node) watch(changes []cluster.Interest) {
	ctx, cancel := context.WithTimeout(n.ctx, n.opts.PublishTimeout)
	defer cancel()
	if err := n.backend.Watch(ctx, changes); err != nil {
		n.gaps.lose(0, 0, err, time.Now())
	}
}

// flush publishes what waits.
func (n *Node) flush() {
	var ms []*cluster.Message
	for {
		list := n.out.take()
		if len(list) == 0 {
			return
		}
		for len(ms) < len(list) {
			ms = append(ms, nil)
		}
		for i, e := range list {
			e.m.Node = n.name
			ms[i] = &e.m
		}
		n.publish(ms[:len(list)])
		clear(ms)
		n.out.done(list)
	}
}

// maxBatch is how many messages a backend is given at once.
const maxBatch = 256

func (n *Node) publish(ms []*cluster.Message) {
	for len(ms) > 0 {
		batch := ms[:min(len(ms), maxBatch)]
		ms = ms[len(batch):]
		if n.gaps.isDown() {
			n.gaps.lose(len(batch), 0, cluster.ErrDown, time.Now())
			continue
		}
		ctx, cancel := context.WithTimeout(n.ctx, n.opts.PublishTimeout)
		err := n.backend.Publish(ctx, batch)
		cancel()
		if err != nil {
			n.gaps.lose(len(batch), 0, err, time.Now())
			continue
		}
		n.sent.Add(int64(len(batch)))
	}
}
