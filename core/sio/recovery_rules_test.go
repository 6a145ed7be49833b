package sio

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// TestRecoveryReasons: whether a client comes back depends on how its socket has ended.
func TestRecoveryReasons(t *testing.T) {
	for name, row := range map[string]struct {
		end  func(s *Socket, r *returning)
		back bool
	}{
		"reset":                         {func(_ *Socket, r *returning) { r.w.Reset() }, true},
		"end":                           {func(_ *Socket, r *returning) { _ = r.w.Conn.Close() }, true},
		"transport ended by the server": {func(s *Socket, _ *returning) { s.CloseTransport() }, true},
		"disconnected":                  {func(s *Socket, _ *returning) { s.Disconnect() }, false},
		"connection closed":             {func(s *Socket, _ *returning) { s.Conn().Close() }, false},
		"no packet":                     {func(_ *Socket, r *returning) { r.w.Send("8") }, false},
		"packet out of place":           {func(_ *Socket, r *returning) { r.w.Send(`42/none,["x"]`) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := NewServer(&Options{Recovery: &Recovery{}})
			sockets := connected(srv.Of("/"))
			r := newReturning(t, serve(t, srv), "")
			s := <-sockets
			row.end(s, r)
			waitOver(t, s)
			if back := r.connect(""); back != row.back {
				t.Errorf("recovered: %v", back)
			}
		})
	}
}

// TestRecoveryNamespace: a secret is unknown in another namespace, and stays good in its own.
func TestRecoveryNamespace(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	srv.Of("/a")
	srv.Of("/b")
	r := newReturning(t, serve(t, srv), "/a")
	r.away(srv)
	other := *r
	if other.ns = "/b"; other.connect("") {
		t.Error("recovered in another namespace")
	}
	if !r.connect("") {
		t.Error("another namespace has ended the session")
	}
}

// TestRecoveryLeftRooms: of the rooms that a socket has left some are remembered; who would need
// more than that is new.
func TestRecoveryLeftRooms(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	sockets := connected(n)
	r := newReturning(t, serve(t, srv), "")
	s := <-sockets
	first := r.offset
	for i := range maxLeftRooms + 1 {
		room := fmt.Sprint(i)
		s.Join(room)
		_ = n.To(room).Emit("used")
		s.Leave(room)
		r.expect("used")
	}
	r.away(srv)
	if !r.connect("") {
		t.Error("not recovered with the newest offset")
	}
	r.away(srv)
	if r.offset = first; r.connect("") {
		t.Error("recovered, and the first room is not remembered")
	}
}

// TestRecoveryPushedOut: when a bound pushes out what is missed while OnConnect runs, the connection
// ends, and nothing of the session is kept.
func TestRecoveryPushedOut(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{MaxEvents: 3}})
	n := srv.Of("/")
	inside, goOn := make(chan *Socket), make(chan struct{})
	n.OnConnect(func(_ context.Context, s *Socket) error {
		if s.Recovered() {
			inside <- s
			<-goOn
		}
		return nil
	})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	_ = n.Emit("missed")
	w := r.again()
	s := <-inside
	for range 3 {
		_ = n.Emit("more")
	}
	close(goOn)
	w.End()
	waitOver(t, s)
	srv.recovery.mu.Lock()
	known := len(srv.recovery.byPID)
	srv.recovery.mu.Unlock()
	if known != 0 {
		t.Errorf("%d sessions are kept", known)
	}
	if r.connect("") {
		t.Error("recovered")
	}
	r.expect("recovery")
}

// TestRecoveryTotal: what all namespaces keep together is bounded, and the one that grows gives way.
func TestRecoveryTotal(t *testing.T) {
	const most = 3000
	srv := NewServer(&Options{Recovery: &Recovery{MaxTotalBytes: most}})
	srv.OfPattern("/p/{id}")
	c := serve(t, srv)
	first, second := newReturning(t, c, "/p/1"), newReturning(t, c, "/p/2")
	first.away(srv)
	second.away(srv)
	missed := slices.Repeat([]string{"one"}, 8)
	for range missed {
		_ = srv.Of("/p/1").Emit("one")
	}
	for range 12 {
		_ = srv.Of("/p/2").Emit("two")
	}
	if n := srv.recovery.bytes.Load(); n > most || n < most/2 {
		t.Errorf("%d bytes are kept", n)
	}
	if !first.connect("") {
		t.Error("what it has missed is kept, and it is not recovered")
	}
	first.expect(missed...)
	if second.connect("") {
		t.Error("recovered without what the bound has pushed out")
	}
	second.expect("recovery")
	if st := srv.Stats(); st.RecoveryDropped == 0 {
		t.Errorf("%+v", st)
	}
	_ = srv.Shutdown(t.Context())
	if n := srv.recovery.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are kept when nothing is", n)
	}
}
