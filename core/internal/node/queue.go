package node

import (
	"sync"

	"github.com/siokit/siokit/core/cluster"
)

// queue holds what is to be published, in order. It is bounded: nobody waits for the bus.
type queue struct {
	maxMessages, maxBytes int

	mu    sync.Mutex
	list  []*entry
	spare []*entry // the list before, for use again
	bytes int
	ended bool
	wake  chan struct{} // holds one signal for the publisher
}

// entry is a message with what it holds: copies, in memory that is used again.
type entry struct {
	m    cluster.Message
	text []byte // what m.Data and m.Attachments are parts of
	size int
}

// messageCost is what an entry costs beside its text.
const messageCost = 256

// maxPooled is the largest text that is kept for use again.
const maxPooled = 64 << 10

var entries = sync.Pool{New: func() any { return new(entry) }}

// set makes the entry a copy of m. Room names and the like are strings, which nobody
// changes; their lists are the caller's.
func (e *entry) set(m *cluster.Message) {
	rooms, except, names, parts := e.m.Rooms[:0], e.m.Except[:0], e.m.Names[:0], e.m.Attachments[:0]
	e.m = *m
	e.m.Rooms, e.m.Except, e.m.Names = append(rooms, m.Rooms...), append(except, m.Except...), append(names, m.Names...)
	n := len(m.Data)
	for _, a := range m.Attachments {
		n += len(a)
	}
	e.size = messageCost + n
	for _, list := range [...][]string{m.Rooms, m.Except, m.Names} {
		for _, s := range list {
			e.size += len(s) + 16
		}
	}
	for _, s := range m.Sockets {
		e.size += messageCost + len(s.Data) + len(s.Handshake)
		for _, r := range s.Rooms {
			e.size += len(r) + 16
		}
	}
	if cap(e.text) < n {
		e.text = make([]byte, 0, n)
	}
	e.text = append(e.text[:0], m.Data...)
	e.m.Data = e.text[:len(e.text):len(e.text)]
	for _, a := range m.Attachments {
		at := len(e.text)
		e.text = append(e.text, a...)
		parts = append(parts, e.text[at:len(e.text):len(e.text)])
	}
	e.m.Attachments = parts
}

// free gives the entry's memory back.
func (e *entry) free() {
	if cap(e.text) > maxPooled || cap(e.m.Rooms)+cap(e.m.Except)+cap(e.m.Names)+cap(e.m.Attachments) > 256 {
		return
	}
	clear(e.m.Rooms)
	clear(e.m.Except)
	clear(e.m.Names)
	clear(e.m.Attachments)
	e.m = cluster.Message{Rooms: e.m.Rooms[:0], Except: e.m.Except[:0], Names: e.m.Names[:0], Attachments: e.m.Attachments[:0]}
	entries.Put(e)
}

// put appends a copy of m. It reports false when the queue is full or has ended.
func (q *queue) put(m *cluster.Message) bool {
	e := entries.Get().(*entry)
	e.set(m)
	q.mu.Lock()
	if q.ended || len(q.list) >= q.maxMessages || q.bytes >= q.maxBytes {
		q.mu.Unlock()
		e.free()
		return false
	}
	q.list = append(q.list, e)
	q.bytes += e.size
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all that waits. The caller gives the list back to done.
func (q *queue) take() []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list, q.spare = q.spare[:0], nil
	q.bytes = 0
	return list
}

// done frees a list that take has returned.
func (q *queue) done(list []*entry) {
	for i, e := range list {
		e.free()
		list[i] = nil
	}
	if cap(list) > 4096 {
		return
	}
	q.mu.Lock()
	if q.spare == nil {
		q.spare = list[:0]
	}
	q.mu.Unlock()
}

// end refuses what comes from now on.
func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.signal()
}

// over reports whether nothing waits and nothing will.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended && len(q.list) == 0
}
