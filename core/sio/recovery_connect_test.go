package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/wire"
)

// TestRecoveryAsksAgain: policies and OnConnect are asked about a client that comes back, unless
// SkipConnect is set. One that is refused has no session any more.
func TestRecoveryAsksAgain(t *testing.T) {
	for _, skip := range []bool{false, true} {
		srv := NewServer(&Options{Recovery: &Recovery{SkipConnect: skip}})
		n := srv.Of("/")
		asked, refuse := 0, false
		n.Guard(acl.PolicyFunc(func(context.Context, acl.Subject, acl.Action) error { asked++; return nil }))
		n.OnConnect(func(_ context.Context, s *Socket) error {
			asked++
			if s.Recovered() && !slices.Contains(s.Rooms(), "room") {
				t.Error(s.Rooms())
			}
			s.Join("room")
			if refuse {
				s.Leave("room")
				return Errorf("no", "refused")
			}
			return nil
		})
		r := newReturning(t, serve(t, srv), "")
		r.away(srv)
		if !r.connect("") || asked != map[bool]int{false: 4, true: 2}[skip] {
			t.Error("not recovered, or asked", asked)
		}
		r.away(srv)
		refuse = true
		_ = n.To("room").Emit("x")
		if skip {
			if !r.connect("") {
				t.Error("not recovered")
			}
			continue
		}
		w, _ := r.c.WebSocket()
		w.Send(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.pid, r.offset))
		if m := w.Next(); m != `44{"message":"refused"}` {
			t.Error(m)
		}
		if refuse = false; r.connect("") {
			t.Error("recovered after a refusal")
		}
	}
}

// TestRecoveryExpires: a client that comes back has no more time than before, and none that has
// passed.
func TestRecoveryExpires(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{SkipConnect: true}})
	sockets := make(chan *Socket, 3)
	ends := time.Now().Add(time.Hour).Round(0)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { return s.ExpireAt(ends) })
	srv.Of("/").OnConnected(func(_ context.Context, s *Socket) { sockets <- s })
	r := newReturning(t, serve(t, srv), "")
	<-sockets
	r.away(srv)
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	s := <-sockets
	s.mu.Lock()
	if s.expiry == nil || !s.expiry.at.Equal(ends) {
		t.Errorf("%+v", s.expiry)
	} else {
		s.expiry.at = time.Now().Round(0) // the time passes while the client is away
	}
	s.mu.Unlock()
	r.away(srv)
	if r.connect("") {
		t.Error("recovered after its time")
	}
}

// TestRecoveryConnecting: a connection that ends while OnConnect runs costs the client nothing, and what the
// application takes back there is not sent.
func TestRecoveryConnecting(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	inside, goOn := make(chan *Socket), make(chan struct{})
	n.OnConnect(func(ctx context.Context, s *Socket) error {
		if !s.Recovered() {
			s.Join("kept", "taken")
			return nil
		}
		inside <- s
		<-goOn
		s.Leave("taken")
		_ = s.Emit("from OnConnect")
		return nil
	})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	_ = n.To("taken").Emit("taken")
	_ = n.To("kept").Emit("kept")
	for range 2 { // these do not get as far as the answer
		w, _ := r.c.WebSocket()
		w.Send(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.pid, r.offset))
		s := <-inside
		w.Reset()
		<-s.Context().Done()
		goOn <- struct{}{}
		waitOver(t, s)
	}
	go func() {
		<-inside
		_ = n.To("kept").Emit("meanwhile")
		_ = n.All().Volatile().Emit("never")
		goOn <- struct{}{}
	}()
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("kept", "meanwhile", "from OnConnect")
	_ = n.Emit("live")
	r.expect("live")
}

