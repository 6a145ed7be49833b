package sio

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// Drain says how Server.Shutdown takes leave of the clients; see there. The zero value of
// every field means its default.
type Drain struct {
	// Notice is how long Shutdown goes on serving, new clients too, while Ready is false
	// already: the time that a load balancer takes to notice; 0. It is at most half of the time
	// until the deadline of Shutdown's context: the turns need the rest.
	Notice time.Duration
	// Rate is how many clients have their turn each second, in random order, so that not
	// all of them connect elsewhere in one moment; 0, which means all at once. Shutdown is
	// faster where its context would end too early otherwise.
	Rate int
	// AnswerTimeout is how long a client whose turn has come stays connected while its
	// handlers run, and while a client with a websocket, or in the middle of its upgrade to one,
	// takes the answers; 10 s.
	AnswerTimeout time.Duration
}

// Shutdown ends the server. It works in this order:
//
//   - For Drain.Notice the server goes on as before; Ready is false from the beginning.
//   - New handshakes are refused from then on. The clients that are connected have their
//     turns, all at once, or Drain.Rate of them a second. Until its turn a client is served
//     as before.
//   - From its turn on, nothing more of what the client sends is handled, but for acks. What
//     has been received is: handlers that run, and those of the packets that wait, return
//     and answer. Then the client is sent what is queued, and its connection is closed, so
//     that it connects again elsewhere: held polls are answered, and websockets closed with
//     1001. For a client with nothing running that is at once.
//   - Shutdown waits until every handler, OnDisconnect and Socket.Go has returned.
//   - With Options.Recovery in a cluster it waits until all clients that it has sent away have come
//     back to other nodes, which take over their sessions, or until three seconds have passed
//     since the last one was sent away.
//
// A handler that runs for longer than Drain.AnswerTimeout after the turn of its client keeps
// Shutdown, but not the connection: its context ends, and its ack reaches nobody. So does an
// ack that is given after the handler has returned, unless it comes before the connection is
// closed. The function of a Loop has the same time until it waits in Recv with no event
// left. Socket.Go keeps no connection.
//
// When ctx ends first, connections that are still open are closed at once, and ctx's error is
// returned; in a cluster Shutdown then takes up to two seconds more, in which the other nodes
// are told. With a deadline, the last turn comes AnswerTimeout before the deadline at the
// latest, or in the middle of the time if that is later. A second call returns
// ErrServerClosed.
//
// Call Shutdown before the host's own graceful stop, which waits for held polls but not for
// websockets, and has clients that poll come to a closed port.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return ErrServerClosed
	}
	err := s.drain(ctx)
	if s.recovery != nil && err == nil {
		s.recovery.wait(ctx)
	}
	s.end()
	if s.recovery != nil {
		s.recovery.close()
		err = leave(ctx, err, s.recovery.saveAll)
	}
	if s.forward != nil { // behind the last answers
		err = leave(ctx, err, s.forward.Close)
	}
	if s.node != nil { // last: what leaves is told to the other nodes
		err = leave(ctx, err, s.node.Shutdown)
	}
	return err
}

// leave calls the last function of one part of the server. When ctx has ended, or ends
// meanwhile, the part has clusterLeaveTime more for its goodbye: other nodes would wait for
// this one otherwise. err is what has gone wrong before, and comes first.
func leave(ctx context.Context, err error, f func(context.Context) error) error {
	ctx, cancel := behind(ctx, clusterLeaveTime)
	defer cancel()
	if left := f(ctx); err == nil {
		err = left
	}
	return err
}

// behind returns a context that ends d after ctx, or d from now when ctx has ended.
func behind(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	own := context.WithoutCancel(ctx)
	if ctx.Err() != nil {
		return context.WithTimeout(own, d)
	}
	var cancel context.CancelFunc
	end, timed := ctx.Deadline()
	if timed { // so that the error tells of it
		own, cancel = context.WithDeadline(own, end.Add(d))
	} else {
		own, cancel = context.WithCancel(own)
	}
	stop := context.AfterFunc(ctx, func() {
		if timed && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return // own has a deadline too
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-own.Done():
		}
	})
	return own, func() { stop(); cancel() }
}

// Ready reports whether the server takes new clients: true until Shutdown begins. It says
// nothing about the bus of a cluster, which all servers would lose in the same moment.
func (s *Server) Ready() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.closed
}

