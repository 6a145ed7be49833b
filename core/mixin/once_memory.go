package mixin

import (
	"container/list"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// onceCost is what the bookkeeping of an event takes in memory, in bytes, roughly.
const onceCost = 400

// eventID is what makes two events of a client the same.
type eventID struct{ namespace, event, id string }

// memory is what a Once remembers of all clients. Its mutex guards clientRuns and the runs
// too; nothing is called under it. The zero value is empty.
type memory struct {
	mu      sync.Mutex
	clients map[string]*clientRuns
	runs    list.List // of *run that have returned; the first to be forgotten in front
	bytes   int
}

// clientRuns is what is remembered of one client.
type clientRuns struct {
	name  string
	byID  map[eventID]*run
	runs  list.List // of *run that have returned, as in memory
	bytes int
}

// run is the one run of a handler for an event. It is in the lists once the handler has
// returned: before that it cannot be forgotten.
type run struct {
	m      *memory
	client *clientRuns
	id     eventID
	limits onceLimits

	size      int // counted in client and m
	done      bool
	lost      bool // the answer was too large, or came too late
	forgotten bool
	answer    sio.Args
	waiting   *sio.Event // the newest repetition, while there is no answer
	since     time.Time  // of the return
	inAll     *list.Element
	inClient  *list.Element
}

// begin returns the run for an event, and whether the caller is to run the handler.
func (m *memory) begin(client string, id eventID, l onceLimits) (r *run, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(l.keep)
	c := m.clients[client]
	if c == nil {
		if m.clients == nil {
			m.clients = make(map[string]*clientRuns)
		}
		c = &clientRuns{name: client, byID: make(map[eventID]*run)}
		m.clients[client] = c
	}
	if r := c.byID[id]; r != nil {
		return r, false
	}
	r = &run{m: m, client: c, id: id, limits: l}
	c.byID[id] = r
	r.count(onceCost + len(client) + len(id.event) + len(id.id))
	return r, true
}

func (r *run) count(n int) {
	r.size += n
	r.client.bytes += n
	r.m.bytes += n
}

// expire forgets what is too old.
func (m *memory) expire(keep time.Duration) {
	now := time.Now()
	for e := m.runs.Front(); e != nil && now.Sub(e.Value.(*run).since) >= keep; e = m.runs.Front() {
		e.Value.(*run).forget()
	}
}

// trim forgets what is too much, of the client of r and of all.
func (r *run) trim() {
	c, m := r.client, r.m
	for c.runs.Len() > 0 && (len(c.byID) > r.limits.last || c.bytes > r.limits.bytes) {
		c.runs.Front().Value.(*run).forget()
	}
	for m.runs.Len() > 0 && m.bytes > r.limits.all {
		m.runs.Front().Value.(*run).forget()
	}
}

// forget takes a run out; m.mu is held. Whoever waits for its answer still gets that.
func (r *run) forget() {
	r.forgotten = true
	r.m.runs.Remove(r.inAll)
	r.client.runs.Remove(r.inClient)
	delete(r.client.byID, r.id)
	if len(r.client.byID) == 0 {
		delete(r.m.clients, r.client.name)
	}
	r.count(-r.size)
}

// returned is called when the handler has returned.
func (r *run) returned() {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.since = time.Now()
	r.inAll, r.inClient = r.m.runs.PushBack(r), r.client.runs.PushBack(r)
	r.trim()
}

// answered is called with the answer, before or after returned.
func (r *run) answered(answer sio.Args) {
	r.m.mu.Lock()
	r.done = true
	if size := answer.Size(); r.forgotten || r.size+size > r.limits.bytes {
		r.lost = true
	} else {
		r.answer = answer
		r.count(size)
		r.trim()
	}
	waiting := r.waiting
	r.waiting = nil
	r.m.mu.Unlock()
	if waiting != nil {
		_ = waiting.Ack(answer)
	}
}

// repeat answers a repetition, at once or with the run. A client that sends again does not
// listen for the answer to an earlier try any more, so one event waits at most.
func (r *run) repeat(ev *sio.Event) error {
	r.m.mu.Lock()
	if !r.done {
		ev.Args = sio.Args{} // they are in memory of the connection
		r.waiting = ev
		r.m.mu.Unlock()
		return nil
	}
	answer, lost := r.answer, r.lost
	r.m.mu.Unlock()
	if lost {
		return errHandled
	}
	return ev.Ack(answer)
}
