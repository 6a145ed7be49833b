package sio

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

const (
	expiredEvent   = `42["error",{"code":"expired","message":"expired"}]`
	expiredRefusal = `44{"message":"expired","data":{"code":"expired"}}`
)

// serveExpiry serves events that set the time: "soon", "renew" and "never", "past".
func serveExpiry(t *testing.T, first func() time.Time) (*wire.Client, <-chan *Socket, <-chan Reason) {
	srv := NewServer(nil)
	n := srv.Of("/")
	sockets, reasons := make(chan *Socket, 8), make(chan Reason, 8)
	n.OnConnect(func(_ context.Context, s *Socket) error {
		sockets <- s
		if first != nil {
			return s.ExpireAt(first())
		}
		return nil
	})
	n.OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	for name, at := range map[string]func() time.Time{
		"renew": later1h, "past": past, "never": func() time.Time { return time.Time{} },
	} {
		n.On(name, Reply(func(_ context.Context, s *Socket, _ None) (string, error) {
			if err := s.ExpireAt(at()); err != nil {
				return "", err
			}
			return name, nil
		}))
	}
	n.On("soon", HandlerFunc(func(_ context.Context, ev *Event) error { // the ack first: the time may pass before the handler returns
		if err := ev.Ack("soon"); err != nil {
			return err
		}
		return ev.Socket.ExpireAt(soon())
	}))
	return serve(t, srv), sockets, reasons
}

func soon() time.Time    { return time.Now().Add(20 * time.Millisecond) }
func later1h() time.Time { return time.Now().Add(time.Hour) }
func past() time.Time    { return time.Now().Add(-time.Hour) }

func wantReason(t *testing.T, reasons <-chan Reason, want Reason) {
	t.Helper()
	select {
	case r := <-reasons:
		if r != want {
			t.Errorf("reason %v, want %v", r, want)
		}
	case <-time.After(wire.Patience):
		t.Fatal("the socket has not ended")
	}
}

func wantNext(t *testing.T, next func() string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(); got != w {
			t.Errorf("%q, want %q", got, w)
		}
	}
}

// TestExpires: in every generation the client is told, and leaves the namespace.
func TestExpires(t *testing.T) {
	t.Run("eio4 websocket", func(t *testing.T) {
		c, _, reasons := serveExpiry(t, nil)
		w := c.Join("")
		w.Send(`421["soon"]`)
		wantNext(t, w.Next, `431["soon"]`, expiredEvent, "41")
		wantReason(t, reasons, Expired)
		w.Send("40") // the connection is there still
		if got := w.Next(); !strings.HasPrefix(got, "40{") {
			t.Error(got)
		}
	})
	t.Run("eio4 polling", func(t *testing.T) {
		c, sockets, reasons := serveExpiry(t, nil)
		p := c.Polling()
		p.Join("")
		if err := (<-sockets).ExpireAt(soon()); err != nil {
			t.Error(err)
		}
		if got := p.Packets(2); !slices.Equal(got, []string{expiredEvent, "41"}) {
			t.Errorf("%q", got)
		}
		wantReason(t, reasons, Expired)
	})
	t.Run("eio3", func(t *testing.T) {
		c, _, reasons := serveExpiry(t, nil)
		p := c.Polling3("b64=1")
		p.Post(`421["soon"]`)
		wantNext(t, p.Next, "40", `431["soon"]`, `44{"code":"expired","message":"expired"}`, "41")
		wantReason(t, reasons, Expired)
	})
	t.Run("sio1", func(t *testing.T) {
		c, _, reasons := serveExpiry(t, nil)
		p := c.Polling1()
		p.Send(`5:1+::{"name":"soon","args":[]}`)
		wantNext(t, p.Next, `6:::1+["soon"]`, `5:::{"name":"error","args":["expired","expired"]}`, "0::")
		wantReason(t, reasons, Expired)
	})
}

// TestExpiryPast: a time that has passed ends the socket at once, and refuses one that connects.
func TestExpiryPast(t *testing.T) {
	c, _, reasons := serveExpiry(t, nil)
	w := c.Join("")
	w.Send(`421["past"]`, `422["renew"]`)
	wantNext(t, w.Next, expiredEvent, "41")
	wantReason(t, reasons, Expired)

	c, sockets, reasons := serveExpiry(t, past)
	w, _ = c.WebSocket()
	w.Send("40")
	wantNext(t, w.Next, expiredRefusal, "41")
	if s := <-sockets; s.Connected() {
		t.Error("it is connected")
	}
	if len(reasons) > 0 {
		t.Error("OnDisconnect of a socket that was never connected")
	}
}

// heldJSON encodes the error of an expiry when it may.
type heldJSON struct{ may chan struct{} }

