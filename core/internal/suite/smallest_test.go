package suite_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/suite"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/transport/polling"
)

// This file has the smallest transport with a connection of its own, the smallest form
// and the smallest dialect. CONTRIBUTING points here.

// lengths is a transport.Duplex: each message is one byte for its kind, four for its
// length, and its bytes.
type lengths struct{ limit int }

func (lengths) Name() string { return "lengths" }

func (t lengths) Serve(x host.Exchange, l transport.Link, start func(c transport.Conn)) error {
	return x.Upgrade(host.UpgradeOptions{}, func(nc net.Conn, br *bufio.Reader) {
		c := &lengthsConn{nc: nc, in: nc, link: l, limit: t.limit, kick: make(chan struct{}, 1)}
		if br != nil {
			c.in = io.MultiReader(br, nc)
		}
		go c.write()
		go func() {
			start(c)
			c.read(0)
		}()
	})
}

// lengthsConn is one connection: a goroutine reads, another one writes.
type lengthsConn struct {
	nc    net.Conn
	in    io.Reader
	link  transport.Link
	limit int
	kick  chan struct{} // something is queued, or the connection is closing

	closing atomic.Bool
	ended   atomic.Bool
	once    sync.Once
	mu      sync.Mutex
	reader  int  // which goroutine reads: each one has the next number
	entered bool // Detach takes effect
}

func (c *lengthsConn) Name() string { return "lengths" }

func (c *lengthsConn) Enter() {
	c.mu.Lock()
	c.entered = true
	c.mu.Unlock()
}

func (c *lengthsConn) Detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entered {
		c.entered = false
		c.reader++
		go c.read(c.reader)
	}
}

// reads reports whether the goroutine of this number is still the reader; then it is
// about to read, and Detach has no effect.
func (c *lengthsConn) reads(number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reader == number {
		c.entered = false
	}
	return c.reader == number
}

func (c *lengthsConn) Flush() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *lengthsConn) Close(code transport.Code, _ string) {
	c.closing.Store(true)
	if code == transport.NoStatus {
		_ = c.nc.Close()
	}
	c.Flush()
}

// end tells the link once why the connection is over.
func (c *lengthsConn) end(err error) {
	c.once.Do(func() {
		c.ended.Store(true)
		_ = c.nc.Close()
		c.Flush()
		c.link.Lost(err)
	})
}

func (c *lengthsConn) read(number int) {
	for c.reads(number) {
		var head [5]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = transport.ErrClosed
			}
			c.end(err)
			return
		}
		n := binary.BigEndian.Uint32(head[1:])
		if n > uint32(c.limit) {
			c.end(&transport.Error{Code: transport.TooBig, Text: "too big"})
			return
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(c.in, data); err != nil {
			c.end(err)
			return
		}
		c.link.Begin()
		err := c.link.Frame(packet.Frame{Binary: head[0] == 1, Data: data})
		c.link.End()
		if err != nil {
			c.end(err)
			return
		}
	}
}

func (c *lengthsConn) write() {
	for range c.kick {
		for {
			ms := c.link.Next()
			if ms == nil {
				break
			}
			for _, m := range ms {
				c.put(m.Binary(), m.Data())
				for _, part := range m.Attachments() {
					c.put(true, part)
				}
			}
			c.link.Sent(ms)
		}
		if c.closing.Load() || c.ended.Load() {
			_ = c.nc.Close() // the reader tells the link
			return
		}
	}
}

func (c *lengthsConn) put(bin bool, data []byte) {
	if _, err := c.nc.Write(lengthsFrame(bin, data)); err != nil {
		_ = c.nc.Close()
	}
}

func lengthsFrame(bin bool, data []byte) []byte {
	b := []byte{0}
	if bin {
		b[0] = 1
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(data))), data...)
}

// lengthsPeer is the client's side.
type lengthsPeer struct {
	nc *net.TCPConn
	br *bufio.Reader
}

func (p lengthsPeer) Send(f packet.Frame) error {
	_, err := p.nc.Write(lengthsFrame(f.Binary, f.Data))
	return err
}

func (p lengthsPeer) Receive() (packet.Frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return packet.Frame{}, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(p.br, data)
	return packet.Frame{Binary: head[0] == 1, Data: data}, err
}

func (p lengthsPeer) Close() { _ = p.nc.Close() }

func (p lengthsPeer) Reset() {
	_ = p.nc.SetLinger(0)
	_ = p.nc.Close()
}

func TestSmallestDuplex(t *testing.T) {
	const limit = 1 << 20
	suite.RunTransport(t, suite.TransportUnderTest{Transport: lengths{limit}, Limit: limit, Dial: func(t testing.TB, url string) suite.Peer {
		nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		br := bufio.NewReader(nc)
		if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp, err)
		}
		return lengthsPeer{nc.(*net.TCPConn), br}
	}})
}

// bracketed is a transport.Form: a payload stands in brackets.
type bracketed struct{}

func (bracketed) Name() string { return "bracketed" }

func (bracketed) Answer(packet.Script) transport.Answer {
	return transport.Answer{ContentType: "text/x-bracketed", Wrap: func(dst, payload []byte) []byte {
		return append(append(append(dst, '['), payload...), ']')
	}}
}

func TestSmallestForm(t *testing.T) {
	form := bracketed{}
	visit := transport.PollRequest{Name: form.Name(), Answer: form.Answer(packet.Script{}), Payloads: eio4.New(packet.DefaultLimits).Payloads(dialect.Request{})}
	w := httptest.NewRecorder()
	host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
		_ = polling.Transport{}.Reply(x, visit, []*packet.Message{packet.TextMessage("4one"), packet.TextMessage("4two")})
	}), w, httptest.NewRequest(http.MethodGet, "/", nil), host.HTTPConfig{})
	if got := w.Body.String(); got != "[4one\x1e4two]" || w.Header().Get("Content-Type") != "text/x-bracketed" {
		t.Errorf("%s %q", w.Header(), got)
	}
}

// later is a dialect.Dialect: Engine.IO 4 under another version number. What a dialect
// does not change it has from the one that it embeds.
type later struct{ eio4.Dialect }

func (later) Name() string                      { return "later" }
func (later) Recognise(x host.Exchange) bool    { return x.Query("EIO") == "5" }
func (later) Guess(host.Exchange) (mine bool)   { return false }
func (later) Resumes(host.Exchange) (id string) { return "" }

func TestSmallestDialect(t *testing.T) {
	var d dialect.Dialect = later{eio4.New(packet.DefaultLimits)}
	suite.RunCodec(t, suite.CodecUnderTest{Dialect: d, Packets: newer(), Malformed: malformed})
	known := make(chan bool, 2)
	for _, query := range []string{"/?EIO=5", "/?EIO=4"} {
		host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) { known <- d.Recognise(x); _ = x.Reply(http.StatusOK, nil) }),
			httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, query, nil), host.HTTPConfig{})
	}
	if !<-known || <-known {
		t.Error("another version is recognised")
	}
}
