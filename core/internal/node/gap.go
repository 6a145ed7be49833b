package node

import (
	"sync"
	"sync/atomic"
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
// away. It ends when the bus is there, something was published since the last loss, and
// nothing was lost for a heartbeat: a bus that takes nothing and says nothing is one gap,
// not one for each message that it was given in vain.
type gaps struct {
	wake func() // somebody is to ask for news
	down atomic.Bool
	open atomic.Bool // there is a gap
	// deaf is odd while messages of others may not come here, and rises with each change.
	deaf atomic.Uint64

	mu           sync.Mutex
	gap          *Gap
	told         bool      // news has returned its beginning
	last         time.Time // of the last loss, or of the moment when the bus was there again
	well         bool      // something was published since
	missedAt     time.Time // when a message of others was missed last with the bus there; zero: none
	lost, missed int64     // in all gaps
	why          error     // why the first message was lost
}

// lose notes messages that were lost.
func (gs *gaps) lose(lost, missed int, err error, now time.Time) {
	gs.note(lost, missed, err, now, false)
}

// miss notes that messages of others have not come here, or may not have. It is not for those
// that are told to servers alone.
func (gs *gaps) miss(missed int, err error, now time.Time) {
	gs.note(0, missed, err, now, true)
}

func (gs *gaps) note(lost, missed int, err error, now time.Time, deaf bool) {
	gs.mu.Lock()
	if deaf {
		gs.missedAt = now
		gs.hears(false)
	}
	begins := gs.begin(err, now)
	if lost > 0 && gs.lost == 0 {
		gs.why = err
	}
	gs.gap.Lost += lost
	gs.gap.Missed += missed
	gs.lost += int64(lost)
	gs.missed += int64(missed)
	gs.mu.Unlock()
	if begins {
		gs.wake()
	}
}

// begin sees to it that there is a gap; gs.mu is held.
func (gs *gaps) begin(err error, now time.Time) (begins bool) {
	gs.last, gs.well = now, false
	if gs.gap == nil {
		gs.gap, gs.told, begins = &Gap{Since: now, Err: err}, false, true
		gs.open.Store(true)
	}
	return begins
}

// set notes that the bus is there, or is not.
func (gs *gaps) set(down bool, err error, now time.Time) {
	gs.mu.Lock()
	gs.down.Store(down)
	gs.hears(!down && gs.missedAt.IsZero())
	begins := down && gs.begin(err, now)
	gs.last, gs.well = now, false
	gs.mu.Unlock()
	if begins {
		gs.wake()
	}
}

// hears notes whether all that others say comes here; gs.mu is held.
func (gs *gaps) hears(all bool) {
	if all == (gs.deaf.Load()%2 == 1) {
		gs.deaf.Add(1)
	}
}

// hear is for a bus that is there, when nothing was missed since then. What this node could not
// publish has no part in that.
func (gs *gaps) hear(since time.Time) {
	if gs.deaf.Load()%2 == 0 {
		return
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if !gs.down.Load() && !gs.missedAt.After(since) {
		gs.missedAt = time.Time{}
		gs.hears(true)
	}
}

// fine notes that the bus has taken something.
func (gs *gaps) fine() {
	if gs.open.Load() {
		gs.mu.Lock()
		gs.well = true
		gs.mu.Unlock()
	}
}

// news returns a gap that has begun since it was last asked.
func (gs *gaps) news() (g Gap, ok bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.gap == nil || gs.told {
		return Gap{}, false
	}
	gs.told = true
	return *gs.gap, true
}

// end returns a gap that has ended, by news: nothing was lost since then. That the bus has taken all
// rooms is for the caller to know.
func (gs *gaps) end(since time.Time) (g Gap, ok bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.gap == nil || !gs.told || gs.down.Load() || !gs.well || gs.last.After(since) {
		return Gap{}, false
	}
	return gs.over(gs.last), true
}

// leave ends the gap because the node leaves the cluster.
func (gs *gaps) leave(now time.Time) (g Gap, ok bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.gap == nil {
		return Gap{}, false
	}
	return gs.over(now), true
}

// over ends the gap; gs.mu is held.
func (gs *gaps) over(until time.Time) Gap {
	g := *gs.gap
	g.Until = until
	gs.gap = nil
	gs.open.Store(false)
	return g
}

// losses are how many messages were lost, in all gaps, and why the first of them was.
func (gs *gaps) losses() (lost int64, why error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.lost, gs.why
}

// counts are how many messages were lost and missed, in all gaps.
func (gs *gaps) counts() (lost, missed int64) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.lost, gs.missed
}
