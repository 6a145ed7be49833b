// Package doctor examines a Socket.IO endpoint from outside and says what the
// middleware of its host breaks, and how to keep it away from the route. It is the
// first thing to run when something does not work:
//
//	go run github.com/siokit/siokit/cmd/siodoctor http://127.0.0.1:3000/socket.io/
//
// It speaks Engine.IO 4 by hand and asks for the default namespace; whether it may
// join it does not matter.
package doctor

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Finding is one thing that is wrong.
type Finding struct {
	// Check is the name of what was looked at: "handshake", "post", "held-poll" and so on.
	Check string
	// Problem is what was seen.
	Problem string
	// Cure is what is likely behind it, and what to do.
	Cure string
}

// String is the finding in two lines.
func (f Finding) String() string { return f.Check + ": " + f.Problem + "\n    " + f.Cure }

// Options of an examination. The zero value of every field means its default.
type Options struct {
	// Header is sent with every request: cookies, tokens, an Origin.
	Header http.Header
	// Hold is how long a poll and a websocket are held; the server's ping interval
	// and 5 s more, which shows every timeout that clients would meet.
	Hold time.Duration
	// Patience bounds every other wait; 5 s.
	Patience time.Duration
	// Client makes the requests; one of its own. Redirects are never followed.
	Client *http.Client
	// Progress is told what is being looked at; nil: nobody.
	Progress func(check string)
}

// exam is one examination.
type exam struct {
	Options
	url      *url.URL
	client   *http.Client
	findings []Finding

	sid      string
	interval time.Duration
}

const eio4 = "EIO=4&transport="

// Examine examines the endpoint at an URL such as "https://example.com/socket.io/".
// No finding means that clients can poll, post, and use websockets there. The error
// is that the URL cannot be used at all, or ctx's.
func Examine(ctx context.Context, endpoint string, o *Options) ([]Finding, error) {
	e := &exam{}
	if o != nil {
		e.Options = *o
	}
	var err error
	if e.url, err = url.Parse(endpoint); err != nil {
		return nil, err
	}
	if e.url.Scheme != "http" && e.url.Scheme != "https" || e.url.Host == "" {
		return nil, fmt.Errorf("doctor: %q is not the address of an endpoint, such as http://127.0.0.1:3000/socket.io/", endpoint)
	}
	if e.Patience <= 0 {
		e.Patience = 5 * time.Second
	}
	e.client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	if e.Client != nil {
		*e.client = *e.Client
	}
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer e.client.CloseIdleConnections()

	for _, c := range []struct {
		name string
		run  func(ctx context.Context) (goOn bool)
	}{
		{"handshake", e.handshake}, {"cache", e.cache}, {"cookies", e.cookies}, {"cors", e.cors}, {"post", e.post},
		{"post-while-polling", e.both}, {"held-poll", e.held}, {"websocket", e.websocket},
	} {
		if e.Progress != nil {
			e.Progress(c.name)
		}
		before := len(e.findings)
		goOn := c.run(ctx)
		for i := before; i < len(e.findings); i++ {
			e.findings[i].Check = c.name
		}
		if ctx.Err() != nil {
			return e.findings, ctx.Err()
		}
		if !goOn {
			break
		}
	}
	return e.findings, nil
}

func (e *exam) find(cure, problem string, args ...any) {
	e.findings = append(e.findings, Finding{Problem: fmt.Sprintf(problem, args...), Cure: cure})
}

// answer is an HTTP answer.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (a answer) short() string {
	body := strings.Join(strings.Fields(a.body), " ")
	if len(body) > 120 {
		body = body[:120] + "..."
	}
	return fmt.Sprintf("status %d %q", a.status, body)
}

// do sends a request and waits for no longer than patience.
func (e *exam) do(ctx context.Context, patience time.Duration, method, query, body string, head ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := *e.url
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for k, vs := range e.Header {
		req.Header[k] = vs
	}
	if body != "" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	from := time.Now()
	resp, err := e.client.Do(req)
	if err != nil {
		return answer{took: time.Since(from)}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, string(b), time.Since(from)}, err
}

