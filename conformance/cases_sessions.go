package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/siokit/siokit/sessionbridge"
)

// sessionCase is one of Sessions.
type sessionCase struct {
	name, rule, spec string
	only             string // the transport that it is about; "" means all
	age              time.Duration
	run              func(c *sessionContext)
}

var update = func(v sessionbridge.Values) error {
	v["late"] = "1"
	return nil
}

// sessionCases are about what a handler reads and writes.
var sessionCases = []sessionCase{
	{
		name: "none-at-handshake",
		rule: "a socket without a session cookie has no session",
		spec: "docs/protocol.md 12.1",
		run:  noneAtHandshake,
	},
	{
		name: "loaded-at-handshake",
		rule: "a handler sees what the login has put into the session",
		spec: "docs/protocol.md 12.1",
		run:  loadedAtHandshake,
	},
	{
		name: "socket-write-seen-by-http",
		rule: "what a handler changes, the next HTTP request sees",
		spec: "docs/protocol.md 12.1",
		run:  socketWriteSeenByHttp,
	},
	{
		name: "http-write-seen-after-reload",
		rule: "what an HTTP request changes, a handler sees after Reload and not before",
		spec: "docs/protocol.md 12.1",
		run:  httpWriteSeenAfterReload,
	},
	{
		name: "http-write-during-held-poll-survives",
		rule: "what HTTP has written while a poll was held is there after it",
		spec: "docs/protocol.md 12.4",
		only: "polling",
		run:  httpWriteDuringHeldPollSurvives,
	},
	{
		name: "http-write-during-update-survives",
		rule: "what HTTP writes while an Update is under way is not overwritten: the Update runs again " +
			"with it",
		spec: "docs/protocol.md 12.4",
		run:  httpWriteDuringUpdateSurvives,
	},
	{
		name: "concurrent-updates-two-tabs",
		rule: "no change of two tabs is lost",
		spec: "docs/protocol.md 12.4",
		run:  concurrentUpdatesTwoTabs,
	},
	{
		name: "update-in-long-handler-with-short-cookie-age",
		rule: "a socket outlives the age of its handshake's cookie",
		spec: "docs/protocol.md 12.4",
		only: "websocket", age: 2 * time.Second,
		run: updateInLongHandlerWithShortCookieAge,
	},
	{
		name: "poll-with-foreign-session-refused",
		rule: "a request with another session than the handshake's is refused",
		spec: "docs/protocol.md 12.3",
		only: "polling",
		run:  pollWithForeignSessionRefused,
	},
	{
		name: "other-users-response-never-carries-cookie",
		rule: "no answer carries the cookie of another user",
		spec: "docs/protocol.md 12.3",
		run:  otherUsersResponseNeverCarriesCookie,
	},
}

func noneAtHandshake(c *sessionContext) {
	tb := c.browser().tab()
	c.Want("get", tb.ask("get", "user"), `[{"error":{"code":"none","message":"no session"}}]`)
}

func loadedAtHandshake(c *sessionContext) {
	tb := c.login("ann").tab()
	c.Want("user", tb.ask("peek", "user"), `["ann"]`)
	c.Want("nothing", tb.ask("peek", "nothing"), `[null]`)
}

func socketWriteSeenByHttp(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	c.Want("set", tb.ask("set", "n", "100"), `[true]`)
	c.Want("HTTP", b.get("/get", "key=n"), "200 100")
	c.Want("the rest", b.get("/who", ""), "200 ann")
	c.Want("socket", tb.ask("peek", "n"), `["100"]`)
}

func httpWriteSeenAfterReload(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	c.Want("before", tb.ask("peek", "n"), `[null]`)
	c.Want("HTTP", b.post("/set", "key", "n", "value", "7"), "200 ok")
	c.Want("as it was loaded", tb.ask("peek", "n"), `[null]`)
	c.Want("loaded again", tb.ask("get", "n"), `["7"]`)
}

func httpWriteDuringHeldPollSurvives(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	held := tb.poll.Hold()
	c.holds()
	c.Want("HTTP", b.post("/set", "key", "n", "value", "100"), "200 ok")
	_ = c.of("/").Emit("x")
	<-held
	c.Want("afterwards", b.get("/get", "key=n"), "200 100")
}

func httpWriteDuringUpdateSurvives(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	page := c.browser() // the same browser, with connections of its own: the tab is busy
	page.use(b.jarCopy())
	done := async(func() string { return tb.ask("set-slowly", "slow", "1") })
	select {
	case <-c.inside:
	case <-time.After(c.run.patience):
		c.T.Fatal("the function given to Update does not run")
	}
	got := page.post("/set", "key", "meanwhile", "value", "2")
	close(c.proceed)
	c.Want("HTTP", got, "200 ok")
	c.Want("update", <-done, "[true]")
	c.Want("what HTTP has written", page.get("/get", "key=meanwhile"), "200 2")
	c.Want("what the update has written", page.get("/get", "key=slow"), "200 1")
}

