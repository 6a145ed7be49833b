package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Unread is a request whose answer is left in the network.
type Unread struct {
	c    *Client
	conn net.Conn
	tcp  *net.TCPConn
}

// Unread sends a GET and does not read its answer. Little of it fits into the
// client's side of the connection.
func (c *Client) Unread(query string) *Unread {
	c.TB.Helper()
	c.need(query)
	c.note("> GET %s?%s, whose answer is not read", c.Path, query)
	u, nc, tcp := c.dial()
	below := tcp.(*net.TCPConn)
	_ = below.SetReadBuffer(4096)
	if _, err := fmt.Fprintf(nc, "GET %s?%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.Path, query, u.Host); err != nil {
		c.TB.Fatal(err)
	}
	return &Unread{c, nc, below}
}

// Cut reports whether the server has given the answer up. A byte that the client
// sends is answered with a reset then, and what was still to be sent is dropped;
// otherwise there is more to read than a moment is enough for.
func (u *Unread) Cut() bool {
	_ = u.tcp.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = u.tcp.Write([]byte{0})
	n, err := io.Copy(io.Discard, u.tcp)
	u.c.note("< %d bytes of the answer, then %v", n, err)
	var ne net.Error
	return err != nil && !(errors.As(err, &ne) && ne.Timeout())
}