// TestRecoveryBound: a session is for its user alone.
func TestRecoveryBound(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}, OnHandshake: func(ctx context.Context, r *Request, _ host.Exchange) error {
		ConnFromContext(ctx).BindRecovery(r.Query().Get("user"))
		return nil
	}})
	c := serve(t, srv)
	open := func(user, auth string) (w *wire.WS, answer string) {
		w, _ = c.WebSocket("&user=" + user)
		w.Send("40" + auth)
		return w, w.Next()
	}
	w, answer := open("ann", "")
	var a struct{ Sid, Pid string }
	_ = json.Unmarshal([]byte(answer[2:]), &a)
	r := &returning{t: t, w: w, sid: a.Sid}
	r.expect("recovery")
	auth := fmt.Sprintf(`{"pid":%q,"offset":%q}`, a.Pid, r.offset)
	_, stolen := open("eve", auth)
	if strings.Contains(stolen, a.Pid) || strings.Contains(stolen, a.Sid) {
		t.Error("recovered by another", stolen)
	}
	if s := srv.Of("/").Socket(a.Sid); s == nil || !s.Connected() {
		t.Fatal("the socket was ended by another")
	}
	r.away(srv)
	open("eve", auth)
	if _, again := open("ann", auth); again != answer {
		t.Error(again, answer)
	}
}

// TestRecoveryOthers: clients of earlier generations, and other namespaces, notice nothing.
func TestRecoveryOthers(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{Namespaces: []string{"on", "/p/{x}"}}})
	srv.Of("/on")
	srv.Of("/off")
	srv.OfPattern("/p/{x}")
	c := serve(t, srv)
	r := newReturning(t, c, "/on")
	p := newReturning(t, c, "/p/7")
	w, _ := c.WebSocket()
	w.Send("40/off,")
	if m := w.Next(); strings.Contains(m, "pid") {
		t.Error(m)
	}
	_ = srv.Of("/off").Emit("plain")
	if m := w.Next(); m != `42/off,["plain"]` {
		t.Error(m)
	}
	old := c.Polling3()
	old.Next()
	old.Post("40/on")
	for m := old.Next(); !strings.HasPrefix(m, "40/on"); m = old.Next() {
	}
	_ = srv.Of("/on").Emit("mixed", "x")
	if m := old.Next(); m != `42/on,["mixed","x"]` {
		t.Error(m)
	}
	if m := r.next(); m != `["mixed","x"]` {
		t.Error(m)
	}
	// The namespace of a pattern stays while its only client is away.
	p.away(srv)
	_ = srv.Of("/p/7").Emit("missed")
	if !p.connect("") {
		t.Fatal("not recovered")
	}
	p.expect("missed")
	p.w.Send("41/p/7,")
	until(t, "the namespace ends", func() bool { return srv.Lookup("/p/7") == nil })
	if srv.Stats().NotRecovered != 0 {
		t.Error(srv.Stats())
	}
}

// TestRecoveryJoinFrom: what was held back from a socket is sent once, also when the client misses it.
func TestRecoveryJoinFrom(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	sockets := connected(n)
	r := newReturning(t, serve(t, srv), "")
	s := <-sockets
	room := n.To("r")
	err := s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) {
		_ = room.Position(1).Emit("one")
		_ = room.Position(2).Emit("two")
		_ = s.Emit("one")
		return 1, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.away(srv)
	_ = room.Position(1).Emit("one") // late
	_ = room.Position(3).Emit("three")
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("one", "two", "three")
	_ = room.Position(1).Emit("one")
	_ = room.Position(4).Emit("four")
	r.expect("four")
}

// TestRecoveryBounds: a session ends with its time, and when there are too many.
func TestRecoveryBounds(t *testing.T) {
	left := func(srv *Server, n int) {
		for deadline := time.Now().Add(wire.Patience); ; time.Sleep(time.Millisecond) {
			srv.recovery.mu.Lock()
			away, known := srv.recovery.away.Len(), len(srv.recovery.byPID)
			srv.recovery.mu.Unlock()
			if away == n && known == n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(away, known)
			}
		}
	}
	srv := NewServer(&Options{Recovery: &Recovery{MaxDisconnection: 20 * time.Millisecond}})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	left(srv, 0)
	if r.connect("") {
		t.Error("recovered after its time")
	}
	srv = NewServer(&Options{Recovery: &Recovery{MaxSessions: 2}})
	c := serve(t, srv)
	first, second, third := newReturning(t, c, ""), newReturning(t, c, ""), newReturning(t, c, "")
	for _, r := range []*returning{first, second, third} {
		r.away(srv)
	}
	left(srv, 2)
	if first.connect("") || !second.connect("") || !third.connect("") {
		t.Error("the wrong one was dropped")
	}
}
