package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// websocketCases are about messages and frames.
var websocketCases = []testCase{
	{
		name: "websocket/big",
		rule: "a message of 1 MB in either direction",
		spec: "docs/protocol.md 4.1",
		run:  websocketBig,
	},
	{
		name: "websocket/limit",
		rule: "a message of exactly the limit is served, one byte more closes with 1009",
		spec: "docs/protocol.md 4.1",
		run:  websocketLimit,
	},
	{
		name: "websocket/early-bytes",
		rule: "frames in the same segment as the handshake are handled",
		spec: "docs/protocol.md 4.1",
		run:  websocketEarlyBytes,
	},
	{
		name: "websocket/refused",
		rule: "a host that cannot hand a connection over refuses the upgrade at once, says why, and " +
			"serves polling",
		spec: "docs/protocol.md 11.2",
		lack: webSocket,
		run:  websocketRefused,
	},
	{
		name: "websocket/frames",
		rule: "fragments, pings, byte by byte: all legal forms of a message",
		spec: "RFC 6455 5.4",
		run:  legalFrames,
	},
	{
		name: "websocket/reset",
		rule: "a reset, also in the middle of a frame, delivers no half message",
		spec: "docs/protocol.md 4.1",
		run:  websocketReset,
	},
	{
		name: "websocket/close-codes",
		rule: "the client's close is answered, the server's kick closes 1000",
		spec: "RFC 6455 5.5.1; docs/protocol.md 4.2",
		run:  websocketCloseCodes,
	},
	{
		name: "websocket/cookies-on-101",
		rule: "headers of the host survive on the 101",
		spec: "docs/protocol.md 11.3",
		need: []string{hostCookies},
		run:  websocketCookiesOn101,
	},
}

func websocketBig(c *env) {
	w := c.Join("")
	big := `42["echo","` + strings.Repeat("x", 1<<20) + `"]`
	w.Send(big)
	if got := w.Next(); got != big {
		c.T.Errorf("got %d bytes", len(got))
	}
	w.Send(`42["echo",1]`)
	c.Want("then", w.Next(), `42["echo",1]`)
}

func websocketLimit(c *env) {
	w := c.Join("")
	exact := `42["echo","` + strings.Repeat("x", 2<<20-len(`42["echo",""]`)) + `"]`
	w.Send(exact)
	if got := w.Next(); got != exact {
		c.T.Errorf("got %d bytes", len(got))
	}
	w.Send(exact + " ")
	c.Want("one byte more", w.End().Code, 1009)
}

func websocketEarlyBytes(c *env) {
	w, a := c.Upgrade(w4, string(wire.Frame(0x81, []byte("40"))))
	if w == nil {
		c.T.Fatal(a)
	}
	w.Next()
	if got := w.Next(); !strings.HasPrefix(got, `40{"sid"`) {
		c.T.Errorf("connect: %s", got)
	}
}

func websocketRefused(c *env) {
	c.Client.Need = nil
	s := c.Polling()
	w, a := c.Upgrade(w4+"&sid="+s.Open.SID, "")
	if w != nil {
		c.T.Fatal("upgraded, though the host is declared to lack that")
	}
	c.Want("status", a.Status, 501)
	c.Want("a reason", len(a.Body) > 20, true)
	if w, a = c.Upgrade(w4, ""); w != nil || a.Status != 501 {
		c.T.Errorf("without a session: %v", a)
	}
	s.Join("")
	s.Post(`42["echo",1]`)
	c.Want("polling", s.Packets(1)[0], `42["echo",1]`)
}

func websocketReset(c *env) {
	w := c.Join("")
	_ = w.Raw(wire.Frame(0x81, []byte(`42["n",1]`)))
	_ = w.Raw(wire.Frame(0x01, []byte(`42["n",2]`))) // unfinished
	f := wire.Frame(0x80, []byte(`,3`))
	_ = w.Raw(f[:len(f)-1])
	c.Eventually("the first message", func() bool { return len(c.handled()) == 1 })
	w.Reset()
	c.ends(1)
	c.Want("handled", c.handled(), []int{1})
}

func websocketCloseCodes(c *env) {
	w := c.Join("")
	_ = w.Raw(wire.Frame(0x88, []byte{0x03, 0xe8}))
	c.Want("answer", w.End().Code, 1000)
	c.reason(sio.TransportClose)
	w = c.Join("")
	w.Send(`42["kick",true]`)
	c.Want("kick", w.Next(), "41")
	c.Closed(w, 1000)
}

func websocketCookiesOn101(c *env) {
	w, a := c.Upgrade(w4, "")
	if w == nil {
		c.T.Fatal(a)
	}
	c.Want("cookie", w.Head.Get("Set-Cookie"), "host=1")
}

func legalFrames(c *env) {
	w := c.Join("")
	msg := []byte(`42["echo","é€😀"]`)
	for i := 1; i < len(msg); i++ { // split at every byte, inside code points too
		_ = w.Raw(append(wire.Frame(0x01, msg[:i]), wire.Frame(0x80, msg[i:])...))
		c.Want("split", w.Next(), string(msg))
	}
	for _, b := range wire.Frame(0x81, msg) {
		_ = w.Raw([]byte{b})
	}
	c.Want("byte by byte", w.Next(), string(msg))
	_ = w.Raw(append(append(wire.Frame(0x01, msg[:5]), wire.Frame(0x89, []byte("hi"))...), wire.Frame(0x80, msg[5:])...))
	c.Want("ping inside", w.Next(), "control 8a hi")
	c.Want("message around", w.Next(), string(msg))
	var batch bytes.Buffer
	for i := range 300 {
		batch.Write(wire.Frame(0x81, fmt.Appendf(nil, `42["echo",%d]`, i)))
	}
	_ = w.Raw(batch.Bytes())
	for i := range 300 {
		c.Want("batch", w.Next(), fmt.Sprintf(`42["echo",%d]`, i))
	}
	for _, n := range []int{0, 1, 125, 126, 4096, 65535, 65536, 70000, 200_000} {
		text := `42["echo","` + strings.Repeat("y", n) + `"]`
		w.Send(text, `42["echo",0]`)
		if got := w.Next(); got != text {
			c.T.Fatalf("%d: got %d bytes", n, len(got))
		}
		c.Want("behind it", w.Next(), `42["echo",0]`)
	}
	w.Send(`451-["echo",{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte{1, 2, 3, 4})
	c.Want("binary header", w.Next(), `451-["echo",{"_placeholder":true,"num":0}]`)
	c.Want("binary", w.Next(), "bAQIDBA==")
	for _, ignored := range []string{"0", "5", "6", "1", "3"} {
		w.Send(ignored)
	}
	w.Send(`42["echo",1]`)
	c.Want("after ignored packets", w.Next(), `42["echo",1]`)
}
