package connwatch

import (
	"bufio"
	"io"
	"net"
	"time"

	"github.com/siokit/siokit/core/host"
)

// piece is how many bytes a client must take within host.StreamTimeout, as on net/http.
const piece = 64 << 10

// Pieces is a body for a host that reads it while it writes the answer, and has no
// deadline for that: conn's client gets host.StreamTimeout for each 64 KiB of it.
func Pieces(body []byte, conn net.Conn) io.Reader { return &pieces{rest: body, conn: conn} }

type pieces struct {
	rest []byte
	conn net.Conn
	left int // of the piece
}

func (b *pieces) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.left <= 0 {
		b.left = piece
		_ = b.conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.left -= n
	return n, nil
}

// Stream is a host.Stream over w, which the host writes to conn elsewhere: each
// piece has a deadline.
func Stream(w *bufio.Writer, conn net.Conn) host.Stream { return stream{w, conn} }

type stream struct {
	w    *bufio.Writer
	conn net.Conn
}

func (s stream) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
		var m int
		m, err = s.w.Write(p[n:min(len(p), n+piece)])
		n += m
	}
	return n, err
}

func (s stream) Flush() error { return s.w.Flush() }
