package siotest

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
)

// conn is one connection of a visitor, a websocket with a socket in each namespace.
type conn struct {
	v       *Visitor
	n       int // its number in the exchange
	dialect string
	nc      *end
	br      *bufio.Reader
	decoder packet.Decoder // the pump's own
	done    chan struct{}  // closed when the pump has ended

	writing sync.Mutex // held for a packet and its attachments

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when something below has changed
	sid     string
	clients map[string]*Client // by namespace
	lastID  uint64             // of acks
	pongs   int
	frozen  bool
	closed  bool        // the test has called Close
	ended   string      // why; "" while the connection lives
	beat    *time.Timer // of a client that sends the heartbeats
}

var errAuth = errors.New("it is no object, or has binary in it")

// dial opens the connection n. query are parameters beside those of the options.
func (v *Visitor) dial(n int, query url.Values) (*conn, *Refusal) {
	v.t.Helper()
	q := url.Values{}
	for _, from := range []url.Values{v.opts.Query, query} {
		for key, values := range from {
			q[key] = append(q[key], values...)
		}
	}
	target, sid, ref := v.target(n, q)
	if ref != nil {
		return nil, ref
	}
	r := v.request(http.MethodGet, target, http.NoBody)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "c2lvdGVzdC1zaW90ZXN0LQ==")
	s, body := v.get(n, r)
	if s.nc == nil || s.StatusCode != http.StatusSwitchingProtocols {
		if s.nc != nil {
			_ = s.nc.Close()
		}
		return nil, refusal(s.StatusCode, body)
	}
	c := &conn{
		v: v, n: n, dialect: v.opts.Dialect, sid: sid,
		nc: s.nc, br: s.br, decoder: newDecoder(v.opts.Dialect),
		done: make(chan struct{}), changed: make(chan struct{}), clients: make(map[string]*Client),
	}
	if c.dialect != eio4 { // the server joins the default namespace by itself
		c.clients["/"] = &Client{conn: c, namespace: "/"}
	}
	v.mu.Lock()
	v.conns = append(v.conns, c)
	v.mu.Unlock()
	go c.pump()
	// The open packet comes first, and tells a client of 1.x to 4.x its id.
	if !c.await(func() bool { return c.sid != "" || c.ended != "" }) {
		v.fatalf(n, "the server does not send the open packet within %v", v.opts.Patience)
	}
	return c, nil
}

// target is what the websocket is asked for with. A client of 0.9 has a handshake before,
// which gives it the id of the session.
func (v *Visitor) target(n int, q url.Values) (target, sid string, ref *Refusal) {
	v.t.Helper()
	if v.opts.Dialect != sio1 {
		q.Set("EIO", map[string]string{eio4: "4", eio3: "3"}[v.opts.Dialect])
		q.Set("transport", "websocket")
		return v.opts.Path + "/?" + q.Encode(), "", nil
	}
	query := ""
	if len(q) > 0 {
		query = "?" + q.Encode()
	}
	s, body := v.get(n, v.request(http.MethodGet, v.opts.Path+"/1/"+query, http.NoBody))
	sid, _, ok := strings.Cut(body, ":")
	if s.StatusCode != http.StatusOK || !ok {
		return "", "", refusal(s.StatusCode, body)
	}
	return v.opts.Path + "/1/websocket/" + sid + query, sid, nil
}

// refusal is that of a handshake.
func refusal(status int, body string) *Refusal {
	var e struct{ Message string }
	if json.Unmarshal([]byte(body), &e) != nil || e.Message == "" {
		e.Message = strings.TrimSpace(body)
	}
	return &Refusal{Status: status, Message: e.Message}
}

// pump reads until the connection ends.
func (c *conn) pump() {
	defer close(c.done)
	defer func() { _ = c.nc.Close() }()
	for {
		f, err := readFrame(c.br)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.note("< the connection ends: %v", err)
			} else {
				c.note("< the connection ends")
			}
			c.over("transport close")
			return
		}
		switch f.op {
		case opText:
			if !heartbeat(f.payload) {
				c.note("< %s", f.payload)
			}
			c.text(f.payload)
		case opBinary:
			c.note("< %d bytes %x", len(f.payload), f.payload)
			c.binary(f.payload)
		case opPing:
			c.write(frame{opPong, f.payload})
		case opPong:
			c.change(func() { c.pongs++ })
		case opClose:
			code, text := closeCode(f.payload)
			c.note("< close %d %s", code, text)
			if !c.hasEnded() {
				c.write(frame{opClose, f.payload})
			}
			c.over("transport close")
			return
		}
	}
}

func (c *conn) note(format string, args ...any) { c.v.log.note(c.n, format, args...) }

// change does f with c.mu held, and wakes those who wait.
func (c *conn) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until so, which is called with c.mu held, is true, and reports false when
// patience is used up.
func (c *conn) await(so func() bool) bool {
	late := time.NewTimer(c.v.opts.Patience)
	defer late.Stop()
	look := func() (bool, <-chan struct{}) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return so(), c.changed
	}
	for {
		ok, changed := look()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-late.C:
			ok, _ := look()
			return ok
		}
	}
}

func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended != ""
}