func (e *exam) session() string { return eio4 + "polling&sid=" + url.QueryEscape(e.sid) }

// handshake opens a session by polling.
func (e *exam) handshake(ctx context.Context) bool {
	a, err := e.do(ctx, e.Patience, "GET", eio4+"polling", "")
	switch {
	case err != nil:
		e.find("Is the server running, and is this its address? A request that is never answered points at a middleware that waits, or a proxy without a server behind it.", "no answer: %v", err)
	case a.status >= 300 && a.status < 400:
		to := a.header.Get("Location")
		cure := "A middleware sends every request elsewhere; exclude the route of the socket, or use the address it points at."
		if strings.TrimSuffix(to, "/") == strings.TrimSuffix(e.url.Path, "/") || strings.Contains(to, "/login") {
			cure = "Paths with and without the slash at the end must both reach the socket (the adapters' Mount does that), and a middleware that sends strangers to a login page must leave the route alone: browsers do not follow for a socket."
		}
		e.find(cure, "redirected to %s with status %d", to, a.status)
	case a.status == http.StatusNotFound:
		e.find("Nothing is mounted here: is the path right, and does the route match what lies below it (a catch-all)?", "%s", a.short())
	case a.status != http.StatusOK && a.status != http.StatusBadRequest && !isRefusal(a):
		e.find("The answer is not the socket's, so something in front of it refuses: authentication, a firewall, a rate limit, maintenance. Exclude the route of the socket.", "%s", a.short())
	case a.status != http.StatusOK:
		e.find("The server itself refuses the handshake; its text says why. Cookies or tokens that it wants can be given to the doctor.", "%s", a.short())
	case !strings.HasPrefix(a.body, "0{"):
		e.find("A middleware rewrites bodies (a wrapper around all answers, an error page, an injected script), or this is not an Engine.IO server. Exclude the route of the socket.", "not an open packet: %s", a.short())
	default:
		var open struct {
			SID          string `json:"sid"`
			PingInterval int    `json:"pingInterval"`
		}
		if err := json.Unmarshal([]byte(a.body[1:]), &open); err != nil || open.SID == "" {
			e.find("A middleware rewrites or cuts bodies. Exclude the route of the socket.", "malformed open packet: %s", a.short())
			return false
		}
		e.sid, e.interval = open.SID, time.Duration(open.PingInterval)*time.Millisecond
		if e.Hold <= 0 {
			e.Hold = e.interval + 5*time.Second
		}
		return true
	}
	return false
}

// isRefusal reports whether an answer is the JSON with which Engine.IO refuses.
func isRefusal(a answer) bool {
	var r struct {
		Code    *int
		Message *string
	}
	return json.Unmarshal([]byte(a.body), &r) == nil && r.Code != nil && r.Message != nil
}

// cache looks whether answers are kept by somebody.
func (e *exam) cache(ctx context.Context) bool {
	a, err := e.do(ctx, e.Patience, "GET", eio4+"polling", "")
	if err != nil {
		e.find("Handshakes fail now and then; is there a rate limit?", "a second handshake: %v", err)
		return true
	}
	if strings.Contains(a.body, e.sid) {
		e.find("A cache, in the host or in front of it, answers in place of the socket. Exclude the route; the answers carry Cache-Control: no-store.", "two handshakes gave the same session")
	}
	for _, h := range []string{"ETag", "Age", "X-Cache", "Last-Modified"} {
		if v := a.header.Get(h); v != "" {
			e.find("A caching or etag middleware is around the route: it holds every answer in memory, and may answer 304. Exclude the route.", "the answer has %s: %s", h, v)
		}
	}
	return true
}

// cookies looks for middleware that saves sessions around the route.
func (e *exam) cookies(ctx context.Context) bool {
	var set []string
	for range 2 {
		a, err := e.do(ctx, e.Patience, "GET", eio4+"polling", "")
		if err != nil {
			return true
		}
		set = append(set, a.header.Values("Set-Cookie")...)
	}
	if len(set) >= 2 {
		name, _, _ := strings.Cut(set[0], "=")
		e.find("A session middleware that saves by itself is around the route (LoadAndSave of scs, a rolling session): when a held poll ends it writes back what the session was before, and undoes changes and logouts. "+
			"Mount the socket outside of it; sessionbridge reads the session on its own.", "every answer sets the cookie %q", name)
	}
	return true
}

