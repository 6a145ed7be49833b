package attack

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

const mount = "/socket.io"

// kind is one set of options. All rows for it share a server.
type kind struct {
	name string
	set  func(o *sio.Options)
}

// The kinds of server.
const (
	plain   = "plain"
	quick   = "quick"   // its clocks run out within seconds
	old     = "old"     // every transport and generation
	small   = "small"   // its bounds of connections are soon reached
	origins = "origins" // with a list of origins
	modern  = "modern"  // clients of 3.x and 4.x alone
	few     = "few"     // no more than 30 connections of one address
	asking  = "asking"  // OnHandshake does what the header X-Do says
	returns = "returns" // clients come back: connection state recovery
	crowded = "crowded" // the same for few of them
)

var kinds = []kind{
	{plain, func(*sio.Options) {}},
	{quick, func(o *sio.Options) {
		o.PingInterval, o.PingTimeout = 600*time.Millisecond, 3400*time.Millisecond
		o.ConnectTimeout, o.UpgradeTimeout, o.AttachmentTimeout = 2*time.Second, 500*time.Millisecond, 500*time.Millisecond
	}},
	{old, func(o *sio.Options) {
		o.Transports = []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"}
		o.Dialects = []string{"eio4", "eio3", "sio1", "sio06"}
		o.PingInterval, o.PingTimeout, o.ConnectTimeout = 2*time.Second, 2*time.Second, time.Second
		o.Legacy.CloseTimeout, o.Legacy.PollDuration = 2*time.Second, 500*time.Millisecond
	}},
	{small, func(o *sio.Options) {
		o.MaxPending, o.MaxPendingPerAddress, o.MaxConnections, o.MaxConnectionsPerAddress = 20, 20, 40, 40
		o.ConnectTimeout = 4 * time.Second // all handshakes of H26 come within it
	}},
	{modern, func(o *sio.Options) { o.Dialects, o.ConnectTimeout = []string{"eio4"}, 2*time.Second }},
	{few, func(o *sio.Options) { o.MaxConnectionsPerAddress = 30 }},
	{origins, func(o *sio.Options) {
		o.Origins, o.ConnectTimeout = []string{"https://app.example.com", "https://*.example.org"}, 2*time.Second
	}},
	{asking, func(o *sio.Options) {
		o.ConnectTimeout = 2 * time.Second
		o.OnHandshake = func(ctx context.Context, r *sio.Request, _ host.Exchange) error {
			switch r.Header.Get("X-Do") {
			case "panic":
				panic("OnHandshake")
			case "refuse":
				return &sio.Error{Message: "not you"}
			case "fail":
				return errors.New("the password is hunter2, asked for")
			case "wait":
				select {
				case <-ctx.Done():
				case <-time.After(300 * time.Millisecond):
				}
			}
			return nil
		}
	}},
	{returns, recovering(1000)},
	{crowded, recovering(50)},
}

// recovering has clients come back, so many at once, each to the sessions of its own user. The
// control client is none of them. No clock runs out within a row, however slow the machine is.
func recovering(sessions int) func(o *sio.Options) {
	return func(o *sio.Options) {
		o.ConnectTimeout, o.PingTimeout = time.Minute, time.Minute
		o.Recovery = &sio.Recovery{
			MaxDisconnection: 2 * time.Minute, MaxSessions: sessions, MaxBytes: 1 << 20,
			Namespaces: []string{"/", "/chat", "/auth", "/back/{n}"},
		}
		o.OnHandshake = func(ctx context.Context, r *sio.Request, _ host.Exchange) error {
			sio.ConnFromContext(ctx).BindRecovery(r.Query().Get("user"))
			return nil
		}
	}
}

// server is a running server of one kind with its control client.
type server struct {
	opts    sio.Options
	srv     *sio.Server
	url     string
	host    *conformance.Host
	control *control
	log     testkit.Log

	mu       sync.Mutex
	reasons  map[string][]sio.Reason // by socket id
	marked   map[string][]string     // the arguments of "mark", by socket id
	asked    map[string]int          // calls of OnConnect, by namespace
	failures []sio.Failure
	acked    []error // what a second ack returned
	called   []error // what Call returned
}

func startServer(t *testing.T, f conformance.Factory, k kind) *server {
	s := &server{reasons: map[string][]sio.Reason{}, marked: map[string][]string{}, asked: map[string]int{}}
	s.opts = sio.Options{
		PingInterval: 5 * time.Second, PingTimeout: 5 * time.Second, ConnectTimeout: 2 * time.Second, UpgradeTimeout: 5 * time.Second,
		AckTimeout: 300 * time.Millisecond, AttachmentTimeout: 2 * time.Second, MaxPayload: 100_000, Limits: sio.Limits{AttachmentBytes: 600_000}, MaxQueueBytes: 256 << 10,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)), OnError: s.failed,
	}
	k.set(&s.opts)
	o := s.opts
	s.srv = sio.NewServer(&o)
	s.register()
	s.host = f(t, s.srv, conformance.Config{Path: mount})
	s.url = s.host.URL
	s.control = newControl(t, s)
	return s
}

func (s *server) failed(f sio.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) < 10_000 {
		s.failures = append(s.failures, f)
	}
}

// unexpected are the panics of application code so far that nobody has asked for.
func (s *server) unexpected() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.failures {
		if f.Name == sio.FailurePanic && !strings.Contains(f.Err.Error(), "asked for") && f.Where != "OnHandshake" {
			list = append(list, f.Where+": "+f.Err.Error())
		}
	}
	return list
}

