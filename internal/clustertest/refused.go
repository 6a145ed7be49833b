package clustertest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// Refused has a client in the room "bad", which the bus does not take, since a time without the bus:
// take and give are called for that. why is a part of what the bus says then; allow has the bus take
// the room, when that can be without another connection, else it is nil.
//
// Who enters the room waiting for the bus gets the error, as without such a time, and the incident
// goes on until the bus takes the room.
func Refused(t *testing.T, b cluster.Backend, why string, take, give, allow func()) {
	n := newNode(t, 0)
	n.Server = newServer(b, func(f sio.Failure) { n.failed(f.Name, f.Reason, fmt.Sprint(f.Err)) })
	sockets := make(chan *sio.Socket, 1)
	n.Of("/").OnConnected(func(_ context.Context, s *sio.Socket) { sockets <- s })
	reached(n.Server)
	host := httptest.NewServer(n)
	t.Cleanup(func() {
		_ = n.Shutdown(context.Background())
		host.Close()
	})
	n.connect(host.URL)
	s := <-sockets
	enter := func() error {
		s.Leave("bad")
		return s.JoinFrom(t.Context(), "bad", func(context.Context) (uint64, error) { return 0, nil })
	}
	take()
	n.begins(1)
	if err := enter(); err != nil {
		t.Errorf("without the bus: %v", err)
	}
	give()
	for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // the bus is there again
		if _, err := n.Of("/").All().Count(t.Context()); err == nil {
			break
		} else if time.Now().After(late) {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := enter(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("JoinFrom: %v; want %q", err, why)
		}
	}
	if allow == nil {
		return
	}
	s.Join("bad")
	n.mu.Lock()
	if len(n.over) > 0 {
		t.Errorf("OnError was told %q", n.failures)
	}
	n.mu.Unlock()
	allow()
	n.incident(1)
	if err := enter(); err != nil {
		t.Errorf("JoinFrom, and the bus takes the room: %v", err)
	}
}
