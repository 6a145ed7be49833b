package sio

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestNewRooms: a room is new for its time, and when all are old nobody looks for one any more,
// whichever rooms are asked for. While there are too many, they are not looked through at each call.
func TestNewRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nr newRooms
		is := func(room string, want bool) {
			t.Helper()
			if got := nr.has("/", room); got != want {
				t.Fatalf("%s is new: %v", room, got)
			}
		}
		is("a", false)
		nr.add("/", []string{"a"}, time.Now())
		is("a", true)
		is("b", false)
		time.Sleep(newRoomTime / 2)
		nr.add("/", []string{"b"}, time.Now())
		time.Sleep(newRoomTime / 2)
		is("a", false)
		is("b", true)
		time.Sleep(newRoomTime / 2)
		is("never", false)
		if nr.any.Load() || nr.until != nil {
			t.Error("old rooms are looked for")
		}
		is("b", false)

		for i := range maxNewRooms {
			nr.add("/", []string{fmt.Sprint(i)}, time.Now())
		}
		is("other", false)
		sweeps := 0
		for range 100 {
			before := nr.swept
			nr.add("/", []string{"one more"}, time.Now())
			if nr.swept != before {
				sweeps++
			}
			is("other", true)
			time.Sleep(newRoomSweep / 10)
		}
		if sweeps > 11 {
			t.Errorf("looked through %d times in ten seconds", sweeps)
		}
		time.Sleep(newRoomTime)
		is("0", false)
	})
}

// TestClusterOwnID: what is for the id of a socket on the own node is not told to others, as long
// as the socket is there.
func TestClusterOwnID(t *testing.T) {
	buses := make([]*counted, 2)
	ns := clusteredWith(t, 2, func(i int, o *Options) {
		buses[i] = &counted{Backend: o.Cluster}
		o.Cluster = buses[i]
	}, nil)
	sockets := connected(ns.all[0].Of("/"))
	w := ns.at[0].Join("")
	s := <-sockets
	for i, srv := range ns.all {
		for range 3 {
			if err := srv.Of("/").To(s.ID()).Emit("x", i); err != nil {
				t.Error(err)
			}
			if got, want := w.Next(), fmt.Sprintf(`42["x",%d]`, i); got != want {
				t.Errorf("%s instead of %s", got, want)
			}
		}
		ns.reach(srv.Of("/").To(s.ID()), 1)
		ns.flush(srv)
	}
	if n, m := buses[0].taken.Load(), buses[1].taken.Load(); n != 0 || m != 3 {
		t.Errorf("%d events were published by the socket's node, %d by the other one", n, m)
	}
	_ = ns.all[0].Of("/").To(s.ID(), "room").Emit("both")
	ns.all[0].Of("/").To(s.ID()).Disconnect()
	<-s.Context().Done()
	until(t, "the socket has left", func() bool { return ns.all[0].Of("/").Socket(s.ID()) == nil })
	_ = ns.all[0].Of("/").To(s.ID()).Emit("gone")
	if err := ns.all[0].node.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := buses[0].taken.Load(); n != 2 {
		t.Errorf("%d events were published for several rooms, and for a socket that has left", n)
	}
}
