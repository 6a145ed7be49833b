package node

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// maxUntold is how many namespaces are remembered in which events were lost; with one more, all
// are meant.
const maxUntold = 64

// untold are the events of this node that were not published, and of which no node knows. The
// others are told where something is missing: they keep events for clients that are away, and must
// not say of one that comes back that it has missed nothing.
type untold struct {
	any atomic.Bool // there are some

	mu         sync.Mutex
	namespaces map[string]struct{} // nil when there are too many
	// What was lost stood behind so many messages of the queue: the first, and the last.
	first, last uint64
}

// lost notes a message that was not published. Only what others would have kept is of interest.
func (u *untold) lost(m *cluster.Message, behind uint64) {
	if m.Kind != cluster.Emit || m.ID != "" || m.Volatile {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.note(behind, m.Namespace)
}

// note notes a loss in namespaces, none for all; u.mu is held.
func (u *untold) note(behind uint64, namespaces ...string) {
	if !u.any.Load() {
		u.any.Store(true)
		u.namespaces, u.first, u.last = make(map[string]struct{}), behind, behind
	}
	u.first, u.last = min(u.first, behind), max(u.last, behind)
	if len(namespaces) == 0 {
		u.namespaces = nil
	}
	for _, name := range namespaces {
		if u.namespaces == nil {
			return
		}
		if u.namespaces[name] = struct{}{}; len(u.namespaces) > maxUntold {
			u.namespaces = nil
		}
	}
}

// take returns the namespaces that the others are to be told of, none for all, when they have what
// was published before: so many messages of the queue are settled. What was lost behind more than
// that is told again.
func (u *untold) take(settled uint64) (namespaces []string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.any.Load() || u.first > settled {
		return nil, false
	}
	namespaces = slices.Sorted(maps.Keys(u.namespaces))
	if u.first = u.last; u.last <= settled {
		u.any.Store(false)
		u.namespaces = nil
	}
	return namespaces, true
}

// again is for what take has returned and the bus has not taken: all are meant then, since that is
// the shorter message.
func (u *untold) again() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.note(0)
}

// tell tells the other nodes what was lost for them.
func (p *publisher) tell(now time.Time) {
	n := p.n
	if !n.untold.any.Load() || n.gaps.down.Load() || now.Before(p.retell) {
		return
	}
	_, settled := n.out.counts()
	namespaces, ok := n.untold.take(settled)
	if ok && !p.say(cluster.Gap, namespaces...) {
		n.untold.again()
		p.retell = now.Add(n.opts.Heartbeat)
	}
}
