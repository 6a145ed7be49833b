package sio

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// What follows is the node that has a session for which another one asks.

// question is what a node asks another about a session, in an event for servers that is for this one
// node. The secret of a session is never logged.
type question struct {
	Give   bool // the events; else what the session is
	PID    string
	Offset string // of the client
	Bound  string // to whom the client's connection belongs
	Turn   int    // of the offer

	ns   string
	from string // the node that asks
}

// questionEvent is the name of that event.
const questionEvent = serverRoom + "recovery"

// Answers that are neither an offer nor events.
var (
	unknownSession = []byte(`[]`)
	refusedSession = []byte(`[false]`)
)

// sessionOffer is what a session is.
type sessionOffer struct {
	ID     string
	Turn   int
	Rooms  []offeredRoom
	Values map[string]json.RawMessage // by the names of their RestoredKeys
	Ends   time.Time                  // of Socket.ExpireAt
	Left   time.Duration              // how long the client may be away still
}

// offeredRoom is a room: its name need not be text.
type offeredRoom struct {
	Name   []byte
	Placed uint64 `json:",omitempty"`
}

// given is what a client has missed. Data and attachments of each event are attachments of the
// message, in this order.
type given struct {
	Events []givenEvent
	Past   map[string]uint64
}

type givenEvent struct {
	Type        packet.Type
	Offset      string
	Attachments int `json:",omitempty"`
}

// Question implements node.Host.
func (h clusterHost) Question(m *cluster.Message, answer func(data []byte, attachments [][]byte)) {
	r := h.srv.recovery
	q := question{ns: m.Namespace, from: m.Node}
	raw, err := jsontext.Split(m.Data, nil, h.srv.opts.Limits.Depth)
	switch {
	case err != nil || len(raw) != 2 || string(jsontext.Unquote(raw[0])) != questionEvent || json.Unmarshal(raw[1], &q) != nil:
		answer(refusedSession, nil) // of another version
		return
	case r == nil:
		answer(unknownSession, nil)
		return
	case r.asked.Add(1) > maxHandovers:
		r.asked.Add(-1)
		answer(refusedSession, nil)
		return
	}
	go func() { // it waits for a socket, and for other nodes
		defer r.asked.Add(-1)
		ctx, cancel := context.WithTimeout(h.srv.life, r.patience(&q))
		defer cancel()
		if q.Give {
			r.give(ctx, &q, answer)
		} else {
			answer(r.offer(ctx, &q), nil)
		}
	}()
}

// offer ends the socket of a session, if it has one still, and says what the session is. It stays
// here until give, and a client that comes back meanwhile has it.
func (r *recovery) offer(ctx context.Context, q *question) []byte {
	answer, reaches := unknownSession, r.reaches()
	for {
		r.mu.Lock()
		rec := r.byPID[q.PID]
		if rec == nil {
			r.mu.Unlock()
			return answer
		}
		answer = refusedSession
		if rec.log.ns.path != q.ns || !sameKey(rec.bound, q.Bound) || !reaches {
			r.mu.Unlock()
			return answer
		}
		if rec.socket == nil {
			o := sessionOffer{ID: rec.id, Turn: rec.turns, Left: rec.until - r.wheel.Now()}
			r.mu.Unlock()
			return rec.describe(&o)
		}
		if !r.takeover(ctx, rec) {
			return answer
		}
	}
}

// describe completes an offer. When a client has come back meanwhile, what it says is of no use, and
// give refuses.
func (rec *recoverable) describe(o *sessionOffer) []byte {
	rec.log.mu.Lock()
	for name, st := range rec.joined {
		o.Rooms = append(o.Rooms, offeredRoom{[]byte(name), st.placed})
	}
	o.Ends, o.Values = rec.ends, rec.frozen.values
	err := rec.frozen.err
	rec.log.mu.Unlock()
	if err != nil {
		return refusedSession
	}
	data, err := json.Marshal([]*sessionOffer{o})
	if err != nil || len(data) > maxHandoverBytes {
		return refusedSession
	}
	return data
}

