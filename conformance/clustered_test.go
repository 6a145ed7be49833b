package conformance

import (
	"net"
	"slices"
	"testing"
)

// TestOnOneServer: the list names cases that exist, and is short.
func TestOnOneServer(t *testing.T) {
	r := newRun(nil, []Option{Clustered(nil)})
	n := 0
	for _, c := range r.cases() {
		if r.placed(c.name) != "" && !below(c.name, "recovery") { // a client comes back to its server
			n++
		}
	}
	if n > 13 {
		t.Errorf("%d cases have one server with all sessions", n)
	}
	for name, reason := range onOneServer {
		if reason == "" || !slices.ContainsFunc(r.cases(), func(c testCase) bool { return c.name == name || below(c.name, name) }) {
			t.Errorf("%s: %q", name, reason)
		}
	}
}

// TestBalancer: connections go to the hosts in turn, each round beginning with the next; a host
// that has stopped is passed over, and with the last one the address is free.
func TestBalancer(t *testing.T) {
	b := newBalancer(t, Config{}, 3)
	came := func() (host int) {
		nc, err := net.Dial("tcp", b.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		got := make(chan int, 1)
		select {
		case c := <-b.shares[0].conns:
			got <- 0
			_ = c.Close()
		case c := <-b.shares[1].conns:
			got <- 1
			_ = c.Close()
		case c := <-b.shares[2].conns:
			got <- 2
			_ = c.Close()
		}
		return <-got
	}
	var list []int
	for range 9 {
		list = append(list, came())
	}
	if !slices.Equal(list, []int{0, 1, 2, 1, 2, 0, 2, 0, 1}) {
		t.Error(list)
	}
	_ = b.shares[0].Close()
	for range 6 {
		if came() == 0 {
			t.Error("a connection has come to a host that has stopped")
		}
	}
	if _, err := b.shares[0].Accept(); err == nil {
		t.Error("Accept after Close")
	}
	_ = b.shares[1].Close()
	_ = b.shares[2].Close()
	<-b.over
	ln, err := net.Listen("tcp", b.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}
