package node

import (
	"context"
	"errors"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

const (
	// settleTime is how long a request waits for the answers to the node's Hello.
	settleTime = 300 * time.Millisecond
	// answerTime is how long a Hello waits for its answer, so that one Heartbeat answers all
	// nodes that come together.
	answerTime = 50 * time.Millisecond
	// helloTime is the least time between two Hellos: a bus that comes and goes is greeted
	// so often.
	helloTime = 100 * time.Millisecond
	// missedBeats is after how many heartbeats without a sign of life a node is given up.
	missedBeats = 3
	// maxBatch is how many messages a backend is given at once.
	maxBatch = 256
)

var errBusSlow = errors.New("cluster: the bus takes nothing")

// publisher is the one goroutine that speaks to the bus. What a node says about itself does
// not go through the queue: a node whose queue is full is there all the same.
type publisher struct {
	n     *Node
	list  []*entry // the batch
	ms    []*cluster.Message
	timer *time.Timer

	// When something is due; zero: never.
	beat, hello, answer, settle, leave time.Time
	beaten                             time.Time // when the last heartbeat was due
	armed                              time.Time // what the timer is set to; zero: it has fired
	retell                             time.Time // not before, the others are told what was lost

	// A call of the backend may take so long. The context is used again when it did not.
	call    context.Context
	cancel  context.CancelCauseFunc
	timeout *time.Timer
}

func newPublisher(n *Node) *publisher {
	now := time.Now()
	return &publisher{n: n, timer: time.NewTimer(0), beat: now.Add(n.opts.Heartbeat), beaten: now}
}

// run ends when the queue has ended and is empty, or when the node's context ends.
func (p *publisher) run() {
	n := p.n
	defer close(n.published)
	defer p.timer.Stop()
	defer func() {
		if p.call != nil {
			p.cancel(nil)
		}
	}()
	for n.ctx.Err() == nil {
		p.speak(time.Now())
		if p.batch() {
			continue
		}
		if n.out.over() {
			p.retell = time.Time{}
			p.tell(time.Now())
			if !n.gaps.down.Load() && n.emitter == nil {
				p.say(cluster.Bye)
			}
			return
		}
		p.arm()
		if !n.out.sleep() && !n.emitter.holds() {
			continue
		}
		select {
		case <-n.wake:
		case <-p.timer.C:
			p.armed = time.Time{}
		case <-n.ctx.Done():
		}
	}
}

// arm sets the timer to what is due first, unless it fires earlier: it is not set anew in each round.
func (p *publisher) arm() {
	next := p.beat
	for _, t := range [...]time.Time{p.answer, p.settle, p.leave} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if !p.n.gaps.down.Load() && p.n.greeting.isDue() && p.hello.Before(next) {
		next = p.hello
	}
	if p.armed.IsZero() || next.Before(p.armed) {
		p.armed = next
		p.timer.Reset(max(0, time.Until(next)))
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// speak says about the node itself what is due.
func (p *publisher) speak(now time.Time) {
	n := p.n
	p.tell(now)
	if n.greeting.isDue() && !now.Before(p.hello) && !n.gaps.down.Load() {
		n.greeting.said()
		p.hello, p.settle = now.Add(helloTime), now.Add(settleTime)
		if !p.say(cluster.Hello) {
			n.greeting.again()
			p.hello, p.settle = now.Add(n.opts.Heartbeat), time.Time{}
		}
	}
	if n.asked.Swap(false) && n.emitter == nil && p.answer.IsZero() {
		p.answer = now.Add(answerTime)
	}
	if due(p.answer, now) {
		p.answer = time.Time{}
		if !n.gaps.down.Load() {
			p.say(cluster.Heartbeat)
		}
	}
	if due(p.settle, now) {
		p.settle = time.Time{}
		n.greeting.end()
	}
	if due(p.beat, now) {
		p.heartbeat(now)
	}
}

// heartbeat says that the node is there, and gives up those of which nothing has come.
func (p *publisher) heartbeat(now time.Time) {
	n := p.n
	late := now.Sub(p.beaten) >= 2*n.opts.Heartbeat
	if n.lagger != nil && n.lagger.Behind() { // what others have said waits, or was dropped
		late = true
	}
	p.beat, p.beaten = now.Add(n.opts.Heartbeat), now
	if err := n.interests.deaf(); err != nil {
		n.gaps.miss(0, err, now) // and will be
	}
	n.gaps.hear(now.Add(-n.opts.Heartbeat))
	if n.gaps.down.Load() {
		return
	}
	if n.emitter == nil {
		p.say(cluster.Heartbeat)
	} else if n.gaps.open.Load() {
		p.say(cluster.Hello) // nothing else may be published that says whether the bus takes it
	}
	if late { // this process has stood still, or the bus; nothing is known of others
		n.members.spare(now)
		return
	}
	for _, name := range n.members.removeSilent(now.Add(-missedBeats * n.opts.Heartbeat)) {
		n.lost(name, cluster.ErrGone)
	}
}

// say publishes a message about the node itself. One that is lost is a gap, but none of the
// lost messages: the application has not said it.
func (p *publisher) say(k cluster.Kind, names ...string) bool {
	m := cluster.Message{Kind: k, Node: p.n.name, ID: p.n.instance, Info: p.n.opts.Info, Names: names}
	p.n.emitter.sign(&m)
	p.ms = append(p.ms[:0], &m)
	err := p.publish()
	if err != nil {
		p.n.gaps.lose(0, 0, err, time.Now())
	}
	return err == nil
}

// batch tells the bus of rooms and publishes a part of what waits. It reports whether there
// was any. The rooms are asked for second: what is published after Enter is published after
// the bus was told.
func (p *publisher) batch() bool {
	n := p.n
	if n.emitter.holds() {
		return false
	}
	p.list = n.out.take(p.list[:0], maxBatch)
	var changes []cluster.Interest
	if changes, p.leave = n.interests.take(time.Now(), !n.gaps.down.Load()); len(changes) > 0 {
		ctx := p.begin()
		err := p.end(n.backend.Watch(ctx, changes))
		if err != nil {
			n.gaps.miss(0, err, time.Now())
		}
		n.interests.done(changes, err, time.Now())
	}
	if len(p.list) == 0 {
		return false
	}
	p.ms = p.ms[:0]
	for _, e := range p.list {
		e.m.Node = n.name
		n.emitter.sign(&e.m)
		p.ms = append(p.ms, &e.m)
	}
	err := cluster.ErrDown
	if !n.gaps.down.Load() {
		err = p.publish()
	}
	count, lost := len(p.list), 0
	if err != nil {
		gone := unpublished(p.ms, err)
		lost = len(gone)
		n.requests.unsaid(gone, err)
		for _, m := range gone {
			n.untold.lost(m, 0)
		}
		n.unanswered(gone, err)
		if n.appends != nil {
			n.appends.Unpublished(gone)
		}
	}
	clear(p.ms)
	if !n.out.done(p.list) {
		return true
	}
	if lost > 0 {
		n.gaps.lose(lost, 0, err, time.Now())
	}
	n.sent.Add(int64(count - lost))
	n.out.settle(count)
	return true
}

// unpublished are the messages that are lost after an error: those that the error names, or
// all.
func unpublished(ms []*cluster.Message, err error) (lost []*cluster.Message) {
	list, ok := named(err, len(ms))
	if !ok {
		return ms
	}
	for _, i := range list {
		lost = append(lost, ms[i])
	}
	return lost
}

// named are the indexes below n that an error names. It reports false when all are meant.
func named(err error, n int) (list []int, ok bool) {
	var part cluster.Partial
	if !errors.As(err, &part) {
		return nil, false
	}
	list = part.Unpublished()
	last := -1
	for _, i := range list {
		if i <= last || i >= n {
			return nil, false // it is not what it says
		}
		last = i
	}
	return list, len(list) > 0
}

// publish gives p.ms to the backend.
func (p *publisher) publish() error {
	ctx := p.begin()
	err := p.end(p.n.backend.Publish(ctx, p.ms))
	if err == nil {
		p.n.gaps.fine()
	}
	return err
}

// begin returns the context of one call of the backend.
func (p *publisher) begin() context.Context {
	if p.call != nil {
		p.timeout.Reset(p.n.opts.PublishTimeout)
		return p.call
	}
	ctx, cancel := context.WithCancelCause(p.n.ctx)
	p.call, p.cancel = ctx, cancel
	p.timeout = time.AfterFunc(p.n.opts.PublishTimeout, func() { cancel(errBusSlow) })
	return ctx
}

// end is for a call that has returned an error or nil.
func (p *publisher) end(err error) error {
	if p.timeout.Stop() {
		return err
	}
	if err != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(p.call)
	}
	p.cancel(nil)
	p.call = nil
	return err
}
