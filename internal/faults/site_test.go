package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// site is a server whose application remembers what it is told.
type site struct {
	t *testing.T
	*sio.Server
	addr  string // host and port
	total int    // numbers of earlier conversations

	mu    sync.Mutex
	got   map[string][]int // numbers, by socket
	ended []sio.Reason
	twice []string // sockets that have ended twice
	over  map[string]bool
}

// serve starts a site, until the end of the test.
func serve(t *testing.T, o sio.Options, change ...func(h *http.Server)) *site {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &site{t: t, Server: sio.NewServer(&o), got: make(map[string][]int), over: make(map[string]bool)}
	s.register(s.Server)
	h := httptest.NewUnstartedServer(s.Server)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	for _, f := range change {
		f(h.Config)
	}
	h.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, sio.ErrServerClosed) {
			t.Errorf("Shutdown: %v", err)
		}
		h.Close()
	})
	s.addr = strings.TrimPrefix(h.URL, "http://")
	return s
}

func (s *site) register(srv *sio.Server) {
	n := srv.Of("/")
	n.On("n", sio.Handle(func(_ context.Context, sock *sio.Socket, i int) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got[sock.ID()] = append(s.got[sock.ID()], i)
		return nil
	}))
	n.On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		if ev.WantsAck() {
			return ev.Ack(ev.Args)
		}
		return ev.Socket.Emit("echo", ev.Args)
	}))
	n.On("burst", sio.Handle(func(_ context.Context, sock *sio.Socket, count int) error {
		for i := range count {
			if err := sock.Emit("item", i); err != nil {
				return err
			}
		}
		return nil
	}))
	n.OnDisconnect(func(_ context.Context, sock *sio.Socket, why sio.Reason) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.over[sock.ID()] {
			s.twice = append(s.twice, sock.ID())
		}
		s.over[sock.ID()] = true
		s.ended = append(s.ended, why)
	})
}

// client is a client of an address; "" is the site's own.
func (s *site) client(addr string) *wire.Client {
	if addr == "" {
		addr = s.addr
	}
	c := wire.New(s.t, "http://"+addr, "/socket.io/")
	c.Patience = patience
	c.HTTP.Timeout = patience
	return c
}

// ends waits until so many sockets have ended, and returns their reasons.
func (s *site) ends(count int) []sio.Reason {
	s.t.Helper()
	s.await(fmt.Sprint("the end of ", count, " sockets"), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ended) >= count
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) != count || len(s.twice) > 0 {
		s.t.Errorf("%d ends, want %d; twice: %v", len(s.ended), count, s.twice)
	}
	return slices.Clone(s.ended)
}

// empty waits until the server has no connection.
func (s *site) empty(within time.Duration) {
	s.t.Helper()
	for from := time.Now(); s.Stats().Sessions > 0; time.Sleep(time.Millisecond) {
		if time.Since(from) > within {
			s.t.Fatalf("after %v there are %d connections", within, s.Stats().Sessions)
		}
	}
}

func (s *site) await(what string, ok func() bool) {
	s.t.Helper()
	for from := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(from) > patience {
			s.t.Fatalf("still waits for %s", what)
		}
	}
}

// ordered checks that the numbers of each socket are 0, 1, 2 and so on.
func (s *site) ordered() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, list := range s.got {
		for i, n := range list {
			if n != i {
				s.t.Errorf("%s: number %d is %d", id, i, n)
				break
			}
		}
	}
}

// alive has a new client say something, in time.
func (s *site) alive() time.Duration {
	s.t.Helper()
	from := time.Now()
	c := s.client("")
	w := c.Join("")
	echo(s.t, w, "alive")
	c.Close()
	return time.Since(from)
}

// joinQuietly joins with a websocket of 4.x, and returns nil where that fails.
func joinQuietly(c *wire.Client) *wire.WS {
	w, a := c.Upgrade("EIO=4&transport=websocket", "")
	if w == nil || a.Status != 101 {
		return nil
	}
	w.Send("40")
	for {
		text, err := w.Read()
		if err != nil {
			return nil
		}
		if strings.HasPrefix(text, "40") {
			return w
		}
	}
}

