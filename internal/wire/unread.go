package wire

import (
	"errors"
	"fmt"
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
	c.sent(nc, c.Path+"?"+query)
	below := tcp.(*net.TCPConn)
	_ = below.SetReadBuffer(4096)
	if _, err := fmt.Fprintf(nc, "GET %s?%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.Path, query, u.Host); err != nil {
		c.TB.Fatal(err)
	}
	return &Unread{c, nc, below}
}

// UnreadMany sends the same GET so many times, or until the server takes no more, and
// reads no answer.
func (c *Client) UnreadMany(query string, n int) *Unread {
	c.TB.Helper()
	c.need(query)
	c.note("> GET %s?%s, %d times; no answer is read", c.Path, query, n)
	u, nc, tcp := c.dial()
	c.sent(nc, c.Path+"?"+query)
	one := fmt.Sprintf("GET %s?%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.Path, query, u.Host)
	const together = 100
	for range n / together {
		_ = nc.SetWriteDeadline(time.Now().Add(2 * time.Second))
		if _, err := nc.Write([]byte(strings.Repeat(one, together))); err != nil {
			c.note("< nothing more is taken: %v", err)
			break
		}
	}
	return &Unread{c, nc, tcp.(*net.TCPConn)}
}

// Ends reports whether the server closes the connection within d, although nothing is
// read. Its end of the connection may be long behind: what it has to answer first lies in
// its buffers.
func (u *Unread) Ends(d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		_ = u.tcp.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := u.tcp.Write([]byte{0}); broken(err) {
			u.c.note("< closed: %v", err)
			return true
		}
	}
	return false
}

func broken(err error) bool {
	var ne net.Error
	return err != nil && !(errors.As(err, &ne) && ne.Timeout())
}