// cors looks for headers that two have set.
func (e *exam) cors(ctx context.Context) bool {
	a, err := e.do(ctx, e.Patience, "GET", eio4+"polling", "", "Origin", e.url.Scheme+"://"+e.url.Host)
	if err != nil {
		return true
	}
	if vs := a.header.Values("Access-Control-Allow-Origin"); len(vs) > 1 {
		e.find("Two set it: a CORS middleware of the host, and the socket or a proxy. Browsers refuse that. Exclude the route from one of them.", "Access-Control-Allow-Origin is there %d times: %q", len(vs), vs)
	}
	if isRefusal(a) || a.status == http.StatusForbidden {
		e.find("The server does not take its own origin for one: behind a proxy that changes Host, list the public origin in Options.Origins.", "a page of the same origin is refused: %s", a.short())
	}
	return true
}

// post joins the default namespace.
func (e *exam) post(ctx context.Context) bool {
	a, err := e.do(ctx, e.Patience, "POST", e.session(), "40")
	if err == nil && a.status == http.StatusOK && strings.TrimSpace(a.body) == "ok" {
		a, err = e.do(ctx, e.Patience, "GET", e.session(), "")
		if err != nil || a.status != http.StatusOK {
			e.find("A poll that has something to say is answered at once. Is there a middleware that buffers, or several servers without sticky sessions?", "the poll behind a POST: %v %s", err, a.short())
			return false
		}
		return true
	}
	cure := "A POST to the route must reach the socket as a GET does."
	switch {
	case err != nil:
		cure = "Is there a middleware that reads the body, or waits for something?"
	case a.status == http.StatusForbidden || a.status == 419:
		cure = "A CSRF middleware wants a token that no Socket.IO client sends. Exclude the route: the socket checks origins itself."
	case a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotFound:
		cure = "The route is registered for GET alone, or for one method each: mount it for all methods (Any, All, Handle)."
	case a.status == http.StatusRequestEntityTooLarge:
		cure = "A body limit of the host is smaller than two bytes of a packet; raise it to the server's MaxPayload for this route."
	case a.status == http.StatusBadRequest && isRefusal(a):
		cure = "The session is not known to who got the POST: several servers need sticky sessions. If there is only one, a middleware has changed or eaten the body."
	case a.status == http.StatusUnsupportedMediaType:
		cure = "A middleware wants JSON or a form. Exclude the route: packets are text/plain."
	}
	e.find(cure, "a POST in the session: %s %s", a.short(), text(err))
	return false
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// both posts while a poll is held: a CONNECT for a namespace that does not exist,
// which every server answers.
func (e *exam) both(ctx context.Context) bool {
	poll := make(chan answer, 1)
	held, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		a, err := e.do(held, e.Hold+e.Patience, "GET", e.session(), "")
		if err != nil {
			a.body = err.Error()
		}
		poll <- a
	}()
	select {
	case a := <-poll:
		e.find("A poll is held until there is something to say. A timeout of the host cuts it off at once, or another client uses the session.", "a poll was not held: %s", a.short())
		return false
	case <-time.After(300 * time.Millisecond):
	}
	a, err := e.do(ctx, e.Patience, "POST", e.session(), "40/siokit-doctor")
	const lock = "Requests of one client wait for each other: a session middleware with a lock, a limit of concurrent requests, or a proxy. Exclude the route."
	if err != nil {
		e.find(lock, "a POST while a poll is held is not answered: %v", err)
		return false
	}
	if a.status != http.StatusOK {
		e.find("Requests of one client are limited: exclude the route from the rate or concurrency limit.", "a POST while a poll is held: %s", a.short())
		return false
	}
	select {
	case p := <-poll:
		switch {
		case p.status != http.StatusOK:
			e.find("A middleware ends held answers. Exclude the route.", "the held poll: %s", p.short())
			return false
		case p.body == "2" && a.took > 100*time.Millisecond: // the ping ended it, and only then the POST got through
			e.find(lock, "a POST was answered after %v, when the poll had ended", a.took.Round(10*time.Millisecond))
			return false
		case strings.HasPrefix(p.body, "2"):
			_, _ = e.do(ctx, e.Patience, "POST", e.session(), "3")
		}
	case <-time.After(e.Patience):
		e.find("Answers are kept back: a middleware or proxy buffers them until they are large or over. Exclude the route, and turn off buffering in the proxy (nginx: proxy_buffering off).", "a held poll was not answered when there was something to say")
		return false
	}
	return true
}

