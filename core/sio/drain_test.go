package sio

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/internal/wire"
)

// leaver is a client of one generation on one transport.
type leaver struct {
	send func(n int) // the event "slow", which asks for an ack
	// next has what comes next; of a client that polls, the answer of its next poll.
	next  func() string
	ended func() bool          // reads the end, and reports whether it is that of Shutdown
	hold  func() func() string // begins a poll, whose answer is next's result then
}

// polls is a leaver that polls.
func polls(c *wire.Client, query, id string, send func(n int), ends func(a wire.Answer) bool) leaver {
	get := func() wire.Answer { return c.Must("GET", query, "") }
	l := leaver{send: send}
	l.next = func() string {
		for {
			if a := get(); strings.Contains(a.Body, id) || a.Status != 200 {
				return a.Body
			}
		}
	}
	l.ended = func() bool { return ends(get()) }
	l.hold = func() func() string {
		ch := make(chan string, 1)
		go func() {
			a, err := c.Do(context.Background(), "GET", query, "")
			if err != nil {
				a.Body = err.Error()
			}
			ch <- a.Body
		}()
		return func() string { return <-ch }
	}
	return l
}

// frames is a leaver with a websocket.
func frames(t *testing.T, c *wire.Client, query string, hello int, format string) leaver {
	t.Helper()
	w, a := c.Upgrade(query, "")
	if w == nil {
		t.Fatal(a)
	}
	w.NoPong = true
	for range hello {
		w.Next()
	}
	return leaver{
		send:  func(n int) { w.Send(fmt.Sprintf(format, n, n)) },
		next:  w.Next,
		ended: func() bool { return w.End().Code == 1001 },
	}
}

var form = []string{"Content-Type", "application/x-www-form-urlencoded"}

// leavers are the generations and transports whose clients leave a server.
var leavers = []struct {
	name string
	open func(t *testing.T, c *wire.Client) leaver
}{
	{"eio4 websocket", func(t *testing.T, c *wire.Client) leaver {
		w := c.Join("")
		return leaver{
			send:  func(n int) { w.Send(fmt.Sprintf(`42%d["slow",%d]`, n, n)) },
			next:  w.Next,
			ended: func() bool { return w.End().Code == 1001 },
		}
	}},
	{"eio4 polling", func(t *testing.T, c *wire.Client) leaver {
		s := c.Polling()
		s.Join("")
		return polls(c, s.Query(), "43", func(n int) { s.Post(fmt.Sprintf(`42%d["slow",%d]`, n, n)) },
			func(a wire.Answer) bool { return a.String() == "200 6\x1e1" || a.String() == "200 1" })
	}},
	{"eio4 jsonp", func(t *testing.T, c *wire.Client) leaver {
		js := c.Must("GET", "EIO=4&transport=polling&j=0", "")
		_, sid, _ := strings.Cut(js.Body, `\"sid\":\"`)
		sid, _, _ = strings.Cut(sid, `\"`)
		query := "EIO=4&transport=polling&j=0&sid=" + sid
		c.Must("POST", query, "d=40", form...)
		c.Must("GET", query, "")
		return polls(c, query, "43", func(n int) { c.Must("POST", query, fmt.Sprintf(`d=42%d["slow",%d]`, n, n), form...) },
			func(a wire.Answer) bool { return a.Status == 200 && strings.Contains(a.Body, `1");`) })
	}},
	{"eio3 websocket", func(t *testing.T, c *wire.Client) leaver {
		return frames(t, c, "EIO=3&transport=websocket", 2, `42%d["slow",%d]`)
	}},
	{"eio3 polling", func(t *testing.T, c *wire.Client) leaver {
		s := c.Polling3()
		s.Next()
		return polls(c, s.Query(), "43", func(n int) { s.Post(fmt.Sprintf(`42%d["slow",%d]`, n, n)) },
			func(a wire.Answer) bool { return a.String() == "200 1:61:1" || a.String() == "200 1:1" })
	}},
	{"sio1 websocket", func(t *testing.T, c *wire.Client) leaver {
		return frames(t, c.At(c.Path+"1/websocket/"+c.Handshake1("")), "", 1, `5:%d+::{"name":"slow","args":[%d]}`)
	}},
	{"sio1 flashsocket", func(t *testing.T, c *wire.Client) leaver {
		return frames(t, c.At(c.Path+"1/flashsocket/"+c.Handshake1("")), "", 1, `5:%d+::{"name":"slow","args":[%d]}`)
	}},
	{"sio1 polling", func(t *testing.T, c *wire.Client) leaver {
		s := c.Polling1()
		return polls(s.Client, "", "6:::", func(n int) { s.Send(fmt.Sprintf(`5:%d+::{"name":"slow","args":[%d]}`, n, n)) },
			func(a wire.Answer) bool { return a.Status == 503 })
	}},
	{"sio1 jsonp", func(t *testing.T, c *wire.Client) leaver {
		s := c.At(c.Path + "1/jsonp-polling/" + c.Handshake1(""))
		s.Must("GET", "i=0", "")
		return polls(s, "i=0", "6:::", func(n int) {
			s.Must("POST", "i=0", "d="+fmt.Sprintf(`"5:%d%%2B::{\"name\":\"slow\",\"args\":[%d]}"`, n, n), form...)
		}, func(a wire.Answer) bool { return a.Status == 503 })
	}},
	{"sio1 htmlfile", func(t *testing.T, c *wire.Client) leaver {
		x := c.At(c.Path + "1/htmlfile/" + c.Handshake1(""))
		s := x.Stream("")
		s.Until("1::")
		return leaver{
			send:  func(n int) { x.Must("POST", "", fmt.Sprintf(`5:%d+::{"name":"slow","args":[%d]}`, n, n)) },
			next:  func() string { return s.Until("</script>") + s.Until("</script>") },
			ended: func() bool { return !strings.Contains(s.End(), "0::") },
		}
	}},
	{"sio06 websocket", func(t *testing.T, c *wire.Client) leaver {
		conn, a := c.At(c.Path+"websocket").Upgrade("", "")
		if conn == nil {
			t.Fatal(a)
		}
		conn.Next()
		return leaver{
			send: func(n int) { conn.Send(fmt.Sprintf("~m~1~m~%d", n)) },
			next: func() string {
				for {
					if m := conn.Next(); !strings.Contains(m, "~h~") {
						return m
					}
				}
			},
			ended: func() bool { return conn.End().Code == 1001 },
		}
	}},
}

