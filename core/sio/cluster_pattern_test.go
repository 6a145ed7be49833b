package sio

import (
	"fmt"
	"testing"
)

// TestClusterPatternRooms: sockets that are made to join a room by the pattern of their namespace
// get what is emitted to the room right behind, by the name of the namespace, and vice versa.
func TestClusterPatternRooms(t *testing.T) {
	for name, of := range map[string]func(srv *Server) *Namespace{
		"pattern": func(srv *Server) *Namespace { return srv.OfPattern("/project/{id}") },
		"function": func(srv *Server) *Namespace {
			return srv.OfFunc(func(path string, _ *Request) bool { return path == "/project/7" })
		},
	} {
		all := make(map[*Server]*Namespace)
		ns := clustered(t, 2, func(srv *Server) { all[srv] = of(srv) })
		w := ns.at[1].Join("/project/7,")
		here := ns.all[0]
		ns.reach(here.Of("/project/7").All(), 1)
		for i := range 20 {
			room := fmt.Sprint("r", i)
			all[here].All().Join(room)
			_ = here.Of("/project/7").To(room).Emit("by name", i)
			room += "x"
			here.Of("/project/7").All().Join(room)
			_ = all[here].To(room).Emit("by pattern", i)
		}
		for i := range 20 {
			for _, by := range []string{"name", "pattern"} {
				if got, want := w.Next(), fmt.Sprintf(`42/project/7,["by %s",%d]`, by, i); got != want {
					t.Fatalf("%s: %s, want %s", name, got, want)
				}
			}
		}
	}
}
