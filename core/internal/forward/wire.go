package forward

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/siokit/siokit/core/host"
)

// kind says what a frame is.
type kind byte

// What the end that passes a request on sends.
const (
	request kind = 'Q' // an exchange begins
	left    kind = 'L' // its client has left
	hurry   kind = 'P' // its client is there, and must not be held any longer
	answer  kind = 'A' // to what was asked
)

// What the end that has the session sends. All but the last are questions.
const (
	askBody    kind = 'B'
	askHeader  kind = 'H' // has the answer this header already?
	askReply   kind = 'R'
	askStream  kind = 'S'
	askWrite   kind = 'W' // a piece of the stream, flushed
	askUpgrade kind = 'U'
	over       kind = 'E' // the exchange has ended
)

// maxFrame is the largest frame: a body, or an answer.
const maxFrame = 256 << 20

// piece is how many bytes get sendTimeout once more.
const piece = 64 << 10

// sendTimeout is how long the other end may take to read a frame, or piece bytes of it.
const sendTimeout = 10 * time.Second

// conn is a connection between two nodes.
type conn struct {
	net.Conn
	br *bufio.Reader
	mu sync.Mutex // frames are written one after the other
}

func newConn(c net.Conn) *conn { return &conn{Conn: c, br: bufio.NewReaderSize(c, 4<<10)} }

type frame struct {
	kind kind
	data []byte
}

var errFrame = errors.New("forward: malformed frame")

// send writes a frame.
func (c *conn) send(k kind, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > maxFrame {
		return fmt.Errorf("forward: %d bytes are more than can be passed on", size)
	}
	head := make([]byte, 5)
	head[0] = byte(k)
	binary.BigEndian.PutUint32(head[1:], uint32(size))
	bufs := append(net.Buffers{head}, parts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(patience(size)))
	_, err := bufs.WriteTo(c.Conn)
	return err
}

// patience is sendTimeout for each piece.
func patience(size int) time.Duration { return sendTimeout * time.Duration(1+size/piece) }

// receive reads a frame. Memory grows with what has come.
func (c *conn) receive() (f frame, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c.br, head[:]); err != nil {
		return f, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxFrame {
		return f, errFrame
	}
	f.kind = kind(head[0])
	if size <= piece {
		f.data = make([]byte, size)
		_, err = io.ReadFull(c.br, f.data)
		return f, err
	}
	var b bytes.Buffer
	if _, err = io.CopyN(&b, c.br, int64(size)); err != nil {
		return f, err
	}
	f.data = b.Bytes()
	return f, nil
}

// rest is what has been read behind the last frame, nil when that is nothing.
func (c *conn) rest() *bufio.Reader {
	n := c.br.Buffered()
	if n == 0 {
		return nil
	}
	p, _ := c.br.Peek(n)
	return bufio.NewReaderSize(bytes.NewReader(bytes.Clone(p)), 16)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parser reads what was appended. What is missing is empty, and makes bad true.
type parser struct {
	data []byte
	bad  bool
}

func (p *parser) number() uint64 {
	n, size := binary.Uvarint(p.data)
	if size <= 0 {
		p.bad, p.data = true, nil
		return 0
	}
	p.data = p.data[size:]
	return n
}

func (p *parser) text() string {
	n := p.number()
	if n > uint64(len(p.data)) {
		p.bad, p.data = true, nil
		return ""
	}
	s := string(p.data[:n])
	p.data = p.data[n:]
	return s
}

// change is one SetHeader or AddHeader of the answer.
type change struct {
	add        bool
	key, value string
}

func appendChanges(b []byte, list []change) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, c := range list {
		add := uint64(0)
		if c.add {
			add = 1
		}
		b = appendText(appendText(binary.AppendUvarint(b, add), c.key), c.value)
	}
	return b
}

// change applies the changes of headers to an exchange.
func (p *parser) change(x host.Exchange) {
	var list []change
	for n := p.number(); n > 0 && !p.bad; n-- {
		list = append(list, change{p.number() == 1, p.text(), p.text()})
	}
	if p.bad {
		return
	}
	for _, c := range list {
		if c.add {
			x.AddHeader(c.key, c.value)
		} else {
			x.SetHeader(c.key, c.value)
		}
	}
}

// The errors of an exchange that its callers tell apart.
const (
	fine uint64 = iota
	otherError
	errorGone
	errorTooLarge
	errorTimeout
	errorHandshake
	errorNoHijack
	errorNoStream
	errorPanic // the host, or middleware around it, has not returned
)

// errPanic is what the node is told that has the session.
var errPanic = errors.New("forward: the exchange has panicked, or has ended its goroutine, where the request came")

var sentinels = map[uint64]error{
	errorGone: host.ErrGone, errorTooLarge: host.ErrTooLarge, errorTimeout: host.ErrTimeout,
	errorHandshake: host.ErrHandshake, errorNoHijack: host.ErrNoHijack, errorNoStream: host.ErrNoStream,
	errorPanic: errPanic,
}

// appendError writes what an exchange has returned.
func appendError(b []byte, err error) []byte {
	if err == nil {
		return append(b, byte(fine))
	}
	code := otherError
	for c, is := range sentinels {
		if errors.Is(err, is) {
			code = c
		}
	}
	detail := uint64(0)
	var limit *http.MaxBytesError
	var status interface{ HTTPStatus() int }
	switch {
	case errors.As(err, &limit):
		detail = uint64(limit.Limit)
	case errors.As(err, &status):
		detail = uint64(status.HTTPStatus())
	}
	b = binary.AppendUvarint(b, code)
	b = binary.AppendUvarint(b, detail)
	return appendText(b, err.Error())
}

// err reads what appendError has written.
func (p *parser) err() error {
	code := p.number()
	if p.bad {
		return errFrame
	}
	if code == fine {
		return nil
	}
	detail, text := p.number(), p.text()
	e := &hostError{text: text, is: sentinels[code]}
	switch {
	case code == errorHandshake && detail >= 400 && detail < 600:
		return &statusError{e, int(detail)}
	case code == errorTooLarge && detail > 0:
		e.limit = &http.MaxBytesError{Limit: int64(detail)}
	}
	return e
}

// hostError is an error of the host at the other end.
type hostError struct {
	text  string
	is    error
	limit *http.MaxBytesError
}

func (e *hostError) Error() string { return e.text }

func (e *hostError) Unwrap() []error {
	var list []error
	if e.is != nil {
		list = append(list, e.is)
	}
	if e.limit != nil {
		list = append(list, e.limit)
	}
	return list
}

// statusError is one of an opening handshake; see host.ErrHandshake.
type statusError struct {
	*hostError
	status int
}

func (e *statusError) Unwrap() error { return e.hostError }

// HTTPStatus is the status of the answer.
func (e *statusError) HTTPStatus() int { return e.status }
