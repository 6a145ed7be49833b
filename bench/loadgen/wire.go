//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// What a connection speaks.
const (
	protoSIO5 = "sio5" // Socket.IO 5 over a websocket
	protoRaw  = "raw"  // a bare websocket that carries the same texts
	protoTCP  = "tcp"  // the same frames, unmasked, without the opening handshake
)

// maskKey is constant: the server has to unmask all the same.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// conn is one connection that carries texts in websocket frames. One goroutine reads;
// what it sends in between is its own, too, so that there is no lock.
type conn struct {
	c    net.Conn
	r    *bufio.Reader
	out  []byte // frames that wait for flush
	sio  bool   // Engine.IO pings are answered
	mask bool
	buf  []byte // of the message that is being read

	begun   byte      // its opcode, while there are more frames of it
	control [125]byte // what a control frame holds

	pings *atomic.Int64 // counts Engine.IO pings; nil: they are not counted
}

// closed is the goodbye of a server: what its close frame holds.
type closed []byte

func (c closed) Error() string { return fmt.Sprintf("closed by the server: %x", []byte(c)) }

// refusal is the status of a server that does not let a client in.
type refusal string

func (r refusal) Error() string { return "no websocket: " + string(r) }

// patience is how long a connection may take to be there: the same as with official clients.
const patience = 20 * time.Second

// dial connects, and joins the root namespace where the protocol has one.
func dial(addr, proto string) (*conn, error) {
	return (&options{addr: addr, proto: proto, wait: patience}).dial(0)
}

// dial is the connection of client i. Clients take turns at the addresses of -from.
func (o *options) dial(i int) (*conn, error) {
	until := time.Now().Add(o.wait)
	d := net.Dialer{Deadline: until}
	if o.from > 1 {
		d.LocalAddr, d.Control = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%o.from))}, anyPort
	}
	c, err := d.Dial("tcp", o.addr)
	if err != nil {
		return nil, err
	}
	w := &conn{c: c, r: bufio.NewReaderSize(c, 4096), mask: o.proto != protoTCP, sio: o.proto == protoSIO5}
	_ = c.SetDeadline(until)
	if err := w.open(o.addr, o.proto); err != nil {
		_ = c.Close()
		return nil, err
	}
	return w, c.SetDeadline(time.Time{})
}

// anyPort leaves the choice of the port to connect: bind would refuse one that a connection to
// another server has. Package syscall has no name for IP_BIND_ADDRESS_NO_PORT.
func anyPort(_, _ string, c syscall.RawConn) error {
	const ipBindAddressNoPort = 24
	var err error
	if failed := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1))
	}); failed != nil {
		return failed
	}
	return err
}

func (w *conn) open(addr, proto string) error {
	switch proto {
	case protoTCP:
		return nil
	case protoRaw:
		if err := w.upgrade(addr, "/"); err != nil {
			return err
		}
		// The answer shows that the server has let the connection in, and sends it broadcasts.
		w.add([]byte("hello"))
		if err := w.flush(); err != nil {
			return err
		}
		for {
			if text, err := w.next(); err != nil || string(text) == "hello" {
				return err
			}
		}
	case protoSIO5:
		if err := w.upgrade(addr, "/socket.io/?EIO=4&transport=websocket"); err != nil {
			return err
		}
		if _, err := w.expect("0{"); err != nil {
			return err
		}
		return w.join()
	}
	return fmt.Errorf("-proto: there is no %q", proto)
}

func (w *conn) join() error {
	w.add([]byte("40"))
	if err := w.flush(); err != nil {
		return err
	}
	_, err := w.expect("40")
	return err
}

// roundTrip sends one text, and wants one back.
func (w *conn) roundTrip(text, want []byte) error {
	_ = w.c.SetDeadline(time.Now().Add(20 * time.Second))
	w.add(text)
	if err := w.flush(); err != nil {
		return err
	}
	got, err := w.next()
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("got %.60q, want %.60q", got, want)
	}
	return err
}

// upgrade does the opening handshake of RFC 6455.
func (w *conn) upgrade(addr, target string) error {
	if _, err := fmt.Fprintf(w.c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", target, addr); err != nil {
		return err
	}
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return refusal(res.Status)
	}
	return nil
}

