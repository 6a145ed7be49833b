package doctor

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// websocket opens one, joins the namespace, and holds it until the server's ping.
func (e *exam) websocket(ctx context.Context) outcome {
	if e.limited { // the host counts the poll before until its handler has returned
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	conn, br, err := e.dial(ctx)
	if err != nil {
		e.find("No websocket can be opened, so clients stay on polling.", "%v", err)
		return goOn
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if e.upgrade(conn, br) {
		e.heldWebsocket(conn, br)
	}
	return goOn
}

// upgrade makes the opening handshake.
func (e *exam) upgrade(conn net.Conn, br *bufio.Reader) bool {
	var key [16]byte
	_, _ = rand.Read(key[:])
	nonce := base64.StdEncoding.EncodeToString(key[:])
	h := http.Header{"Host": {e.url.Host}, "Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {nonce}}
	for k, vs := range e.Header {
		h[k] = vs
	}
	var req strings.Builder
	fmt.Fprintf(&req, "GET %s?%swebsocket HTTP/1.1\r\n", e.url.EscapedPath(), eio4)
	_ = h.Write(&req)
	req.WriteString("\r\n")
	if _, err := io.WriteString(conn, req.String()); err != nil {
		e.find("The connection was cut during the opening handshake.", "%v", err)
		return false
	}
	resp, err := http.ReadResponse(br, &http.Request{Method: "GET"})
	if err != nil {
		e.find("The connection was cut during the opening handshake: a proxy that does not know websockets?", "%v", err)
		return false
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		e.refusedUpgrade(answer{status: resp.StatusCode, header: resp.Header, body: string(b)})
		return false
	}
	sum := sha1.Sum([]byte(nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if resp.Header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		e.find("Something other than the socket has answered the opening handshake.", "wrong Sec-WebSocket-Accept")
		return false
	}
	return true
}

// heldWebsocket waits for the server's ping on an open websocket. It joins the
// namespace, because a server ends a connection that is in none, which would look
// like a timeout of the host.
func (e *exam) heldWebsocket(conn net.Conn, br *bufio.Reader) {
	from := time.Now()
	wait := e.Patience
	refused := false
	for first := true; ; first = false {
		_ = conn.SetReadDeadline(from.Add(wait + e.Patience))
		m, err := frame(br)
		alive := time.Since(from).Round(100 * time.Millisecond)
		switch {
		case err != nil && refused && errors.Is(err, errClosed):
			return // the note is told, and the server keeps nobody who is in no namespace
		case err != nil:
			e.find("A timeout of the host or of a proxy ends connections on which little happens; make it longer than the ping interval, or the ping interval shorter.", "the websocket ended after %v: %v", alive, err)
			return
		case first:
			o, cure := opening(m)
			if cure != "" {
				e.find("Something other than the socket speaks on the connection: a middleware that writes behind the upgrade.", "the first message is %q", m)
				return
			}
			wait = e.hold(o.interval)
			if err := send(conn, e.connect()); err != nil {
				e.find("The connection was cut behind the opening handshake.", "the first message could not be sent: %v", err)
				return
			}
		case m == "2":
			return
		}
		if answered, yes := e.isJoined(m); answered && !yes && !refused {
			refused = true
			if e.joined || !e.posts { // otherwise it is told already
				e.refusedNamespace(m)
			}
		}
	}
}

// refusedUpgrade says why a websocket was refused.
func (e *exam) refusedUpgrade(a answer) {
	cure := "A middleware or proxy refuses upgrades. Exclude the route; in nginx set Upgrade and Connection headers (proxy_http_version 1.1)."
	switch {
	case strings.Contains(a.body, "cannot take over the connection"):
		cure = "A middleware hides the connection behind a writer of its own; the text names it. Exclude the route from that middleware (timeouts, some compressors and recorders do this)."
	case a.status == http.StatusForbidden:
		cure = "Refused by an origin or CSRF check, or by the server's own. A check of the host must leave the route alone."
	case a.status == http.StatusUpgradeRequired || a.status == http.StatusHTTPVersionNotSupported:
		cure = "Websockets need HTTP/1.1 up to the server."
	case a.status == http.StatusOK:
		cure = "The request was answered as an ordinary one: a proxy or middleware takes the Upgrade header away."
	}
	e.find(cure, "a websocket is refused: %s", a.short())
}

func (e *exam) dial(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	addr := e.url.Host
	if e.url.Port() == "" {
		addr += map[string]string{"http": ":80", "https": ":443"}[e.url.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	var d interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = &net.Dialer{}
	if e.url.Scheme == "https" {
		cfg := &tls.Config{NextProtos: []string{"http/1.1"}}
		if tr, ok := e.client.Transport.(*http.Transport); ok && tr.TLSClientConfig != nil {
			cfg = tr.TLSClientConfig.Clone()
			cfg.NextProtos = []string{"http/1.1"}
		}
		d = &tls.Dialer{Config: cfg}
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(e.Patience))
	return conn, bufio.NewReader(conn), nil
}

// frame reads a short text frame of a server.
func frame(br *bufio.Reader) (string, error) {
	var h [2]byte
	if _, err := io.ReadFull(br, h[:]); err != nil {
		return "", err
	}
	n := int(h[1] & 0x7f)
	if n == 126 {
		var l [2]byte
		if _, err := io.ReadFull(br, l[:]); err != nil {
			return "", err
		}
		n = int(l[0])<<8 | int(l[1])
	}
	if h[0]&0x0f != 8 && h[0] != 0x81 || n > 65535 {
		return "", fmt.Errorf("a frame with the header %x", h)
	}
	p := make([]byte, n)
	_, err := io.ReadFull(br, p)
	if err == nil && h[0]&0x0f == 8 {
		if len(p) < 2 {
			return "", errClosed
		}
		return "", fmt.Errorf("%w with code %d %s", errClosed, binary.BigEndian.Uint16(p), p[2:])
	}
	return string(p), err
}

// errClosed is that the server said goodbye, and nothing in between has cut the
// connection.
var errClosed = errors.New("closed by the server")

// send writes a text frame of a client. The mask is zero: no secret passes here.
func send(conn net.Conn, m string) error {
	h := []byte{0x81, 0x80 | byte(len(m))}
	if len(m) > 125 {
		h = binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(m)))
	}
	_, err := conn.Write(append(append(h, 0, 0, 0, 0), m...))
	return err
}