// ReadyHandler answers every request with status 200 while the server is Ready, and with 503
// afterwards. It is for the readiness probe of an orchestrator, and for the health check of
// a load balancer.
func (s *Server) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if !s.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "shutting down\n")
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
}

// drain ends the clients and waits for what runs for them.
func (s *Server) drain(ctx context.Context) error {
	if d := s.opts.Drain.Notice; d > 0 {
		if end, ok := ctx.Deadline(); ok {
			d = min(d, time.Until(end)/2)
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	if s.policy != nil {
		_ = s.policy.Close()
	}
	ended := s.hub.Refuse()
	s.newTurns(ctx).take(ctx, ended)
	select {
	case <-ended:
	case <-ctx.Done():
		s.hub.Shutdown() // with the right reason, where there was no turn yet
		s.hub.Abort()
		return ctx.Err()
	}
	select {
	case <-s.running.Idle():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turnTick is how far apart turns are looked at, at least.
const turnTick = 5 * time.Millisecond

// turns are those of the clients to leave. A client has its turn, and patience later its
// connection ends.
type turns struct {
	left     []*virtsocket.Socket // in the reverse of their order
	every    time.Duration        // from one turn to the next; 0: all at once
	patience time.Duration

	start  time.Time
	taken  int
	leaves []leaving // in the order of their turns
}

type leaving struct {
	vs   *virtsocket.Socket
	late time.Duration // since the start
}

// newTurns gives a turn to each client that is connected now. The hub refuses others.
func (s *Server) newTurns(ctx context.Context) *turns {
	t := &turns{patience: s.opts.Drain.AnswerTimeout, start: time.Now()}
	s.hub.Each(func(vs *virtsocket.Socket) { t.left = append(t.left, vs) })
	rand.Shuffle(len(t.left), func(i, j int) { t.left[i], t.left[j] = t.left[j], t.left[i] })
	if s.opts.Drain.Rate == 0 || len(t.left) == 0 {
		return t
	}
	t.every = time.Second / time.Duration(s.opts.Drain.Rate)
	if end, ok := ctx.Deadline(); ok {
		all := end.Sub(t.start)
		all -= min(t.patience, all/2)
		t.every = min(t.every, max(0, all/time.Duration(len(t.left))))
	}
	return t
}

// take has each client leave in its turn, and returns when all have left or their patience
// is over.
func (t *turns) take(ctx context.Context, ended <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
		now := time.Since(t.start)
		t.begin(now)
		t.end(now)
		next := time.Duration(-1)
		if len(t.left) > 0 {
			next = t.next()
		}
		if len(t.leaves) > 0 && (next < 0 || t.leaves[0].late < next) {
			next = t.leaves[0].late
		}
		if next < 0 {
			return
		}
		timer.Reset(max(turnTick, next-now))
	}
}

// next is when the next turn comes.
func (t *turns) next() time.Duration { return time.Duration(t.taken) * t.every }

// begin takes the turns that have come. Who has gone already needs none.
func (t *turns) begin(now time.Duration) {
	for len(t.left) > 0 && t.next() <= now {
		last := len(t.left) - 1
		vs := t.left[last]
		t.left[last] = nil
		t.left = t.left[:last]
		if vs.Ended() {
			continue
		}
		t.taken++
		t.leaves = append(t.leaves, leaving{vs, now + t.patience})
		if c, ok := vs.Handler().(*client); ok {
			c.srv.running.Add()
			go c.takeLeave()
		}
	}
}

// end closes the connections whose handlers have not answered in time.
func (t *turns) end(now time.Duration) {
	for len(t.leaves) > 0 && t.leaves[0].late <= now {
		t.leaves[0].vs.Close(virtsocket.ServerShutdown)
		t.leaves[0] = leaving{}
		t.leaves = t.leaves[1:]
	}
}

// takeLeave has the connection close when what was received is done. Nothing that comes from
// here on is handled, but for acks, which never pass the inbox.
func (c *client) takeLeave() {
	c.vs.BetweenPayloads(c.inbox.Close)
	c.inbox.Push(inbox.Alone, task{leave: true})
}

// left closes the connection when what does not run in the tasks of the inbox has ended too.
func (c *client) left() {
	defer c.srv.running.Done()
	for _, s := range c.list() {
		if tasks := s.overlap.Load(); tasks != nil {
			tasks.Wait()
		}
		if s.state.Load() != stateConnecting && s.ns.handlers().loop != nil {
			s.received().settle(s)
		}
	}
	c.vs.Finish()
}
