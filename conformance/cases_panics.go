package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
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

// panicsRows are the places where a server calls the application.
var panicsRows = []codeRow{
	{
		place: "handler",
		rule:  "a handler, its middleware, the decoder of its arguments, the constructor of its state",
		serve: panicsHandlerServe,
		talk: steps{
			{`421["boom"]`, "431" + internalAck}, {`422["decoder",1]`, "432" + internalAck}, {`423["middleware"]`, "433" + internalAck},
			{`424["state"]`, "434" + internalAck}, {`425["concurrent"]`, "435" + internalAck}, {`42["boom"]`, "42" + internalEvent},
		},
	},
	{
		place: "Guard",
		rule:  "a policy refuses",
		serve: panicsGuardServe,
		talk: steps{
			{"40/p,", "40/p,"},
			{`42/p,1["x"]`, `43/p,1[{"error":{"code":"refused","message":"event refused"}}]`},
		},
	},
	{
		place: "OnConnect",
		rule:  "OnConnect of the namespace and of the server refuse",
		serve: panicsOnConnectServe,
		talk:  steps{{"40/p,", "44/p," + internalRefusal}, {"40/q,", "44/q," + internalRefusal}},
	},
	{
		place: "OnConnected",
		rule:  "the client stays connected",
		serve: panicsOnConnectedServe,
		talk:  steps{{"40/p,", "40/p,"}, {`42/p,1["x"]`, "43/p,1[]"}},
	},
	{
		place: "OnDisconnect",
		rule:  "the socket leaves, and may come again",
		serve: panicsOnDisconnectServe,
		talk:  steps{{"40/p,", "40/p,"}, {"41/p,", ""}, {"40/p,", "40/p,"}},
	},
	{
		place: "HandleServers",
		rule:  "the server that has asked is told",
		opts:  panicsClusterOpts,
		serve: panicsHandleServersServe,
		talk:  steps{{`421["other"]`, `431["internal"]`}},
	},
	{
		place: "OnServer",
		rule:  "the servers talk to each other all the same",
		opts:  panicsClusterOpts,
		serve: panicsOnServerServe,
		talk:  steps{{`421["other"]`, `431["42"]`}},
	},
	{
		place: "OnAny",
		rule:  "the event is handled",
		serve: panicsOnIncomingServe,
		talk:  steps{{`421["echo","x"]`, `431["x"]`}},
	},
	{
		place: "OnAnyOutgoing",
		rule:  "the event leaves",
		serve: panicsOnOutgoingServe,
		talk:  steps{{`42["echo","x"]`, `42["echo","x"]`}, {`42["shout","y"]`, `42["shouted","y"]`}},
	},
	{
		place: "OnAck",
		rule:  "the answer leaves",
		serve: panicsOnAckServe,
		talk:  steps{{`421["echo","x"]`, `431["x"]`}, {`422["boom"]`, "432" + internalAck}},
	},
	{
		place: "Loop",
		rule:  "the socket is told and disconnected",
		serve: panicsLoopServe,
		talk:  steps{{"40/p,", "40/p,"}, {`42/p,["x"]`, "42/p," + internalEvent}, {"", "41/p,"}},
	},
	{
		place: "Socket.Go",
		rule:  "a task of a socket",
		serve: panicsSocketGoServe,
		talk:  steps{{`421["go"]`, "431[]"}},
	},
	{
		place: "OfFunc",
		rule:  "the namespace is refused",
		serve: panicsOfFuncServe,
		talk:  steps{{"40/p,", "44/p," + internalRefusal}},
	},
	{
		place: "OnError",
		rule:  "the event is answered",
		opts:  panicsOnErrorOpts,
		talk:  steps{{`421["boom"]`, "431" + internalAck}, {`42["no such event"]`, ""}},
	},
	{
		place: "ErrorAck",
		rule:  "the ack is internal, also when what ErrorAck returns cannot be encoded",
		opts:  panicsErrorAckOpts,
		talk: steps{
			{`421["fail","secret"]`, "431" + internalAck},
			{`422["fail","public"]`, "432" + internalAck},
			{`423["no such event"]`, "433" + internalAck},
		},
	},
	{
		place: "encode",
		rule: "an answer that cannot be encoded is answered as internal: numbers that JSON lacks, " +
			"channels, cycles, encoders that panic",
		serve: panicsEncodeServe,
		talk: steps{
			{`421["panics"]`, "431" + internalAck}, {`422["NaN"]`, "432" + internalAck}, {`423["Inf"]`, "433" + internalAck},
			{`424["channel"]`, "434" + internalAck}, {`425["cycle"]`, "435" + internalAck}, {`426["deep"]`, "436" + internalAck},
			{
				`421["by-hand panics"]`, "431" + internalAck,
			}, {`422["by-hand NaN"]`, "432" + internalAck}, {`423["by-hand Inf"]`, "433" + internalAck},
			{
				`424["by-hand channel"]`, "434" + internalAck,
			}, {`425["by-hand cycle"]`, "435" + internalAck}, {`426["by-hand deep"]`, "436" + internalAck},
			{`427["data"]`, "437" + internalAck}, {`42["data"]`, "42" + internalEvent}, {`428["emit"]`, "438" + internalAck},
			{"40/p,", "44/p," + internalRefusal},
		},
	},
	{
		place: "decode",
		rule:  "an answer to the server, and an auth payload, that cannot be decoded are errors",
		opts:  panicsDecodeOpts,
		serve: panicsDecodeServe,
		run:   panicsDecode,
	},
	{
		place: "error",
		rule:  "an error whose methods panic is internal, a nil *Error is none",
		serve: panicsErrorServe,
		talk: steps{
			{`421["methods"]`, "431" + internalAck}, {`42["methods"]`, "42" + internalEvent}, {`422["find","x"]`, `432["found x"]`},
			{`423["handle"]`, "433[]"}, {`424["wrapped"]`, "434" + internalAck},
			{"40/p,", "40/p,"}, {"40/q,", "44/q," + internalRefusal}, {"40/r,", "40/r,"}, {`42/r,["x"]`, "41/r,"},
		},
	},
}

