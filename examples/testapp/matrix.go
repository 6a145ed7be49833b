package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// collected is the key of what the event "collect" has remembered.
type collected struct{}

// ends remembers why sockets have ended, by the key they were welcomed with.
type ends struct {
	mu sync.Mutex
	m  map[string]string
}

type keyOf struct{}

// matrix is the contract that official clients of every generation are driven against. patience
// is added to how long they may be silent: 27 clients of one process share a processor.
func matrix(o *sio.Options, patience time.Duration) *sio.Server {
	o.PingInterval, o.PingTimeout = time.Second, 2*time.Second+patience
	o.Legacy.CloseTimeout, o.Legacy.PollDuration = 3*time.Second+patience, time.Second
	o.MaxPayload = 5_000_000
	o.MaxQueueBytes = 64 << 20
	next := o.OnHandshake
	o.OnHandshake = func(ctx context.Context, r *sio.Request, x host.Exchange) error {
		if r.Query().Get("deny") == "1" {
			return &sio.Error{Message: "Forbidden"}
		}
		if next == nil {
			return nil
		}
		return next(ctx, r, x)
	}
	io := sio.NewServer(o)
	var serial atomic.Int64
	gone := &ends{m: map[string]string{}}
	for _, path := range []string{"/", "/chat", "/secret"} {
		n := io.Of(path)
		if path == "/secret" {
			n.OnConnect(admit)
		}
		n.OnConnect(func(_ context.Context, s *sio.Socket) error {
			key := fmt.Sprintf("k%d", serial.Add(1))
			s.Set(keyOf{}, key)
			auth := map[string]any{}
			if err := s.Auth(&auth); err != nil {
				return err
			}
			return s.Emit("welcome", map[string]any{"key": key, "ns": path, "query": query(s), "auth": auth})
		})
		n.OnDisconnect(func(_ context.Context, s *sio.Socket, r sio.Reason) {
			gone.mu.Lock()
			defer gone.mu.Unlock()
			gone.m[s.Get(keyOf{}).(string)] = r.String()
		})
		echoes(n)
		relays(n)
		controls(n, gone)
		gated(n)
	}
	return io
}

// admit guards /secret.
func admit(_ context.Context, s *sio.Socket) error {
	var auth struct {
		Token string `json:"token"`
	}
	_ = s.Auth(&auth) // a payload of another shape has no token
	asked := query(s)["token"]
	if of := s.Query().Get("token"); of != "" {
		asked = of
	}
	if auth.Token == "letmein" || asked == "letmein" {
		return nil
	}
	e := &sio.Error{Message: "unauthorized"}
	if asked != "" {
		e.Data = map[string]int{"code": 401}
	}
	return e
}

func query(s *sio.Socket) map[string]string {
	m := map[string]string{}
	for k, v := range s.Request().Query() {
		m[k] = v[0]
	}
	return m
}

// echoes are the events that come back.
func echoes(n *sio.Namespace) {
	n.On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		return ev.Socket.Emit("echo", ev.Args)
	}))
	n.On("ack", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { return ev.Ack(ev.Args) }))
	n.On("ask", sio.Handle(func(ctx context.Context, s *sio.Socket, x any) error {
		answer, err := sio.Call[sio.Args](ctx, s, "question", x)
		if err != nil {
			return err
		}
		return s.Emit("answer", answer)
	}))
	n.On("message", sio.Handle(func(_ context.Context, s *sio.Socket, data any) error { return s.Send(data) }))
	n.On("getbin", sio.Handle(func(_ context.Context, s *sio.Socket, count int) error {
		data := make([]byte, count)
		for i := range data {
			data[i] = byte(i)
		}
		return s.Emit("bin", map[string]any{"n": count, "data": data})
	}))
	n.On("binlen", sio.Reply(func(_ context.Context, _ *sio.Socket, a sio.Args) ([]int, error) {
		lens := make([]int, a.Len())
		for i := range lens {
			lens[i] = -1
			if b, ok := a.Bytes(i); ok {
				lens[i] = len(b)
			}
		}
		return lens, nil
	}))
	n.On("codes", sio.Reply(func(_ context.Context, _ *sio.Socket, text string) ([]rune, error) { return []rune(text), nil }))
	n.On("text-of", sio.Handle(func(_ context.Context, s *sio.Socket, codes []rune) error {
		return s.Emit("text", string(codes))
	}))
	n.On("collect", sio.Handle(func(_ context.Context, s *sio.Socket, x any) error {
		list, _ := s.Get(collected{}).([]any)
		s.Set(collected{}, append(list, x))
		return nil
	}))
	n.On("collected", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) ([]any, error) {
		list, _ := s.Get(collected{}).([]any)
		s.Set(collected{}, nil)
		return append([]any{}, list...), nil
	}))
	n.On("burst", sio.Handle(func(_ context.Context, s *sio.Socket, a sio.Args2[int, int]) error {
		pad := strings.Repeat("x", a.B)
		for i := range a.A {
			if err := s.Emit("item", i, pad); err != nil {
				return err
			}
		}
		return s.Emit("burst-done", a.A)
	}))
}

