package node

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/cluster"
)

var errFull = errors.New("cluster: more messages than the bus takes")

// queue holds what is to be published, in order. It is bounded: nobody waits for the bus.
type queue struct {
	maxMessages, maxBytes int
	mark                  string // see Options.Mark
	wake                  func()
	full                  atomic.Bool // put refuses; changes with mu held

	mu      sync.Mutex
	asleep  bool     // the publisher waits to be woken
	list    []*entry // those that wait begin at head
	head    int
	count   int // with those that are being published
	bytes   int
	ended   bool
	dropped bool
	number  uint64 // of the last event
	// How many were ever put, and of how many it is known whether they are lost; who waits for
	// the latter, in order.
	in, settled uint64
	flushes     []flush
}

// flush waits until so many are settled.
type flush struct {
	settled uint64
	done    chan struct{}
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
// changes; the Sockets of an answer are the entry's from now on.
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

// put appends a copy of m, or says why not. The message that reaches a bound still passes.
// except is one more of m.Except, "" for none: so the caller need not make a list. With a mark an
// event gets its number here, where the order is made.
func (q *queue) put(m *cluster.Message, except string) (number uint64, err error) {
	if q.full.Load() { // most likely still when the message is copied
		q.mu.Lock()
		err := q.refuses()
		q.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	e := entries.Get().(*entry)
	e.set(m)
	if except != "" {
		e.m.Except = append(e.m.Except, except)
		e.size += len(except) + 16
	}
	q.mu.Lock()
	if err := q.refuses(); err != nil {
		q.mu.Unlock()
		e.free()
		return 0, err
	}
	if q.mark != "" && m.Kind == cluster.Emit && m.ID == "" {
		q.number++
		number = q.number
		name := q.mark + strconv.FormatUint(number, 36)
		e.m.Except = append(e.m.Except, name)
		e.size += len(name) + 16
	}
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
	q.count++
	q.in++
	q.bytes += e.size
	if q.refuses() != nil {
		q.full.Store(true)
	}
	asleep := q.asleep
	q.asleep = false
	q.mu.Unlock()
	if asleep {
		q.wake()
	}
	return number, nil
}

// numbered is the number of the last event.
func (q *queue) numbered() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.number
}

// refuses says why nothing more is taken, or nil; q.mu is held.
func (q *queue) refuses() error {
	switch {
	case q.ended:
		return cluster.ErrClosed
	case q.count >= q.maxMessages || q.bytes >= q.maxBytes:
		return errFull
	}
	return nil
}

// sleep reports whether nothing waits: then put wakes the publisher. take ends that.
func (q *queue) sleep() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asleep = q.head == len(q.list)
	return q.asleep
}

// take appends what waits to list, up to n. They count as waiting until done.
func (q *queue) take(list []*entry, n int) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asleep = false
	n = min(n, len(q.list)-q.head)
	list = append(list, q.list[q.head:q.head+n]...)
	clear(q.list[q.head : q.head+n])
	if q.head += n; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return list
}

// done frees what take has returned. It reports false when drop has counted them.
func (q *queue) done(list []*entry) bool {
	bytes := 0
	for i, e := range list {
		bytes += e.size
		e.free()
		list[i] = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped {
		return false
	}
	q.count -= len(list)
	q.bytes -= bytes
	q.full.Store(q.refuses() != nil)
	return true
}

// settle is for n that are done, when those of them that are lost have been counted.
func (q *queue) settle(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled += uint64(n)
	for len(q.flushes) > 0 && q.flushes[0].settled <= q.settled {
		close(q.flushes[0].done)
		q.flushes = q.flushes[1:]
	}
}

// flushed is closed when what waits now has been published, or is lost.
func (q *queue) flushed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := make(chan struct{})
	if q.dropped || q.in == q.settled {
		close(done)
	} else {
		q.flushes = append(q.flushes, flush{q.in, done})
	}
	return done
}

// end refuses what comes from now on.
func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.full.Store(true)
	q.mu.Unlock()
	q.wake()
}

// counts are how many were ever put, and of how many it is known whether they are lost.
func (q *queue) counts() (in, settled uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.in, q.settled
}

// over reports whether nothing waits and nothing will.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended && q.head == len(q.list)
}

// drop throws away what waits, and returns how many, with those that are being published.
func (q *queue) drop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped {
		return 0
	}
	n := q.count
	q.ended, q.dropped = true, true
	q.full.Store(true)
	q.list, q.head, q.count, q.bytes = nil, 0, 0, 0
	for _, f := range q.flushes {
		close(f.done)
	}
	q.flushes = nil
	return n
}

// waiting is how many messages wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}
