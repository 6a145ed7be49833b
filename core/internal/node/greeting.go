package node

import (
	"sync"
	"time"
)

// greeting is what a node says when it comes to the bus, and the time in which the others
// answer: a request that is made before would not know whom to ask.
type greeting struct {
	mu    sync.Mutex
	due   bool          // a Hello is to be said
	open  bool          // over is not closed
	over  chan struct{} // closed when requests may be made
	since time.Time     // when the node was made, or has come to the bus
}

// begin is for a node that has come to the bus.
func (g *greeting) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due, g.since = true, time.Now()
	if !g.open {
		g.open, g.over = true, make(chan struct{})
	}
}

// isDue reports whether a Hello is to be said. said notes that it was.
func (g *greeting) isDue() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.due
}

func (g *greeting) said() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = false
}

// again is for a Hello that was lost, unless the bus is away.
func (g *greeting) again() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = g.open
}

// end lets requests go on when the others have had time to answer, unless one more Hello is
// due.
func (g *greeting) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.due {
		g.close()
	}
}

// abort lets requests go on because the bus is away: they fail at once.
func (g *greeting) abort() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = false
	g.close()
}

func (g *greeting) close() {
	if g.open {
		g.open = false
		close(g.over)
	}
}

// settled reports whether requests may be made.
func (g *greeting) settled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.open
}

// wait is closed when requests may be made.
func (g *greeting) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over
}

// opened is wait, and says since when there is something to wait for.
func (g *greeting) opened() (over <-chan struct{}, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over, g.since
}
