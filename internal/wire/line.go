package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Line is one connection on which a client writes its requests by hand, as a
// proxy does that has one for all of its visitors.
type Line struct {
	*Client
	u  *url.URL
	nc net.Conn
	br *bufio.Reader
}

// Line opens a connection, which is closed with the client.
func (c *Client) Line() *Line {
	c.TB.Helper()
	u, nc, _ := c.dial()
	return &Line{c, u, nc, bufio.NewReader(nc)}
}

// Close closes the connection.
func (l *Line) Close() { _ = l.nc.Close() }

// Begin writes the head of a request; lines are its headers as they are written,
// beside Host.
func (l *Line) Begin(method, target string, lines ...string) {
	l.TB.Helper()
	_, query, _ := strings.Cut(target, "?")
	l.need(query)
	l.sent(l.nc, target)
	l.note("> %s %s %q", method, clip(target), clip(strings.Join(lines, "; ")))
	head := append([]string{fmt.Sprintf("%s %s HTTP/1.1", method, target), "Host: " + l.u.Host}, lines...)
	if _, err := io.WriteString(l.nc, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		l.note("< %v", err) // it may be refused before it has been read
	}
}

// Do makes a request below the mount point with a query and reads its answer.
func (l *Line) Do(method, query, body string, lines ...string) Answer {
	l.TB.Helper()
	if body != "" {
		lines = append(lines, "Content-Type: text/plain;charset=UTF-8", fmt.Sprintf("Content-Length: %d", len(body)))
	}
	l.Begin(method, l.Path+"?"+query, lines...)
	if body != "" {
		if _, err := io.WriteString(l.nc, body); err != nil {
			l.note("< %v", err)
		}
	}
	return l.Answer()
}

// Answer reads the answer to the latest request.
func (l *Line) Answer() Answer {
	l.TB.Helper()
	resp, err := http.ReadResponse(l.br, &http.Request{Method: "GET"})
	if err != nil {
		l.TB.Fatalf("the answer: %v", err)
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Status != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(resp.Body)
		a.Body = string(b)
	}
	l.note("< %d %s", a.Status, clip(a.Body))
	return a
}

// Handshake asks for a websocket. lines are its headers, all of them but Host,
// Sec-WebSocket-Version and Sec-WebSocket-Key.
func (l *Line) Handshake(query string, lines ...string) (*WS, Answer) {
	l.TB.Helper()
	if l.Need != nil {
		l.Need("websocket")
	}
	l.Begin("GET", l.Path+"?"+query, append(lines, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")...)
	a := l.Answer()
	if a.Status != http.StatusSwitchingProtocols {
		return nil, a
	}
	return &WS{TB: l.TB, Conn: l.nc, tcp: l.nc, br: l.br, Head: a.Header, c: l.Client, name: "ws"}, a
}
