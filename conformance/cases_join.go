package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// How a client learns that it may not join a namespace, and how often it may ask.

// kicks are the ways to disconnect a client while OnConnect runs.
var kicks = []struct {
	name string
	ends bool // the connection
	kick func(s *sio.Socket)
}{
	{"disconnect", false, func(s *sio.Socket) { s.Disconnect() }},
	{"disconnect-all", true, func(s *sio.Socket) { s.Conn().Close() }},
	{"drop", true, func(s *sio.Socket) { s.CloseTransport() }},
	{"target", false, func(s *sio.Socket) {
		s.Join("banned")
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Namespace().To("banned").Disconnect()
		}()
		<-done
	}},
}

// kickedOut has the clients whose handshake or namespace says so disconnected while
// they connect.
func kickedOut(srv *sio.Server, kick func(s *sio.Socket)) {
	onConnect := func(_ context.Context, s *sio.Socket) error {
		if s.Namespace().Path() == "/kick" || s.Request().Header.Get("X-Kick") != "" {
			kick(s)
		}
		return nil
	}
	srv.Of("/kick").OnConnect(onConnect)
	srv.Of("/").OnConnect(onConnect)
}

func init() {
	for _, k := range kicks {
		register(
			Case{Name: "connect/kicked/" + k.name, Rule: "a client that is disconnected while OnConnect runs is refused", Spec: "protocol 4.1", local: true, run: func(c *Context) {
				kickedOut(c.server(), k.kick)
				w := c.Join("")
				w.Send("40/kick,")
				c.Want("websocket", w.Next(), `44/kick,{"message":"Disconnected"}`)
				if k.name == "disconnect-all" {
					c.Want("the other namespace", w.Next(), "41")
				}
				if k.ends {
					w.End()
				} else {
					w.Send(`42["echo",1]`)
					c.Want("the connection", w.Next(), `42["echo",1]`)
				}
				s := c.Polling()
				s.Join("")
				s.Post("40/kick,")
				want := []string{`44/kick,{"message":"Disconnected"}`}
				if k.name == "disconnect-all" {
					want = append(want, "41")
				}
				c.Want("polling", s.Packets(len(want)), want)
				c.Alive()
			}},
			Case{Name: "eio3/kicked/" + k.name, Rule: "2.x: the same, also in the namespace that the server connects", Spec: "protocol 5", local: true, need: []Capability{EIO3}, run: func(c *Context) {
				kickedOut(c.server(), k.kick)
				s := c.Polling3()
				c.Want("connect", s.Next(), "40")
				s.Post("40/kick")
				c.Want("a namespace", s.Next(), `44/kick,"Disconnected"`)
				c.Head.Set("X-Kick", "1")
				s = c.Polling3()
				c.Want("the first namespace", s.Next(), `44"Disconnected"`)
				c.Want("and its end", s.Next(), "41")
				c.Head.Del("X-Kick")
				c.Alive()
			}},
			Case{Name: "sio1/kicked/" + k.name, Rule: "0.9: the same; out of the first namespace the connection ends, for good", Spec: "legacy A2", local: true, need: []Capability{SIO1}, run: func(c *Context) {
				kickedOut(c.server(), k.kick)
				w := c.ws1(c.Handshake1(""))
				w.Send("1::/kick")
				c.Want("a namespace", w.Next(), "7::/kick:2")
				c.Head.Set("X-Kick", "1")
				s := c.Polling1()
				c.Want("the first namespace", s.Next(), "7:::2")
				c.Want("and its end", s.Next(), "0::")
				c.Head.Del("X-Kick")
				c.Alive()
			}},
		)
	}
	register(
		Case{Name: "connect/refused-timeout", slow: true, Rule: "a join that was refused does not count for the connect timeout; where the server connects the first namespace the client is told to stay away", Spec: "protocol 4.1", local: true,
			opts: func(o *sio.Options) { o.ConnectTimeout = 300 * time.Millisecond }, run: func(c *Context) {
				kickedOut(c.server(), func(s *sio.Socket) { s.Disconnect() })
				w, _ := c.WebSocket()
				w.Send("40/kick,")
				w.Next()
				c.Closed(w, 1008)
				c.server().Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
					if s.Dialect() != "eio4" {
						return sio.Errorf("no", "no")
					}
					return nil
				})
				s := c.Polling3()
				c.Want("2.x", []string{s.Next(), s.Next()}, []string{`44"no"`, "41"})
			}},
		Case{Name: "connect/too-often", Rule: "attempts to join are bounded for each connection, and grow back with the time", Spec: "reliability O19",
			opts: func(o *sio.Options) { o.JoinBurst, o.JoinRate = 8, 20 }, run: func(c *Context) {
				w := c.Join("")
				const tries = 40
				go func() {
					for i := range tries {
						w.Send(fmt.Sprintf(`40/secret,{"token":"%d"}`, i))
					}
				}()
				asked := 0
				for range tries {
					switch got := w.Next(); {
					case strings.HasPrefix(got, `44/secret,{"message":"unauthorized"`):
						asked++
					case got != `44/secret,{"message":"Too many joins"}`:
						c.T.Fatal(got)
					}
				}
				if asked < 7 || asked > 20 {
					c.T.Errorf("%d of %d guesses were looked at", asked, tries)
				}
				c.Eventually("joining later", func() bool {
					w.Send(`40/secret,{"token":"letmein"}`)
					return strings.HasPrefix(w.Next(), `40/secret,{"sid"`)
				})
			}},
		Case{Name: "connect/join-and-leave", Rule: "joining and leaving again and again is bounded: others may be told of each", Spec: "reliability O19",
			opts: func(o *sio.Options) { o.JoinBurst, o.JoinRate = 8, 0.001 }, run: func(c *Context) {
				w := c.Join("")
				joined := 0
				for range 20 {
					w.Send("40/chat,")
					if strings.HasPrefix(w.Next(), "40/chat,") {
						joined++
						w.Send("41/chat,")
					}
				}
				c.Want("joins", joined, 7)
			}},
		Case{Name: "connect/dynamic-bound", Rule: "namespaces of a pattern are bounded in all; one more is refused as if there were none, and there is room again when one is empty", Spec: "reliability S21", local: true,
			opts: func(o *sio.Options) { o.MaxDynamicNamespaces = 3 }, run: func(c *Context) {
				c.server().OfPattern("/room/{id}")
				c.server().OfFunc(func(path string, _ *sio.Request) bool { return strings.HasPrefix(path, "/func/") })
				w := c.Join("")
				w.Send("40/room/1,", "40/room/2,", "40/func/3,", "40/room/4,", "40/func/5,", "40/room/1,")
				for _, want := range []string{"40/room/1,", "40/room/2,", "40/func/3,", `44/room/4,{"message":"Invalid namespace"}`, `44/func/5,{"message":"Invalid namespace"}`} {
					if got := w.Next(); !strings.HasPrefix(got, want) {
						c.T.Errorf("got %s, want %s", got, want)
					}
				}
				w.End() // joining twice
				other := c.Join("")
				c.Eventually("room again", func() bool {
					other.Send("40/room/4,")
					return strings.HasPrefix(other.Next(), "40/room/4,")
				})
			}},
		Case{Name: "sio1/endpoint-without-slash", Rule: "0.9: an endpoint without a slash is the namespace with one", Spec: "legacy A2", local: true, need: []Capability{SIO1}, run: func(c *Context) {
			n := c.server().OfPattern("/room/{id}")
			w := c.ws1(c.Handshake1(""))
			w.Send("1::room/1")
			c.Want("joined", w.Next(), "1::/room/1")
			four := c.Join("/room/1")
			c.Want("sockets", c.server().Of("/room/1").Len(), 2)
			_ = n.Emit("hi")
			c.Want("0.9", w.Next(), `5::/room/1:{"name":"hi"}`)
			c.Want("4.x", four.Next(), `42/room/1,["hi"]`)
		}},
		Case{Name: "limits/connecting", Rule: "what is sent to a client while OnConnect runs is bounded as its queue is", Spec: "DESIGN 3", local: true,
			opts: func(o *sio.Options) { o.MaxQueueMessages = 16 }, run: func(c *Context) {
				asks, goes := make(chan struct{}), make(chan struct{})
				n := c.server().Of("/slow")
				n.OnConnect(func(ctx context.Context, s *sio.Socket) error {
					s.Join("news")
					close(asks)
					<-goes
					return nil
				})
				w, _ := c.WebSocket()
				w.Send("40/slow,")
				<-asks
				for i := range 100 {
					_ = n.To("news").Emit("n", i)
				}
				w.End()
				close(goes)
				c.Alive()
			}},
		Case{Name: "limits/one-limit", Rule: "setting one of the limits leaves the others as they are", Spec: "DESIGN 8",
			opts: func(o *sio.Options) { o.Limits.Attachments = 2 }, run: func(c *Context) {
				w := c.Join("")
				w.Send(`40/chat,{"token":{"deep":[1]}}`)
				c.Want("auth", w.Next()[:8], "40/chat,")
				w.Send(`40/secret,{"a":"` + strings.Repeat("x", 20<<10) + `"}`)
				c.Closed(w, 1002)
				w = c.Join("")
				w.Send(`453-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`)
				w.End()
				nine := c.Polling1()
				nine.Send(`5:::{"name":"echo","args":[[1]]}`)
				c.Want("0.9", nine.Next(), `5:::{"name":"echo","args":[[1]]}`)
			}},
	)
}
