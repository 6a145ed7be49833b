package conformance

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

// RunSessions verifies a host together with a session library and the session
// bridge, over polling and over websockets. The factory calls Config.Bridge with
// the library's backend, and beside the mount the host has plain routes, in its own
// way, with the library's own cookie:
//
//	POST /login  (form: user)        puts user into the session, made if need be
//	POST /set    (form: key, value)  puts a string into it
//	GET  /get?key=                   answers the string, or 404
//	GET  /who                        answers the user, or "anonymous"
//	POST /logout (form: quiet)       destroys it and tells the bridge, unless quiet
//	POST /rotate                     gives it a new id and tells the bridge
func RunSessions(t *testing.T, f Factory, opts ...Option) { runSessions(t, f, sessionCases, opts) }

// RunCookieSessions is RunSessions for a library whose values live in the cookie.
func RunCookieSessions(t *testing.T, f Factory, opts ...Option) { runSessions(t, f, cookieCases, opts) }

// CheckSessions is RunSessions for those who want results instead of a test.
func CheckSessions(f Factory, opts ...Option) ([]Result, error) {
	r := newRun(opts)
	r.factory = f
	return r.check(asCases(sessionCases), nil)
}

// CheckCookieSessions is RunCookieSessions for those who want results instead of a test.
func CheckCookieSessions(f Factory, opts ...Option) ([]Result, error) {
	r := newRun(opts)
	r.factory = f
	return r.check(asCases(cookieCases), nil)
}

func runSessions(t *testing.T, f Factory, list []sessionCase, opts []Option) {
	r := newRun(opts)
	r.factory = f
	r.test(t, asCases(list))
}

// asCases are cases of sessions as the engine runs them, each over both transports.
func asCases(list []sessionCase) (cases []Case) {
	for _, c := range list {
		for _, transport := range []string{"polling", "websocket"} {
			if c.only != "" && c.only != transport {
				continue
			}
			cases = append(cases, Case{Name: c.name + "/" + transport, Rule: c.rule, Spec: c.spec, prepare: func(x *Context) {
				sc := &sessionContext{Context: x, transport: transport, inside: make(chan struct{}, 1), proceed: make(chan struct{})}
				x.sessions = sc
				x.opts.OnHandshake = sc.handshake
				x.config.Bridge = sc.newBridge
				x.config.CookieAge = c.age
			}, run: func(x *Context) {
				sc := x.sessions
				defer sc.leave()
				if sc.bridge == nil {
					x.T.Fatal("the factory has not called Config.Bridge")
				}
				sc.serve()
				c.run(sc)
			}})
		}
	}
	return cases
}

// leave ends what the browsers have opened.
func (c *sessionContext) leave() {
	for _, b := range c.browsers {
		for _, tb := range b.tabs {
			tb.close()
		}
		b.Client.Close()
		b.site.Close()
	}
}

// sessionContext is a Context with a bridge and browsers.
type sessionContext struct {
	*Context
	transport string
	bridge    *sessionbridge.Bridge
	browsers  []*browser
	// An Update says that it is inside, and waits until it may proceed.
	inside, proceed chan struct{}
	loaded          hook // runs when the bridge has loaded a session
}

// handshake is that of the bridge, which the factory makes after the server.
func (c *sessionContext) handshake(ctx context.Context, r *sio.Request, x host.Exchange) error {
	return c.bridge.OnHandshake(ctx, r, x)
}

func (c *sessionContext) newBridge(be sessionbridge.Backend) *sessionbridge.Bridge {
	c.bridge = sessionbridge.New(withHook(be, &c.loaded), &sessionbridge.Options{RevalidateEvery: -1})
	return c.bridge
}

// serve registers the events that the cases use.
func (c *sessionContext) serve() {
	n := c.server().Of("/")
	with := func(ctx context.Context, s *sio.Socket) (*sessionbridge.Session, error) {
		if sess, ok := sessionbridge.From(ctx, s); ok {
			return sess, nil
		}
		return nil, sio.Errorf("none", "no session")
	}
	n.On("get", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (any, error) {
		sess, err := with(ctx, s)
		if err != nil {
			return nil, err
		}
		if err := sess.Reload(ctx); err != nil {
			return nil, err
		}
		return sess.Get(key), nil
	}))
	n.On("peek", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (any, error) {
		sess, err := with(ctx, s)
		if err != nil {
			return nil, err
		}
		return sess.Get(key), nil
	}))
	n.On("set", sio.Reply(func(ctx context.Context, s *sio.Socket, a sio.Args2[string, string]) (bool, error) {
		sess, err := with(ctx, s)
		if err != nil {
			return false, err
		}
		return true, sess.Update(ctx, func(v sessionbridge.Values) error {
			v[a.A] = a.B
			return nil
		})
	}))
	n.On("set-slowly", sio.Reply(func(ctx context.Context, s *sio.Socket, a sio.Args2[string, string]) (bool, error) {
		sess, err := with(ctx, s)
		if err != nil {
			return false, err
		}
		tries := 0
		return true, sess.Update(ctx, func(v sessionbridge.Values) error {
			if tries++; tries == 1 {
				c.inside <- struct{}{}
				select {
				case <-c.proceed:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			v[a.A] = a.B
			return nil
		})
	}))
	n.On("inc", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (bool, error) {
		sess, err := with(ctx, s)
		if err != nil {
			return false, err
		}
		return true, sess.Update(ctx, func(v sessionbridge.Values) error {
			old, _ := v[key].(string)
			i, _ := strconv.Atoi(old)
			v[key] = strconv.Itoa(i + 1)
			return nil
		})
	}))
}

