package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// mover is a client of clusterRecovery.
type mover struct {
	c                *clusterEnv
	w                *wire.WS
	Sid, Pid, offset string
}

// connect joins the namespace at a node, and reports whether the client is the same there.
func (m *mover) connect(n *clusterNode) (same bool) {
	m.c.T.Helper()
	cl := wire.New(m.c.T, n.host.URL, mount+"/")
	cl.Trace = func(line string) { m.c.T.note(n.Node() + " " + line) }
	cl.Patience, cl.HTTP.Timeout = m.c.run.patience, m.c.run.patience
	m.w, _ = cl.WebSocket()
	auth := ""
	if m.Pid != "" {
		auth = fmt.Sprintf(`{"pid":%q,"offset":%q}`, m.Pid, m.offset)
	}
	m.w.Send("40" + m.c.ns + "," + auth)
	before := *m
	p := m.w.Next()
	text, ok := strings.CutPrefix(p, "40"+m.c.ns+",")
	if err := json.Unmarshal([]byte(text), m); !ok || err != nil || m.Sid == "" || m.Pid == "" {
		m.c.T.Fatalf("the answer to CONNECT: %s", p)
	}
	if same = m.Sid == before.Sid; same != (m.Pid == before.Pid) {
		m.c.T.Errorf("the id and the secret were %s and %s, and are %s and %s", before.Sid, before.Pid, m.Sid, m.Pid)
	}
	return same
}

// expect compares the next events.
func (m *mover) expect(events ...string) {
	m.c.T.Helper()
	for _, want := range events {
		p := m.w.Next()
		text, ok := strings.CutPrefix(p, "42"+m.c.ns+",")
		var args []string
		if err := json.Unmarshal([]byte(text), &args); !ok || err != nil || len(args) != 2 || args[0] != want {
			m.c.T.Fatalf("got %s, want %s with an offset", p, want)
		}
		m.offset = args[1]
	}
}

// gone waits until the client's socket at a node is not counted any more: that is a moment behind
// its OnDisconnect.
func (m *mover) gone(n *clusterNode, ended <-chan struct{}) {
	m.c.T.Helper()
	<-ended
	id := m.Sid
	m.c.eventually("the socket has gone", func() bool { return n.Of(m.c.ns).Socket(id) == nil })
}

func clusterRecovery(c *clusterEnv) {
	recovering := func(o *sio.Options) { o.Recovery = &sio.Recovery{} }
	a, b := c.start(recovering), c.start(recovering)
	defer c.end(b)
	defer c.end(a)
	ended := make(chan struct{}, 4)
	for _, n := range []*clusterNode{a, b} {
		n.Of(c.ns).OnDisconnect(func(context.Context, *sio.Socket, sio.Reason) { ended <- struct{}{} })
	}
	for range 5 { // where a node takes more than a second to answer, the client is a new one
		if c.recovers(a, b, ended) {
			return
		}
	}
	c.T.Error("not recovered")
}

// recovers has a client come back to another node, and reports whether it is the same as before, where
// the bus keeps an order.
func (c *clusterEnv) recovers(a, b *clusterNode, ended <-chan struct{}) bool {
	m := &mover{c: c}
	m.connect(a)
	m.expect("recovery")
	a.Of(c.ns).Socket(m.Sid).Join("room")
	c.count("the room", b.Of(c.ns).To("room"), 1) // what is emitted to it reaches it from now on
	m.w.Reset()
	m.gone(a, ended)
	at, emit := []*clusterNode{b, a, b}, []string{"one", "two", "three"}
	for i, t := range []sio.Target{b.Of(c.ns).All(), a.Of(c.ns).To("room"), b.Of(c.ns).To(m.Sid)} {
		c.check(t.Emit(emit[i]))
		c.count("all clients", at[i].Of(c.ns).All(), 0) // it has come to all nodes
	}
	same := m.connect(b)
	defer func() {
		m.w.Send("41" + c.ns + ",") // nobody waits for it
		m.gone(b, ended)
	}()
	if u, ok := b.backend.(cluster.Unordered); ok && u.Unordered() {
		if same {
			c.T.Error("recovered, though the bus keeps no order")
		}
		m.expect("recovery")
		return true
	}
	if !same {
		m.expect("recovery")
		return false
	}
	m.expect(emit...)
	for _, n := range []*clusterNode{a, b} {
		c.check(n.Of(c.ns).To("room").Emit("room"))
		c.check(n.Of(c.ns).To(m.Sid).Emit("id"))
		m.expect("room", "id")
		c.count("all clients", n.Of(c.ns).All(), 1)
	}
	return true
}
