package sio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// entering is a client with its socket.
type entering struct {
	t *testing.T
	w *wire.WS
	s *Socket
}

// enter joins a client to a namespace of a server, whose OnConnected sends the sockets.
func enter(t *testing.T, c *wire.Client, ns string, sockets chan *Socket) *entering {
	t.Helper()
	w, _ := c.WebSocket()
	w.Send("40" + ns)
	if m := w.Next(); !strings.HasPrefix(m, "40"+ns+"{") {
		t.Fatal(m)
	}
	return &entering{t, w, <-sockets}
}

func connected(n *Namespace) chan *Socket {
	sockets := make(chan *Socket, 10)
	n.OnConnected(func(_ context.Context, s *Socket) { sockets <- s })
	return sockets
}

// expect compares what comes up to the event "end", which it emits, with these events.
func (e *entering) expect(events ...string) {
	e.t.Helper()
	_ = e.s.Emit("end")
	var got []string
	for m := e.w.Next(); m != `42["end"]`; m = e.w.Next() {
		got = append(got, m)
	}
	for i := range events {
		events[i] = `42["` + events[i] + `"]`
	}
	if strings.Join(got, " ") != strings.Join(events, " ") {
		e.t.Errorf("%q instead of %q", got, events)
	}
}

// TestJoinFrom: what read sends comes first, then what was held back and is behind the
// position, then what is emitted later; nothing of the log comes twice.
func TestJoinFrom(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	sockets := connected(n)
	e := enter(t, serve(t, srv), "", sockets)
	room := n.To("r")
	at := func(p uint64, event string) { _ = room.Position(p).Emit(event) }
	err := e.s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) {
		at(3, "three")
		at(5, "five")
		_ = room.Emit("plain")                           // of no log
		_ = n.To("r", "x").Position(1).Emit("two rooms") // the position does not count
		_ = n.To("r").Except(e.s.ID()).Position(6).Emit("not for this one")
		_ = e.s.To("r").Position(6).Emit("nor this")
		at(7, "seven")
		at(4, "four")
		for _, event := range []string{"one", "two", "three", "four"} {
			_ = e.s.Emit(event)
		}
		if err := e.s.JoinFrom(t.Context(), "r", nil); err != nil {
			t.Error(err)
		}
		return 4, nil
	})
	if err != nil || !e.s.In("r") {
		t.Fatal(err)
	}
	at(2, "two, late")
	at(8, "eight")
	at(4, "four, late")
	e.expect("plain", "two rooms", "one", "two", "three", "four", "five", "seven", "eight")
	e.s.Leave("r")
	e.s.Join("r") // a member like any other
	at(2, "again")
	e.expect("again")
	if err := e.s.JoinFrom(t.Context(), "r", nil); err != nil {
		t.Error(err)
	}
}

// TestJoinFromFails: who could not enter is not in the room, and gets nothing of it.
func TestJoinFromFails(t *testing.T) {
	srv := NewServer(&Options{MaxQueueMessages: 10})
	n := srv.Of("/")
	e := enter(t, serve(t, srv), "", connected(n))
	failed := errors.New("failed")
	for name, row := range map[string]struct {
		read func(context.Context) (uint64, error)
		want error
	}{
		"error": {func(context.Context) (uint64, error) { return 9, failed }, failed},
		"too many": {func(context.Context) (uint64, error) {
			for i := range 11 {
				_ = n.To("r").Position(uint64(i + 1)).Emit("held")
			}
			return 11, nil
		}, errHeldTooMany},
		"left": {func(context.Context) (uint64, error) { e.s.Leave("r"); return 0, nil }, nil},
	} {
		err := e.s.JoinFrom(t.Context(), "r", func(ctx context.Context) (uint64, error) {
			_ = n.To("r").Position(10).Emit("held")
			return row.read(ctx)
		})
		if !errors.Is(err, row.want) || e.s.In("r") {
			t.Errorf("%s: %v, in the room: %v", name, err, e.s.In("r"))
		}
		_ = n.To("r").Position(11).Emit("later")
		e.expect()
	}
	func() {
		defer func() { _ = recover() }()
		_ = e.s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) { panic("read") })
	}()
	if e.s.In("r") {
		t.Error("in the room after a panic")
	}
	// Nine are held back, and sent; what the client has just had may still count as queued.
	err := e.s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) {
		for range 9 {
			_ = n.To("r").Position(10).Emit("held")
		}
		return 9, nil
	})
	if err != nil {
		t.Error(err)
	}
	for range 9 {
		if m := e.w.Next(); m != `42["held"]` {
			t.Error(m)
		}
	}
	e.s.Leave("r")
	err = e.s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) {
		e.s.Disconnect()
		<-e.s.Context().Done()
		for e.s.Emit("x") == nil {
		}
		return 0, nil
	})
	if err != nil && !errors.Is(err, ErrDisconnected) {
		t.Errorf("a socket that ends: %v", err)
	}
}

