package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// app is the application that the cases talk to.
type app struct {
	mu      sync.Mutex
	reasons []sio.Reason
	order   []int
	release chan struct{}
}

// RegisterApplication registers what Application says, for a server of siokit behind Remote: a
// deployment with its proxies, for example, or the servers of one cluster behind a load
// balancer, all of them in one process. The routes beside the server, the cookie and the
// options are yours.
func RegisterApplication(servers ...*sio.Server) { newApp(servers...) }

// newApp registers one application on all servers of a case.
func newApp(servers ...*sio.Server) *app {
	a := &app{release: make(chan struct{})}
	for _, srv := range servers {
		a.register(srv)
	}
	return a
}

func (a *app) register(srv *sio.Server) {
	for _, path := range []string{"/", "/chat", "/secret"} {
		n := srv.Of(path)
		a.serve(n)
		a.rooms(n)
		a.failures(n)
		a.ends(n)
	}
	srv.Of("/secret").OnConnect(func(_ context.Context, s *sio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil {
			return err
		}
		switch auth.Token {
		case "letmein":
			return s.Emit("welcome", s.ID())
		case "broken":
			return errors.New("the database password is hunter2")
		case "panic":
			panic("OnConnect")
		}
		return &sio.Error{Message: "unauthorized", Data: map[string]int{"code": 401}}
	})
}

// serve registers the events that answer the socket, and those that are remembered.
func (a *app) serve(n *sio.Namespace) {
	n.OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) {
		a.mu.Lock()
		a.reasons = append(a.reasons, r)
		a.mu.Unlock()
	})
	n.On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		if ev.WantsAck() {
			return ev.Ack(ev.Args)
		}
		return ev.Socket.Emit("echo", ev.Args)
	}))
	n.On("ask", sio.Handle(func(ctx context.Context, s *sio.Socket, q sio.Args) error {
		q = q.Clone()
		answer, err := sio.Call[sio.Args](ctx, s, "question", q)
		if err != nil {
			return err
		}
		return s.Emit("answer", answer)
	}))
	n.On("n", sio.Handle(func(_ context.Context, s *sio.Socket, i int) error {
		a.mu.Lock()
		a.order = append(a.order, i)
		a.mu.Unlock()
		return nil
	}))
	n.On("handled", sio.Reply(func(context.Context, *sio.Socket, sio.None) ([]int, error) {
		return append([]int{}, a.handled()...), nil
	}))
	n.On("reset", sio.Reply(func(context.Context, *sio.Socket, sio.None) (sio.None, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.order, a.reasons = nil, nil
		return sio.None{}, nil
	}))
}

// rooms registers the events that send to others.
func (a *app) rooms(n *sio.Namespace) {
	n.On("burst", sio.Handle(func(_ context.Context, s *sio.Socket, count int) error {
		for i := range count {
			if err := s.Emit("item", i); err != nil {
				return err
			}
		}
		return nil
	}))
	n.On("join", sio.Handle(func(_ context.Context, s *sio.Socket, room string) error {
		s.Join(room)
		return nil
	}))
	n.On("leave", sio.Handle(func(_ context.Context, s *sio.Socket, room string) error {
		s.Leave(room)
		return nil
	}))
	n.On("say", sio.Handle(func(_ context.Context, s *sio.Socket, m sio.Args2[string, any]) error {
		return n.To(m.A).Emit("said", m.A, m.B)
	}))
	n.On("say-others", sio.Handle(func(_ context.Context, s *sio.Socket, m sio.Args2[string, any]) error {
		return s.To(m.A).Emit("said", m.A, m.B)
	}))
	n.On("shout", sio.Handle(func(_ context.Context, _ *sio.Socket, what sio.Args) error {
		return n.Emit("shouted", what)
	}))
	n.On("shout-others", sio.Handle(func(_ context.Context, s *sio.Socket, what sio.Args) error {
		return s.Broadcast().Emit("shouted", what)
	}))
}

// failures registers the events that fail or wait.
func (a *app) failures(n *sio.Namespace) {
	n.On("boom", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { panic("boom") }))
	n.On("fail", sio.Handle(func(_ context.Context, _ *sio.Socket, kind string) error {
		if kind == "public" {
			return &sio.Error{Code: "nope", Message: "not today", Data: 7}
		}
		return errors.New("secret detail")
	}))
	n.On("block", sio.Handle(func(ctx context.Context, s *sio.Socket, _ sio.None) error {
		if err := s.Emit("blocked"); err != nil {
			return err
		}
		select {
		case <-a.release:
		case <-ctx.Done():
		}
		return nil
	}))
	n.On("emit-then-sleep", sio.Handle(func(ctx context.Context, s *sio.Socket, ms int) error {
		if err := s.Emit("before"); err != nil {
			return err
		}
		t := time.NewTimer(time.Duration(ms) * time.Millisecond)
		defer t.Stop()
		<-t.C
		return s.Emit("after", time.Now().UnixMicro())
	}))
}

// ends registers the events that end the socket, and the one about its request.
func (a *app) ends(n *sio.Namespace) {
	n.On("kick", sio.Handle(func(_ context.Context, s *sio.Socket, all bool) error {
		if all {
			s.Conn().Close()
		} else {
			s.Disconnect()
		}
		return nil
	}))
	n.On("drop", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		s.CloseTransport()
		return nil
	}))
	n.On("request", sio.Reply(func(_ context.Context, s *sio.Socket, header string) ([]string, error) {
		r := s.Request()
		return []string{r.Method, r.RawQuery, r.Header.Get(header), r.Host}, nil
	}))
}

func (a *app) ended() []sio.Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]sio.Reason(nil), a.reasons...)
}

// forget forgets who has ended.
func (a *app) forget() {
	a.mu.Lock()
	a.reasons = nil
	a.mu.Unlock()
}

func (a *app) handled() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.order...)
}

// echoMessages has messages, which have no name, sent back.
func (c *env) echoMessages() {
	c.of("/").On("message", sio.Handle(func(_ context.Context, s *sio.Socket, data any) error { return s.Send(data) }))
}
