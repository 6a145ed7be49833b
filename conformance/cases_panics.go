package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// What application code panics about must stay with the one request or event that
// it was about. Some hosts recover by themselves and some do not, so every place
// where the server calls the application is a case here.

const (
	internalAck     = `[{"error":{"code":"internal","message":"internal error"}}]`
	internalEvent   = `["error",{"code":"internal","message":"internal error"}]`
	internalRefusal = `{"message":"internal error"}`
)

// bomb is a value that cannot be encoded, decoded or looked into.
type bomb struct{ _ *int }

func (b bomb) MarshalJSON() ([]byte, error)  { panic("MarshalJSON") }
func (b *bomb) UnmarshalJSON([]byte) error   { panic("UnmarshalJSON") }
func (b bomb) Error() string                 { panic("Error") }
func (b bomb) Unwrap() error                 { panic("Unwrap") }
func (b *bomb) UnmarshalArgs(sio.Args) error { panic("UnmarshalArgs") }

// find returns the type of the library's error, as functions of applications do.
func find(name string) (string, *sio.Error) { return "found " + name, nil }

type policy func(a acl.Action) error

func (p policy) Check(_ context.Context, _ acl.Subject, a acl.Action) error { return p(a) }

// says is a step of a conversation over a websocket.
type says struct{ send, want string }

