package forward

import (
	"bufio"
	"io"
	"net"
	"time"
)

const (
	// buffer is how many bytes go through at once.
	buffer = 8 << 10
	// clientTimeout is how long a client may take nothing of what its websocket brings.
	clientTimeout = 30 * time.Second
	// goodbyeTimeout is how long one side may take to end when the other has.
	goodbyeTimeout = 10 * time.Second
)

// join joins a client's websocket, of which br has the first bytes, and the connection to
// the node that has its session. There is no deadline for what the node takes: a session
// whose handlers are busy lets its client wait.
func (l *link) join(c net.Conn, br *bufio.Reader) {
	l.client.Store(&c)
	defer l.f.closeClient(c) // also when it has come behind the end of the link
	defer l.f.forget(l)
	if l.send(answer, appendError(nil, nil)) != nil {
		return
	}
	_ = l.SetDeadline(time.Time{})
	there := make(chan struct{})
	if !l.f.goes(func() { defer close(there); l.out(c, br) }) {
		return
	}
	client := slow{c}
	if rest := l.rest(); rest != nil {
		_, _ = io.Copy(client, rest)
	}
	_, _ = io.CopyBuffer(client, readOnly{l.Conn}, make([]byte, buffer))
	// What the client still sends is read for a while: else it could miss the end of what it
	// was sent.
	closeWrite(c)
	_ = c.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	select {
	case <-there:
	case <-l.quit: // which has closed the client's connection too
	}
}

// out is what the client sends. The client's connection may be the application's.
func (l *link) out(c net.Conn, br *bufio.Reader) {
	defer func() {
		if p := recover(); p != nil {
			l.f.opts.Logger.Error("siokit: panic in a connection of UseExchange", "panic", p)
			l.end()
		}
	}()
	var r io.Reader = readOnly{c}
	if br != nil {
		r = io.MultiReader(br, r)
	}
	b := make([]byte, buffer)
	_, err := io.CopyBuffer(writeOnly{l.Conn}, r, b)
	closeWrite(l.Conn)
	_ = l.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	if err != nil {
		_, _ = io.CopyBuffer(writeOnly{io.Discard}, r, b)
	}
}

// closeClient closes a connection that may be the application's.
func (f *Forwarder) closeClient(c net.Conn) {
	defer func() {
		if p := recover(); p != nil {
			f.opts.Logger.Error("siokit: panic in a connection of UseExchange", "panic", p)
		}
	}()
	_ = c.Close()
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// slow writes to a client that must not take longer than clientTimeout.
type slow struct{ c net.Conn }

func (s slow) Write(p []byte) (int, error) {
	_ = s.c.SetWriteDeadline(time.Now().Add(clientTimeout))
	return s.c.Write(p)
}

// readOnly and writeOnly keep io.Copy from what the connections can do beside: it would hold
// a pipe of the system's for each of them.
type (
	readOnly  struct{ io.Reader }
	writeOnly struct{ io.Writer }
)