// held holds a poll until the server's ping.
func (e *exam) held(ctx context.Context) bool {
	for deadline := time.Now().Add(e.Hold); ; {
		a, err := e.do(ctx, time.Until(deadline)+e.Patience, "GET", e.session(), "")
		switch {
		case err != nil && errors.Is(err, context.DeadlineExceeded):
			e.find("A proxy or middleware keeps answers back.", "a poll was not answered within %v, though the server pings every %v", a.took.Round(time.Second), e.interval)
			return true
		case err != nil:
			e.find("The connection was cut while the answer was held: a write timeout of the server (http.Server.WriteTimeout) or of a proxy shorter than the ping interval.", "a poll was cut off after %v: %v", a.took.Round(100*time.Millisecond), err)
			return true
		case a.status != http.StatusOK:
			e.find("A timeout middleware ended the answer (http.TimeoutHandler, a router's Timeout, a proxy's read timeout). Exclude the route, or make it longer than the ping interval.",
				"a poll was ended after %v: %s", a.took.Round(100*time.Millisecond), a.short())
			return true
		}
		if strings.HasPrefix(a.body, "2") { // the ping: the poll has lived long enough
			_, _ = e.do(ctx, e.Patience, "POST", e.session(), "3")
			return true
		}
		if time.Now().After(deadline) {
			e.find("Polls end without a reason: does a middleware answer them empty?", "no ping within %v", e.Hold)
			return true
		}
	}
}

// websocket opens one and holds it until the server's ping.
func (e *exam) websocket(ctx context.Context) bool {
	conn, br, err := e.dial(ctx)
	if err != nil {
		e.find("No websocket can be opened, so clients stay on polling.", "%v", err)
		return true
	}
	defer func() { _ = conn.Close() }()
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
		return true
	}
	resp, err := http.ReadResponse(br, &http.Request{Method: "GET"})
	if err != nil {
		e.find("The connection was cut during the opening handshake: a proxy that does not know websockets?", "%v", err)
		return true
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		e.refusedUpgrade(answer{status: resp.StatusCode, header: resp.Header, body: string(b)})
		return true
	}
	sum := sha1.Sum([]byte(nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if resp.Header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		e.find("Something other than the socket has answered the opening handshake.", "wrong Sec-WebSocket-Accept")
		return true
	}
	from := time.Now()
	for first := true; ; first = false {
		_ = conn.SetReadDeadline(time.Now().Add(e.Hold + e.Patience))
		m, err := frame(br)
		alive := time.Since(from).Round(100 * time.Millisecond)
		switch {
		case err != nil:
			e.find("A timeout of the host or of a proxy ends connections on which little happens; make it longer than the ping interval, or the ping interval shorter.", "the websocket ended after %v: %v", alive, err)
			return true
		case first && !strings.HasPrefix(m, "0{"):
			e.find("Something other than the socket speaks on the connection: a middleware that writes behind the upgrade.", "the first message is %q", m)
			return true
		case m == "2":
			return true
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
	if h[0]&0x0f == 8 {
		return "", errors.New("closed by the server")
	}
	if h[0] != 0x81 || n > 65535 {
		return "", fmt.Errorf("a frame with the header %x", h)
	}
	p := make([]byte, n)
	_, err := io.ReadFull(br, p)
	return string(p), err
}
