package conformance

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// second asks for a websocket of a session that needs none: it is opened, as the
// reference does, and closed without a code.
func (c *env) second(query string) {
	c.T.Helper()
	w, a := c.Upgrade(query, "")
	if w == nil {
		c.T.Fatalf("a second websocket: %v", a)
	}
	c.Closed(w, 1005)
	_ = w.Conn.Close()
}

// How long sessions live, and what clients see of their end.

var lifetimeCases = []testCase{
	{
		name: "upgrade/second-of-websocket",
		rule: "a second websocket of a session that began with one is opened and closed without a " +
			"code, and means nothing",
		spec: "Engine.IO 4: WebSocket; docs/protocol.md 4.3",
		run:  upgradeSecondOfWebsocket,
	},
	{
		name: "upgrade/polls-again",
		rule: "when a candidate that has probed is gone, polls wait for messages again",
		spec: "docs/protocol.md 4.3",
		run:  upgradePollsAgain,
	},
	{
		name: "polling/bad-payload-ends",
		rule: "after a payload that is no packet, or is too large, the session is unknown at once: the " +
			"next poll is 400 without leftovers",
		spec: "docs/protocol.md 3.2",
		slow: true,
		run:  pollingBadPayloadEnds,
	},
	{
		name: "polling/too-large-plain",
		rule: "the answer to a message over the limit has no body, and the close frame of a websocket " +
			"no reason",
		spec: "docs/protocol.md 3.2",
		slow: true,
		run:  pollingTooLargePlain,
	},
	{
		name: "heartbeat/timeout-to-the-tick",
		rule: "a session that polls ends an interval and a timeout after its handshake: the poll of " +
			"that moment is 400",
		spec: "docs/protocol.md 4.4",
		slow: true,
		opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 300*time.Millisecond, 700*time.Millisecond },
		run:  heartbeatTimeoutToTheTick,
	},
	{
		name: "limits/unread-answer",
		rule: "a client that takes nothing of an answer for ten seconds, or of many small ones, loses " +
			"them with its connection, and in 0.9 keeps no other transport of its session waiting",
		spec: "docs/protocol.md 8.1",
		slow: true, need: []string{sio1},
		run: unreadAnswer,
	},
}

func upgradeSecondOfWebsocket(c *env) {
	w, open := c.WebSocket()
	c.second(w4 + "&sid=" + open.SID)
	w.Send("40")
	w.Next()
	w.Send(`42["echo",1]`)
	c.Want("still served", w.Next(), `42["echo",1]`)
}

func upgradePollsAgain(c *env) {
	s := c.Polling()
	s.Join("")
	w := c.probe(s)
	w.Send("2probe")
	c.Want("pong", w.Next(), "3probe")
	_ = w.Conn.Close()
	var held <-chan wire.Answer
	c.Eventually("a poll that waits", func() bool { // those before the server knows do not
		held = s.Hold()
		c.holds()
		return len(held) == 0
	})
	s.Post(`42["echo",1]`)
	c.Want("the poll", <-held, `200 42["echo",1]`)
}

func pollingBadPayloadEnds(c *env) {
	for _, body := range []string{"abc", "4" + string(make([]byte, 2<<20))} {
		s := c.Polling()
		s.Join("")
		c.settle()
		_ = c.of("/").Emit("left", "over")
		if a := s.Post(body); a.Status != 400 && a.Status != 413 {
			c.T.Errorf("POST: %v", a)
		}
		c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
	}
}

func pollingTooLargePlain(c *env) {
	s := c.Polling()
	s.Join("")
	c.Want("polling", s.Post("4"+string(make([]byte, 2<<20))), "413 ")
	w := c.Join("")
	w.Send("4" + string(make([]byte, 2<<20)))
	if end := w.End(); c.run.lacks[closeCodes] == "" {
		c.Want("websocket", end.Error(), "closed 1009 ")
	}
}

func heartbeatTimeoutToTheTick(c *env) {
	s := c.Polling()
	// A server that is half a timeout late with its ping gives more time.
	time.Sleep(time.Second)
	c.Want("the next poll", s.Get().Status, 400)
}

// heartbeatFullInboxRow is a generation of clients.
type heartbeatFullInboxRow struct {
	name string
	join func(c *env) (send func(events ...string), next func() string)
	hear string
}