// TestJoinFromOnConnect: a socket may enter before its client knows that it is connected.
func TestJoinFromOnConnect(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	n.OnConnect(func(ctx context.Context, s *Socket) error {
		return s.JoinFrom(ctx, "r", func(context.Context) (uint64, error) {
			_ = n.To("r").Position(2).Emit("two")
			_ = n.To("r").Position(1).Emit("one, held")
			return 1, s.Emit("one")
		})
	})
	e := enter(t, serve(t, srv), "", connected(n))
	_ = n.To("r").Position(3).Emit("three")
	e.expect("one", "two", "three")
}

// TestJoinFromHoldsUpNobody: while read waits, other rooms, other sockets and the bus go on.
func TestJoinFromHoldsUpNobody(t *testing.T) {
	var sockets [2]chan *Socket
	i := 0
	ns := clustered(t, 2, func(srv *Server) { sockets[i] = connected(srv.Of("/")); i++ })
	e, other := enter(t, ns.at[0], "", sockets[0]), enter(t, ns.at[0], "", sockets[0])
	e.s.Join("q")
	other.s.Join("r")
	reading, go_ := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- e.s.JoinFrom(context.Background(), "r", func(context.Context) (uint64, error) {
			close(reading)
			<-go_
			return 1, e.s.Emit("one")
		})
	}()
	<-reading
	there := ns.all[1].Of("/")
	ns.reach(there.To("r"), 2)
	_ = there.To("r").Position(1).Emit("one")
	_ = there.To("r").Position(2).Emit("two")
	_ = there.To("q").Emit("q")
	for _, m := range []string{`42["one"]`, `42["two"]`} {
		if got := other.w.Next(); got != m {
			t.Errorf("the other socket got %s", got)
		}
	}
	if got := e.w.Next(); got != `42["q"]` {
		t.Errorf("%s", got)
	}
	close(go_)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	e.expect("one", "two")
}

// TestPositionInCluster: a position goes where the event goes, and clients see nothing of it.
func TestPositionInCluster(t *testing.T) {
	for _, ns := range []string{"", "/p/7,"} {
		t.Run(ns, func(t *testing.T) { positionInCluster(t, ns) })
	}
}

func positionInCluster(t *testing.T, path string) {
	var sockets [2]chan *Socket
	i := 0
	ns := clustered(t, 2, func(srv *Server) {
		n := srv.Of("/")
		if path != "" {
			n = srv.OfPattern("/p/{id}")
		}
		sockets[i] = connected(n)
		i++
	})
	here, e := enter(t, ns.at[0], path, sockets[0]), enter(t, ns.at[1], path, sockets[1])
	there := here.s.Namespace()
	if err := e.s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) { return 1 << 60, nil }); err != nil {
		t.Fatal(err)
	}
	plain := enter(t, ns.at[1], path, sockets[1])
	plain.s.Join("r", "x")
	end := func(what string, events ...string) {
		t.Helper()
		_ = there.To("r").Emit("end")
		for who, want := range map[*entering][]string{plain: {"late", "next", "two rooms"}, e: events} {
			for _, event := range append(want, "end") {
				if m := who.w.Next(); m != "42"+path+`["`+event+`"]` {
					t.Errorf("%s: %s instead of %s", what, m, event)
				}
			}
		}
	}
	emit := func() {
		_ = there.To("r").Position(1 << 60).Except("nobody").Emit("late")
		_ = there.To("r").Position(1<<60 + 1).Emit("next")
		_ = there.To("r", "r2").Position(1).Emit("two rooms")
	}
	emit()
	end("as it is", "next", "two rooms")
	there = ns.all[0].Of(there.Path()) // as the application names it
	emit()
	end("by its name", "next", "two rooms")
	if path != "" { // a pattern has no log
		_ = ns.all[0].onBus("/p/{id}").To("r").Position(1).Emit("next")
		for _, who := range []*entering{plain, e} {
			if m := who.w.Next(); m != "42"+path+`["next"]` {
				t.Errorf("of the pattern: %s", m)
			}
		}
	}
	there.To("x").Join("r") // now the room is one that is told to all nodes
	ns.reach(there.To("r"), 2)
	emit()
	end("a room that is new", "next", "two rooms")
}