// errServerRoom refuses the rooms that are not for clients.
var errServerRoom = sio.Errorf("refused", "this room is the server's own")

// relays are the events that reach others.
func relays(n *sio.Namespace) {
	n.On("join", sio.Reply(func(_ context.Context, s *sio.Socket, room string) (string, error) {
		if sio.ServerRoom(room) {
			return "", errServerRoom
		}
		s.Join(room)
		return room, nil
	}))
	n.On("leave", sio.Reply(func(_ context.Context, s *sio.Socket, room string) (string, error) {
		if sio.ServerRoom(room) {
			return "", errServerRoom
		}
		s.Leave(room)
		return room, nil
	}))
	say := func(to func(s *sio.Socket, room string) sio.Target) sio.Handler {
		return sio.Handle(func(_ context.Context, s *sio.Socket, a sio.Args) error {
			var room string
			if err := a.Bind(&room); err != nil {
				return err
			}
			if sio.ServerRoom(room) {
				return errServerRoom
			}
			return to(s, room).Emit("said", room, a.Slice(1))
		})
	}
	n.On("say", say(func(_ *sio.Socket, room string) sio.Target { return n.To(room) }))
	n.On("say-others", say(func(s *sio.Socket, room string) sio.Target { return s.To(room) }))
	n.On("shout", sio.Handle(func(_ context.Context, _ *sio.Socket, a sio.Args) error { return n.Emit("shouted", a) }))
	n.On("shout-others", sio.Handle(func(_ context.Context, s *sio.Socket, a sio.Args) error {
		return s.Broadcast().Emit("shouted", a)
	}))
}

// controls are the events that make something happen to the socket itself.
func controls(n *sio.Namespace, gone *ends) {
	n.On("kick", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		s.Disconnect()
		return nil
	}))
	n.On("kick-all", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		s.Conn().Close()
		return nil
	}))
	n.On("drop", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		s.CloseTransport()
		return nil
	}))
	n.On("whoami", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (map[string]any, error) {
		return map[string]any{"key": s.Get(keyOf{}), "ns": n.Path(), "transport": s.Transport()}, nil
	}))
	n.On("gone", sio.Reply(func(_ context.Context, _ *sio.Socket, key string) (any, error) {
		gone.mu.Lock()
		defer gone.mu.Unlock()
		if reason, ok := gone.m[key]; ok {
			return reason, nil
		}
		return nil, nil
	}))
	n.On("boom", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { panic("boom") }))
	n.On("slow", sio.Handle(func(ctx context.Context, _ *sio.Socket, ms int) error {
		t := time.NewTimer(time.Duration(ms) * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return nil
	}))
}

// gated are the events of the access list, which every event passes.
func gated(n *sio.Namespace) {
	gate := acl.NewGate(acl.RecvConnect,
		"echo", "ack", "ask", "message", "getbin", "binlen", "codes", "text-of", "collect", "collected", "burst",
		"join", "leave", "say", "say-others", "shout", "shout-others", "kick", "kick-all", "drop", "whoami", "gone", "gate", "boom", "slow")
	n.Guard(gate)
	n.OnConnect(func(_ context.Context, s *sio.Socket) error {
		gate.Lift(s)
		return nil
	})
	n.On("gate", sio.Reply(func(_ context.Context, s *sio.Socket, a sio.Args) (bool, error) {
		var word string
		if err := a.Bind(&word); err != nil {
			return false, err
		}
		names := make([]string, a.Len()-1)
		for i := range names {
			if err := a.Slice(i + 1).Bind(&names[i]); err != nil {
				return false, err
			}
		}
		switch word {
		case "lock", "reset":
			gate.Reset(s)
		case "allow":
			gate.Allow(s, names...)
		case "deny":
			gate.Deny(s, names...)
		case "lift":
			gate.Lift(s)
		default:
			return false, sio.Errorf("unknown", "no such word")
		}
		return true, nil
	}))
	n.On("guarded", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { return ev.Ack(ev.Args) }))
}
