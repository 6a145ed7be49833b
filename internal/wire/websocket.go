package wire

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// WS is a websocket.
type WS struct {
	TB   testing.TB
	Conn net.Conn
	tcp  net.Conn // below TLS
	br   *bufio.Reader
	Head http.Header // of the 101
	mu   sync.Mutex
	c    *Client
	name string // in traces
	// NoPong leaves Engine.IO pings unanswered and returns them from Next.
	NoPong bool
}

// dial opens a connection, which is closed with the client.
func (c *Client) dial() (u *url.URL, nc, tcp net.Conn) {
	c.TB.Helper()
	u, err := url.Parse(c.Base)
	if err != nil {
		c.TB.Fatal(err)
	}
	tcp, err = net.DialTimeout("tcp", u.Host, c.patience())
	if err != nil {
		c.TB.Fatal(err)
	}
	nc = tcp
	if u.Scheme == "https" {
		nc = tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
	}
	c.mu.Lock()
	c.conns = append(c.conns, nc)
	c.mu.Unlock()
	_ = nc.SetDeadline(time.Now().Add(c.patience()))
	return u, nc, tcp
}

// Abandon sends a GET and leaves without waiting for its answer. When it returns
// the connection has been closed.
func (c *Client) Abandon(query string) {
	c.TB.Helper()
	c.need(query)
	c.note("> GET %s?%s, and leaves", c.Path, query)
	u, nc, _ := c.dial()
	c.sent(nc, c.Path+"?"+query)
	if _, err := fmt.Fprintf(nc, "GET %s?%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.Path, query, u.Host); err != nil {
		c.TB.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	_ = nc.Close()
}

// Upgrade sends an opening handshake and returns the answer; the WS is nil
// unless it is a 101. early is sent in the same segment.
func (c *Client) Upgrade(query, early string, head ...string) (*WS, Answer) {
	c.TB.Helper()
	c.need(query)
	if c.Need != nil {
		c.Need("websocket")
	}
	c.note("> upgrade %s?%s %q", c.Path, query, head)
	u, nc, tcp := c.dial()
	c.sent(nc, c.Path+"?"+query)
	var key [16]byte
	_, _ = rand.Read(key[:])
	h := http.Header{
		"Host": {u.Host}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {base64.StdEncoding.EncodeToString(key[:])},
	}
	for k, vs := range c.Head {
		h[k] = vs
	}
	for i := 0; i+1 < len(head); i += 2 {
		if head[i+1] == "" {
			h.Del(head[i])
		} else {
			h.Set(head[i], head[i+1])
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s?%s HTTP/1.1\r\n", c.Path, query)
	_ = h.Write(&b)
	b.WriteString("\r\n" + early)
	if _, err := nc.Write(b.Bytes()); err != nil {
		c.TB.Fatal(err)
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, &http.Request{Method: "GET"})
	if err != nil {
		c.TB.Fatalf("answer to the upgrade: %v", err)
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		a.Body = string(body)
		_ = nc.Close()
		c.note("< %d to the upgrade: %s", a.Status, clip(a.Body))
		return nil, a
	}
	w := &WS{TB: c.TB, Conn: nc, tcp: tcp, br: br, Head: resp.Header, c: c, name: nc.LocalAddr().String()}
	if i := strings.LastIndexByte(w.name, ':'); i >= 0 {
		w.name = "ws" + w.name[i:]
	}
	c.note("< 101, %s from now on", w.name)
	return w, a
}

const ws4 = "EIO=4&transport=websocket"

// WebSocket opens an Engine.IO 4 session on a websocket and returns its open packet.
func (c *Client) WebSocket(more ...string) (*WS, Open) {
	c.TB.Helper()
	w, a := c.Upgrade(strings.Join(append([]string{ws4}, more...), "&"), "")
	if w == nil {
		c.TB.Fatalf("websocket: %v", a)
	}
	var o Open
	first := w.Next()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(first, "0")), &o); err != nil {
		c.TB.Fatalf("open packet %q: %v", first, err)
	}
	return w, o
}

// Join opens a session on a websocket and joins a namespace ("" is the default one).
func (c *Client) Join(ns string) *WS {
	c.TB.Helper()
	w, _ := c.WebSocket()
	w.Send("40" + ns)
	if got := w.Next(); !strings.HasPrefix(got, "40"+ns) {
		c.TB.Fatalf("connect: %q", got)
	}
	return w
}

// Probe opens a websocket for a session that polls.
func (s *Session) Probe() *WS {
	s.TB.Helper()
	w, a := s.Upgrade(ws4+"&sid="+s.Open.SID, "")
	if w == nil {
		s.TB.Fatalf("probe: %v", a)
	}
	return w
}

// Frame builds a masked client frame. b0 is FIN, RSV and opcode.
func Frame(b0 byte, payload []byte) []byte {
	f := []byte{b0}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = append(f, 0x80|126, byte(n>>8), byte(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	f = append(f, mask[:]...)
	for i, b := range payload {
		f = append(f, b^mask[i&3])
	}
	return f
}

// Raw writes bytes as they are.
func (w *WS) Raw(b []byte) error {
	w.c.note("%s > bytes %s", w.name, clip(string(b)))
	return w.write(b)
}

func (w *WS) write(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.Conn.SetWriteDeadline(time.Now().Add(w.c.patience()))
	_, err := w.Conn.Write(b)
	return err
}

// Send sends text messages; errors are left for the reads to find.
func (w *WS) Send(texts ...string) {
	var b []byte
	for _, t := range texts {
		w.c.note("%s > text %s", w.name, clip(t))
		b = append(b, Frame(0x81, []byte(t))...)
	}
	_ = w.write(b)
}

// SendBinary sends a binary message.
func (w *WS) SendBinary(p []byte) {
	w.c.note("%s > binary %s", w.name, clip(string(p)))
	_ = w.write(Frame(0x82, p))
}

// CloseError is the end of a websocket: the code of the close frame, 1005 for
// one without, 1006 when there was none.
type CloseError struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *CloseError) Error() string { return fmt.Sprintf("closed %d %s", e.Code, e.Reason) }

// ReadFrame reads one frame.
func (w *WS) ReadFrame() (b0 byte, payload []byte, err error) {
	b0, payload, err = w.readFrame()
	if err != nil {
		w.c.note("%s < %v", w.name, err)
	} else {
		w.c.note("%s < frame %02x %s", w.name, b0, clip(string(payload)))
	}
	return b0, payload, err
}

func (w *WS) readFrame() (b0 byte, payload []byte, err error) {
	_ = w.Conn.SetReadDeadline(time.Now().Add(w.c.patience()))
	var h [2]byte
	if _, err = io.ReadFull(w.br, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		var l [2]byte
		_, err = io.ReadFull(w.br, l[:])
		n = uint64(binary.BigEndian.Uint16(l[:]))
	case 127:
		var l [8]byte
		_, err = io.ReadFull(w.br, l[:])
		n = binary.BigEndian.Uint64(l[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if h[1]&0x80 != 0 {
		return 0, nil, errors.New("the server masked a frame")
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.br, payload)
	return h[0], payload, err
}

// Read returns the next message; binary ones as "b" and base64. Engine.IO pings
// are answered and skipped.
func (w *WS) Read() (string, error) {
	for {
		b0, p, err := w.ReadFrame()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				return "", fmt.Errorf("nothing came: %w", err)
			}
			return "", &CloseError{Code: 1006}
		}
		switch b0 {
		case 0x81:
			if string(p) == "2" && !w.NoPong {
				w.Send("3")
				continue
			}
			return string(p), nil
		case 0x82:
			return "b" + base64.StdEncoding.EncodeToString(p), nil
		case 0x88:
			if len(p) < 2 {
				return "", &CloseError{Code: 1005}
			}
			_ = w.Raw(Frame(0x88, p[:2]))
			_ = w.Conn.Close()
			return "", &CloseError{Code: int(p[0])<<8 | int(p[1]), Reason: string(p[2:])}
		case 0x8a, 0x89:
			return fmt.Sprintf("control %x %s", b0, p), nil
		default:
			return "", fmt.Errorf("unexpected frame %x %q", b0, p)
		}
	}
}

// Next is Read without patience for errors.
func (w *WS) Next() string {
	w.TB.Helper()
	s, err := w.Read()
	if err != nil {
		w.TB.Fatalf("read: %v", err)
	}
	return s
}

// End reads until the websocket has ended and returns how.
func (w *WS) End() *CloseError {
	w.TB.Helper()
	for {
		_, err := w.Read()
		var ce *CloseError
		if errors.As(err, &ce) {
			return ce
		}
		if err != nil {
			w.TB.Fatalf("the websocket did not end: %v", err)
		}
	}
}

// Reset ends the connection with a TCP reset.
func (w *WS) Reset() {
	_ = w.tcp.(*net.TCPConn).SetLinger(0)
	_ = w.tcp.Close()
}
