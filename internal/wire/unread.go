package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
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

// UnreadMany sends the same GET again and again, as long as the server takes any, and
// reads no answer. It returns when the server takes no more, or has closed the connection.
func (c *Client) UnreadMany(query string) *Unread {
	c.TB.Helper()
	c.need(query)
	c.note("> GET %s?%s, again and again; no answer is read", c.Path, query)
	u, nc, tcp := c.dial()
	below := tcp.(*net.TCPConn)
	_ = below.SetReadBuffer(4096)
	_ = below.SetWriteBuffer(4096)
	one := fmt.Sprintf("GET %s?%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.Path, query, u.Host)
	many := []byte(strings.Repeat(one, 100))
	for {
		// Under TLS a write that was cut short cannot be followed by another one.
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := nc.Write(many); err != nil {
			c.note("< nothing more is taken: %v", err)
			return &Unread{c, nc, below}
		}
	}
}

// Cut reports whether the server has given the answer up. A byte that the client
// sends is answered with a reset then, and what was still to be sent is dropped;
// otherwise there is more to read than a moment is enough for.
func (u *Unread) Cut() bool {
	_ = u.tcp.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, gone := u.tcp.Write([]byte{0}) // tells of a reset that has come already, and nothing else does then
	n, err := io.Copy(io.Discard, u.tcp)
	u.c.note("< %d bytes of the answer, then %v %v", n, gone, err)
	return broken(gone) || broken(err)
}

func broken(err error) bool {
	var ne net.Error
	return err != nil && !(errors.As(err, &ne) && ne.Timeout())
}
