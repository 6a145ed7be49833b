package node

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// maxMembers is how many nodes of a cluster are known: who writes to the bus must not use
// up the memory of those who read.
const maxMembers = 1024

// members are the other nodes that are there. Processes of Node are not among them.
type members struct {
	mu   sync.Mutex
	list map[string]*member
}

type member struct {
	seen time.Time
	info string
}

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

// add takes up a node that has said that it is there. It reports whether it is new.
func (ms *members) add(name, info string, now time.Time) (added bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.list[name]
	if m == nil {
		if len(ms.list) >= maxMembers {
			return false
		}
		if ms.list == nil {
			ms.list = make(map[string]*member)
		}
		m = new(member)
		ms.list[name] = m
		added = true
	}
	m.seen, m.info = now, info
	return added
}

func (ms *members) remove(name string) (was bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	_, was = ms.list[name]
	delete(ms.list, name)
	return was
}

// silent are the nodes of which nothing has come since then.
func (ms *members) silent(since time.Time) (names []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for name, m := range ms.list {
		if m.seen.Before(since) {
			names = append(names, name)
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
