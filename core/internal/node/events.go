package node

import (
	"errors"
	"sync"

	"github.com/siokit/siokit/core/cluster"
)

// maxServerEvents is how many events for servers may wait in one namespace for the handler
// of the one before.
const maxServerEvents = 1024

var errSlowHandler = errors.New("cluster: more events for servers than their handlers take")

// serverEvents are the events for servers that wait. Handlers are application code, and
// must not hold up what comes from the bus: those of one namespace run one after the
// other in a goroutine that lives as long as some wait.
type serverEvents struct {
	run func(m *cluster.Message)

	mu      sync.Mutex
	waiting map[string][]*cluster.Message // a namespace is here while its goroutine runs
	wg      sync.WaitGroup
}

// add has m, which is the queue's from now on, handled. It reports false when too many wait.
func (es *serverEvents) add(m *cluster.Message) bool {
	es.mu.Lock()
	defer es.mu.Unlock()
	list, runs := es.waiting[m.Namespace]
	if len(list) >= maxServerEvents {
		return false
	}
	if es.waiting == nil {
		es.waiting = make(map[string][]*cluster.Message)
	}
	es.waiting[m.Namespace] = append(list, m)
	if !runs {
		es.wg.Go(func() { es.work(m.Namespace) })
	}
	return true
}

func (es *serverEvents) work(namespace string) {
	for {
		es.mu.Lock()
		list := es.waiting[namespace]
		if len(list) == 0 {
			delete(es.waiting, namespace)
			es.mu.Unlock()
			return
		}
		m := list[0]
		list[0] = nil
		es.waiting[namespace] = list[1:]
		es.mu.Unlock()
		es.run(m)
	}
}
