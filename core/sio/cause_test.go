package sio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
)

var errTable = errors.New("no such table")

// TestCause: the cause of an Error is for the log and OnError, never for the client.
func TestCause(t *testing.T) {
	var log testkit.Log
	told := &record{}
	busy := Errorf("busy", "later")
	srv := NewServer(&Options{
		Logger: log.Logger(),
		OnError: func(f Failure) {
			if f.Name == FailureRefused { // the request, beside the failure
				return
			}
			if !errors.Is(f.Err, errTable) {
				t.Errorf("%v", f.Err)
			}
			told.add("%s %s", f.Name, f.Where)
		},
		OnHandshake: func(_ context.Context, r *Request, _ host.Exchange) error {
			if r.Query().Get("refuse") != "" {
				return busy.WithCause(errTable)
			}
			return nil
		},
	})
	n := srv.Of("/")
	n.On("busy", Handle(func(context.Context, *Socket, None) error { return busy.WithCause(errTable) }))
	n.On("wrapped", Handle(func(context.Context, *Socket, None) error {
		return fmt.Errorf("outer: %w", busy.WithCause(errTable))
	}))
	n.On("plain", Handle(func(context.Context, *Socket, None) error { return busy }))
	srv.Of("/no").OnConnect(func(context.Context, *Socket) error { return busy.WithCause(errTable) })
	c := serve(t, srv)
	w := c.Join("")
	for _, row := range []struct{ send, got, told string }{
		{`421["busy"]`, `431[{"error":{"code":"busy","message":"later"}}]`, "handler_failed busy"},
		{`421["wrapped"]`, `431[{"error":{"code":"busy","message":"later"}}]`, "handler_failed wrapped"},
		{`421["plain"]`, `431[{"error":{"code":"busy","message":"later"}}]`, ""},
		{`40/no,`, `44/no,{"message":"later"}`, "handler_failed OnConnect"},
	} {
		before := len(log.String())
		w.Send(row.send)
		if got := w.Next(); got != row.got {
			t.Errorf("%s: %s", row.send, got)
		}
		if got := told.take(); got != row.told {
			t.Errorf("%s: OnError is told %q", row.send, got)
		}
		if logged := strings.Contains(log.String()[before:], `cause="no such table"`); logged != (row.told != "") {
			t.Errorf("%s: the log: %s", row.send, log.String()[before:])
		}
	}
	refused := c.Must("GET", "EIO=4&transport=polling&refuse=1", "")
	if refused.Status != 403 || !strings.Contains(refused.Body, "later") || strings.Contains(refused.Body, "table") {
		t.Error(refused)
	}
	if got := told.take(); got != "handler_failed OnHandshake" {
		t.Errorf("OnError is told %q", got)
	}
	if busy.Unwrap() != nil || !errors.Is(busy.WithCause(errTable), errTable) || (*Error)(nil).WithCause(errTable) != nil {
		t.Error("WithCause changes the error, or does not wrap")
	}
}

// TestOnDisconnectContext: what OnDisconnect does with its context works.
func TestOnDisconnectContext(t *testing.T) {
	srv := NewServer(nil)
	ended := make(chan string, 1)
	srv.Of("/").OnDisconnect(func(ctx context.Context, s *Socket, _ Reason) {
		_, limited := ctx.Deadline()
		ended <- fmt.Sprint(ctx.Err(), limited, s.Context().Err())
	})
	serve(t, srv).Join("").Send("41")
	if got := <-ended; got != "<nil> true context canceled" {
		t.Error(got)
	}
}

// TestVolatileSocket: an event to one socket may be lost while others wait for the client;
// that is counted. With To it addresses the others, as Socket.To does.
func TestVolatileSocket(t *testing.T) {
	srv := NewServer(nil)
	sockets := make(chan *Socket, 2)
	srv.Of("/").OnConnected(func(_ context.Context, s *Socket) { s.Join("r"); sockets <- s })
	c := serve(t, srv)
	poller := c.Polling()
	poller.Join("")
	s := <-sockets
	other := c.Join("")
	<-sockets
	// What a connection has taken waits until it is written, which the client may know
	// before the server does. When nothing waits any more, an event is kept.
	dropped := func() int64 { return srv.Stats().DroppedVolatile }
	kept := func(event string, to Target) {
		for before := int64(-1); before != dropped(); {
			before = dropped()
			_ = to.Emit(event)
		}
	}
	kept("others", s.Volatile().To("r"))
	if got := other.Next(); got != `42["others"]` {
		t.Error(got)
	}
	_ = s.Emit("first")
	sent := 0
	for before := dropped(); dropped() == before; sent++ { // not as long as OnConnected runs
		_ = s.Volatile().Emit("lost")
	}
	_ = srv.Of("/").All().SendJSON("text")
	want := `42["first"] ` + strings.Repeat(`42["lost"] `, sent-1) + `42["message","text"]`
	if got := strings.Join(poller.Packets(sent+1), " "); got != want {
		t.Errorf("%s instead of %s", got, want)
	}
	if got := other.Next(); got != `42["message","text"]` {
		t.Error(got)
	}
	kept("kept", s.Volatile())
	if got := fmt.Sprint(poller.Packets(1)); got != `[42["kept"]]` {
		t.Error(got)
	}
}