func init() {
	for _, row := range []struct {
		place string
		rule  string
		opts  func(o *sio.Options)
		serve func(srv *sio.Server)
		talk  []says
		run   func(c *Context)
	}{
		{place: "handler", rule: "a handler, its middleware, the decoder of its arguments, the constructor of its state", serve: func(srv *sio.Server) {
			n := srv.Of("/")
			n.On("decoder", sio.Handle(func(context.Context, *sio.Socket, bomb) error { return nil }))
			n.On("middleware", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }), func(sio.Handler) sio.Handler {
				return sio.HandlerFunc(func(context.Context, *sio.Event) error { panic("middleware") })
			})
			st := sio.Stateful(func(*sio.Socket) *bomb { panic("state") })
			n.On("state", sio.Method(st, func(*bomb, context.Context, sio.None) error { return nil }))
			n.On("concurrent", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { panic("concurrent") }), sio.Concurrent(2))
		}, talk: []says{
			{`421["boom"]`, "431" + internalAck}, {`422["decoder",1]`, "432" + internalAck}, {`423["middleware"]`, "433" + internalAck},
			{`424["state"]`, "434" + internalAck}, {`425["concurrent"]`, "435" + internalAck}, {`42["boom"]`, "42" + internalEvent},
		}},
		{place: "Guard", rule: "a policy refuses", serve: func(srv *sio.Server) {
			srv.Of("/p").Guard(policy(func(a acl.Action) error {
				if a.Kind == acl.Event {
					panic("policy")
				}
				return nil
			}))
		}, talk: []says{{"40/p,", "40/p,"}, {`42/p,1["x"]`, `43/p,1[{"error":{"code":"refused","message":"event refused"}}]`}}},
		{place: "OnConnect", rule: "OnConnect of the namespace and of the server refuse", serve: func(srv *sio.Server) {
			srv.Of("/p").OnConnect(func(context.Context, *sio.Socket) error { panic("OnConnect") })
			srv.Of("/q")
			srv.OnConnect(func(_ context.Context, s *sio.Socket) error {
				if s.Namespace().Path() == "/q" {
					panic("Server.OnConnect")
				}
				return nil
			})
		}, talk: []says{{"40/p,", "44/p," + internalRefusal}, {"40/q,", "44/q," + internalRefusal}}},
		{place: "OnConnected", rule: "the client stays connected", serve: func(srv *sio.Server) {
			n := srv.Of("/p")
			n.OnConnected(func(context.Context, *sio.Socket) { panic("OnConnected") })
			n.On("x", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }))
		}, talk: []says{{"40/p,", "40/p,"}, {`42/p,1["x"]`, "43/p,1[]"}}},
		{place: "OnDisconnect", rule: "the socket leaves, and may come again", serve: func(srv *sio.Server) {
			srv.Of("/p").OnDisconnect(func(context.Context, *sio.Socket, sio.Reason) { panic("OnDisconnect") })
		}, talk: []says{{"40/p,", "40/p,"}, {"41/p,", ""}, {"40/p,", "40/p,"}}},
		{place: "OnAny", rule: "the event is handled", serve: func(srv *sio.Server) {
			srv.Of("/").OnAny(func(context.Context, *sio.Event) { panic("OnAny") })
		}, talk: []says{{`421["echo","x"]`, `431["x"]`}}},
		{place: "OnAnyOutgoing", rule: "the event leaves", serve: func(srv *sio.Server) {
			srv.Of("/").OnAnyOutgoing(func(sio.Outgoing) { panic("OnAnyOutgoing") })
		}, talk: []says{{`42["echo","x"]`, `42["echo","x"]`}, {`42["shout","y"]`, `42["shouted","y"]`}}},
		{place: "Loop", rule: "the socket is told and disconnected", serve: func(srv *sio.Server) {
			srv.Of("/p").Loop(func(ctx context.Context, s *sio.Socket) error {
				if _, err := s.Recv(ctx); err != nil {
					return err
				}
				panic("Loop")
			})
		}, talk: []says{{"40/p,", "40/p,"}, {`42/p,["x"]`, "42/p," + internalEvent}, {"", "41/p,"}}},
		{place: "Socket.Go", rule: "a task of a socket", serve: func(srv *sio.Server) {
			srv.Of("/").On("go", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
				s.Go(func(context.Context) { panic("Go") })
				return nil
			}))
		}, talk: []says{{`421["go"]`, "431[]"}}},
		{place: "OfFunc", rule: "the namespace is refused", serve: func(srv *sio.Server) {
			srv.OfFunc(func(path string, _ *sio.Request) bool { panic(path) })
		}, talk: []says{{"40/p,", "44/p," + internalRefusal}}},
		{place: "OnHandshake", rule: "the handshake is answered with 500", opts: func(o *sio.Options) {
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
		}, run: func(c *Context) {
			c.Want("polling", c.Must("GET", q4+"&p=panic", "").Status, 500)
			_, a := c.Upgrade(w4+"&p=panic", "")
			c.Want("websocket", a.Status, 500)
			c.Want("a nil *Error", c.Must("GET", q4+"&p=nil", "").Status, 200)
		}},
		{place: "OnExchange", rule: "the request is answered with 500", opts: func(o *sio.Options) {
			o.OnHandshake = func(ctx context.Context, r *sio.Request, _ host.Exchange) error {
				if r.Query().Has("p") {
					sio.ConnFromContext(ctx).OnExchange(func(host.Exchange) error { panic("OnExchange") })
				}
				return nil
			}
		}, run: func(c *Context) {
			s := c.Polling("p=1")
			c.Want("the next request", s.Post("40").Status, 500)
		}},
		{place: "UseExchange", rule: "before its answer a request is answered with 500, behind it nothing more is said", serve: func(srv *sio.Server) {
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
		}, run: func(c *Context) {
			c.Want("before", c.Must("GET", q4+"&p=before", "").Status, 500)
			c.Want("behind", c.Must("GET", q4+"&p=behind", "").Status, 200)
			w, _ := c.Upgrade(w4+"&p=behind", "")
			if w == nil {
				c.T.Fatal("no websocket")
			}
			c.Want("behind an upgrade", w.Next()[:1], "0")
		}},
		{place: "AllowOrigin", rule: "the origin is refused", opts: func(o *sio.Options) {
			o.AllowOrigin = func(string) bool { panic("AllowOrigin") }
		}, run: func(c *Context) {
			c.Want("polling", c.Must("GET", q4, "", "Origin", "https://elsewhere.example").Status, 403)
			_, a := c.Upgrade(w4, "", "Origin", "https://elsewhere.example")
			c.Want("websocket", a.Status, 403)
		}},
		{place: "Address", rule: "the peer counts", opts: func(o *sio.Options) {
			o.Address = func(host.Exchange) string { panic("Address") }
		}, run: func(c *Context) {
			c.Want("polling", c.Must("GET", q4, "").Status, 200)
		}},
		{place: "RepairTextOf", rule: "RepairText counts", opts: func(o *sio.Options) {
			o.RepairTextOf = func(host.Exchange) sio.RepairText { panic("RepairTextOf") }
		}, run: func(c *Context) {
			c.needs(EIO3)
			c.Want("polling", c.Must("GET", "EIO=3&transport=polling", "").Status, 200)
			c.Want("websocket", c.ws3() != nil, true)
		}},
		{place: "OnError", rule: "the event is answered", opts: func(o *sio.Options) {
			o.OnError = func(sio.Failure) { panic("OnError") }
		}, talk: []says{{`421["boom"]`, "431" + internalAck}, {`42["no such event"]`, ""}}},
		{place: "ErrorAck", rule: "the ack is internal, also when what ErrorAck returns cannot be encoded", opts: func(o *sio.Options) {
			o.ErrorAck = func(e *sio.Error) any {
				if e.Code == "nope" {
					return bomb{}
				}
				panic("ErrorAck")
			}
		}, talk: []says{{`421["fail","secret"]`, "431" + internalAck}, {`422["fail","public"]`, "432" + internalAck}, {`423["no such event"]`, "433" + internalAck}}},
		{place: "encode", rule: "an answer that cannot be encoded is answered as internal: numbers that JSON lacks, channels, cycles, encoders that panic", serve: func(srv *sio.Server) {
			n := srv.Of("/")
			for name, v := range map[string]any{"panics": bomb{}, "NaN": math.NaN(), "Inf": []any{math.Inf(1)}, "channel": make(chan int), "cycle": cycle(), "deep": map[string]any{"x": cycle()}} {
				n.On(name, sio.Reply(func(context.Context, *sio.Socket, sio.None) (any, error) { return v, nil }))
				n.On("by-hand "+name, sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
					_ = ev.Ack(v) // the application does not look
					return nil
				}))
			}
			n.On("data", sio.Reply(func(context.Context, *sio.Socket, sio.None) (any, error) {
				return nil, &sio.Error{Code: "x", Data: bomb{}}
			}))
			n.On("emit", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
				return errors.Join(s.Emit("x", bomb{}), s.Broadcast().Emit("x", bomb{}))
			}))
			srv.Of("/p").OnConnect(func(context.Context, *sio.Socket) error { return &sio.Error{Message: "no", Data: bomb{}} })
		}, talk: []says{
			{`421["panics"]`, "431" + internalAck}, {`422["NaN"]`, "432" + internalAck}, {`423["Inf"]`, "433" + internalAck},
			{`424["channel"]`, "434" + internalAck}, {`425["cycle"]`, "435" + internalAck}, {`426["deep"]`, "436" + internalAck},
			{`421["by-hand panics"]`, "431" + internalAck}, {`422["by-hand NaN"]`, "432" + internalAck}, {`423["by-hand Inf"]`, "433" + internalAck},
			{`424["by-hand channel"]`, "434" + internalAck}, {`425["by-hand cycle"]`, "435" + internalAck}, {`426["by-hand deep"]`, "436" + internalAck},
			{`427["data"]`, "437" + internalAck}, {`42["data"]`, "42" + internalEvent}, {`428["emit"]`, "438" + internalAck},
			{"40/p,", "44/p," + internalRefusal},
		}},
		{place: "decode", rule: "an answer to the server, and an auth payload, that cannot be decoded are errors", opts: func(o *sio.Options) {
			o.JSON = brokenJSON{}
		}, serve: func(srv *sio.Server) {
			n := srv.Of("/")
			n.On("call", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
				go func() { // not in a handler: nobody recovers there
					_, one := sio.Call[bomb](context.Background(), s, "question", "x")
					many, err := sio.CallAll[map[string]any](context.Background(), s.Namespace().To(s.ID()), "question", "x")
					if one == nil || err != nil || many[0].Err == nil {
						_ = s.Emit("no errors")
					}
					_ = s.Emit("errors")
				}()
				return nil
			}))
			srv.Of("/p").OnConnect(func(_ context.Context, s *sio.Socket) error {
				if s.Auth(new(map[string]any)) != nil {
					return sio.Errorf("", "no auth")
				}
				return nil
			})
		}, run: func(c *Context) {
			w := c.Join("")
			w.Send(`40/p,{"token":1}`)
			c.Want("auth", w.Next(), `44/p,{"message":"no auth"}`)
			w.Send(`42["call"]`)
			w.Send("43" + c.question(w) + `[{"a":1}]`)
			w.Send("43" + c.question(w) + `[{"a":1}]`)
			c.Want("calls", w.Next(), `42["errors"]`)
		}},
		{place: "error", rule: "an error whose methods panic is internal, a nil *Error is none", serve: func(srv *sio.Server) {
			n := srv.Of("/")
			n.On("methods", sio.Reply(func(context.Context, *sio.Socket, sio.None) (any, error) { return nil, bomb{} }))
			n.On("find", sio.Reply(func(_ context.Context, _ *sio.Socket, name string) (string, error) { return find(name) }))
			n.On("handle", sio.Handle(func(context.Context, *sio.Socket, sio.None) error {
				_, err := find("")
				return err
			}))
			n.On("wrapped", sio.Handle(func(context.Context, *sio.Socket, sio.None) error {
				_, err := find("")
				return errors.Join(err)
			}))
			srv.Of("/p").OnConnect(func(context.Context, *sio.Socket) error {
				_, err := find("")
				return err
			})
			srv.Of("/q").OnConnect(func(context.Context, *sio.Socket) error { return bomb{} })
			srv.Of("/r").Loop(func(ctx context.Context, s *sio.Socket) error {
				if _, err := s.Recv(ctx); err != nil {
					return err
				}
				_, err := find("")
				return err
			})
		}, talk: []says{
			{`421["methods"]`, "431" + internalAck}, {`42["methods"]`, "42" + internalEvent}, {`422["find","x"]`, `432["found x"]`},
			{`423["handle"]`, "433[]"}, {`424["wrapped"]`, "434" + internalAck},
			{"40/p,", "40/p,"}, {"40/q,", "44/q," + internalRefusal}, {"40/r,", "40/r,"}, {`42/r,["x"]`, "41/r,"},
		}},
	} {
		register(Case{Name: "panics/" + row.place, Rule: "a panic ends nothing: " + row.rule, Spec: "DESIGN 3", local: true, opts: row.opts, run: func(c *Context) {
			if row.serve != nil {
				row.serve(c.server())
			}
			if row.run != nil {
				row.run(c)
			} else {
				conversation(c, c.Join(""), row.talk)
			}
			c.Alive()
		}})
	}
}

// conversation goes through steps. An answer that begins with what is wanted will do
// where that ends in a comma: an id may follow.
func conversation(c *Context, w *wire.WS, steps []says) {
	c.T.Helper()
	for _, step := range steps {
		if step.send != "" {
			w.Send(step.send)
		}
		if step.want == "" {
			continue
		}
		got := w.Next()
		if got != step.want && (!strings.HasSuffix(step.want, ",") || !strings.HasPrefix(got, step.want)) {
			c.T.Errorf("%s\n got  %s\n want %s", step.send, got, step.want)
		}
	}
}

// cycle is a value that has no end.
func cycle() any {
	type node struct{ Next *node }
	n := new(node)
	n.Next = n
	list := []any{n, nil}
	list[1] = list
	return list
}

// brokenJSON is a codec that panics about objects.
type brokenJSON struct{}

func (brokenJSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (brokenJSON) Unmarshal(data []byte, v any) error {
	if strings.HasPrefix(string(data), "{") {
		panic("Unmarshal")
	}
	return json.Unmarshal(data, v)
}