// over notes that the connection has ended, and with it all sockets.
func (c *conn) over(why string) {
	c.change(func() {
		if c.ended == "" {
			c.ended = why
		}
		for _, cl := range c.clients {
			cl.end(why)
		}
		if c.beat != nil {
			c.beat.Stop()
		}
	})
}

// drop ends the connection without a goodbye, and waits for the pump.
func (c *conn) drop() {
	_ = c.nc.Close()
	<-c.done
}

// write sends frames in one piece. An error is left for the pump to find.
func (c *conn) write(frames ...frame) {
	c.writing.Lock()
	defer c.writing.Unlock()
	var b []byte
	for _, f := range frames {
		b = appendFrame(b, f)
	}
	_, _ = c.nc.Write(b)
}

// say sends a text that is no packet: a heartbeat. Heartbeats are not in the exchange, where
// those of an hour in a bubble would hide the rest.
func (c *conn) say(text string) { c.write(frame{opText, []byte(text)}) }

// heartbeat reports whether a text is one: a ping or a pong, in any generation.
func heartbeat(text []byte) bool {
	s := string(text)
	return s == "2" || s == "3" || s == "2::"
}

// send sends a packet with its attachments.
func (c *conn) send(p *packet.Packet) {
	text := encodePacket(c.dialect, p)
	frames := []frame{{opText, text}}
	c.note("> %s", text)
	for _, a := range p.Attachments {
		switch c.dialect {
		case sio1: // they are in the text
			continue
		case eio3: // behind the type of a message
			a = append([]byte{4}, a...)
		}
		c.note("> %d bytes %x", len(a), a)
		frames = append(frames, frame{opBinary, a})
	}
	c.write(frames...)
}

// leave closes the connection as a page does that is left.
func (c *conn) leave(why string) {
	if c.hasEnded() {
		return
	}
	c.note("> close %d", leaving)
	c.write(frame{opClose, []byte{leaving >> 8, leaving & 0xff}})
	c.over(why)
}

// barrier waits until what the server has queued for the client has come: the answer to a
// ping of the websocket leaves in front of what is queued at that moment, and the next
// answer behind it.
func (c *conn) barrier() bool {
	for range 2 {
		c.mu.Lock()
		want := c.pongs + 1
		c.mu.Unlock()
		c.write(frame{opPing, nil})
		if !c.await(func() bool { return c.pongs >= want || c.ended != "" }) {
			return false
		}
	}
	return true
}

// join joins a namespace, or waits for the answer to what the server has joined by itself.
func (c *conn) join(namespace string, auth any) (*Client, *Refusal) {
	c.v.t.Helper()
	var cl *Client
	var used bool
	asked := false // the client asks for the namespace, and not the server by itself
	c.change(func() {
		cl = c.clients[namespace]
		if used = cl != nil && cl.own && cl.ended == ""; used {
			return
		}
		if cl == nil || cl.own || cl.ended != "" {
			cl, asked = &Client{conn: c, namespace: namespace}, true
			c.clients[namespace] = cl
		}
		cl.own = true
	})
	if used {
		c.v.fatalf(c.n, "#%d is in %s already", c.n, namespace)
	}
	if c.dialect != eio4 && namespace != "/" && !c.rooted() {
		return nil, c.clientOf("/").refusal()
	}
	if asked {
		c.ask(namespace, auth)
	}
	if !c.await(func() bool { return cl.joined || cl.refused != nil || cl.ended != "" || c.ended != "" }) {
		c.v.fatalf(c.n, "the server does not answer the CONNECT to %s within %v", namespace, c.v.opts.Patience)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cl.refused != nil && !cl.joined:
		return nil, cl.refused
	case !cl.joined:
		return nil, &Refusal{Message: "the client was disconnected: " + cmp.Or(cl.ended, c.ended), cut: true}
	}
	return cl, nil
}

// rooted waits until a client of 0.9, 1.x or 2.x is in the default namespace, without which
// it asks for no other.
func (c *conn) rooted() bool {
	c.v.t.Helper()
	root := c.clientOf("/")
	if !c.await(func() bool { return root.joined || root.refused != nil || root.ended != "" }) {
		c.v.fatalf(c.n, "the server does not join the client to the default namespace within %v", c.v.opts.Patience)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return root.joined && root.ended == ""
}

func (c *conn) clientOf(namespace string) *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clients[namespace]
}

// ask sends a CONNECT.
func (c *conn) ask(namespace string, auth any) {
	c.v.t.Helper()
	p := &packet.Packet{Type: packet.Connect, Namespace: namespace}
	switch {
	case auth == nil:
	case c.dialect == eio4:
		array, attachments, err := encode([]any{auth})
		if err != nil || len(attachments) > 0 || !strings.HasPrefix(string(array), "[{") {
			c.v.t.Fatalf("siotest: the auth payload: %v", errors.Join(err, errAuth))
		}
		p.Data = array[1 : len(array)-1]
	default:
		if q := c.v.parameters(auth).Encode(); c.dialect == sio1 && q != "" {
			p.Namespace += ":?" + q // behind the endpoint's colon
		} else if q != "" {
			p.Namespace += "?" + q
		}
	}
	c.send(p)
}

// deserted reports whether no socket of the connection is in use any more: the official
// clients close it then. c.mu is held.
func (c *conn) deserted() bool {
	for _, cl := range c.clients {
		if cl.own && cl.ended == "" {
			return false
		}
	}
	return true
}
