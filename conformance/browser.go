package conformance

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

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
	for s := range c.of("/").All().Sockets(context.Background()) {
		if sess, ok := sessionbridge.From(context.Background(), s.(*sio.Socket)); ok {
			return sess
		}
	}
	c.T.Fatal("no socket has a session")
	return nil
}
