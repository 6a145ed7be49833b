//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// crowd are the clients of one server. They read, and count events.
type crowd struct {
	conns  []net.Conn
	events atomic.Int64
	failed atomic.Pointer[error]
	want   int64
}

// join connects n more clients.
func (c *crowd) join(addr string, n int) error {
	for range n {
		conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			return err
		}
		c.conns = append(c.conns, conn)
		r := bufio.NewReaderSize(conn, 4096)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if err := open(conn, r); err != nil {
			return err
		}
		_ = conn.SetDeadline(time.Time{})
		go func() {
			err := c.count(conn, r)
			c.failed.CompareAndSwap(nil, &err)
		}()
	}
	return nil
}

func (c *crowd) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// open does the handshakes of the websocket, Engine.IO and Socket.IO.
func open(conn net.Conn, r *bufio.Reader) error {
	if _, err := fmt.Fprint(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(res.Status)
	}
	if err := expect(r, "0{"); err != nil {
		return err
	}
	if err := say(conn, "40"); err != nil {
		return err
	}
	return expect(r, "40")
}

func expect(r *bufio.Reader, prefix string) error {
	head, err := frame(r)
	if err == nil && head != prefix {
		err = fmt.Errorf("got %q, want %q", head, prefix)
	}
	return err
}

// say sends a text of fewer than 126 bytes. A mask of zeros leaves it as it is.
func say(w io.Writer, text string) error {
	_, err := w.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
	return err
}

// The texts that frame tells from others: events, pings, and the answers of the handshakes.
const (
	event = "42"
	ping  = "2"
)

// frame reads a frame, and returns up to two characters of its text.
func frame(r *bufio.Reader) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return "", err
	}
	if b[0] != 0x81 {
		return "", fmt.Errorf("a frame that begins with %x", b[0])
	}
	n := int(b[1])
	if n == 126 {
		if _, err := io.ReadFull(r, b[:2]); err != nil {
			return "", err
		}
		n = int(binary.BigEndian.Uint16(b[:]))
	} else if n > 126 {
		return "", errors.New("a frame of 64 KiB or more")
	}
	text, err := r.Peek(min(n, 2))
	if err != nil {
		return "", err
	}
	head := "??"
	for _, known := range [...]string{event, ping, "0{", "40"} {
		if string(text) == known {
			head = known
		}
	}
	_, err = r.Discard(n)
	return head, err
}

// count counts the events of one client, and answers pings, until the connection ends.
func (c *crowd) count(conn net.Conn, r *bufio.Reader) error {
	for {
		head, err := frame(r)
		switch {
		case err != nil:
			return err
		case head == event:
			c.events.Add(1)
		case head == ping:
			if err := say(conn, "3"); err != nil {
				return err
			}
		}
	}
}

// expects notes that every client gets n more events.
func (c *crowd) expects(n int) { c.want += int64(n) * int64(len(c.conns)) }

// wait waits until every client has them.
func (c *crowd) wait() error {
	for begin := time.Now(); c.events.Load() < c.want; time.Sleep(50 * time.Microsecond) {
		if err := c.failed.Load(); err != nil {
			return *err
		}
		if time.Since(begin) > 30*time.Second {
			return fmt.Errorf("%d of %d events have come", c.events.Load(), c.want)
		}
	}
	return nil
}
