package node

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/siokit/siokit/core/cluster"
)

// maxServerEvents is how many events for servers may wait in one namespace for the handler
// of the one before, maxServerEventBytes how many bytes may wait in all, and
// maxServerEventRuns in how many namespaces handlers run at once.
const (
	maxServerEvents     = 1024
	maxServerEventBytes = 64 << 20
	maxServerEventRuns  = 1024
)

// ownEvent is what the events for servers begin with that siokit itself sends: of the session
// bridge and the mixins. No function of the application keeps them waiting.
var ownEvent = []byte(`["siokit:`)

var errSlowHandler = errors.New("cluster: more events for servers than their handlers take")

// serverEvents are the events for servers that wait. Handlers are application code, and
// must not hold up what comes from the bus: those of one namespace run one after the
// other in a goroutine that lives as long as some wait.
type serverEvents struct {
	run func(m *cluster.Message)

	mu      sync.Mutex
	waiting map[string][]*cluster.Message // by namespace, which is here while its goroutine runs
	bytes   int
	stopped bool
	idle    chan struct{} // closed when it has stopped and nothing runs
}

func eventSize(m *cluster.Message) int {
	n := messageCost + len(m.Data)
	for _, a := range m.Attachments {
		n += len(a)
	}
	return n
}

// event has an event for servers handled. It reports false when too many wait. Those of
// siokit itself have queues of their own, one for each name.
func (n *Node) event(m *cluster.Message) bool {
	rest, own := bytes.CutPrefix(m.Data, ownEvent)
	if !own {
		return n.events.add(m, m.Namespace)
	}
	name, _, _ := bytes.Cut(rest, []byte{'"'})
	return n.own.add(m, m.Namespace+"\x00"+string(name))
}

// add has a copy of m handled, behind those with the same key.
func (es *serverEvents) add(m *cluster.Message, key string) bool {
	size := eventSize(m)
	es.mu.Lock()
	defer es.mu.Unlock()
	list, runs := es.waiting[key]
	if es.stopped || len(list) >= maxServerEvents || es.bytes+size > maxServerEventBytes || !runs && len(es.waiting) >= maxServerEventRuns {
		return false
	}
	if es.waiting == nil {
		es.waiting = make(map[string][]*cluster.Message)
	}
	es.waiting[key] = append(list, m.Clone())
	es.bytes += size
	if !runs {
		go es.work(key)
	}
	return true
}

func (es *serverEvents) work(key string) {
	for {
		es.mu.Lock()
		list := es.waiting[key]
		if len(list) == 0 {
			delete(es.waiting, key)
			es.signal()
			es.mu.Unlock()
			return
		}
		m := list[0]
		list[0] = nil
		es.waiting[key] = list[1:]
		es.mu.Unlock()
		es.run(m)
		es.mu.Lock()
		es.bytes -= eventSize(m)
		es.mu.Unlock()
	}
}

// signal tells stop that nothing runs; es.mu is held.
func (es *serverEvents) signal() {
	if es.stopped && len(es.waiting) == 0 && es.idle != nil {
		close(es.idle)
		es.idle = nil
	}
}

// stop takes no more, and waits for the handlers of those that wait. When ctx ends the
// rest is dropped, and its error returned; the handlers that run then are on their own.
func (es *serverEvents) stop(ctx context.Context) error {
	idle := make(chan struct{})
	es.mu.Lock()
	es.stopped, es.idle = true, idle
	es.signal()
	es.mu.Unlock()
	err := wait(ctx, idle)
	if err == nil {
		return nil
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	for key := range es.waiting {
		es.waiting[key] = nil
	}
	return err
}
