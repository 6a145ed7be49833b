//go:build linux

package main

import (
	"net/http"

	"github.com/lxzan/gws"
)

// library echoes with gws, and sends what begins like a broadcast to all.
type library struct {
	gws.BuiltinEventHandler
	*room[*gws.Conn]
}

// OnOpen implements [gws.Event].
func (l *library) OnOpen(c *gws.Conn) { l.add(c) }

// OnClose implements [gws.Event].
func (l *library) OnClose(c *gws.Conn, _ error) { l.remove(c) }

// OnMessage implements [gws.Event].
func (l *library) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	message := broadcast(m.Bytes())
	if message == nil {
		_ = c.WriteMessage(m.Opcode, m.Bytes())
		return
	}
	b := gws.NewBroadcaster(m.Opcode, message)
	defer func() { _ = b.Close() }()
	l.each(func(other *gws.Conn) { _ = b.Broadcast(other) })
}

func serveGWS(addr string) error {
	upgrader := gws.NewUpgrader(&library{room: newRoom[*gws.Conn]()}, &gws.ServerOption{ReadMaxPayloadSize: 1 << 20})
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // so that the request's goroutine and buffers are free
	}))
}
