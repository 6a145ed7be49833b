package sio

import (
	"context"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// emitSleep is how long the handlers of this test sleep. The server looks at a handler every five
// milliseconds, and has its connection read by somebody else after fifty.
const emitSleep = 30 * time.Millisecond

// emitForms are the forms of application code that can emit and then take its time. tell emits,
// sleeps, and emits that it has slept.
var emitForms = []struct {
	name string
	on   func(n *Namespace, tell func(s *Socket) error)
}{
	{"Handle", func(n *Namespace, tell func(s *Socket) error) {
		n.On("go", Handle(func(_ context.Context, s *Socket, _ None) error { return tell(s) }))
	}},
	{"Reply", func(n *Namespace, tell func(s *Socket) error) {
		n.On("go", Reply(func(_ context.Context, s *Socket, _ None) (int, error) { return 1, tell(s) }))
	}},
	{"HandlerFunc", func(n *Namespace, tell func(s *Socket) error) {
		n.On("go", HandlerFunc(func(_ context.Context, ev *Event) error { return tell(ev.Socket) }))
	}},
	{"Concurrent", func(n *Namespace, tell func(s *Socket) error) {
		n.On("go", Handle(func(_ context.Context, s *Socket, _ None) error { return tell(s) }), Concurrent(2))
	}},
	{"middleware", func(n *Namespace, tell func(s *Socket) error) {
		n.Use(func(next Handler) Handler {
			return HandlerFunc(func(ctx context.Context, ev *Event) error {
				if ev.Name != "go" {
					return next.ServeEvent(ctx, ev)
				}
				return tell(ev.Socket)
			})
		})
		n.On("go", Handle(func(context.Context, *Socket, None) error { return nil }))
	}},
	{"OnAny", func(n *Namespace, tell func(s *Socket) error) {
		n.OnAny(func(_ context.Context, ev *Event) {
			if ev.Name == "go" {
				_ = tell(ev.Socket)
			}
		})
		n.On("go", Handle(func(context.Context, *Socket, None) error { return nil }))
	}},
	{"OnUnhandled", func(n *Namespace, tell func(s *Socket) error) {
		n.OnUnhandled(HandlerFunc(func(_ context.Context, ev *Event) error { return tell(ev.Socket) }))
	}},
	{"Loop", func(n *Namespace, tell func(s *Socket) error) {
		n.Loop(func(ctx context.Context, s *Socket) error {
			for {
				if _, err := s.Recv(ctx); err != nil {
					return nil
				}
				if err := tell(s); err != nil {
					return err
				}
			}
		})
	}},
	{"Socket.Go", func(n *Namespace, tell func(s *Socket) error) {
		n.On("go", Handle(func(_ context.Context, s *Socket, _ None) error {
			s.Go(func(context.Context) { _ = tell(s) })
			return nil
		}))
	}},
}

// TestEmitThenSleep: whatever runs the application's code, and in each generation: what the code
// emits before it sleeps has reached its receiver before the sleep ends, the client itself or a
// member of a small room.
func TestEmitThenSleep(t *testing.T) {
	for _, form := range emitForms {
		t.Run(form.name, func(t *testing.T) {
			c := sleepers(t, form.on)
			emitThenSleep(t, emitter4(c), c)
		})
	}
	for name, open := range map[string]func(c *wire.Client) emitPeer{
		"polling": func(c *wire.Client) emitPeer {
			s := c.Polling()
			s.Join("")
			var have []string // on a busy machine both may come with one poll
			return emitPeer{func() { go s.Post(`42["go"]`) }, func() string {
				if len(have) == 0 {
					have = s.Packets(1)
				}
				m := have[0]
				have = have[1:]
				return m
			}}
		},
		"2.x": func(c *wire.Client) emitPeer {
			w, _ := c.Upgrade("EIO=3&transport=websocket", "")
			w.Next()
			w.Next()
			return emitPeer{func() { w.Send(`42["go"]`) }, w.Next}
		},
		"0.9": func(c *wire.Client) emitPeer {
			w, _ := c.At(c.Path+"1/websocket/"+c.Handshake1("")).Upgrade("", "")
			w.Next()
			return emitPeer{func() { w.Send(`5:::{"name":"go"}`) }, w.Next}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := sleepers(t, emitForms[0].on)
			emitThenSleep(t, open(c), c)
		})
	}
}

// emitPeer is a client that has code run for it, and reads what it gets.
type emitPeer struct {
	begin func()
	next  func() string
}

func emitter4(c *wire.Client) emitPeer {
	w := c.Join("")
	return emitPeer{func() { w.Send(`42["go"]`) }, w.Next}
}

// sleepers is a server whose code emits, to the client and to a room by turns, and sleeps.
func sleepers(t *testing.T, on func(n *Namespace, tell func(s *Socket) error)) *wire.Client {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	n := srv.Of("/")
	n.On("enter", Reply(func(_ context.Context, s *Socket, _ None) (int, error) { s.Join("r"); return 0, nil }))
	turn := 0
	on(n, func(s *Socket) error {
		var err error
		if turn++; turn%2 == 1 {
			err = s.Emit("before")
		} else {
			err = n.To("r").Emit("before")
		}
		time.Sleep(emitSleep)
		if err != nil {
			return err
		}
		return s.Emit("after", time.Now().UnixMicro())
	})
	return serve(t, srv)
}

var slept = regexp.MustCompile(`[0-9]{10,}`)

func emitThenSleep(t *testing.T, p emitPeer, c *wire.Client) {
	member := c.Join("")
	member.Send(`420["enter"]`)
	member.Next()
	inTime := map[bool]bool{}
	for i := 0; i < 40 && len(inTime) < 2; i++ { // a busy machine is late now and then
		room := i%2 == 1
		p.begin()
		next := p.next
		if room {
			next = member.Next
		}
		if m := next(); !strings.Contains(m, `"before"`) {
			t.Fatal(m)
		}
		came := time.Now().UnixMicro()
		woke, err := strconv.ParseInt(slept.FindString(p.next()), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if came < woke {
			inTime[room] = true
		}
	}
	for _, room := range []bool{false, true} {
		if !inTime[room] {
			t.Errorf("late, room %t", room)
		}
	}
}