func (s *server) stop(t *testing.T) {
	for _, p := range s.unexpected() {
		t.Errorf("a panic: %s", p)
	}
	for _, line := range strings.Split(s.log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") && !strings.Contains(line, "asked for") && !strings.Contains(line, "OnHandshake") {
			t.Errorf("in the log: %.1000s", line)
		}
	}
	s.control.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.srv.Shutdown(ctx)
	s.host.Stop()
}

// register registers the application that the rows talk to.
func (s *server) register() {
	s.srv.Of("/control")
	for _, path := range []string{"/", "/chat"} {
		s.serve(s.srv.Of(path))
	}
	s.srv.OfPattern("/dyn/{n}")
	s.serve(s.srv.OfPattern("/back/{n}"))
	for _, path := range []string{"/slow", "/twice"} {
		s.srv.Of(path).OnConnect(func(ctx context.Context, _ *sio.Socket) error {
			s.count(path)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
			return nil
		})
		s.serve(s.srv.Of(path))
	}
	s.srv.Of("/auth").OnConnect(func(_ context.Context, c *sio.Socket) error {
		s.count("/auth")
		var auth struct{ Token string }
		_ = c.Auth(&auth)
		switch auth.Token {
		case "right":
			return nil
		case "panic":
			panic("OnConnect, asked for")
		case "fail":
			return errors.New("the password is hunter2, asked for")
		}
		return &sio.Error{Message: "unauthorized"}
	})
	s.serve(s.srv.Of("/auth"))
	shut := s.srv.Of("/shut")
	shut.Guard(acl.NewGate(acl.RecvConnect, "echo"))
	s.serve(shut)
}

func (s *server) count(ns string) {
	s.mu.Lock()
	s.asked[ns]++
	s.mu.Unlock()
}

type number struct{ A int64 }

func (s *server) serve(n *sio.Namespace) {
	n.OnDisconnect(func(_ context.Context, c *sio.Socket, r sio.Reason) {
		s.mu.Lock()
		s.reasons[c.ID()] = append(s.reasons[c.ID()], r)
		s.mu.Unlock()
	})
	n.On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		if ev.WantsAck() {
			return ev.Ack(ev.Args)
		}
		return ev.Socket.Emit("echo", ev.Args)
	}))
	n.On("mark", sio.Handle(func(_ context.Context, c *sio.Socket, what string) error {
		s.mark(c, what)
		return nil
	}))
	n.On("any", sio.Reply(func(_ context.Context, _ *sio.Socket, v any) (any, error) { return v, nil }))
	n.On("number", sio.Reply(func(_ context.Context, _ *sio.Socket, v number) (int64, error) { return v.A, nil }))
	n.On("silent", sio.HandlerFunc(func(context.Context, *sio.Event) error { return nil }))
	n.On("twice", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		_ = ev.Ack("once")
		err := ev.Ack("twice")
		s.mu.Lock()
		s.acked = append(s.acked, err)
		s.mu.Unlock()
		return nil
	}))
	n.On("ask", sio.Handle(func(ctx context.Context, c *sio.Socket, _ sio.Args) error {
		_, err := sio.Call[int](ctx, c, "question")
		s.mu.Lock()
		s.called = append(s.called, err)
		s.mu.Unlock()
		return nil
	}))
	n.On("kick", sio.Handle(func(_ context.Context, c *sio.Socket, _ sio.Args) error { c.Disconnect(); return nil }))
	n.On("close", sio.Handle(func(_ context.Context, c *sio.Socket, _ sio.Args) error { c.Conn().Close(); return nil }))
	n.On("drop", sio.Handle(func(_ context.Context, c *sio.Socket, _ sio.Args) error { c.CloseTransport(); return nil }))
	n.On("panic", sio.Handle(func(context.Context, *sio.Socket, sio.Args) error { panic("a handler, asked for") }))
	n.On("block", sio.Handle(func(ctx context.Context, c *sio.Socket, _ sio.Args) error {
		_ = c.Emit("blocked")
		<-ctx.Done()
		return nil
	}))
	n.On("sleep", sio.Handle(func(ctx context.Context, c *sio.Socket, ms int) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(ms) * time.Millisecond):
		}
		return nil
	}))
	n.On("burst", sio.Handle(func(_ context.Context, c *sio.Socket, in sio.Args2[int, int]) error {
		text := strings.Repeat("x", in.B)
		for i := range in.A {
			if err := c.Emit("item", i, text); err != nil {
				return nil
			}
		}
		return nil
	}))
	n.On("say", sio.Reply(func(_ context.Context, _ *sio.Socket, in sio.Args2[string, string]) (sio.None, error) {
		return sio.None{}, n.To(in.A).Emit("said", in.B)
	}))
	n.On("join", sio.Reply(func(_ context.Context, c *sio.Socket, rooms []string) (sio.None, error) {
		for _, r := range rooms {
			c.Join(r)
		}
		return sio.None{}, nil
	}))
	n.On("leave", sio.Reply(func(_ context.Context, c *sio.Socket, rooms []string) (sio.None, error) {
		for _, r := range rooms {
			c.Leave(r)
		}
		return sio.None{}, nil
	}))
}

func (s *server) mark(c *sio.Socket, what string) {
	s.mu.Lock()
	s.marked[c.ID()] = append(s.marked[c.ID()], what)
	s.mu.Unlock()
}

// reason is why a socket has ended; false while it has not.
func (s *server) reason(id string) (sio.Reason, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.reasons[id]
	if len(list) == 0 {
		return 0, false
	}
	return list[0], true
}
