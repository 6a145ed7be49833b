//go:build linux

package main

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/lxzan/gws"
)

// library echoes with gws, and sends what begins like a broadcast to all.
type library struct {
	gws.BuiltinEventHandler
	mu  sync.RWMutex
	all map[*gws.Conn]struct{}
}

// OnOpen implements [gws.Event].
func (l *library) OnOpen(c *gws.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[c] = struct{}{}
}

// OnClose implements [gws.Event].
func (l *library) OnClose(c *gws.Conn, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, c)
}

// OnMessage implements [gws.Event].
func (l *library) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	rest, ok := bytes.CutPrefix(m.Bytes(), []byte(`42["broadcast"`))
	if !ok {
		_ = c.WriteMessage(m.Opcode, m.Bytes())
		return
	}
	b := gws.NewBroadcaster(m.Opcode, append([]byte(`42["b"`), rest...))
	defer func() { _ = b.Close() }()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for other := range l.all {
		_ = b.Broadcast(other)
	}
}

func serveGWS(addr string) error {
	upgrader := gws.NewUpgrader(&library{all: map[*gws.Conn]struct{}{}}, &gws.ServerOption{ReadMaxPayloadSize: 1 << 20})
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // so that the request's goroutine and buffers are free
	}))
}
