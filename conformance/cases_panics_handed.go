package conformance

import (
	"bufio"
	"context"
	"net"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// Middleware may change what a transport hands to Stream and Upgrade, and so may put
// code of the application on goroutines of the host and of the transport, where nobody
// waits for it.

// handing is an exchange that changes what it hands on.
type handing struct {
	host.Exchange
	p string // the parameter p of its request
}

func (x handing) Unwrap() host.Exchange { return x.Exchange }

func (x handing) Upgrade(o host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	return x.Exchange.Upgrade(o, func(c net.Conn, br *bufio.Reader) {
		switch x.p {
		case "before":
			panic("before run")
		case "behind":
			defer panic("behind run")
		case "reader":
			br = bufio.NewReader(faultyConn{c, "Read"})
		case "":
		default:
			c = faultyConn{c, x.p}
		}
		run(c, br)
	})
}

func (x handing) Stream(status int, run func(host.Stream)) error {
	return x.Exchange.Stream(status, func(s host.Stream) {
		switch x.p {
		case "before":
			panic("before run")
		case "behind":
			defer panic("behind run")
		case "stream":
			s = faultyStream{s}
		}
		run(s)
	})
}

// faultyConn panics in one of its methods.
type faultyConn struct {
	net.Conn
	at string
}

func (c faultyConn) fail(at string) {
	if c.at == at {
		panic(at)
	}
}

func (c faultyConn) Read(p []byte) (int, error)  { c.fail("Read"); return c.Conn.Read(p) }
func (c faultyConn) Write(p []byte) (int, error) { c.fail("Write"); return c.Conn.Write(p) }
func (c faultyConn) Close() error                { c.fail("Close"); return c.Conn.Close() }
func (c faultyConn) SetReadDeadline(t time.Time) error {
	c.fail("SetReadDeadline")
	return c.Conn.SetReadDeadline(t)
}

func (c faultyConn) SetWriteDeadline(t time.Time) error {
	c.fail("SetWriteDeadline")
	return c.Conn.SetWriteDeadline(t)
}

// faultyStream panics when it is written to.
type faultyStream struct{ host.Stream }

func (faultyStream) Write([]byte) (int, error) { panic("Write") }

func handingServe(srv *sio.Server) {
	srv.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) { next.ServeExchange(handing{x, x.Query("p")}) })
	})
	srv.Of("/").On("bye", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error { s.Conn().Close(); return nil }))
}

// panicsConnRow is about a connection of the application's own.
var panicsConnRow = codeRow{
	place: "net.Conn",
	rule:  "the connection ends, and its session",
	serve: handingServe,
	run:   panicsConn,
}

func panicsConn(c *env) {
	for _, at := range []string{"Read", "Write", "Close", "SetReadDeadline", "SetWriteDeadline"} {
		w, a := c.Upgrade(w4+"&p="+at, "")
		if w == nil {
			c.T.Fatalf("%s: no websocket: %v", at, a)
		}
		w.Send("40", `42["bye"]`)
		w.End()
		c.panicked(at)
	}
}

// panicked waits for a panic and for the end of every session.
func (c *env) panicked(at string) {
	c.T.Helper()
	c.Eventually(at+": the report of a panic", func() bool { return c.stats().Failures[sio.FailurePanic] > 0 })
	c.Eventually(at+": the end of the session", func() bool { return c.stats().Sessions == 0 })
}

// panicsHandedCases are about functions that middleware has put around those of a
// transport.
var panicsHandedCases = []testCase{
	{
		name:  "panics/upgrade",
		rule:  "middleware that panics around the function given to Upgrade ends that connection and its session, at once",
		spec:  "docs/protocol.md 7.1",
		local: true,
		run:   panicsUpgrade,
	},
	{
		name:  "panics/stream",
		rule:  "middleware that panics around the function given to Stream ends that stream and its session, at once",
		spec:  "docs/protocol.md 7.1",
		local: true,
		all:   true,
		run:   panicsStream,
	},
}

func panicsUpgrade(c *env) {
	c.each(handingServe)
	for _, at := range []string{"before", "reader", "behind"} {
		w, a := c.Upgrade(w4+"&p="+at, "")
		if w == nil {
			c.T.Fatalf("%s: no websocket: %v", at, a)
		}
		if at == "behind" {
			w.Send("40", `42["bye"]`)
		}
		w.End()
		c.panicked(at)
	}
	s := c.Polling()
	s.Join("")
	w, _ := s.Upgrade(w4+"&p=before&sid="+s.Open.SID, "")
	if w == nil {
		c.T.Fatal("no candidate")
	}
	w.End()
	s.Post(`42["echo","x"]`)
	c.Want("the session of a candidate goes on", s.Get().Body, `42["echo","x"]`)
	c.Alive()
}

func panicsStream(c *env) {
	c.each(handingServe)
	for _, at := range []string{"before", "stream", "behind"} {
		s := c.At(mount + "/1/htmlfile/" + c.Handshake1("")).Stream("p=" + at)
		if at == "behind" {
			s.Until("1::")
			c.of("/").All().CloseConns()
		}
		if rest := s.End(); at != "behind" && strings.Contains(rest, "1::") {
			c.T.Errorf("%s: the stream has begun: %q", at, rest)
		}
		c.panicked(at)
	}
	c.Alive()
}
