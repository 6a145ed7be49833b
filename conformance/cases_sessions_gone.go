package conformance

import (
	"context"
	"maps"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/sessionbridge"
)

// none is the ack of an event that needs a session, for a client without one.
const none = `[{"error":{"code":"none","message":"no session"}}]`

// goneSessionCases are about cookies whose session is gone, or is another one.
var goneSessionCases = []sessionCase{
	{
		name: "cookie-of-before-is-a-strangers",
		rule: "a client with the cookie of a session that has ended connects without a session, and stays connected",
		spec: "docs/protocol.md 12.2",
		run:  cookieOfBeforeIsAStrangers,
	},
	{
		name: "cookie-made-up",
		rule: "a cookie that somebody has made up is no session",
		spec: "docs/protocol.md 12.3",
		run:  cookieMadeUp,
	},
	{
		name: "logout-beside-handshake",
		rule: "a logout while a handshake loads the session is not lost: the client has no session",
		spec: "docs/protocol.md 12.2",
		run:  logoutBesideHandshake,
	},
	{
		name: "change-of-session-refused",
		rule: "when another user logs in in the same browser, requests of the old connection are " +
			"refused, and the client comes back as the new user",
		spec: "docs/protocol.md 12.3",
		only: "polling",
		run:  changeOfSessionRefused,
	},
}

func cookieOfBeforeIsAStrangers(c *sessionContext) {
	b := c.login("ann")
	old := maps.Clone(b.jar)
	c.Want("logout", b.post("/logout", "quiet", "1"), "200 ok")
	b.use(old)
	b.Head.Set("Cookie", b.cookies())
	tb := b.tab()
	c.Want("get", tb.ask("get", "user"), none)
	c.bridge.Revalidate(context.Background())
	c.Want("after the sessions were looked up", tb.ask("get", "user"), none)
}

func cookieMadeUp(c *sessionContext) {
	c.madeUp()
}

func logoutBesideHandshake(c *sessionContext) {
	b := c.login("ann")
	page := c.browser() // the same browser, on connections of its own
	page.use(b.jarCopy())
	c.loaded.do(func() { c.Want("logout", page.post("/logout"), "200 ok") })
	tb := b.tab()
	c.Want("peek", tb.ask("peek", "user"), none)
}

func changeOfSessionRefused(c *sessionContext) {
	c.changeOfUser()
}

// goneCookieCases are about cookies of other visitors, for libraries whose values live in the
// cookie.
var goneCookieCases = []sessionCase{
	{
		name: "cookie-store-foreign-refused",
		rule: "a request with another visitor's cookie, or none, is refused",
		spec: "docs/protocol.md 12.5",
		only: "polling",
		run:  cookieStoreForeignRefused,
	},
	{
		name: "cookie-store-own-changes",
		rule: "a visitor's own cookie is another one after each save, and stays the same visitor's",
		spec: "docs/protocol.md 12.5",
		only: "polling",
		run:  cookieStoreOwnChanges,
	},
	{
		name: "cookie-store-change-of-user",
		rule: "when another user logs in in the same browser, requests of the old connection are " +
			"refused, and the client comes back as the new user",
		spec: "docs/protocol.md 12.5",
		only: "polling",
		run:  cookieStoreChangeOfUser,
	},
	{
		name: "cookie-store-made-up",
		rule: "a cookie that somebody has made up is no session",
		spec: "docs/protocol.md 12.5",
		run:  cookieStoreMadeUp,
	},
}

func cookieStoreForeignRefused(c *sessionContext) {
	bob := c.login("bob")
	for what, other := range map[string]*browser{"another visitor's": bob, "none": c.browser()} {
		for _, method := range []string{"GET", "POST"} {
			tb := c.login("ann").tab()
			stolen := *tb.poll
			stolen.Client = other.Client
			c.Want(what+", "+method,
				stolen.Must(method, stolen.Query(), map[string]string{"POST": `421["peek","user"]`}[method]).Status,
				403)
			tb.ended()
		}
	}
	tb := c.login("ann").tab()
	stolen := *tb.poll
	stolen.Client = bob.Client
	if w, a := stolen.Upgrade("EIO=4&transport=websocket&sid="+stolen.Open.SID, ""); w != nil || a.Status != 403 {
		c.T.Errorf("upgrade with another visitor's cookie: %v", a)
	}
	tb.ended()
}

func cookieStoreOwnChanges(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	for _, value := range []string{"1", "1", "2"} {
		before := b.cookies()
		c.Want("HTTP", b.post("/set", "key", "n", "value", value), "200 ok")
		c.Want("as it was at the handshake", tb.ask("peek", "user"), `["ann"]`)
		c.Want("another connection", b.tab().ask("get", "n"), `["`+value+`"]`)
		if value == "2" && b.cookies() == before {
			c.T.Error("the cookie is the same: the values do not live there")
		}
	}
}

func cookieStoreChangeOfUser(c *sessionContext) {
	c.changeOfUser()
}

func cookieStoreMadeUp(c *sessionContext) {
	c.madeUp()
}

// changeOfUser logs another user in, in the browser that is connected.
func (c *sessionContext) changeOfUser() {
	b := c.login("ann")
	tb := b.tab()
	c.Want("before", tb.ask("peek", "user"), `["ann"]`)
	c.Want("logout of the page", b.post("/logout", "quiet", "1"), "200 ok")
	c.Want("login of another user", b.post("/login", "user", "bob"), "200 ok")
	c.Want("poll", tb.poll.Get().Status, 403)
	tb.ended()
	c.Want("come back", b.tab().ask("peek", "user"), `["bob"]`)
}

// madeUp connects with a cookie that looks like that of a session.
func (c *sessionContext) madeUp() {
	real := c.login("ann")
	b := c.browser()
	for name, value := range real.jar {
		made := []byte(value)
		for i, r := range made { // of the same length, letters and digits
			switch {
			case r == 'z' || r == 'Z' || r == '9':
				made[i]--
			case r >= 'a' && r < 'z' || r >= 'A' && r < 'Z' || r >= '0' && r < '9':
				made[i]++
			}
		}
		b.jar[name] = string(made)
	}
	b.use(b.jar)
	b.Head.Set("Cookie", b.cookies())
	c.Want("get", b.tab().ask("get", "user"), none)
}

// hook is something to do at the next load.
type hook struct {
	mu sync.Mutex
	f  func()
}

func (h *hook) do(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.f = f
}

func (h *hook) run() {
	h.mu.Lock()
	f := h.f
	h.f = nil
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

// hooked is a backend whose loads have a hook. It is an Inspector for backends that
// are; those that compare and swap are hookedSwapper.
type hooked struct {
	sessionbridge.Backend
	loaded *hook
}

// Load implements sessionbridge.Backend.
func (h *hooked) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	v, err := h.Backend.Load(ctx, id)
	h.loaded.run()
	return v, err
}

// Inspect implements sessionbridge.Inspector.
func (h *hooked) Inspect(x host.Exchange) error {
	if i, ok := h.Backend.(sessionbridge.Inspector); ok {
		return i.Inspect(x)
	}
	return nil
}

type hookedSwapper struct {
	*hooked
	sessionbridge.CompareAndSwapper
}

// withHook puts the hook around a backend. One whose sessions are in cookies loads
// nothing.
func withHook(be sessionbridge.Backend, at *hook) sessionbridge.Backend {
	if _, inCookie := be.(sessionbridge.CookieBackend); inCookie {
		return be
	}
	h := &hooked{be, at}
	if cas, ok := be.(sessionbridge.CompareAndSwapper); ok {
		return &hookedSwapper{h, cas}
	}
	return h
}
