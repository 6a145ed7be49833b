package conformance

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// rateLimitCases are about acl.RateLimit.
var rateLimitCases = []testCase{
	{
		name: "acl/rate-limit-kept",
		rule: "a rate limit does not start full again when a client leaves a namespace and joins " +
			"again, and holds for joining where it is asked to",
		spec: "docs/protocol.md 9.3",
		run:  rateLimitKept,
	},
}

// rateLimitKept has clients of every generation leave and join, and guess at a
// namespace's door.
func rateLimitKept(c *env) {
	n := c.of("/few")
	n.Guard(acl.RateLimit(3, time.Hour))
	n.On("ev", sio.Reply(func(context.Context, *sio.Socket, sio.None) (int, error) { return 1, nil }))
	var asked atomic.Int32
	door := c.of("/guess")
	door.Guard(acl.RateLimit(3, time.Hour, acl.Connect))
	door.OnConnect(func(context.Context, *sio.Socket) error {
		asked.Add(1)
		return sio.Errorf("wrong", "wrong")
	})
	for _, g := range []struct {
		aclWire
		join, leave, ev, answer, refused, guess string
	}{
		{
			acls()[0], "40/few", "41/few", `42/few,5["ev"]`, `43/few,5[1]`,
			`43/few,5[{"error":{"code":"refused","message":"event refused"}}]`, "40/guess",
		},
		{
			acls()[1], "40/few", "41/few", `42/few,5["ev"]`, `43/few,5[1]`,
			`43/few,5[{"error":{"code":"refused","message":"event refused"}}]`, "40/guess",
		},
		{
			acls()[2], "1::/few", "0::/few", `5:5+:/few:{"name":"ev"}`, `6::/few:5+[1]`,
			`6::/few:5+[{"error":{"code":"refused","message":"event refused"}}]`, "1::/guess",
		},
	} {
		w := g.open(c)
		for i := range 5 {
			w.Send(g.join)
			w.Next()
			w.Send(g.ev)
			want := g.answer
			if i >= 3 {
				want = g.refused
			}
			c.Want(g.name+": event after leaving and joining", w.Next(), want)
			w.Send(g.leave)
		}
		asked.Store(0)
		for range 10 {
			w.Send(g.guess)
			w.Next()
		}
		c.Want(g.name+": OnConnect was asked", asked.Load(), 3)
		_ = w.Conn.Close()
	}
}
