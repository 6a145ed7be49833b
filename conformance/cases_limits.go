package conformance

import (
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// The bounds of handshakes, which hold for every generation alike.
func init() {
	for _, row := range []struct {
		name, path, query string
		again             func(c *Context) // opens a session that is not pending
	}{
		{"eio4", "", q4, func(c *Context) { c.Polling().Join("") }},
		{"eio3", "", "EIO=3&transport=polling", func(c *Context) { c.Polling3().Post("2") }},
		{"sio1", "1/", "", func(c *Context) { c.Polling1() }},
	} {
		ask := func(c *Context, head ...string) wire.Answer {
			return c.At(c.Path+row.path).Must("GET", row.query, "", head...)
		}
		register(
			Case{Name: "limits/pending/" + row.name, need: []Capability{Capability(row.name)},
				Rule: "handshakes that nothing follows are bounded for one address: beyond the bound 503 with Retry-After, while other addresses and those who have connected are served", Spec: "reliability H26, V01",
				opts: func(o *sio.Options) {
					o.MaxPendingPerAddress = 3
					o.Address = func(x host.Exchange) string { return x.Header("X-Client") }
				}, run: func(c *Context) {
					for range 5 {
						row.again(c) // exempt, and not pending
					}
					for range 3 {
						c.Want("handshake", ask(c, "X-Client", "a").Status, 200)
					}
					a := ask(c, "X-Client", "a")
					c.Want("one too many", a.Status, 503)
					c.Want("Retry-After", a.Header.Get("Retry-After") != "", true)
					c.Want("another address", ask(c, "X-Client", "b").Status, 200)
				}},
			Case{Name: "limits/pending-peer/" + row.name, need: []Capability{Capability(row.name)},
				Rule: "without Options.Address the peer of the connection is counted, whatever its port", Spec: "reliability H26",
				opts: func(o *sio.Options) { o.MaxPendingPerAddress = 2 }, run: func(c *Context) {
					for i := range 4 {
						c.Client.Close() // every handshake on a connection of its own
						c.client()
						want := 200
						if i >= 2 {
							want = 503
						}
						c.Want("handshake", ask(c).Status, want)
					}
				}},
			Case{Name: "limits/pending-end/" + row.name, slow: true, need: []Capability{Capability(row.name)},
				Rule: "a session that nothing follows is forgotten soon after its timeout, and makes room", Spec: "reliability H26",
				opts: func(o *sio.Options) {
					o.MaxPending, o.MaxPendingPerAddress, o.MaxConnections = 2, -1, 2
					o.ConnectTimeout, o.CloseTimeout = 200*time.Millisecond, 200*time.Millisecond
					if row.name == "eio3" { // whose clients are in a namespace, and only heartbeats tell
						o.PingInterval, o.PingTimeout = 100*time.Millisecond, 100*time.Millisecond
					}
				}, run: func(c *Context) {
					for _, want := range []int{200, 200, 503} {
						c.Want("handshake", ask(c).Status, want)
					}
					c.Eventually("room for another", func() bool { return ask(c).Status == 200 })
				}},
		)
	}
	register(
		Case{Name: "limits/connections", Rule: "the connections of one address, and all connections, are bounded whatever their transport and generation", Spec: "reliability, section d", need: []Capability{WebSocket},
			opts: func(o *sio.Options) {
				o.MaxConnections, o.MaxConnectionsPerAddress = 4, 3
				o.Address = func(x host.Exchange) string { return x.Header("X-Client") }
			}, run: func(c *Context) {
				w, _ := c.Upgrade(w4, "", "X-Client", "a")
				c.Want("first", w != nil, true)
				c.Want("second", c.Must("GET", q4, "", "X-Client", "a").Status, 200)
				c.Want("third", c.Must("GET", "EIO=3&transport=polling", "", "X-Client", "a").Status, 200)
				more, a := c.Upgrade(w4, "", "X-Client", "a")
				c.Want("fourth of an address", more == nil && a.Status == 503, true)
				c.Want("fourth in all", c.Must("GET", q4, "", "X-Client", "b").Status, 200)
				more, a = c.Upgrade(w3, "", "X-Client", "c")
				c.Want("fifth in all", more == nil && a.Status == 503, true)
				w.Reset()
				c.Eventually("room for another", func() bool { return c.Must("GET", q4, "", "X-Client", "d").Status == 200 })
			}},
	)
}