func (heldJSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

func (j heldJSON) Marshal(v any) ([]byte, error) {
	if v == expired {
		<-j.may
	}
	return json.Marshal(v)
}

// TestExpiryMeetsWelcome: a socket whose time comes while it connects, and which is connected in
// the same moment, tells its client what has happened before it leaves.
func TestExpiryMeetsWelcome(t *testing.T) {
	connected := make(chan struct{})
	srv := NewServer(&Options{JSON: heldJSON{connected}})
	n := srv.Of("/")
	reasons := make(chan Reason, 8)
	n.OnConnect(func(_ context.Context, s *Socket) error {
		go func() { _ = s.ExpireAt(past()) }()
		<-expires(s)
		return nil
	})
	n.OnConnected(func(context.Context, *Socket) { close(connected) })
	n.OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	w, _ := serve(t, srv).WebSocket()
	w.Send("40")
	if got := w.Next(); !strings.HasPrefix(got, "40{") {
		t.Fatal(got)
	}
	wantNext(t, w.Next, expiredEvent, "41")
	wantReason(t, reasons, Expired)
}

// expires returns a channel that is closed when the client of a socket is being told that its time
// is over, or when the socket has ended.
func expires(s *Socket) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		for over := false; !over; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			over = s.expiry != nil && s.expiry.told || s.state.Load() == stateDisconnected
			s.mu.Unlock()
		}
	}()
	return ch
}

// TestExpiryRenewed: what counts is the last time, also when the timer has expired already.
func TestExpiryRenewed(t *testing.T) {
	c, sockets, reasons := serveExpiry(t, later1h)
	w := c.Join("")
	s := <-sockets
	for i, event := range []string{"renew", "never", "renew"} {
		w.Send(`421["` + event + `"]`)
		wantNext(t, w.Next, `431["`+event+`"]`)
		s.expiry.Expired(&s.expiry.timer) // it was on its way
		if !s.Connected() {
			t.Fatalf("renewal %d came in time, and the socket has ended", i)
		}
	}
	s.mu.Lock()
	s.expiry.at = past() // the system's clock was set meanwhile
	s.mu.Unlock()
	s.expiry.Expired(&s.expiry.timer)
	wantNext(t, w.Next, expiredEvent, "41")
	wantReason(t, reasons, Expired)
	if err := s.ExpireAt(later1h()); err != ErrDisconnected {
		t.Errorf("a renewal that is too late: %v", err)
	}
	s.expiry.Expired(&s.expiry.timer) // and it ends once
}

// TestExpiryLeft: a socket that leaves before takes its timer along, and one without a time has
// nothing.
func TestExpiryLeft(t *testing.T) {
	c, sockets, reasons := serveExpiry(t, later1h)
	w := c.Join("")
	s := <-sockets
	armed := func() bool { return s.ns.srv.hub.Wheel().Armed(&s.expiry.timer) }
	if !armed() {
		t.Error("a socket with a time has no timer")
	}
	w.Send("41")
	wantReason(t, reasons, ClientNamespace)
	if armed() {
		t.Error("the timer of a socket that has left is in the wheel, and the socket with it")
	}
	s.expiry.Expired(&s.expiry.timer)
	if err := s.ExpireAt(soon()); err != ErrDisconnected {
		t.Error(err)
	}
	w.Send("40")
	_ = w.Next()
	again := <-sockets
	if err := again.ExpireAt(time.Time{}); err != nil || !again.Connected() {
		t.Error(err)
	}
	if len(reasons) > 0 {
		t.Errorf("%v", <-reasons)
	}
}

// TestExpiryRace: renewals and the end at the same time.
func TestExpiryRace(t *testing.T) {
	c, sockets, reasons := serveExpiry(t, nil)
	c.Join("")
	s := <-sockets
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if s.ExpireAt(time.Now().Add(time.Millisecond)) != nil {
					return
				}
				s.expiry.Expired(&s.expiry.timer)
			}
		})
	}
	all.Wait()
	_ = s.ExpireAt(past())
	wantReason(t, reasons, Expired)
	if len(reasons) > 0 {
		t.Error("it has ended twice")
	}
}

// TestExpiryFar: times beyond all durations do not overflow.
func TestExpiryFar(t *testing.T) {
	c, sockets, _ := serveExpiry(t, nil)
	c.Join("")
	s := <-sockets
	for _, at := range []time.Time{time.Unix(1<<40, 0), time.Unix(1<<60, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if err := s.ExpireAt(at); err != nil || !s.Connected() {
			t.Errorf("%v: %v", at, err)
		}
	}
	if err := s.ExpireAt(time.Unix(-1<<40, 0)); err != nil || s.Connected() {
		t.Error("a time long ago does not end the socket", err)
	}
}
