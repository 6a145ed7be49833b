package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

var errStarted = errors.New("cluster: the node was started before")

// phase is how far a Node has come.
type phase int

const (
	made phase = iota
	starting
	running
	ending
)

// Start joins the cluster. An error means that the backend never will; then the node has
// left. The node works on when ctx ends later.
func (n *Node) Start(ctx context.Context) error {
	if len(n.name) != NameLength {
		return fmt.Errorf("cluster: the name of a node has %d characters, %q has %d", NameLength, n.name, len(n.name))
	}
	n.life.Lock()
	if n.phase != made {
		n.life.Unlock()
		return errStarted
	}
	n.phase = starting
	n.life.Unlock()
	n.emitter.prepare()
	starts, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)() // Shutdown
	err := n.backend.Start(starts, n.name, receiver{n})
	n.life.Lock()
	if err == nil && n.phase == starting {
		n.phase = running
		go newPublisher(n).run()
		go n.report()
		n.life.Unlock()
		return nil
	}
	n.life.Unlock()
	close(n.published)
	close(n.reported)
	if err == nil { // Shutdown has closed the backend while it started
		_ = n.backend.Close(ctx)
		return cluster.ErrClosed
	}
	_ = n.Shutdown(ctx) // the error is Start's
	return fmt.Errorf("cluster: %w", err)
}

// Ready waits until the bus was reached and the nodes that are there have had the time to
// say so. It returns at once when the bus is away.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.greeting.wait():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.staying.Done():
		return cluster.ErrClosed
	}
}

// Await waits as Ready does, for somebody who may leave, and no longer than bound after the
// node was made or has come to the bus: a bus that says nothing is not waited for.
func (n *Node) Await(bound time.Duration, gone <-chan struct{}) {
	over, since := n.greeting.opened()
	timer := time.NewTimer(time.Until(since.Add(bound)))
	defer timer.Stop()
	select {
	case <-over:
	case <-gone:
	case <-timer.C:
	case <-n.staying.Done():
	}
}

// Shutdown leaves the cluster: open requests end, what waits is published, the other nodes are
// told, and handlers of events for servers are waited for. When ctx ends first, its error is
// returned; what the backend, and a handler, still does then ends when they let it. A second
// call waits for the first.
func (n *Node) Shutdown(ctx context.Context) error {
	n.life.Lock()
	was := n.phase
	n.phase = ending
	n.life.Unlock()
	if was == ending {
		return wait(ctx, n.gone)
	}
	defer close(n.gone)
	n.leave()
	n.out.end()
	switch was {
	case made:
		close(n.published)
		close(n.reported)
	case starting:
		n.cancel()
	}
	err := wait(ctx, n.published)
	n.closed.Store(true)
	if left := n.out.drop(); left > 0 { // before the reporter ends
		n.gaps.lose(left, 0, cluster.ErrClosed, time.Now())
	}
	n.cancel()
	closing := make(chan error, 1)
	go func() { closing <- n.backend.Close(ctx) }()
	select {
	case e := <-closing:
		err = first(err, e)
	case <-ctx.Done():
		err = first(err, context.Cause(ctx))
	}
	err = first(err, first(n.events.stop(ctx), n.own.stop(ctx)))
	return first(err, wait(ctx, n.reported))
}

// wait waits for what is closed, at most as long as ctx.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
