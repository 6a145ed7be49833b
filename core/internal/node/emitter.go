package node

import (
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/cluster"
)

// emitter is what a Node that serves nobody does otherwise. Others do not take it up as a
// node: it signs with the name of all emitters and says no Heartbeat and no Bye, so that nobody
// waits for its answers. By its Hello it learns who is there. Its requests have its own
// name, to which the answers come.
//
// What it publishes before it knows whether the bus can be reached waits: it may have been
// made to say one thing, and be gone.
//
// A nil emitter is a node that serves somebody.
type emitter struct {
	n       *Node
	watcher cluster.AnswerWatcher // nil for a backend that need not be told where answers come
	tried   atomic.Bool           // the backend has said whether the bus is there

	mu   sync.Mutex
	open map[string]int // requests, by their namespaces
}

// emitterName is the name by which processes of Node know those that serve nobody.
const emitterName = "emitter"

func newEmitter(n *Node, b cluster.Backend) *emitter {
	e := &emitter{n: n, open: make(map[string]int)}
	e.watcher, _ = b.(cluster.AnswerWatcher)
	return e
}

// emits reports whether a message comes from somebody who serves nobody.
func emits(m *cluster.Message) bool { return m.Node == "" || m.Node == emitterName }

// heard reports whether an emitter has use for messages of a kind: for answers, and for what
// nodes say about themselves.
func heard(k cluster.Kind) bool { return k >= cluster.Sockets && k <= cluster.Bye }

// prepare tells the backend, before its Start.
func (e *emitter) prepare() {
	if e != nil && e.watcher != nil {
		e.watcher.WatchAnswers()
	}
}

// holds reports whether what is published waits until it is known whether the bus is there.
func (e *emitter) holds() bool { return e != nil && !e.tried.Load() }

// release is for a bus that is there, or is not.
func (e *emitter) release() {
	if e != nil {
		e.tried.Store(true)
	}
}

// sign sets the name under which a message is published.
func (e *emitter) sign(m *cluster.Message) {
	if e != nil && (m.ID == "" || m.Kind == cluster.Hello || m.Kind == cluster.Gap) {
		m.Node = emitterName
	}
}

// asks is for a request that is to be published: the bus is told before where its answers
// come. asked is for its end.
func (e *emitter) asks(namespace string) {
	if e == nil || e.watcher == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open[namespace]++; e.open[namespace] == 1 {
		e.n.Enter(namespace, "", false)
	}
}

func (e *emitter) asked(namespace string) {
	if e == nil || e.watcher == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open[namespace]--; e.open[namespace] == 0 {
		delete(e.open, namespace)
		e.n.Exit(namespace, "", false)
	}
}