// give ends a session, and answers with what its client has missed. Shutdown waits for the answer.
func (r *recovery) give(ctx context.Context, q *question, answer func(data []byte, attachments [][]byte)) {
	counts, err := r.fences.wait(ctx, r.countEvents)
	if err != nil {
		answer(refusedSession, nil)
		return
	}
	if _, heard := counts[q.from]; !heard { // it is not known to be there
		answer(refusedSession, nil)
		return
	}
	rec, missed, past := r.part(q, counts)
	if rec == nil {
		answer(refusedSession, nil)
		return
	}
	rec.release()
	if past == nil {
		answer(refusedSession, nil)
	} else {
		answer(encodeGiven(missed, past))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.departed(rec)
}

// part takes a session out, with what its client has missed; past is nil when that is not all of it.
// recovery.beside is held: what this node has numbered is in its logs. The caller calls departed.
func (r *recovery) part(q *question, counts map[string]uint64) (rec *recoverable, missed []keptEvent, past map[string]uint64) {
	r.beside.Lock()
	defer r.beside.Unlock()
	r.mu.Lock()
	rec = r.byPID[q.PID]
	if rec == nil || rec.place == nil || rec.turns != q.Turn || rec.log.ns.path != q.ns || !sameKey(rec.bound, q.Bound) {
		r.mu.Unlock()
		return nil, nil, nil
	}
	r.takeOut(rec)
	r.arm()
	r.mu.Unlock()
	rec.log.mu.Lock()
	defer rec.log.mu.Unlock()
	missed, ok := rec.lacking(q.Offset)
	if !ok || rec.expired() || !r.reaches() {
		return rec, nil, nil
	}
	for i := range missed {
		if e := &missed[i]; e.offset == "" {
			e.offset = rec.log.offset(e.position)
		}
	}
	return rec, missed, rec.past(counts)
}

func encodeGiven(missed []keptEvent, past map[string]uint64) (data []byte, attachments [][]byte) {
	g := given{Past: past}
	size := 0
	for _, e := range missed {
		g.Events = append(g.Events, givenEvent{e.packet.Type, e.offset, len(e.packet.Attachments)})
		attachments = append(append(attachments, e.packet.Data), e.packet.Attachments...)
		size += e.cost
	}
	data, err := json.Marshal([]*given{&g})
	if err != nil || len(data)+size > maxHandoverBytes || len(attachments) > maxHandoverParts {
		return refusedSession, nil
	}
	return data, attachments
}

// decodeGiven reads what encodeGiven has written.
func (l *recoveryLog) decodeGiven(m *cluster.Message) (events []keptEvent, past map[string]uint64, ok bool) {
	var list []*given
	if json.Unmarshal(m.Data, &list) != nil || len(list) != 1 || list[0] == nil || list[0].Past == nil {
		return nil, nil, false
	}
	parts := m.Attachments
	for _, e := range list[0].Events {
		n := e.Attachments + 1
		if n < 1 || n > len(parts) {
			return nil, nil, false
		}
		p := packet.Packet{Type: e.Type, Namespace: l.ns.path, Data: parts[0]}
		if n > 1 {
			p.Attachments = parts[1:n:n]
		}
		if (clusterHost{l.r.srv}).checkEvent(&cluster.Message{Data: p.Data, Attachments: p.Attachments}) != nil {
			return nil, nil, false
		}
		kept := keptEvent{packet: p, offset: e.Offset, cost: recoverableCost}
		for _, part := range parts[:n] {
			kept.cost += len(part)
		}
		events = append(events, kept)
		parts = parts[n:]
	}
	return events, list[0].Past, len(parts) == 0
}

// Rooms that are none, in a Count: fenceRoom asks for the number of the last event, whoRoom who has a
// session.
const (
	fenceRoom = serverRoom + "events"
	whoRoom   = serverRoom + "session:"
)

// countEvents asks all nodes for the number of their last event. With its answer everything that a
// node had published before has come. A node that falls silent is waited for until it is none of the
// others any more; whoever asks later does not wait for it either.
func (r *recovery) countEvents() (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(r.srv.life, r.times.handover)
	defer cancel()
	m := cluster.Message{Kind: cluster.Count, Namespace: "/", Rooms: []string{fenceRoom}}
	for {
		counts := make(map[string]uint64)
		err := r.srv.node.Poll(ctx, &m, func(m *cluster.Message) { counts[m.Node] = uint64(max(0, m.Number)) })
		if !errors.Is(err, cluster.ErrGone) {
			return counts, err
		}
	}
}

// fences are questions of which one serves all who wait when it begins.
type fences struct {
	mu   sync.Mutex
	next *fence // that has not begun; nil for none
	runs bool
}

type fence struct {
	done   chan struct{}
	counts map[string]uint64
	err    error
}

// wait returns the result of a question that begins from now on.
func (f *fences) wait(ctx context.Context, ask func() (map[string]uint64, error)) (map[string]uint64, error) {
	f.mu.Lock()
	if f.next == nil {
		f.next = &fence{done: make(chan struct{})}
	}
	fn := f.next
	if !f.runs {
		f.runs = true
		go f.run(ask)
	}
	f.mu.Unlock()
	select {
	case <-fn.done:
		return fn.counts, fn.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (f *fences) run(ask func() (map[string]uint64, error)) {
	for {
		f.mu.Lock()
		fn := f.next
		if f.next = nil; fn == nil {
			f.runs = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		fn.counts, fn.err = ask()
		close(fn.done)
	}
}