// slowServer has the event "slow", whose handler says that it runs and answers when it may.
func slowServer(o Options) (srv *Server, runs chan int, may chan struct{}) {
	o.Transports = []string{"polling", "websocket", "jsonp", "htmlfile", "flashsocket"}
	o.Dialects = []string{"eio4", "eio3", "sio1", "sio06"}
	o.Logger = slog.New(slog.DiscardHandler)
	srv = NewServer(&o)
	runs, may = make(chan int, 100), make(chan struct{})
	srv.Of("/").On("slow", Reply(func(_ context.Context, _ *Socket, n int) (string, error) {
		runs <- n
		<-may
		return fmt.Sprintf("done %d", n), nil
	}))
	srv.Of("/").OnMessage(Handle(func(_ context.Context, s *Socket, text string) error {
		runs <- 1
		<-may
		return s.Send("done " + text)
	}))
	return srv, runs, may
}

// turned returns when n clients of srv have had their turn while a handler of theirs runs.
func turned(t *testing.T, srv *Server, n int) {
	t.Helper()
	until(t, "the turn", func() bool {
		got := 0
		srv.hub.Each(func(vs *virtsocket.Socket) {
			if c, ok := vs.Handler().(*client); ok && c.inbox.State().Waiting > 0 {
				got++
			}
		})
		return got == n
	})
}

// shut calls Shutdown in the background.
func shut(srv *Server) <-chan error {
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(context.Background()) }()
	return done
}

// TestShutdownAnswers: a handler that runs when Shutdown begins answers before the connection
// of its client ends, in each generation and on each transport. What the client sends
// meanwhile is not handled.
func TestShutdownAnswers(t *testing.T) {
	for _, row := range leavers {
		// A client that polls has shutdownLinger, or answersLinger when something waits, for the
		// poll that has the end. A busy machine may be later, which says nothing of the server.
		one := func(t *testing.T, held bool) (late bool) {
			linger := 2 * time.Second
			if held {
				linger = 500 * time.Millisecond
			}
			srv, runs, may := slowServer(Options{})
			l := row.open(t, serve(t, srv))
			l.send(1)
			if n := <-runs; n != 1 {
				t.Fatal(n)
			}
			if held {
				l.next = l.hold()
			}
			done := shut(srv)
			turned(t, srv, 1)
			l.send(2)
			answered := time.Now()
			may <- struct{}{}
			if got := l.next(); !strings.Contains(got, "done 1") {
				t.Errorf("the answer is %q", got)
			}
			if !l.ended() {
				if late = time.Since(answered) > linger; !late {
					t.Error("the end is not that of Shutdown")
				}
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			select {
			case n := <-runs:
				t.Errorf("event %d is handled", n)
			default:
			}
			return late
		}
		again := func(t *testing.T, held bool) {
			for tries := 0; one(t, held); tries++ {
				if tries == 5 {
					t.Fatal("the end is never that of Shutdown")
				}
			}
		}
		t.Run(row.name, func(t *testing.T) { again(t, false) })
		if strings.Contains(row.name, "polling") || strings.Contains(row.name, "jsonp") {
			t.Run(row.name+", held", func(t *testing.T) { again(t, true) })
		}
	}
}