func concurrentUpdatesTwoTabs(c *sessionContext) {
	b := c.login("ann")
	one, two := b.tab(), b.tab()
	const each = 50
	var wg sync.WaitGroup
	for _, tb := range []*tab{one, two} {
		wg.Go(func() {
			for range each {
				if got := tb.ask("inc", "n"); got != "[true]" {
					c.T.Errorf("inc: %s", got)
					return
				}
			}
		})
	}
	wg.Wait()
	c.Want("in the store", b.get("/get", "key=n"), fmt.Sprintf("200 %d", 2*each))
}

func updateInLongHandlerWithShortCookieAge(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	time.Sleep(1600 * time.Millisecond) // dates are in whole seconds
	c.Want("HTTP renews the browser's cookie", b.post("/set", "key", "n", "value", "1"), "200 ok")
	time.Sleep(1600 * time.Millisecond)
	c.Want("update", tb.ask("set", "late", "x"), `[true]`)
	c.Want("HTTP", b.get("/get", "key=late"), "200 x")
}

func pollWithForeignSessionRefused(c *sessionContext) {
	for what, other := range map[string]*browser{"another user's": c.login("bob"), "none": c.browser()} {
		ann := c.login("ann")
		tb := ann.tab()
		stolen := *tb.poll
		stolen.Client = other.Client
		c.Want(what, stolen.Get().Status, 403)
		tb.ended()
	}
	ann, bob := c.login("ann"), c.login("bob")
	tb := ann.tab()
	stolen := *tb.poll
	stolen.Client = bob.Client
	if w, a := stolen.Upgrade("EIO=4&transport=websocket&sid="+stolen.Open.SID, ""); w != nil || a.Status != 403 {
		c.T.Errorf("upgrade with another session: %v", a)
	}
	tb.ended()
}

func otherUsersResponseNeverCarriesCookie(c *sessionContext) {
	const users, rounds = 8, 10
	var wg sync.WaitGroup
	for i := range users {
		user := fmt.Sprintf("user%d", i)
		b := c.login(user)
		wg.Go(func() {
			tb := b.tab()
			for range rounds {
				if got := tb.ask("inc", "n"); got != "[true]" {
					c.T.Errorf("inc: %s", got)
				}
				before := b.cookies()
				if got := b.get("/who", ""); got != "200 "+user {
					c.T.Errorf("%s is %s", user, got)
				}
				if tb.poll == nil {
					continue
				}
				if a := tb.poll.Post(`42["inc","m"]`); len(a.Header.Values("Set-Cookie")) > 0 {
					c.T.Errorf("a poll's answer sets %q; the cookies were %q", a.Header.Values("Set-Cookie"), before)
				}
			}
		})
	}
	wg.Wait()
}

// cookieCases are those of CookieSessions.
var cookieCases = []sessionCase{
	{
		name: "cookie-store-readonly-error",
		rule: "a session in a cookie is read, and changing it says that it cannot be done",
		spec: "docs/protocol.md 12.5",
		run:  cookieStoreReadonlyError,
	},
	{
		name: "cookie-store-visitors-apart",
		rule: "two visitors without a session do not share one",
		spec: "docs/protocol.md 12.5",
		run:  cookieStoreVisitorsApart,
	},
	{
		name: "cookie-store-logout-refuses-polls",
		rule: "polls with the cookie of before the logout are refused",
		spec: "docs/protocol.md 12.5",
		only: "polling",
		run:  cookieStoreLogoutRefusesPolls,
	},
}

func cookieStoreReadonlyError(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	c.Want("read", tb.ask("get", "user"), `["ann"]`)
	if err := c.session().Update(context.Background(), update); !errors.Is(err, sessionbridge.ErrReadOnly) {
		c.T.Errorf("Update: %v", err)
	}
	if id := c.session().ID(); id != "" {
		c.T.Errorf("an id: %q", id)
	}
	c.Want("HTTP", b.post("/set", "key", "n", "value", "1"), "200 ok")
	c.Want("as it was at the handshake", tb.ask("get", "n"), `[null]`)
	c.Want("another connection", b.tab().ask("get", "n"), `["1"]`)
}

func cookieStoreVisitorsApart(c *sessionContext) {
	ann, bob := c.login("ann").tab(), c.login("bob").tab()
	c.Want("ann", ann.ask("get", "user"), `["ann"]`)
	c.Want("bob", bob.ask("get", "user"), `["bob"]`)
}

func cookieStoreLogoutRefusesPolls(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	c.Want("logout", b.post("/logout"), "200 ok")
	c.Want("poll", tb.poll.Get().Status, 403)
	tb.ended()
}

func (b *browser) jarCopy() map[string]string {
	m := make(map[string]string, len(b.jar))
	for k, v := range b.jar {
		m[k] = v
	}
	return m
}

// use puts back cookies that the host has taken away.
func (b *browser) use(jar map[string]string) {
	b.jar = jar
	b.site.Head.Set("Cookie", b.cookies())
}
