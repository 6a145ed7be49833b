package conformance

import (
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// The bounds of handshakes, which hold for every generation alike.

// limitsPendingRow is a generation of clients and its handshake.
type limitsPendingRow struct {
	name, path, query string
	again             func(c *env) // opens a session that is not pending
}

var limitsPendingRows = []limitsPendingRow{
	{"eio4", "", q4, func(c *env) { c.Polling().Join("") }},
	{"eio3", "", "EIO=3&transport=polling", func(c *env) { c.Polling3().Post("2") }},
	{"sio1", "1/", "", func(c *env) { c.Polling1() }},
}

func limitsPendingCases() (cases []testCase) {
	for _, row := range limitsPendingRows {
		cases = append(cases, testCase{
			name: "limits/pending/" + row.name,
			rule: "handshakes that nothing follows are bounded for one address: beyond the bound 503 with " +
				"Retry-After, while other addresses and those who have connected are served",
			spec: "docs/protocol.md 8.2",
			need: []string{row.name},
			opts: limitsPendingOptions,
			run:  func(c *env) { limitsPending(c, row) },
		}, testCase{
			name: "limits/pending-peer/" + row.name,
			rule: "without Options.Address the peer of the connection is counted, whatever its port",
			spec: "docs/protocol.md 8.2",
			need: []string{row.name},
			opts: func(o *sio.Options) { o.MaxPendingPerAddress = 2 },
			run:  func(c *env) { limitsPendingPeer(c, row) },
		}, testCase{
			name: "limits/pending-end/" + row.name,
			rule: "a session that nothing follows is forgotten soon after its timeout, and makes room",
			spec: "docs/protocol.md 8.2",
			slow: true, need: []string{row.name},
			opts: func(o *sio.Options) { limitsPendingEndOptions(o, row) },
			run:  func(c *env) { limitsPendingEnd(c, row) },
		})
	}
	return cases
}

func limitsPendingOptions(o *sio.Options) {
	o.MaxPendingPerAddress = 3
	o.Address = func(x host.Exchange) string { return x.Header("X-Client") }
}

func limitsPending(c *env, row limitsPendingRow) {
	for range 5 {
		row.again(c) // exempt, and not pending
	}
	for range 3 {
		c.Want("handshake", row.ask(c, "X-Client", "a").Status, 200)
	}
	a := row.ask(c, "X-Client", "a")
	c.Want("one too many", a.Status, 503)
	c.Want("Retry-After", a.Header.Get("Retry-After") != "", true)
	c.Want("another address", row.ask(c, "X-Client", "b").Status, 200)
}

func limitsPendingPeer(c *env, row limitsPendingRow) {
	for i := range 4 {
		c.Client.Close() // every handshake on a connection of its own
		c.client()
		want := 200
		if i >= 2 {
			want = 503
		}
		c.Want("handshake", row.ask(c).Status, want)
	}
}

func limitsPendingEndOptions(o *sio.Options, row limitsPendingRow) {
	o.MaxPending, o.MaxPendingPerAddress, o.MaxConnections = 2, -1, 2
	o.ConnectTimeout, o.Legacy.CloseTimeout = time.Second, time.Second
	if row.name == "eio3" { // whose clients are in a namespace, and only heartbeats tell
		o.PingInterval, o.PingTimeout = 500*time.Millisecond, 500*time.Millisecond
	}
}

func limitsPendingEnd(c *env, row limitsPendingRow) {
	for _, want := range []int{200, 200, 503} {
		c.Want("handshake", row.ask(c).Status, want)
	}
	c.Eventually("room for another", func() bool { return row.ask(c).Status == 200 })
}

// limitsCases are about all connections of an address.
var limitsCases = []testCase{
	{
		name: "limits/connections",
		rule: "the connections of one address, and all connections, are bounded whatever their " +
			"transport and generation",
		spec: "docs/protocol.md 8.2",
		need: []string{webSocket},
		opts: limitsConnectionsOptions,
		run:  limitsConnections,
	},
}

func limitsConnectionsOptions(o *sio.Options) {
	o.MaxConnections, o.MaxConnectionsPerAddress = 4, 3
	o.Address = func(x host.Exchange) string { return x.Header("X-Client") }
}

func limitsConnections(c *env) {
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
}

// ask asks for a handshake.
func (row limitsPendingRow) ask(c *env, head ...string) wire.Answer {
	return c.At(c.Path+row.path).Must("GET", row.query, "", head...)
}
