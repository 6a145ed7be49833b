package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/eio"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// app is one profile: what is mounted where.
type app struct {
	io     *sio.Server
	engine *eio.Server
	mounts map[string]host.Handler
}

func (a *app) shutdown(ctx context.Context) error {
	if a.engine != nil {
		if err := a.engine.Shutdown(ctx); err != nil {
			return err
		}
	}
	return a.io.Shutdown(ctx)
}

// newApp builds a profile; bridge is nil without sessions.
func newApp(c config, bridge *sessionbridge.Bridge) (*app, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	if bridge != nil {
		o.OnHandshake = bridge.OnHandshake
	}
	a := &app{mounts: map[string]host.Handler{}}
	namespaces := []string{"/"}
	switch c.profile {
	case "matrix":
		namespaces = append(namespaces, "/chat", "/secret")
		a.io = matrix(o, c.patience)
	case "protocol":
		namespaces = append(namespaces, "/custom")
		a.io = protocol(o)
		a.engine = engine(o)
		a.mounts["/engine.io"] = a.engine
	case "load":
		a.io = load(o)
	default:
		return nil, fmt.Errorf("-profile: unknown profile %q", c.profile)
	}
	if bridge != nil {
		for _, path := range namespaces {
			sessions(a.io.Of(path))
		}
	}
	a.mounts[c.mount] = a.io
	return a, nil
}

// sessions are the events that read and write the web session.
func sessions(n *sio.Namespace) {
	n.On("sess-get", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (any, error) {
		sess, ok := sessionbridge.From(ctx, s)
		if !ok || sess.Reload(ctx) != nil {
			return nil, nil
		}
		return sess.Get(key), nil
	}))
	n.On("sess-set", sio.Reply(func(ctx context.Context, s *sio.Socket, a sio.Args2[string, string]) (bool, error) {
		sess, ok := sessionbridge.From(ctx, s)
		if !ok {
			return false, sio.Errorf("no_session", "there is no session")
		}
		err := sess.Update(ctx, func(v sessionbridge.Values) error {
			v[a.A] = a.B
			return nil
		})
		if errors.Is(err, sessionbridge.ErrDestroyed) {
			return false, sio.Errorf("destroyed", "the session has ended")
		}
		return true, err
	}))
	n.On("sess-id", sio.Reply(func(ctx context.Context, s *sio.Socket, _ sio.None) (any, error) {
		sess, ok := sessionbridge.From(ctx, s)
		if !ok {
			return nil, nil
		}
		return strings.TrimPrefix(sessionbridge.Room(sess.ID()), "\x00session:"), nil
	}))
}

// load is the contract of load generators.
func load(o *sio.Options) *sio.Server {
	io := sio.NewServer(o)
	root := io.Of("/")
	root.On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		if ev.WantsAck() {
			return ev.Ack(ev.Args)
		}
		return ev.Socket.Emit("echo", ev.Args)
	}))
	root.On("broadcast", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		return root.Emit("b", ev.Args)
	}))
	root.On("join", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		ev.Socket.Join("room")
		return ev.Ack()
	}))
	root.On("room", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		return root.To("room").Emit("b", ev.Args)
	}))
	return io
}

// The timers of the public protocol suites.
const (
	suiteInterval = 300 * time.Millisecond
	suiteTimeout  = 200 * time.Millisecond
)

// protocol is the contract of the public protocol suites.
func protocol(o *sio.Options) *sio.Server {
	o.PingInterval, o.PingTimeout, o.ConnectTimeout = suiteInterval, suiteTimeout, time.Second
	io := sio.NewServer(o)
	for _, path := range []string{"/", "/custom"} {
		n := io.Of(path)
		n.OnConnect(func(_ context.Context, s *sio.Socket) error {
			auth := map[string]any{}
			if err := s.Auth(&auth); err != nil {
				return err
			}
			return s.Emit("auth", auth)
		})
		n.On("message", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
			return ev.Socket.Emit("message-back", ev.Args)
		}))
		n.On("message-with-ack", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
			return ev.Ack(ev.Args)
		}))
	}
	return io
}

// engine serves bare Engine.IO: every message comes back as it is.
func engine(o *sio.Options) *eio.Server {
	return eio.NewServer(&eio.Options{
		Transports:   []string{"polling", "websocket", "jsonp"},
		PingInterval: suiteInterval,
		PingTimeout:  suiteTimeout,
		Origins:      o.Origins,
		AllowOrigin:  o.AllowOrigin,
		OnConnection: func(s *eio.Socket) {
			s.OnMessage(func(m eio.Message) {
				if m.Binary {
					_ = s.SendBinary(m.Data)
				} else {
					_ = s.Send(string(m.Data))
				}
			})
		},
	})
}
