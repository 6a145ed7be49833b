package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

func init() {
	register(
		Case{Name: "websocket/big", Rule: "a message of 1 MB in either direction", Spec: "bridge 6", run: func(c *Context) {
			w := c.Join("")
			big := `42["echo","` + strings.Repeat("x", 1<<20) + `"]`
			w.Send(big)
			if got := w.Next(); got != big {
				c.T.Errorf("got %d bytes", len(got))
			}
			w.Send(`42["echo",1]`)
			c.Want("then", w.Next(), `42["echo",1]`)
		}},
		Case{Name: "websocket/early-bytes", Rule: "frames in the same segment as the handshake are handled", Spec: "reliability W23", run: func(c *Context) {
			w, a := c.Upgrade(w4, string(wire.Frame(0x81, []byte("40"))))
			if w == nil {
				c.T.Fatal(a)
			}
			w.Next()
			if got := w.Next(); !strings.HasPrefix(got, `40{"sid"`) {
				c.T.Errorf("connect: %s", got)
			}
		}},
		Case{Name: "websocket/frames", Rule: "fragments, pings, byte by byte: all legal forms of a message", Spec: "RFC 6455 5", run: legalFrames},
		Case{Name: "websocket/bad-frames", Rule: "a frame against the rules closes with its code, and nobody else notices", Spec: "reliability W01-W11", run: badFrames},
		Case{Name: "websocket/reset", Rule: "a reset, also in the middle of a frame, delivers no half message", Spec: "reliability W17, W18", run: func(c *Context) {
			w := c.Join("")
			_ = w.Raw(wire.Frame(0x81, []byte(`42["n",1]`)))
			_ = w.Raw(wire.Frame(0x01, []byte(`42["n",2]`))) // unfinished
			f := wire.Frame(0x80, []byte(`,3`))
			_ = w.Raw(f[:len(f)-1])
			c.Eventually("the first message", func() bool { return len(c.app.handled()) == 1 })
			w.Reset()
			c.Eventually("the end", func() bool { return len(c.app.ended()) == 1 })
			c.Want("handled", c.app.handled(), []int{1})
		}},
		Case{Name: "websocket/close-codes", Rule: "the client's close is answered, the server's kick closes 1000", Spec: "RFC 6455 5.5.1", run: func(c *Context) {
			w := c.Join("")
			_ = w.Raw(wire.Frame(0x88, []byte{0x03, 0xe8}))
			c.Want("answer", w.End().Code, 1000)
			c.reason(sio.TransportClose)
			w = c.Join("")
			w.Send(`42["kick",true]`)
			c.Want("kick", w.Next(), "41")
			c.Want("close", w.End().Code, 1000)
		}},
		Case{Name: "websocket/cookies-on-101", Rule: "headers of the host survive on the 101", Spec: "bridge 1.3", run: func(c *Context) {
			w, a := c.Upgrade(w4, "")
			if w == nil {
				c.T.Fatal(a)
			}
			c.Want("cookie", w.Head.Get("Set-Cookie"), "host=1")
		}},
	)
}

func legalFrames(c *Context) {
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

func badFrames(c *Context) {
	frag := wire.Frame(0x01, nil)
	cont := wire.Frame(0x00, nil)
	for _, row := range []struct {
		id   string
		raw  []byte
		code int
	}{
		{"W01 unmasked", []byte{0x81, 0x02, '4', '1'}, 1002},
		{"W02 RSV1", wire.Frame(0xc1, []byte("40")), 1002},
		{"W02 RSV2", wire.Frame(0xa1, []byte("40")), 1002},
		{"W02 RSV3", wire.Frame(0x91, []byte("40")), 1002},
		{"W03 opcode 3", wire.Frame(0x83, nil), 1002},
		{"W03 opcode 11", wire.Frame(0x8b, nil), 1002},
		{"W04 continuation of nothing", wire.Frame(0x80, []byte("x")), 1002},
		{"W04 text inside", append(wire.Frame(0x01, []byte("4")), wire.Frame(0x81, []byte("2"))...), 1002},
		{"W05 fragmented ping", wire.Frame(0x09, nil), 1002},
		{"W05 ping of 126 bytes", wire.Frame(0x89, make([]byte, 126)), 1002},
		{"W06 close of 1 byte", wire.Frame(0x88, []byte{3}), 1002},
		{"W06 code 1005", wire.Frame(0x88, []byte{0x03, 0xed}), 1002},
		{"W06 code 999", wire.Frame(0x88, []byte{0x03, 0xe7}), 1002},
		{"W06 reason not UTF-8", wire.Frame(0x88, []byte{0x03, 0xe8, 0xff}), 1007},
		{"W07 text ff", wire.Frame(0x81, []byte{0xff}), 1007},
		{"W07 overlong", wire.Frame(0x81, []byte{'4', 0xc0, 0xaf}), 1007},
		{"W07 surrogate", wire.Frame(0x81, []byte{'4', 0xed, 0xa0, 0x80}), 1007},
		{"W08 length 2^63", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
		{"W08 length 2^62", []byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
		{"W09 too big", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 1, 1, 2, 3, 4}, 1009},
		{"W09 too big in two", append(wire.Frame(0x01, make([]byte, 1<<20)), wire.Frame(0x80, make([]byte, 1<<20+1))...), 1009},
		{"W11 empty continuations", append(bytes.Clone(frag), bytes.Repeat(cont, 1100)...), 1008},
		{"E01 unknown packet", wire.Frame(0x81, []byte("x")), 1002},
		{"E01 type 7", wire.Frame(0x81, []byte("7")), 1002},
		{"E01 empty", wire.Frame(0x81, nil), 1002},
		{"E02 ping", wire.Frame(0x81, []byte("2")), 1002},
		{"E03 probe", wire.Frame(0x81, []byte("2probe")), 1002},
	} {
		w := c.Join("")
		_ = w.Raw(row.raw)
		c.Want(row.id, w.End().Code, row.code)
		c.Eventually(row.id+": the end", func() bool { return len(c.app.ended()) > 0 })
		c.app.mu.Lock()
		c.app.reasons = nil
		c.app.mu.Unlock()
	}
	c.Alive()
}
