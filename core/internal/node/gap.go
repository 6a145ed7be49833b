package node

import (
	"sync"
	"time"
)

// Gap is a time in which messages between this node and the others were lost, or may have
// been.
type Gap struct {
	Since time.Time
	// Until is zero while the gap goes on.
	Until time.Time
	// Lost is how many messages of this node were not published. Missed is how many of
	// others are known to have been dropped.
	Lost, Missed int
	// Err is why the gap began.
	Err error
}

// gaps are the times without the bus. A gap begins with the first loss, or when the bus goes
// away. It ends when the bus is there and nothing was lost from one heartbeat to the next.
type gaps struct {
	report func(g Gap) // told of the beginning and of the end

	mu   sync.Mutex
	gap  *Gap
	last time.Time // of the last loss, or of the moment when the bus was there again
	down bool
}

// lose notes messages that were lost.
func (gs *gaps) lose(lost, missed int, err error, now time.Time) {
	gs.mu.Lock()
	begins := gs.begin(err, now)
	gs.gap.Lost += lost
	gs.gap.Missed += missed
	g := *gs.gap
	gs.mu.Unlock()
	if begins {
		gs.report(g)
	}
}

// begin sees to it that there is a gap; gs.mu is held.
func (gs *gaps) begin(err error, now time.Time) (begins bool) {
	gs.last = now
	if gs.gap == nil {
		gs.gap, begins = &Gap{Since: now, Err: err}, true
	}
	return begins
}

// set notes that the bus is there, or is not.
func (gs *gaps) set(down bool, err error, now time.Time) {
	gs.mu.Lock()
	gs.down = down
	begins := false
	if down {
		begins = gs.begin(err, now)
	} else {
		gs.last = now
	}
	var g Gap
	if begins {
		g = *gs.gap
	}
	gs.mu.Unlock()
	if begins {
		gs.report(g)
	}
}

func (gs *gaps) isDown() bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.down
}

// tick ends a gap in which nothing was lost since then.
func (gs *gaps) tick(since time.Time) {
	gs.mu.Lock()
	if gs.gap == nil || gs.down || gs.last.After(since) {
		gs.mu.Unlock()
		return
	}
	g := *gs.gap
	g.Until = gs.last
	gs.gap = nil
	gs.mu.Unlock()
	gs.report(g)
}