// browser has cookies.
type browser struct {
	*wire.Client // of the socket
	c            *sessionContext
	site         *wire.Client // of the routes beside it
	jar          map[string]string
	tabs         []*tab
}

func (c *sessionContext) browser() *browser {
	b := &browser{Client: wire.New(c.T, c.Host.URL, mount+"/"), c: c, site: wire.New(c.T, c.Host.URL, ""), jar: map[string]string{}}
	c.browsers = append(c.browsers, b)
	return b
}

// login opens a browser whose user is logged in.
func (c *sessionContext) login(user string) *browser {
	c.T.Helper()
	b := c.browser()
	c.Want("login", b.post("/login", "user", user), "200 ok")
	return b
}

func (b *browser) cookies() string {
	var list []string
	for k, v := range b.jar {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// keep takes the cookies of an answer.
func (b *browser) keep(a wire.Answer) {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.MaxAge < 0 || c.Value == "" || !c.Expires.IsZero() && c.Expires.Before(time.Now()) {
			delete(b.jar, c.Name)
		} else {
			b.jar[c.Name] = c.Value
		}
	}
	b.Head = http.Header{}
	if cookies := b.cookies(); cookies != "" {
		b.Head.Set("Cookie", cookies)
	}
	b.site.Head = b.Head.Clone()
}

func (b *browser) do(method, path, query, body string) string {
	b.c.T.Helper()
	at := b.site.At(path)
	var head []string
	if body != "" {
		head = []string{"Content-Type", "application/x-www-form-urlencoded"}
	}
	a := at.Must(method, query, body, head...)
	b.keep(a)
	return a.String()
}

func (b *browser) post(path string, form ...string) string {
	b.c.T.Helper()
	v := url.Values{"siokit": {"1"}}
	for i := 0; i+1 < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	return b.do("POST", path, "", v.Encode())
}

func (b *browser) get(path, query string) string {
	b.c.T.Helper()
	return b.do("GET", path, query, "")
}

// tab is one connection of a browser.
type tab struct {
	b    *browser
	poll *wire.Session
	ws   *wire.WS
	id   int
}

// tab opens a connection over the case's transport.
func (b *browser) tab() *tab {
	b.c.T.Helper()
	return b.tabOver(b.c.transport)
}

func (b *browser) tabOver(transport string) *tab {
	b.c.T.Helper()
	tb := &tab{b: b}
	b.tabs = append(b.tabs, tb)
	if transport == "websocket" {
		tb.ws = b.Join("")
		return tb
	}
	tb.poll = b.Polling()
	tb.poll.Join("")
	return tb
}

// ask sends an event and returns what the ack holds.
func (tb *tab) ask(event string, args ...string) string {
	tb.b.c.T.Helper()
	tb.id++
	packet := fmt.Sprintf("42%d[%q", tb.id, event)
	for _, a := range args {
		packet += fmt.Sprintf(",%q", a)
	}
	packet += "]"
	prefix := fmt.Sprintf("43%d", tb.id)
	if tb.ws != nil {
		tb.ws.Send(packet)
		for {
			if m := tb.ws.Next(); strings.HasPrefix(m, prefix) {
				return strings.TrimPrefix(m, prefix)
			}
		}
	}
	tb.poll.Post(packet)
	for {
		if m := tb.poll.Packets(1)[0]; strings.HasPrefix(m, prefix) {
			return strings.TrimPrefix(m, prefix)
		}
	}
}

// ended waits until the server has ended the connection.
func (tb *tab) ended() {
	tb.b.c.T.Helper()
	if tb.ws != nil {
		tb.ws.End()
		return
	}
	tb.b.c.Eventually("the session's polls fail", func() bool {
		a, err := tb.poll.Do(context.Background(), "GET", tb.poll.Query(), "")
		return err == nil && a.Status >= 400
	})
}

// close leaves.
func (tb *tab) close() {
	switch {
	case tb.ws != nil:
		tb.ws.Reset()
	case tb.poll != nil:
		tb.poll.Post("1")
	}
}

// session is the session behind the only connection of a user.
func (c *sessionContext) session() *sessionbridge.Session {
	c.T.Helper()
	for _, s := range c.server().Of("/").All().Sockets() {
		if sess, ok := sessionbridge.From(context.Background(), s); ok {
			return sess
		}
	}
	c.T.Fatal("no socket has a session")
	return nil
}
