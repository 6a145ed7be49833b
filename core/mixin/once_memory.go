package mixin

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// What takes memory beside names, ids and answers, in bytes, roughly.
const (
	onceCost       = 650 // an event, with the context of its socket
	onceWaitCost   = 500 // a repetition that waits
	onceClientCost = 600 // a client
)

// eventID is what makes two events of a client the same.
type eventID struct{ namespace, event, id string }

// memory is what a Once remembers of all clients. Its mutex guards clientRuns and the runs
// too; nothing of the application's is called under it. The zero value is empty.
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
	socket context.Context // of the first event's socket, which it does not hold; nil when done

	size      int // counted in client and m
	done      bool
	failed    bool // the handler has returned an error or has panicked: the server answers
	lost      bool // the answer was too large, or came too late
	forgotten bool
	answer    sio.Args
	waiting   *sio.Event  // the newest repetition, while there is no answer
	stop      func() bool // ends the watch over the socket of waiting; nil without one
	since     time.Time   // of the return
	inAll     *list.Element
	inClient  *list.Element
}

// begin returns the run for an event, and whether the caller is to run the handler. socket is
// the context of the event's socket.
func (m *memory) begin(client string, id eventID, l onceLimits, socket context.Context) (r *run, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(l.keep)
	if c := m.clients[client]; c != nil && c.byID[id] != nil {
		r := c.byID[id]
		if !r.abandoned() {
			return r, false
		}
		r.forget() // and with it the client, perhaps
	}
	c := m.clients[client]
	if c == nil {
		if m.clients == nil {
			m.clients = make(map[string]*clientRuns)
		}
		c = &clientRuns{name: client, byID: make(map[eventID]*run)}
		m.clients[client] = c
		m.bytes += onceClientCost + len(client)
	}
	r = &run{m: m, client: c, id: id, limits: l, socket: socket}
	c.byID[id] = r
	r.count(onceCost + len(id.namespace) + len(id.event) + len(id.id))
	return r, true
}

// abandoned reports that nobody may ever answer: the handler has returned without an answer,
// such as that of a Loop whose function had returned, and the socket has ended. The answer
// would reach nobody but a repetition, so that one has the event handled anew. Not so when the
// handler has failed: the server always answers that, a moment after returned.
func (r *run) abandoned() bool {
	return r.inAll != nil && !r.done && !r.failed && r.socket.Err() != nil
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

// forget takes a run out; m.mu is held. Whoever waits for its answer still gets that. The end of
// that socket is watched no longer: the watch would keep the run in memory as long as the
// socket lives. Without the watch only who holds the first event does.
func (r *run) forget() {
	r.forgotten = true
	r.unwatch()
	r.m.runs.Remove(r.inAll)
	r.client.runs.Remove(r.inClient)
	delete(r.client.byID, r.id)
	if len(r.client.byID) == 0 {
		delete(r.m.clients, r.client.name)
		r.m.bytes -= onceClientCost + len(r.client.name)
	}
	r.count(-r.size)
}

// returned is called when the handler has returned, or has panicked.
func (r *run) returned(failed bool) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.failed = failed
	r.since = time.Now()
	r.inAll, r.inClient = r.m.runs.PushBack(r), r.client.runs.PushBack(r)
	r.trim()
}

// answered is called with the answer, before or after returned.
func (r *run) answered(answer sio.Args) {
	r.m.mu.Lock()
	r.done, r.socket = true, nil
	waiting := r.waiting
	r.unwait()
	if size := answer.Size(); r.forgotten || r.size+size > r.limits.bytes {
		r.lost = true
	} else {
		r.answer = answer
		r.count(size)
		r.trim()
	}
	r.m.mu.Unlock()
	if waiting != nil {
		_ = waiting.Ack(answer)
	}
}

// repeat answers a repetition, at once or with the run. A client that sends again does not
// listen for the answer to an earlier try any more, so one event waits at most.
func (r *run) repeat(ev *sio.Event) error {
	socket := ev.Socket.Context()
	r.m.mu.Lock()
	if !r.done {
		r.wait(ev, socket)
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

// wait keeps a repetition until the answer comes or its socket ends; m.mu is held. One that is
// handled only after its socket has ended does not take the place of another.
func (r *run) wait(ev *sio.Event, socket context.Context) {
	if socket.Err() != nil {
		return
	}
	r.unwait()
	ev.Args = sio.Args{} // they are in memory of the connection
	ev.Name = r.id.event // one copy of it
	r.waiting = ev
	if r.forgotten {
		return // see forget
	}
	r.stop = context.AfterFunc(socket, func() {
		r.m.mu.Lock()
		defer r.m.mu.Unlock()
		if r.waiting == ev {
			r.unwait()
		}
	})
	r.count(onceWaitCost)
	r.trim()
}

// unwait gives up the repetition that waits, if one does; m.mu is held.
func (r *run) unwait() {
	r.waiting = nil
	if r.unwatch() && !r.forgotten {
		r.count(-onceWaitCost)
	}
}

// unwatch ends the watch over the socket of the repetition that waits, and reports whether there
// was one; m.mu is held.
func (r *run) unwatch() bool {
	if r.stop == nil {
		return false
	}
	r.stop()
	r.stop = nil
	return true
}