// echo is a round trip on a websocket of 4.x.
func echo(t *testing.T, w *wire.WS, text string) {
	t.Helper()
	w.Send(fmt.Sprintf(`427["echo",%q]`, text))
	want := fmt.Sprintf(`437[%q]`, text)
	for {
		switch got := w.Next(); {
		case got == want:
			return
		case !strings.HasPrefix(got, "42"):
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

// dialogue is a conversation of one generation and transport on a sound connection: a client
// joins, sends numbers and gets some, in a form of its own.
type dialogue struct {
	name string
	talk func(c *wire.Client, count int) (got []string)
}

var dialogues = []dialogue{
	{"4.x websocket", func(c *wire.Client, count int) (got []string) {
		w := c.Join("")
		for i := range count {
			w.Send(fmt.Sprintf(`42["n",%d]`, i))
		}
		w.Send(fmt.Sprintf(`42["burst",%d]`, count))
		for range count {
			got = append(got, strings.TrimPrefix(w.Next(), "4"))
		}
		return got
	}},
	{"4.x polling", func(c *wire.Client, count int) (got []string) {
		s := c.Polling()
		s.Join("")
		for i := range count {
			s.Post(fmt.Sprintf(`42["n",%d]`, i))
		}
		s.Post(fmt.Sprintf(`42["burst",%d]`, count))
		for _, p := range s.Packets(count) {
			got = append(got, strings.TrimPrefix(p, "4"))
		}
		return got
	}},
	{"2.x websocket", func(c *wire.Client, count int) (got []string) {
		w, a := c.Upgrade("EIO=3&transport=websocket", "")
		if w == nil {
			c.TB.Fatalf("%v", a)
		}
		w.Next() // open
		w.Next() // CONNECT
		for i := range count {
			w.Send(fmt.Sprintf(`42["n",%d]`, i))
		}
		w.Send(fmt.Sprintf(`42["burst",%d]`, count))
		for range count {
			got = append(got, strings.TrimPrefix(w.Next(), "4"))
		}
		return got
	}},
	{"2.x polling", func(c *wire.Client, count int) (got []string) {
		s := c.Polling3()
		s.Next() // CONNECT
		for i := range count {
			s.Post(fmt.Sprintf(`42["n",%d]`, i))
		}
		s.Post(fmt.Sprintf(`42["burst",%d]`, count))
		for range count {
			got = append(got, strings.TrimPrefix(s.Next(), "4"))
		}
		return got
	}},
	{"0.9 websocket", func(c *wire.Client, count int) (got []string) {
		at := c.At(c.Path + "1/websocket/" + c.Handshake1(""))
		defer at.Close()
		w, a := at.Upgrade("", "")
		if w == nil {
			c.TB.Fatalf("%v", a)
		}
		w.Next() // 1::
		for i := range count {
			w.Send(fmt.Sprintf(`5:::{"name":"n","args":[%d]}`, i))
		}
		w.Send(fmt.Sprintf(`5:::{"name":"burst","args":[%d]}`, count))
		for range count {
			got = append(got, old(w.Next()))
		}
		return got
	}},
	{"0.9 polling", func(c *wire.Client, count int) (got []string) {
		s := c.Polling1()
		for i := range count {
			s.Send(fmt.Sprintf(`5:::{"name":"n","args":[%d]}`, i))
		}
		s.Send(fmt.Sprintf(`5:::{"name":"burst","args":[%d]}`, count))
		for range count {
			got = append(got, old(s.Next()))
		}
		return got
	}},
}

// old is an event of 0.9 as later clients get it.
func old(p string) string {
	p = strings.TrimPrefix(p, `5:::{"name":"item","args":[`)
	return `2["item",` + strings.TrimSuffix(p, "}")
}

// all has every dialogue with a site by way of an address, and checks all of it.
func (s *site) all(addr string, count int) {
	s.t.Helper()
	for _, d := range dialogues {
		c := s.client(addr)
		got := d.talk(c, count)
		for i, text := range got {
			if want := fmt.Sprintf(`2["item",%d]`, i); text != want {
				s.t.Errorf("%s: number %d is %q", d.name, i, text)
			}
		}
		c.Close()
	}
	s.await("all numbers", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		total := 0
		for _, list := range s.got {
			total += len(list)
		}
		return total == count*len(dialogues)
	})
	s.ordered()
}
