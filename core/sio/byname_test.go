package sio

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// dynamicRooms is a server with a pattern, whose handler "on" tells who is there.
func dynamicRooms(o *Options) *Server {
	srv := NewServer(o)
	srv.OfPattern("/room/{id}").On("who", Reply(func(_ context.Context, s *Socket, _ None) (string, error) {
		return s.Namespace().Param("id"), nil
	}))
	return srv
}

// TestOfKeepsNothing: asking for dynamic namespaces by name makes none, and takes none of
// the places that Options.MaxDynamicNamespaces gives to clients.
func TestOfKeepsNothing(t *testing.T) {
	srv := dynamicRooms(&Options{MaxDynamicNamespaces: 2})
	for i := range 100 {
		n := srv.Of(fmt.Sprint("/room/", i))
		if err := n.Emit("news", i); err != nil {
			t.Fatal(err)
		}
		if n.Path() != fmt.Sprint("/room/", i) || n.Param("id") != fmt.Sprint(i) || n.Len() != 0 || n.Socket("x") != nil || len(n.Rooms()) != 0 {
			t.Fatal(n.Path(), n.Param("id"), n.Len())
		}
	}
	if srv.Lookup("/room/1") != nil || srv.dynamics != 0 || len(srv.namespaces) != 1 {
		t.Fatalf("%d dynamic namespaces, %d in all", srv.dynamics, len(srv.namespaces))
	}
	c := serve(t, srv)
	c.Join("/room/1,").Send("41/room/1,")
	gone(t, srv, "/room/1")
}

// TestOfByName: a namespace found by its name is the one that has the name at the time of
// each call, although its clients have all left and others have come.
func TestOfByName(t *testing.T) {
	srv := dynamicRooms(nil)
	c := serve(t, srv)
	n := srv.Of("/room/7")
	n.Set("x", 1)
	for round := range 2 {
		w := c.Join("/room/7,")
		if n.Len() != 1 || srv.Lookup("/room/7") == nil {
			t.Fatal(n.Len())
		}
		if v := n.Get("x"); v != nil {
			t.Errorf("round %d: the value of a namespace that is gone: %v", round, v)
		}
		n.Set("x", round)
		if v := srv.Lookup("/room/7").Get("x"); v != round {
			t.Errorf("%v", v)
		}
		for s := range srv.Lookup("/room/7").All().Sockets(context.Background()) {
			s.Join("r")
		}
		if got := fmt.Sprint(srv.Of("/room/7").Rooms()); got != "map[r:1]" {
			t.Error(got)
		}
		_ = n.Emit("all", round)
		_ = n.To("r").Emit("some", round)
		for _, name := range []string{"all", "some"} {
			if got, want := w.Next(), fmt.Sprintf(`42/room/7,["%s",%d]`, name, round); got != want {
				t.Errorf("%s instead of %s", got, want)
			}
		}
		w.Send("41/room/7,")
		gone(t, srv, "/room/7")
	}
}

// TestOfFuncByName: a namespace of OfFunc that exists is not kept alive by Of either.
func TestOfFuncByName(t *testing.T) {
	srv := NewServer(nil)
	srv.OfFunc(func(path string, _ *Request) bool { return path == "/f" })
	c := serve(t, srv)
	w := c.Join("/f,")
	n := srv.Of("/f")
	_ = n.Emit("x")
	if got := w.Next(); got != `42/f,["x"]` {
		t.Error(got)
	}
	w.Send("41/f,")
	gone(t, srv, "/f")
	if n.Len() != 0 {
		t.Error(n.Len())
	}
}

// TestRoomLists: a namespace lists the rooms that its sockets have joined, with counts, and
// LeaveAll takes a socket out of those.
func TestRoomLists(t *testing.T) {
	srv, c, w, s := asker(t, nil)
	c.Join("")
	n := srv.Of("/")
	n.All().Join("both", "\x00own")
	s.Join("one")
	if got := fmt.Sprint(n.Rooms()); got != "map[both:2 one:1]" {
		t.Error(got)
	}
	s.LeaveAll()
	if got := fmt.Sprint(s.Rooms(), n.Rooms()); got != "[] map[both:1]" {
		t.Error(got)
	}
	_ = n.To("\x00own").Except("both").Emit("own")
	_ = n.To(s.ID()).Emit("id")
	if got := []string{w.Next(), w.Next()}; !slices.Equal(got, []string{`42["own"]`, `42["id"]`}) {
		t.Error(got)
	}
	n.All().LeaveAll()
	if got := fmt.Sprint(n.Rooms()); got != "map[]" {
		t.Error(got)
	}
}
