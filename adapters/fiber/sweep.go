package siofiber

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// tick is how late a held poll may learn that the server shuts down,
	sweepTick = 100 * time.Millisecond
	// probeTicks times that is how late it may learn that its client has left.
	probeTicks = 10
)

// heldPoll is a request that waits for something to answer.
type heldPoll struct {
	gone  chan struct{}
	done  <-chan struct{} // the server shuts down
	conn  syscall.RawConn // nil: cannot be asked
	index int             // in the sweeper's list
	told  bool
}

func newHeldPoll(ctx *fasthttp.RequestCtx) *heldPoll {
	h := &heldPoll{gone: make(chan struct{}), done: ctx.Done()}
	c := ctx.Conn()
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if sc, ok := c.(syscall.Conn); ok {
		h.conn, _ = sc.SyscallConn()
	}
	return h
}

// present asks the connection whether the client is still there.
func (h *heldPoll) present() bool {
	alive := true
	if h.conn != nil {
		if err := h.conn.Control(func(fd uintptr) { alive = connected(fd) }); err != nil {
			return false
		}
	}
	return alive
}

// sweeper is one goroutine for all held polls of the process; it exists while
// there are any.
type sweeper struct {
	mu   sync.Mutex
	list []*heldPoll
	on   bool
}

var sweep sweeper

func (s *sweeper) add(h *heldPoll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.index = len(s.list)
	s.list = append(s.list, h)
	if !s.on {
		s.on = true
		go s.run()
	}
}

func (s *sweeper) remove(h *heldPoll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.list) - 1
	moved := s.list[last]
	s.list[h.index] = moved
	moved.index = h.index
	s.list[last] = nil
	s.list = s.list[:last]
}

func (s *sweeper) run() {
	t := time.NewTicker(sweepTick)
	defer t.Stop()
	for n := 1; ; n++ {
		<-t.C
		s.mu.Lock()
		if len(s.list) == 0 {
			s.on = false
			s.mu.Unlock()
			return
		}
		for _, h := range s.list {
			over := false
			select {
			case <-h.done:
				over = true
			default:
				over = n%probeTicks == 0 && !h.present()
			}
			if over && !h.told {
				h.told = true
				close(h.gone)
			}
		}
		s.mu.Unlock()
	}
}

// duplicate returns a connection to the same peer that outlives c.
func duplicate(c net.Conn) (net.Conn, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, errNoDuplicate
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	return duplicateRaw(raw)
}
