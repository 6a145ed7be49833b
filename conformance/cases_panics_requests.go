package conformance

import (
	"context"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// panicsRequestRows are the places where a server calls the application about a request.
var panicsRequestRows = []codeRow{
	{
		place: "OnHandshake",
		rule:  "the handshake is answered with 500",
		opts:  panicsOnHandshakeOpts,
		run:   panicsOnHandshake,
	},
	{
		place: "OnExchange",
		rule:  "the request is answered with 500",
		opts:  panicsOnExchangeOpts,
		run:   panicsOnExchange,
	},
	{
		place: "UseExchange",
		rule:  "before its answer a request is answered with 500, behind it nothing more is said",
		serve: panicsUseExchangeServe,
		run:   panicsUseExchange,
	},
	{
		place: "AllowOrigin",
		rule:  "the origin is refused",
		opts:  panicsAllowOriginOpts,
		run:   panicsAllowOrigin,
	},
	{
		place: "Address",
		rule:  "the peer counts",
		opts:  panicsAddressOpts,
		run:   panicsAddress,
	},
	{
		place: "RepairTextOf",
		rule:  "RepairText counts",
		opts:  panicsRepairTextOfOpts,
		run:   panicsRepairTextOf,
	},
	panicsConnRow,
}

func panicsOnHandshakeOpts(o *sio.Options) {
	o.OnHandshake = func(_ context.Context, r *sio.Request, _ host.Exchange) error {
		switch r.Query().Get("p") {
		case "panic":
			panic("OnHandshake")
		case "nil":
			_, err := find("")
			return err
		}
		return nil
	}
}

func panicsOnHandshake(c *env) {
	c.Want("polling", c.Must("GET", q4+"&p=panic", "").Status, 500)
	_, a := c.Upgrade(w4+"&p=panic", "")
	c.Want("websocket", a.Status, 500)
	c.Want("a nil *Error", c.Must("GET", q4+"&p=nil", "").Status, 200)
}

func panicsOnExchangeOpts(o *sio.Options) {
	o.OnHandshake = func(ctx context.Context, r *sio.Request, _ host.Exchange) error {
		if r.Query().Has("p") {
			sio.ConnFromContext(ctx).OnExchange(func(host.Exchange) error { panic("OnExchange") })
		}
		return nil
	}
}

func panicsOnExchange(c *env) {
	s := c.Polling("p=1")
	c.Want("the next request", s.Post("40").Status, 500)
}

func panicsUseExchangeServe(srv *sio.Server) {
	srv.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			p := x.Query("p")
			if p == "before" {
				panic("UseExchange")
			}
			next.ServeExchange(x)
			if p == "behind" {
				panic("UseExchange")
			}
		})
	})
}

func panicsUseExchange(c *env) {
	c.Want("before", c.Must("GET", q4+"&p=before", "").Status, 500)
	c.Want("behind", c.Must("GET", q4+"&p=behind", "").Status, 200)
	w, _ := c.Upgrade(w4+"&p=behind", "")
	if w == nil {
		c.T.Fatal("no websocket")
	}
	c.Want("behind an upgrade", w.Next()[:1], "0")
}

func panicsAllowOriginOpts(o *sio.Options) {
	o.AllowOrigin = func(string) bool { panic("AllowOrigin") }
}

func panicsAllowOrigin(c *env) {
	c.Want("polling", c.Must("GET", q4, "", "Origin", "https://elsewhere.example").Status, 403)
	_, a := c.Upgrade(w4, "", "Origin", "https://elsewhere.example")
	c.Want("websocket", a.Status, 403)
}

func panicsAddressOpts(o *sio.Options) {
	o.Address = func(host.Exchange) string { panic("Address") }
}

func panicsAddress(c *env) {
	c.Want("polling", c.Must("GET", q4, "").Status, 200)
}

func panicsRepairTextOfOpts(o *sio.Options) {
	o.Legacy.RepairTextOf = func(host.Exchange) string { panic("RepairTextOf") }
}

func panicsRepairTextOf(c *env) {
	c.needs(eio3)
	c.Want("polling", c.Must("GET", "EIO=3&transport=polling", "").Status, 200)
	c.Want("websocket", c.ws3() != nil, true)
}
