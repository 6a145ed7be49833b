package conformance

import (
	"context"
	"errors"

	"github.com/siokit/siokit/sessionbridge"
)

// logoutSessionCases are about the end of a session.
var logoutSessionCases = []sessionCase{
	{
		name: "update-after-logout-fails",
		rule: "Update after a logout fails",
		spec: "docs/protocol.md 12.2",
		run:  updateAfterLogoutFails,
	},
	{
		name: "logout-not-resurrected-by-update",
		rule: "an Update that runs while the user logs out does not bring the session back",
		spec: "docs/protocol.md 12.2",
		run:  logoutNotResurrectedByUpdate,
	},
	{
		name: "logout-not-resurrected-by-socket-end",
		rule: "the end of a socket does not bring a session back",
		spec: "docs/protocol.md 12.2",
		run:  logoutNotResurrectedBySocketEnd,
	},
	{
		name: "logout-not-resurrected-by-held-poll",
		rule: "a poll that was held during the logout does not bring the session back",
		spec: "docs/protocol.md 12.2",
		only: "polling",
		run:  logoutNotResurrectedByHeldPoll,
	},
	{
		name: "logout-disconnects-all-tabs",
		rule: "a logout disconnects every socket of the session and nobody else's",
		spec: "docs/protocol.md 12.2",
		run:  logoutDisconnectsAllTabs,
	},
	{
		name: "revalidate-notices-silent-expiry",
		rule: "Revalidate disconnects sockets whose session is gone without a word",
		spec: "docs/protocol.md 12.2",
		run:  revalidateNoticesSilentExpiry,
	},
	{
		name: "rotation-disconnects-old-id",
		rule: "a new id disconnects the sockets of the old one",
		spec: "docs/protocol.md 12.2",
		run:  rotationDisconnectsOldId,
	},
}

func updateAfterLogoutFails(c *sessionContext) {
	b := c.login("ann")
	b.tab()
	sess := c.session()
	c.Want("logout", b.post("/logout"), "200 ok")
	if err := sess.Update(context.Background(), update); !errors.Is(err, sessionbridge.ErrDestroyed) {
		c.T.Errorf("Update: %v", err)
	}
	if err := sess.Reload(context.Background()); !errors.Is(err, sessionbridge.ErrDestroyed) {
		c.T.Errorf("Reload: %v", err)
	}
	c.Want("values", len(sess.Snapshot()), 0)
}

func logoutNotResurrectedByUpdate(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	old := b.jarCopy()
	sess := c.session()
	c.Want("logout", b.post("/logout", "quiet", "1"), "200 ok")
	if err := sess.Update(context.Background(), update); !errors.Is(err, sessionbridge.ErrDestroyed) {
		c.T.Errorf("Update: %v", err)
	}
	tb.ended()
	b.use(old)
	c.Want("the old cookie", b.get("/who", ""), "200 anonymous")
}

func logoutNotResurrectedBySocketEnd(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	c.Want("set", tb.ask("set", "x", "1"), `[true]`)
	old := b.jarCopy()
	c.Want("logout", b.post("/logout", "quiet", "1"), "200 ok")
	tb.close()
	c.Eventually("the socket has ended", func() bool { return c.stats().Sockets == 0 })
	b.use(old)
	c.Want("the old cookie", b.get("/who", ""), "200 anonymous")
}

func logoutNotResurrectedByHeldPoll(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	old := b.jarCopy()
	held := tb.poll.Hold()
	c.holds()
	c.Want("logout", b.post("/logout", "quiet", "1"), "200 ok")
	_ = c.of("/").Emit("x")
	a := <-held
	c.Want("poll", a, `200 42["x"]`)
	c.Want("cookies on the poll", len(a.Header.Values("Set-Cookie")), 0)
	b.use(old)
	c.Want("the old cookie", b.get("/who", ""), "200 anonymous")
}

func logoutDisconnectsAllTabs(c *sessionContext) {
	ann, bob := c.login("ann"), c.login("bob")
	tabs := []*tab{ann.tab(), ann.tabOver("websocket"), ann.tabOver("polling")}
	other := bob.tab()
	c.Want("logout", ann.post("/logout"), "200 ok")
	for _, tb := range tabs {
		tb.ended()
	}
	c.Want("another browser", other.ask("get", "user"), `["bob"]`)
	again := ann.tab() // comes back, as nobody
	c.Want("after the logout", again.ask("get", "user"), `[{"error":{"code":"none","message":"no session"}}]`)
}

func revalidateNoticesSilentExpiry(c *sessionContext) {
	ann, bob := c.login("ann"), c.login("bob")
	one, two, other := ann.tab(), ann.tab(), bob.tab()
	c.Want("nothing to end", c.bridge.Revalidate(context.Background()), 0)
	c.Want("logout", ann.post("/logout", "quiet", "1"), "200 ok")
	c.Want("ended", c.bridge.Revalidate(context.Background()), 1)
	one.ended()
	two.ended()
	c.Want("another browser", other.ask("get", "user"), `["bob"]`)
}

func rotationDisconnectsOldId(c *sessionContext) {
	b := c.login("ann")
	tb := b.tab()
	sess := c.session()
	old := sess.ID()
	c.Want("rotate", b.post("/rotate"), "200 ok")
	tb.ended()
	if err := sess.Reload(context.Background()); !errors.Is(err, sessionbridge.ErrDestroyed) {
		c.T.Errorf("the old session: %v", err)
	}
	tb = b.tab()
	c.Want("the new one", tb.ask("get", "user"), `["ann"]`)
	c.Eventually("the old socket has gone", func() bool { return c.stats().Sockets == 1 })
	if c.session().ID() == old {
		c.T.Error("the id is the same")
	}
}
