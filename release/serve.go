package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"strings"
	"time"
)

// serve starts an application and is a client of it, over each transport.
func serve(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, app)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return err
	}
	err = talk(ctx, bufio.NewScanner(out))
	cancel() // ends the application
	_ = cmd.Wait()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return nil
}

// talk waits until the application listens, and visits it.
func talk(ctx context.Context, lines *bufio.Scanner) error {
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return visit(ctx, addr)
		}
	}
	return errors.Join(errors.New("the application does not listen"), lines.Err())
}

// visit opens two sessions, one over each transport, and says hello. Where the application
// has sessions of its own, the first try is a client that has none, and must be refused.
func visit(ctx context.Context, addr string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	p := &poll{ctx: ctx, client: &http.Client{Jar: jar}, base: "http://" + addr, query: "/socket.io/?EIO=4&transport=polling"}
	login, _, err := p.do(http.MethodGet, "/login", "")
	if err != nil {
		return err
	}
	want := "hello you"
	if login == http.StatusOK {
		want = "hello ann"
		stranger := &poll{ctx: ctx, client: &http.Client{}, base: p.base, query: p.query}
		if open, err := stranger.next(); err == nil {
			return fmt.Errorf("the handshake of a client without a session: %s", open)
		}
	}
	if err := hello(p, want); err != nil {
		return fmt.Errorf("polling: %w", err)
	}
	w, err := upgrade(ctx, addr, jar)
	if err != nil {
		return fmt.Errorf("websocket: %w", err)
	}
	defer func() { _ = w.conn.Close() }()
	if err := hello(w, want); err != nil {
		return fmt.Errorf("websocket: %w", err)
	}
	return nil
}

// transport sends and receives packets one by one.
type transport interface {
	send(packet string) error
	next() (packet string, err error)
}

// hello opens a session, joins the default namespace, and emits an event with an ack.
func hello(t transport, want string) error {
	for _, step := range []struct{ send, want string }{
		{"", `0{"sid":"`}, {"40", `40{"sid":"`}, {`421["greet","you"]`, `431["` + want + `"]`},
	} {
		if step.send != "" {
			if err := t.send(step.send); err != nil {
				return err
			}
		}
		got, err := t.next()
		if err != nil {
			return err
		}
		if !strings.HasPrefix(got, step.want) {
			return fmt.Errorf("the answer to %q is %s, want %s", step.send, got, step.want)
		}
	}
	return nil
}

// poll is a session over long polling.
type poll struct {
	ctx    context.Context
	client *http.Client
	base   string
	query  string // with the session's id, once there is one
}

func (p *poll) send(packet string) error {
	status, body, err := p.do(http.MethodPost, p.query, packet)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the answer to a POST: %d %s", status, body)
	}
	return err
}

// next polls. It takes a payload for one packet: no step of hello is answered with two.
func (p *poll) next() (string, error) {
	status, body, err := p.do(http.MethodGet, p.query, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the answer to a GET: %d %s", status, body)
	}
	if rest, ok := strings.CutPrefix(body, `0{"sid":"`); ok && err == nil {
		sid, _, _ := strings.Cut(rest, `"`)
		p.query += "&sid=" + url.QueryEscape(sid)
	}
	return body, err
}

func (p *poll) do(method, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(p.ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	res, err := p.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), errors.Join(err, res.Body.Close())
}

// websocket is a session on a WebSocket, whose messages are short.
type websocket struct {
	conn net.Conn
	br   *bufio.Reader
}

// upgrade dials. The key and its answer are those of RFC 6455, section 1.3.
func upgrade(ctx context.Context, addr string, jar http.CookieJar) (*websocket, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(name, value)
	}
	for _, cookie := range jar.Cookies(req.URL) {
		req.AddCookie(cookie)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	w := &websocket{conn: conn, br: bufio.NewReader(conn)}
	err = req.Write(conn)
	if err == nil {
		var res *http.Response
		if res, err = http.ReadResponse(w.br, req); err == nil && (res.StatusCode != http.StatusSwitchingProtocols ||
			res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
			err = fmt.Errorf("the handshake: %s %v", res.Status, res.Header)
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *websocket) send(packet string) error {
	// A final text frame with a mask of zeros, which changes nothing.
	frame := append([]byte{0x81, 0x80 | byte(len(packet)), 0, 0, 0, 0}, packet...)
	_, err := w.conn.Write(frame)
	return err
}

func (w *websocket) next() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(w.br, head[:]); err != nil {
		return "", err
	}
	n := int(head[1])
	if n == 126 { // the length follows in two bytes
		var long [2]byte
		if _, err := io.ReadFull(w.br, long[:]); err != nil {
			return "", err
		}
		n = int(long[0])<<8 | int(long[1])
	}
	if head[0] != 0x81 || head[1] > 126 {
		return "", fmt.Errorf("a frame begins with %x", head)
	}
	text := make([]byte, n)
	_, err := io.ReadFull(w.br, text)
	return string(text), err
}