func panicsHandlerServe(srv *sio.Server) {
	n := srv.Of("/")
	n.On("decoder", sio.Handle(func(context.Context, *sio.Socket, bomb) error { return nil }))
	n.On("middleware", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }), func(sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(context.Context, *sio.Event) error { panic("middleware") })
	})
	st := sio.Stateful(func(*sio.Socket) *bomb { panic("state") })
	n.On("state", sio.Method(st, func(*bomb, context.Context, sio.None) error { return nil }))
	n.On("concurrent", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { panic("concurrent") }), sio.Concurrent(2))
}

func panicsGuardServe(srv *sio.Server) {
	srv.Of("/p").Guard(policy(func(a acl.Action) error {
		if a.Kind == acl.Event {
			panic("policy")
		}
		return nil
	}))
}

func panicsOnConnectServe(srv *sio.Server) {
	srv.Of("/p").OnConnect(func(context.Context, *sio.Socket) error { panic("OnConnect") })
	srv.Of("/q")
	srv.OnConnect(func(_ context.Context, s *sio.Socket) error {
		if s.Namespace().Path() == "/q" {
			panic("Server.OnConnect")
		}
		return nil
	})
}

func panicsOnConnectedServe(srv *sio.Server) {
	n := srv.Of("/p")
	n.OnConnected(func(context.Context, *sio.Socket) { panic("OnConnected") })
	n.On("x", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }))
}

func panicsOnDisconnectServe(srv *sio.Server) {
	srv.Of("/p").OnDisconnect(func(context.Context, *sio.Socket, sio.Reason) { panic("OnDisconnect") })
}

func panicsOnIncomingServe(srv *sio.Server) {
	srv.Of("/").OnAny(func(context.Context, *sio.Event) { panic("OnAny") })
}

func panicsOnOutgoingServe(srv *sio.Server) {
	srv.Of("/").OnAnyOutgoing(func(sio.Outgoing) { panic("OnAnyOutgoing") })
}

func panicsOnAckServe(srv *sio.Server) {
	srv.Of("/").Use(func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			ev.OnAck(func(sio.Args) { panic("OnAck") })
			return next.ServeEvent(ctx, ev)
		})
	})
}

func panicsLoopServe(srv *sio.Server) {
	srv.Of("/p").Loop(func(ctx context.Context, s *sio.Socket) error {
		if _, err := s.Recv(ctx); err != nil {
			return err
		}
		panic("Loop")
	})
}

func panicsSocketGoServe(srv *sio.Server) {
	srv.Of("/").On("go", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		s.Go(func(context.Context) { panic("Go") })
		return nil
	}))
}

func panicsOfFuncServe(srv *sio.Server) {
	srv.OfFunc(func(path string, _ *sio.Request) bool { panic(path) })
}

func panicsOnErrorOpts(o *sio.Options) {
	o.OnError = func(sio.Failure) { panic("OnError") }
}

func panicsErrorAckOpts(o *sio.Options) {
	o.ErrorAck = func(e *sio.Error) any {
		if e.Code == "nope" {
			return bomb{}
		}
		panic("ErrorAck")
	}
}

func panicsEncodeServe(srv *sio.Server) {
	n := srv.Of("/")
	for name, v := range map[string]any{
		"panics": bomb{}, "NaN": math.NaN(), "Inf": []any{math.Inf(1)}, "channel": make(chan int),
		"cycle": cycle(), "deep": map[string]any{"x": cycle()},
	} {
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
}

func panicsDecodeOpts(o *sio.Options) {
	o.JSON = brokenJSON{}
}

func panicsDecodeServe(srv *sio.Server) {
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
}

func panicsDecode(c *env) {
	w := c.Join("")
	w.Send(`40/p,{"token":1}`)
	c.Want("auth", w.Next(), `44/p,{"message":"no auth"}`)
	w.Send(`42["call"]`)
	w.Send("43" + c.question(w) + `[{"a":1}]`)
	w.Send("43" + c.question(w) + `[{"a":1}]`)
	c.Want("calls", w.Next(), `42["errors"]`)
}

func panicsErrorServe(srv *sio.Server) {
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
