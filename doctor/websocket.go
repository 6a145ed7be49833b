package doctor

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// websocket opens one, joins the namespace, and holds it until the server's ping.
func (e *exam) websocket(ctx context.Context) outcome {
	e.leave(ctx)
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
		_ = conn.SetDeadline(from.Add(wait + e.Patience))
		text, err := wsutil.ReadServerText(wire{br, conn}) // binary is the application's
		m := string(text)
		alive := time.Since(from).Round(100 * time.Millisecond)
		switch {
		case err != nil && refused && errors.As(err, new(wsutil.ClosedError)):
			return // the note is told, and the server keeps nobody who is in no namespace
		case errors.As(err, new(ws.ProtocolError)) || errors.Is(err, wsutil.ErrInvalidUTF8):
			e.find("Something other than the socket speaks on the connection: a middleware that writes behind the upgrade.", "no websocket frame: %v", err)
			return
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
			if err := wsutil.WriteClientText(conn, []byte(e.connect())); err != nil {
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
	if a.isFull() {
		e.refusedSession(a)
		return
	}
	if e.open.alone && a.status == http.StatusBadRequest {
		e.note("websockets are switched off there (the handshake offers no upgrade, and a websocket gets %s): polling alone is looked at", a.short())
		return
	}
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

// wire is the connection behind the opening handshake, as wsutil wants it.
type wire struct {
	*bufio.Reader
	conn net.Conn
}

// Write sends what answers a ping or a farewell. When the answer cannot be sent, what
// the server said still counts.
func (w wire) Write(p []byte) (int, error) {
	_, _ = w.conn.Write(p)
	return len(p), nil
}
