package node

import (
	"maps"
	"slices"
	"sync"
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
}

type member struct {
	seen     time.Time
	instance string
	info     string
}

// standing is what members.add has found.
type standing int

const (
	known    standing = iota
	arrived           // the node is new
	replaced          // another process had the name
	refused           // there are too many
)

// seen notes a sign of life.
func (ms *members) seen(name string, now time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.list[name]; m != nil {
		m.seen = now
	}
}

// spare gives all nodes a new start: nothing could come from them.
func (ms *members) spare(now time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, m := range ms.list {
		m.seen = now
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
	} else if m.instance != instance {
		was = replaced
	}
	m.seen, m.instance, m.info = now, instance, info
	return was
}

// remove gives up a node. With an instance only the process with this id is meant.
func (ms *members) remove(name, instance string) (was bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.list[name]
	if m == nil || instance != "" && m.instance != instance {
		return false
	}
	delete(ms.list, name)
	return true
}

// removeSilent gives up the nodes of which nothing has come since then.
func (ms *members) removeSilent(since time.Time) (names []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for name, m := range ms.list {
		if m.seen.Before(since) {
			names = append(names, name)
			delete(ms.list, name)
		}
	}
	return names
}

func (ms *members) names() []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return slices.Sorted(maps.Keys(ms.list))
}

func (ms *members) alive(name string) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.list[name] != nil
}

func (ms *members) infoOf(name string) (info string, ok bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.list[name]
	if m == nil {
		return "", false
	}
	return m.info, true
}
