package node

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxMembers is how many nodes of a cluster are known, maxName how long their names and the
// ids of their processes are, and maxInfo how much they say of themselves: who writes to
// the bus must not use up the memory of those who read.
const (
	maxMembers = 1024
	maxName    = 64
	maxInfo    = 1024
)

// members are the other nodes that are there. Processes of Node are not among them.
type members struct {
	mu   sync.Mutex
	list map[string]*member
	// silent are those given up of which the Host has not been told: it may wait for the
	// application, and their sessions may be reached all the while.
	silent map[string]*member
	// open is a copy of list, for those who look up one node: each emit to the id of a socket,
	// and each message that comes.
	open atomic.Pointer[map[string]*member]
}

type member struct {
	seen     atomic.Int64 // since began
	instance string
	info     string
	bye      bool // it has said that it leaves
}

// standing is what members.add has found.
type standing int

const (
	known    standing = iota
	arrived           // the node is new
	replaced          // another process had the name
	refused           // there are too many
)

// began is what the times of members count from.
var began = time.Now()

func (m *member) note(now time.Time) { m.seen.Store(int64(now.Sub(began))) }

// find returns a node that is there, or nil. It takes no lock.
func (ms *members) find(name string) *member {
	if list := ms.open.Load(); list != nil {
		return (*list)[name]
	}
	return nil
}

// changed is for a list with other nodes than before; ms.mu is held.
func (ms *members) changed() {
	list := maps.Clone(ms.list)
	ms.open.Store(&list)
}

// seen notes a sign of life.
func (ms *members) seen(name string, now time.Time) {
	if m := ms.find(name); m != nil {
		m.note(now)
	}
}

// spare gives all nodes a new start: nothing could come from them.
func (ms *members) spare(now time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, m := range ms.list {
		m.note(now)
	}
}

// add takes up a node that has said that it is there.
func (ms *members) add(name, instance, info string, now time.Time) standing {
	if name == "" || len(name) > maxName || len(instance) > maxName || len(info) > maxInfo {
		return refused
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, was := ms.list[name], known
	if m == nil {
		if len(ms.list) >= maxMembers {
			return refused
		}
		if ms.list == nil {
			ms.list = make(map[string]*member)
		}
		m, was = new(member), arrived
		ms.list[name] = m
		delete(ms.silent, name)
		defer ms.changed()
	} else if m.instance != instance {
		was = replaced
	}
	m.note(now)
	m.instance, m.info = instance, info
	return was
}

// remove is for a node that leaves. With an instance only the process with this id is meant.
func (ms *members) remove(name, instance string) (was bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.list[name]
	if m == nil {
		m = ms.silent[name]
	}
	if m == nil || instance != "" && m.instance != instance {
		return false
	}
	m.bye = true
	delete(ms.silent, name)
	if ms.list[name] == nil {
		return false
	}
	delete(ms.list, name)
	ms.changed()
	return true
}

// removeSilent gives up the nodes of which nothing has come since then.
func (ms *members) removeSilent(since time.Time) (names []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for name, m := range ms.list {
		if m.seen.Load() < int64(since.Sub(began)) {
			names = append(names, name)
			delete(ms.list, name)
			if ms.silent == nil {
				ms.silent = make(map[string]*member)
			}
			if len(ms.silent) < maxMembers {
				ms.silent[name] = m
			}
		}
	}
	if len(names) > 0 {
		ms.changed()
	}
	return names
}

func (ms *members) names() []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return slices.Sorted(maps.Keys(ms.list))
}

// all are the nodes that are there, and those given up of which the Host has not been told.
func (ms *members) all() (there, silent map[string]*member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return maps.Clone(ms.list), maps.Clone(ms.silent)
}

// forget is for a node of which the Host was told that it has gone.
func (ms *members) forget(name string, m *member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.silent[name] == m {
		delete(ms.silent, name)
	}
}

// end is what a node that has gone had said of itself, and whether it has said that it leaves.
func (ms *members) end(m *member) (info string, bye bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return m.info, m.bye
}

func (ms *members) alive(name string) bool { return ms.find(name) != nil }

func (ms *members) infoOf(name string) (info string, ok bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.list[name]
	if m == nil {
		m = ms.silent[name]
	}
	if m == nil {
		return "", false
	}
	return m.info, true
}
