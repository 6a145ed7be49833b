package sio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// asker starts a server with one client on a websocket.
func asker(t testing.TB, o *Options) (*Server, *wire.Client, *wire.WS, *Socket) {
	t.Helper()
	srv := NewServer(o)
	sockets := make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
		select {
		case sockets <- s:
		default:
		}
		return nil
	})
	c := serve(t, srv)
	return srv, c, c.Join(""), <-sockets
}

// left reports what calls have left behind.
func left(s *Socket) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.client.inbox.State().Calls; len(s.calls) != 0 || n != 0 {
		return fmt.Sprintf("%d calls left, %d waiting", len(s.calls), n)
	}
	return ""
}

// TestCall: what an ack may be, and what becomes of it.
func TestCall(t *testing.T) {
	for _, row := range []struct {
		what   string
		answer func(w *wire.WS, id string)
		want   string
	}{
		{"value", func(w *wire.WS, id string) { w.Send("43" + id + "[7]") }, "7 <nil>"},
		{"further values are ignored", func(w *wire.WS, id string) { w.Send("43" + id + "[7,8]") }, "7 <nil>"},
		{"twice", func(w *wire.WS, id string) { w.Send("43"+id+"[7]", "43"+id+"[8]") }, "7 <nil>"},
		{"unknown id first", func(w *wire.WS, id string) { w.Send("43999[1]", "43"+id+"[7]") }, "7 <nil>"},
		{"of another type", func(w *wire.WS, id string) { w.Send("43" + id + `["x"]`) }, "0 bad_argument: argument 1: wrong JSON type"},
		{"nothing", func(w *wire.WS, id string) { w.Send("43" + id + `[]`) }, "0 bad_argument: 0 arguments instead of 1"},
		{"timeout", func(*wire.WS, string) {}, "0 " + ErrAckTimeout.Error()},
		{"late", func(w *wire.WS, id string) { w.Send("43" + id + "[9]") }, "7 <nil>"}, // the one of the row before, see below
		{"disconnect", func(w *wire.WS, _ string) { w.Send("41") }, "0 " + ErrDisconnected.Error()},
	} {
		t.Run(row.what, func(t *testing.T) {
			_, _, w, s := asker(t, &Options{AckTimeout: 50 * time.Millisecond})
			if row.what != "timeout" && row.what != "late" {
				s.ns.srv.opts.AckTimeout = wire.Patience
			}
			if row.what == "late" {
				if _, err := Call[int](context.Background(), s, "q"); !errors.Is(err, ErrAckTimeout) {
					t.Fatal(err)
				}
				row.answer(w, strings.TrimSuffix(strings.TrimPrefix(w.Next(), "42"), `["q"]`))
				s.ns.srv.opts.AckTimeout = wire.Patience
				row.answer = func(w *wire.WS, id string) { w.Send("43" + id + "[7]") }
			}
			read := make(chan struct{})
			go func() {
				defer close(read)
				m := w.Next()
				row.answer(w, strings.TrimSuffix(strings.TrimPrefix(m, "42"), `["q"]`))
			}()
			n, err := Call[int](context.Background(), s, "q")
			<-read // else the connection may end under who reads
			if got := fmt.Sprint(n, " ", err); got != row.want {
				t.Errorf("%s instead of %s", got, row.want)
			}
			if l := left(s); l != "" {
				t.Error(l)
			}
		})
	}
}

// TestManyUnansweredCalls leave nothing behind.
func TestManyUnansweredCalls(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 1_000
	}
	_, _, w, s := asker(t, &Options{MaxQueueMessages: 1 << 20, MaxQueueBytes: 1 << 30})
	read := make(chan string, 1)
	go func() {
		m := ""
		for range n {
			m, _ = w.Read()
		}
		read <- m
	}()
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range n {
		if _, err := Call[int](done, s, "q"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if i == n/2 {
			if _, err := CallAll[int](done, s.ns.All(), "all"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l := left(s); l != "" {
		t.Error(l)
	}
	<-read
	failed := make(chan error, 1)
	go func() {
		_, err := Call[int](context.Background(), s, "last")
		failed <- err
	}()
	w.Next()
	w.Next()
	w.Reset()
	if err := <-failed; !errors.Is(err, ErrDisconnected) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := Call[int](context.Background(), s, "q"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("later: %v", err)
	}
}

// TestCallAll: there is an answer for each socket, and those that did not answer
// are known.
func TestCallAll(t *testing.T) {
	t.Parallel()
	srv := NewServer(&Options{AckTimeout: 3 * time.Second}) // for three answers
	n := srv.Of("/")
	n.On("join", Handle(func(_ context.Context, s *Socket, room string) error { s.Join(room); return nil }))
	n.On("ask-all", Reply(func(ctx context.Context, s *Socket, _ None) (string, error) { // its own client too
		answers, err := CallAll[string](ctx, n.To("r"), "who", 1)
		return listed(answers), err
	}))
	c := serve(t, srv)
	type client struct {
		w  *wire.WS
		id string
	}
	var clients []client
	for range 4 {
		w, _ := c.WebSocket()
		w.Send("40")
		id := strings.TrimSuffix(strings.TrimPrefix(w.Next(), `40{"sid":"`), `"}`)
		w.Send(`420["join","r"]`)
		w.Next()
		clients = append(clients, client{w, id})
	}
	clients[0].w.Send(`425["ask-all"]`)
	var question string
	for i, cl := range clients {
		question = cl.w.Next()
		ack := "43" + strings.TrimSuffix(strings.TrimPrefix(question, "42"), `["who",1]`)
		switch i {
		case 0:
			cl.w.Send(ack + `["zero"]`)
		case 1:
			cl.w.Send(ack + `[1]`) // not a string
		case 2:
			cl.w.Reset()
		} // the last one says nothing
	}
	got := clients[0].w.Next()
	for i, want := range []string{"zero <nil>", " bad_argument: argument 1: wrong JSON type", " " + ErrDisconnected.Error(), " " + ErrAckTimeout.Error()} {
		if !strings.Contains(got, clients[i].id+"="+want) {
			t.Errorf("client %d: no %q in %s", i, want, got)
		}
	}
	for s := range n.All().Sockets(context.Background()) {
		if l := left(s.(*Socket)); l != "" && s.ID() != clients[0].id { // that one is in its handler
			t.Errorf("%s: %s", s.ID(), l)
		}
	}
	if answers, err := CallAll[int](context.Background(), n.To("nobody"), "who"); len(answers) != 0 || err != nil {
		t.Errorf("nobody: %v %v", answers, err)
	}
	if _, err := CallAll[int](context.Background(), n.To("r"), "who", make(chan int)); err == nil {
		t.Error("what cannot be encoded was sent")
	}
}

func listed(answers []Answer[string]) string {
	var list []string
	for _, a := range answers {
		list = append(list, fmt.Sprintf("%s=%s %v", a.ID, a.Value, a.Err))
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// TestCallInOnConnect fails at once: the client could not answer.
func TestCallInOnConnect(t *testing.T) {
	srv := NewServer(nil)
	var got error
	srv.Of("/").OnConnect(func(ctx context.Context, s *Socket) error {
		_, got = Call[int](ctx, s, "q")
		return nil
	})
	serve(t, srv).Join("")
	if !errors.Is(got, errEarly) || !strings.Contains(got.Error(), `"q"`) {
		t.Errorf("%v", got)
	}
}

// TestOverdue: the two ways in which time can run out look alike.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		<-ctx.Done()
		if err := overdue(ctx); !errors.Is(err, ErrAckTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