// expect reads one text and checks how it begins.
func (w *conn) expect(prefix string) ([]byte, error) {
	text, err := w.next()
	if err == nil && !bytes.HasPrefix(text, []byte(prefix)) {
		err = fmt.Errorf("got %.60q, want the prefix %s", text, prefix)
	}
	return text, err
}

// add appends a text to what flush writes.
func (w *conn) add(text []byte) { w.frame(0x81, text) }

func (w *conn) frame(first byte, data []byte) {
	bit := byte(0)
	if w.mask {
		bit = 0x80
	}
	switch n := len(data); {
	case n < 126:
		w.out = append(w.out, first, bit|byte(n))
	case n < 1<<16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, first, bit|126), uint16(n))
	default:
		w.out = binary.BigEndian.AppendUint64(append(w.out, first, bit|127), uint64(n))
	}
	if w.mask {
		w.out = append(w.out, maskKey[:]...)
	}
	at := len(w.out)
	w.out = append(w.out, data...)
	if w.mask {
		for i := range w.out[at:] {
			w.out[at+i] ^= maskKey[i&3]
		}
	}
}

func (w *conn) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.c.Write(w.out)
	w.out = w.out[:0]
	return err
}

// next is the next text; it is valid until the call after. Pings and goodbyes are answered at
// once; a goodbye is an error of the type closed.
func (w *conn) next() ([]byte, error) {
	for {
		opcode, data, err := w.read()
		if err != nil {
			return nil, err
		}
		switch {
		case opcode == 0x9:
			w.frame(0x8a, data)
		case opcode == 0x8:
			w.frame(0x88, data)
			_ = w.flush()
			return nil, closed(bytes.Clone(data))
		case opcode != 0x1:
			return nil, fmt.Errorf("a frame with opcode %x", opcode)
		case w.sio && len(data) == 1 && data[0] == '2':
			if w.pings != nil {
				w.pings.Add(1)
			}
			w.add([]byte("3"))
		default:
			return data, nil
		}
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
}

// read reads one control frame, or the frames of one message, between which control frames may
// be.
func (w *conn) read() (opcode byte, data []byte, err error) {
	for {
		final, opcode, n, err := w.header()
		switch {
		case err != nil:
			return 0, nil, err
		case opcode >= 0x8:
			if !final || n > uint64(len(w.control)) {
				return 0, nil, fmt.Errorf("a control frame of %d bytes, final: %t", n, final)
			}
			_, err := io.ReadFull(w.r, w.control[:n])
			return opcode, w.control[:n], err
		case (opcode == 0) != (w.begun != 0):
			return 0, nil, fmt.Errorf("a frame with opcode %x after one with %x", opcode, w.begun)
		case opcode != 0:
			w.begun, w.buf = opcode, w.buf[:0]
		}
		at := len(w.buf)
		if n > 16<<20 || at > 16<<20 {
			return 0, nil, fmt.Errorf("a message of %d bytes and more", at)
		}
		w.buf = slices.Grow(w.buf, int(n))[:at+int(n)]
		if _, err := io.ReadFull(w.r, w.buf[at:]); err != nil {
			return 0, nil, err
		}
		if final {
			opcode, w.begun = w.begun, 0
			return opcode, w.buf, nil
		}
	}
}

// header reads that of one frame.
func (w *conn) header() (final bool, opcode byte, n uint64, err error) {
	var head [8]byte
	if _, err := io.ReadFull(w.r, head[:2]); err != nil {
		return false, 0, 0, err
	}
	final, opcode, n = head[0]&0x80 != 0, head[0]&0xf, uint64(head[1]&0x7f)
	switch n {
	case 126:
		_, err = io.ReadFull(w.r, head[:2])
		n = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(w.r, head[:])
		n = binary.BigEndian.Uint64(head[:])
	}
	return final, opcode, n, err
}

// loopback refuses to load anybody else's server.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is no loopback address", host)
	}
	return nil
}

// event is the text of an event with a number and padding.
func event(name string, number, size int) []byte {
	return fmt.Appendf(nil, `42["%s",%d,"%s"]`, name, number, strings.Repeat("x", size))
}

// number is the first argument of an event that event has made.
func number(text []byte) (n int, ok bool) {
	_, rest, found := bytes.Cut(text, []byte(`",`))
	if !found {
		return 0, false
	}
	for _, c := range rest {
		if c < '0' || c > '9' {
			return n, ok
		}
		n, ok = n*10+int(c-'0'), true
	}
	return n, ok
}
