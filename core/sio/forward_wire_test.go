package sio

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// elsewhere opens a session whose requests come to another server than the one that has it.
func (sp *spread) elsewhere() *wire.Session {
	s := sp.c.Polling()
	o := sp.owner(s.Open.SID)
	for _, srv := range sp.all {
		if srv != o {
			hs := httptest.NewServer(srv)
			sp.t.Cleanup(hs.Close)
			s.Client = wire.New(sp.t, hs.URL, "/socket.io/")
			sp.t.Cleanup(s.Client.Close)
			return s
		}
	}
	return nil
}

// TestForwardEarly: what comes in the same segment as an opening handshake that is passed on
// is handled, however much of it there is.
func TestForwardEarly(t *testing.T) {
	sp := spreadOver(t, 2, nil, echoes)
	for _, size := range []int{1, 3000, 70_000} {
		s := sp.elsewhere()
		s.Join("")
		text := strings.Repeat("e", size)
		early := string(wire.Frame(0x81, []byte("2probe"))) + string(wire.Frame(0x81, []byte("5"))) + string(wire.Frame(0x81, []byte(`42["echo","`+text+`"]`)))
		w, a := s.Upgrade("EIO=4&transport=websocket&sid="+s.Open.SID, early)
		if w == nil {
			t.Fatal(a)
		}
		if got := w.Next(); got != "3probe" {
			t.Fatal(got)
		}
		if got := w.Next(); got != `42["echoed","`+text+`"]` {
			t.Fatalf("%d bytes", len(got))
		}
	}
}

// TestForwardConnection: the connection of a request that is passed on serves the next one,
// and headers that are about a connection alone change nothing.
func TestForwardConnection(t *testing.T) {
	sp := spreadOver(t, 2, nil, echoes)
	s := sp.elsewhere()
	s.Join("")
	l := s.Line()
	for range 2 {
		if a := l.Do("POST", s.Query(), `42["echo","x"]`); a.String() != "200 ok" {
			t.Fatal(a)
		}
		if a := l.Do("GET", s.Query(), ""); a.String() != `200 42["echoed","x"]` {
			t.Fatal(a)
		}
	}
	if a := l.Do("POST", s.Query(), `42["echo","x"]`, "Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers"); a.String() != "200 ok" {
		t.Fatal(a)
	}
	if a := s.Get(); a.String() != `200 42["echoed","x"]` {
		t.Fatal(a)
	}
}

// TestForwardMany: very many requests at once, as when a load balancer has lost a server, all
// find their sessions.
func TestForwardMany(t *testing.T) {
	const n = 150
	sp := spreadOver(t, 2, nil, echoes)
	first := sp.elsewhere()
	first.Client.HTTP.Timeout = time.Minute // so many at once, on a busy machine
	sessions := []*wire.Session{first}
	for o := sp.owner(first.Open.SID); len(sessions) < n; {
		if s := sp.c.Polling(); sp.owner(s.Open.SID) == o {
			s.Client = first.Client
			sessions = append(sessions, s)
		}
	}
	var all sync.WaitGroup
	for _, s := range sessions {
		all.Go(func() {
			a, err := s.Do(t.Context(), "POST", s.Query(), "40")
			if err != nil || a.String() != "200 ok" {
				t.Error(a, err)
			}
			if a, err = s.Do(t.Context(), "GET", s.Query(), ""); err != nil || a.Status != 200 {
				t.Error(a, err)
			}
		})
	}
	all.Wait()
}

// TestForwardLeaves: when the server that passes a held poll on shuts down, the poll is
// answered with nothing, and the session goes on elsewhere.
func TestForwardLeaves(t *testing.T) {
	sp := spreadOver(t, 2, nil, echoes)
	s := sp.elsewhere()
	s.Join("")
	o := sp.owner(s.Open.SID)
	other := sp.all[0]
	if other == o {
		other = sp.all[1]
	}
	until(t, "nothing is passed on", func() bool { return other.forward.Passing() == 0 })
	held := s.Hold()
	until(t, "the poll is held", func() bool { return other.forward.Passing() > 0 })
	if err := other.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if a := <-held; a.String() != "200 6" {
		t.Error(a)
	}
	hs := httptest.NewServer(o)
	defer hs.Close()
	s.Client = wire.New(t, hs.URL, "/socket.io/")
	if a := s.Post(`42["echo","x"]`); a.String() != "200 ok" {
		t.Error(a)
	}
	if a := s.Get(); a.String() != `200 42["echoed","x"]` {
		t.Error(a)
	}
}
