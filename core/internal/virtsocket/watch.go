package virtsocket

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// watchTick is how long an answer may wait for the end of its batch. Each tick wakes a
	// thread: where messages are rare, shorter ticks cost more than the messages.
	watchTick = 5 * time.Millisecond
	// detachTicks is how long a handler may keep the reader before another
	// goroutine reads on: acks, heartbeats and closes must get through.
	detachTicks = 10
	// idleTicks is how long the watch goes on without anything to watch.
	idleTicks = 4
)

// watch looks after sockets inside application code. It is one goroutine that
// exists while there is something to look at, so that a batch costs two short
// critical sections and no timer.
//
// A socket is on the list from WatchHandler to the end of its batch. Readers of Socket.busy
// without the shard's lock (WatchHandler, End) may be a moment behind: what they decide is
// decided again with the lock. leave takes outbox.mu inside, nobody the reverse.
type watch struct {
	each   func() // called at each look, before and behind what is done with the sockets
	tick   atomic.Int64
	shards [8]watchShard
	idle   atomic.Bool // no goroutine runs
	start  sync.Mutex
}

type watchShard struct {
	mu   sync.Mutex
	list []*Socket
	n    atomic.Int32 // how long list is, for those who do not have mu
	_    [28]byte     // keep the locks of neighbours apart
}

func (w *watch) init(each func()) {
	w.each = each
	w.idle.Store(true)
}

// busy reports whether there is a batch on the list: it will end, or the watch will find it.
func (w *watch) busy() bool {
	for i := range w.shards {
		if w.shards[i].n.Load() > 0 {
			return true
		}
	}
	return false
}

func (w *watch) shard(s *Socket) *watchShard { return &w.shards[s.id[2]&7] }

func (w *watch) enter(s *Socket) {
	sh := w.shard(s)
	sh.mu.Lock()
	if s.busy.Load() == 0 {
		sh.list = append(sh.list, s)
		s.since = w.tick.Load()
		s.busy.Store(int32(len(sh.list)))
		sh.n.Store(int32(len(sh.list)))
	}
	sh.mu.Unlock()
	if w.idle.Load() {
		w.start.Lock()
		if w.idle.Load() {
			w.idle.Store(false)
			go w.run()
		}
		w.start.Unlock()
	}
}

// leave takes s off the list at the end of a batch, unless another batch has begun
// meanwhile: its WatchHandler may have found s on the list and relies on it.
func (w *watch) leave(s *Socket) {
	sh := w.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.out.idle() {
		sh.remove(s)
	}
}

// dismiss takes s off the list if it is there since then, and reports whether it was.
func (w *watch) dismiss(s *Socket, since int64) bool {
	sh := w.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.busy.Load() == 0 || s.since != since {
		return false
	}
	sh.remove(s)
	return true
}

// remove takes s off the list; sh.mu is held.
func (sh *watchShard) remove(s *Socket) {
	i := s.busy.Load()
	if i == 0 {
		return
	}
	last := len(sh.list) - 1
	moved := sh.list[last]
	sh.list[i-1] = moved
	moved.busy.Store(i)
	sh.list[last] = nil
	sh.list = sh.list[:last]
	sh.n.Store(int32(last))
	s.busy.Store(0)
}

// watched is a socket and when it entered.
type watched struct {
	s     *Socket
	since int64
}

func (w *watch) run() {
	t := time.NewTicker(watchTick)
	defer t.Stop()
	quiet := 0
	var flush []*Socket
	var detach []watched
	for range t.C {
		now := w.tick.Add(1)
		flush, detach = flush[:0], detach[:0]
		seen := false
		for i := range w.shards {
			sh := &w.shards[i]
			sh.mu.Lock()
			for _, s := range sh.list {
				seen = true
				switch age := now - s.since; {
				case age >= detachTicks:
					detach = append(detach, watched{s, s.since})
				case age >= 1:
					flush = append(flush, s)
				}
			}
			sh.mu.Unlock()
		}
		w.each() // now, and behind the handlers: there may be thousands
		for i, s := range flush {
			s.release()
			flush[i] = nil
		}
		for i, d := range detach {
			// From now on nothing it sends is kept back, somebody else reads and what
			// other handlers wait for is done beside it: however long its handler takes,
			// it needs no more looking after. It is dismissed first: a handler that
			// begins meanwhile either finds it on the list, and is among those that are
			// told of here, or puts it on the list again.
			if w.dismiss(d.s, d.since) {
				d.s.overdue()
			}
			detach[i] = watched{}
		}
		w.each()
		if seen {
			quiet = 0
			continue
		}
		if quiet++; quiet >= idleTicks && w.rest() {
			return
		}
	}
}

// rest ends the watch unless somebody has entered meanwhile.
func (w *watch) rest() bool {
	w.start.Lock()
	defer w.start.Unlock()
	w.idle.Store(true)
	for i := range w.shards {
		sh := &w.shards[i]
		sh.mu.Lock()
		n := len(sh.list)
		sh.mu.Unlock()
		if n > 0 {
			w.idle.Store(false)
			return false
		}
	}
	return true
}

// overdue is called when application code has taken detachTicks.
func (s *Socket) overdue() {
	s.mu.Lock()
	h := s.handler
	s.mu.Unlock()
	h.Overdue()
	s.detach()
}

// release is Flush when something waits for the end of a batch.
func (s *Socket) release() {
	if s.out.keepsBack() {
		s.Flush()
	}
}

// WatchHandler says that application code is about to run inside a batch: if it takes
// long, what it sends must not wait for the end of the batch.
func (s *Socket) WatchHandler() {
	if s.busy.Load() == 0 {
		s.hub.watch.enter(s)
	}
}

// AllowHandoff is WatchHandler for the goroutine that called Handler.Message inline: from here
// to the end of Message, Detach lets another goroutine read on.
func (s *Socket) AllowHandoff() {
	s.mu.Lock()
	conn := s.conn
	var l *replaceableLink
	if s.legacy != nil {
		l = s.legacy.link
	}
	s.mu.Unlock()
	var frame uint64
	if l != nil {
		frame = l.current() // from Enter on it may be the next reader's
	}
	conn.Enter()
	if l != nil {
		l.hasTurn(conn, frame)
	}
	s.WatchHandler() // last: once the watch knows of it, the reading may have to move
}

// Detach flushes, and moves the reading of the connection to another goroutine
// if the current reader has called AllowHandoff. An application that waits for its own
// client calls it first. What was emitted to others leaves too.
func (s *Socket) Detach() {
	s.hub.flush.unpark()
	s.detach()
}

func (s *Socket) detach() {
	s.Flush()
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		conn.Detach()
	}
}