var heartbeatFullInboxRows = []heartbeatFullInboxRow{
	{"eio4", heartbeatFullInboxEio4Join, "2"},
	{"eio3", heartbeatFullInboxEio3Join, "6"},
	{"sio1", heartbeatFullInboxSio1Join, "2::"},
}

func heartbeatFullInboxCases() (cases []testCase) {
	for _, row := range heartbeatFullInboxRows {
		cases = append(cases, testCase{
			name: "heartbeat/full-inbox/" + row.name,
			rule: "a client whose events wait behind a blocked handler goes on hearing from the server, in " +
				"time, and is not given up",
			spec: "docs/protocol.md 4.4",
			slow: true, need: []string{row.name},
			opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = time.Second, 800*time.Millisecond },
			run:  func(c *env) { heartbeatFullInbox(c, row) },
		})
	}
	return cases
}

func heartbeatFullInboxEio4Join(c *env) (func(...string), func() string) {
	w := c.Join("")
	w.NoPong = true
	return func(events ...string) {
		for _, e := range events {
			w.Send("42" + e)
		}
	}, w.Next
}

func heartbeatFullInboxEio3Join(c *env) (func(...string), func() string) {
	w := c.ws3()
	w.NoPong = true
	return func(events ...string) {
		for _, e := range events {
			w.Send("42" + e)
		}
	}, w.Next
}

func heartbeatFullInboxSio1Join(c *env) (func(...string), func() string) {
	w := c.ws1(c.Handshake1(""))
	return func(events ...string) {
		for _, e := range events {
			name, args, _ := strings.Cut(strings.Trim(e, "[]"), ",")
			w.Send(fmt.Sprintf(`5:::{"name":%s,"args":[%s]}`, name, args))
		}
	}, w.Next
}

func heartbeatFullInbox(c *env, row heartbeatFullInboxRow) {
	send, next := row.join(c)
	send(`["block"]`)
	if got := next(); !strings.Contains(got, `"blocked"`) {
		c.T.Fatalf("instead of blocked: %s", got)
	}
	for i := range 200 {
		send(fmt.Sprintf(`["n",%d]`, i))
	}
	last := time.Now()
	for from := last; time.Since(from) <= 1800*time.Millisecond; { // so long the client may be silent
		c.Want("heard", next(), row.hear)
		if d := time.Since(last); d > 1800*time.Millisecond { // every 800 ms at most, but for the first
			c.T.Errorf("nothing for %v: clients close after 1.8 s", d)
		}
		last = time.Now()
	}
	close(c.own().release)
	c.Eventually("all events", func() bool { return len(c.handled()) == 200 })
	c.Want("nobody disconnected", len(c.own().ended()), 0)
}

// unreadAnswer leaves the answers of two polls in the network.
func unreadAnswer(c *env) {
	const size = 12 << 20 // more than the buffers of both sides hold
	s := c.Polling()
	s.Join("")
	nine := c.Polling1()
	unread := []*wire.Unread{s.Unread(s.Query()), nine.Unread("")}
	c.holds()
	c.settle()
	var both []string // not everybody: what is so large may reach other servers when others have come
	for s, err := range c.of("/").All().Sockets(c.T.Context()) {
		if err != nil {
			c.T.Fatal(err)
		}
		both = append(both, s.ID())
	}
	began := time.Now()
	if err := c.of("/").To(both...).Emit("big", strings.Repeat("x", size)); err != nil {
		c.T.Fatal(err)
	}
	next, a := c.At(mount+"/1/websocket/"+nine.SID).Upgrade("", "")
	if next == nil {
		c.T.Fatalf("the next transport: %v", a)
	}
	many := c.UnreadMany("EIO=4&transport=polling&sid=nobody", 40_000)
	c.Alive()
	// The ten seconds begin when the buffers are full, which a slow machine takes long for.
	late := time.Now().Add(12*time.Second + 4*time.Since(began))
	for i, u := range unread {
		if !u.Ends(max(time.Until(late), 500*time.Millisecond)) {
			c.T.Errorf("answer %d is kept for a client that does not read", i)
		}
	}
	if !many.Ends(30 * time.Second) {
		c.T.Errorf("the small answers are kept for a client that does not read")
	}
	// The session of 0.9 has ended with what was lost, where the host can tell, or
	// goes on with the next transport.
	var end *wire.CloseError
	if _, err := next.Read(); err != nil && !errors.As(err, &end) {
		c.T.Errorf("the next transport waits for the answer: %v", err)
	}
}