// TestJoinFromWhileAway: a bus that is away is not waited for, and a context that has ended ends
// the wait for one that hangs.
func TestJoinFromWhileAway(t *testing.T) {
	var sockets chan *Socket
	ns := clustered(t, 1, func(srv *Server) { sockets = connected(srv.Of("/")) })
	e := enter(t, ns.at[0], "", sockets)
	ns.bus.Cut()
	for until := time.Now().Add(10 * time.Second); ; { // until the node knows
		if !ns.all[0].node.Stats().Up || time.Now().After(until) {
			break
		}
	}
	if err := e.s.JoinFrom(t.Context(), "r", func(context.Context) (uint64, error) { return 0, nil }); err != nil {
		t.Error(err)
	}
	ns.bus.Heal()
	for until := time.Now().Add(10 * time.Second); !ns.all[0].node.Stats().Up && time.Now().Before(until); {
	}
	_ = e.s.Namespace().To("r").Position(1).Emit("after")
	e.expect("after")
}

// TestArgsBinary: Args come back from a store as they were.
func TestArgsBinary(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	e := enter(t, serve(t, srv), "", connected(n))
	for _, args := range [][]any{
		{}, {nil}, {"text", 1, 2.5, true, map[string]any{"a": []any{1, "ß\x00"}}}, {[]byte{}}, {[]byte{1, 2}, "x", map[string]any{"b": []byte{3}}},
		{uint64(18446744073709551615)},
	} {
		kept, err := n.Encode(append([]any{"first", []byte("gone")}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		data, err := kept.Slice(2).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Args
		if err := back.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		for i := range data {
			data[i] = 'x' // nothing of it is kept
		}
		want := kept.Slice(2)
		if back.Len() != want.Len() || len(back.attachments) > len(args) {
			t.Fatalf("%v instead of %v", back, want)
		}
		for _, a := range []Args{want, back} {
			if err := e.s.Emit("e", a); err != nil {
				t.Fatal(err)
			}
		}
		read := func() (all []string) {
			_ = e.s.Emit("end")
			for m := e.w.Next(); m != `42["end"]`; m = e.w.Next() {
				all = append(all, m)
			}
			return all
		}
		if all := read(); len(all)%2 != 0 || strings.Join(all[:len(all)/2], " ") != strings.Join(all[len(all)/2:], " ") {
			t.Errorf("%q", all)
		}
		for i := range args {
			var a, b any
			if errA, errB := want.Slice(i).Bind(&a), back.Slice(i).Bind(&b); errA != nil || errB != nil || fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("%v, %v; %v, %v", a, errA, b, errB)
			}
		}
	}
}

// TestArgsBinaryMalformed: a store may hold what others have written.
func TestArgsBinaryMalformed(t *testing.T) {
	for _, data := range []string{
		"", "\x00", "\x01", "\x02\x02[]", "\x01\x03[]", "\x01\x02[", "\x01\x02{}", "\x01\x05[\"\xff\"]", "\x01\x03[1}", "\x01\x02[]\x80",
		"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01[]", "\x01\x02[]\x01x", // an attachment that has no place
		"\x01\x20[{\"_placeholder\":true,\"num\":1}]\x01x",
		"\x01\x1f[{\"_placeholder\":true,\"num\":1}]\x01x",
		"\x01\xff\xff\x7f" + strings.Repeat("[", 100_000),
	} {
		var a Args
		if err := a.UnmarshalBinary([]byte(data)); !errors.Is(err, errArgsForm) {
			t.Errorf("%.40q: %v", data, err)
		}
	}
	var a Args
	if err := a.UnmarshalBinary([]byte("\x01\x1f[{\"_placeholder\":true,\"num\":0}]\x01x")); err != nil || a.Len() != 1 {
		t.Error(err)
	}
}

// FuzzArgsBinary: whatever is unmarshalled may be emitted, and is marshalled to the same.
func FuzzArgsBinary(f *testing.F) {
	f.Add([]byte("\x01\x02[]"))
	f.Add([]byte("\x01\x1f[{\"_placeholder\":true,\"num\":0}]\x01x"))
	n := NewServer(nil).Of("/")
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, b Args
		if a.UnmarshalBinary(data) != nil {
			return
		}
		if err := n.To("r").Emit("e", a); err != nil {
			t.Fatal(err)
		}
		again, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.UnmarshalBinary(again); err != nil || fmt.Sprint(a.raw) != fmt.Sprint(b.raw) && len(a.attachments) == 0 || len(a.attachments) != len(b.attachments) {
			t.Fatalf("%v: %v instead of %v", err, b, a)
		}
	})
}
