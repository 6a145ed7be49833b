package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/redistest"
	"github.com/siokit/siokit/internal/wire"
)

// served is a Server with one client, in a cluster with Node.
type served struct {
	*sio.Server
	client *wire.WS
	id     string // of the client's socket
	events chan int
}

func startServer(t *testing.T, o redisbus.Options, addr string) *served {
	t.Helper()
	s := &served{events: make(chan int, 100)}
	s.Server = sio.NewServer(&sio.Options{
		Cluster: redisbus.New(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, o),
		OnError: func(f sio.Failure) { t.Errorf("OnError: %+v", f) },
	})
	ids := make(chan string, 1)
	s.Of("/").OnConnect(func(_ context.Context, c *sio.Socket) error { ids <- c.ID(); return nil })
	sio.HandleServers(s.Of("/"), "tell", func(_ context.Context, n int) error { s.events <- n; return nil })
	sio.ReplyServers(s.Of("/"), "question", func(_ context.Context, n int) (string, error) { return fmt.Sprint("go:", n), nil })
	host := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		host.Close()
	})
	s.client = wire.New(t, host.URL, "/socket.io/").Join("")
	s.id = <-ids
	return s
}

// TestMixed: two Servers and a process of Node are one cluster: what they ask each other reaches
// each of them once, and who does not answer is named as far as Node names anybody.
func TestMixed(t *testing.T) {
	for _, w := range []redisbus.Wire{redisbus.Classic, redisbus.Sharded, redisbus.Streams} {
		t.Run(w.String(), func(t *testing.T) {
			r := redistest.Start(t)
			p := startNode(t, w.String(), r.Addr)
			a, b := startServer(t, redisbus.Options{Wire: w}, r.Addr), startServer(t, redisbus.Options{Wire: w}, r.Addr)
			p.client("x", "r1")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for n := 0; n != 3; {
				var err error
				if n, err = a.Of("/").All().Count(ctx); err != nil {
					t.Fatal(err)
				}
			}
			// Node has counted both nodes of siokit, and those do not count each other as Node.
			p.do("count", "")
			if m := p.next("count"); fmt.Sprint(m["count"]) != "3" {
				t.Errorf("Node counts %v", m)
			}
			// All clients answer Node, also those of siokit.
			p.do("ask", `"args":["ask",1]`)
			for _, s := range []*served{a, b} {
				answer(t, s, `["ask",1]`, `["go acks"]`)
			}
			p.event("x", "ask", 1.0)
			if m := p.next("acks"); fmt.Sprint(m["acks"]) != "[go acks go acks x:1]" {
				t.Errorf("%v", m)
			}
			// CallAll: the client of b is silent and is named; that of Node has answered.
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			done := make(chan string)
			go func() {
				list, err := sio.CallAll[string](short, a.Of("/").All(), "ask", 2)
				var got []string
				for _, x := range list {
					got = append(got, fmt.Sprint(x.ID == b.id, " ", x.Value, " ", errors.Is(x.Err, sio.ErrAckTimeout)))
				}
				slices.Sort(got)
				done <- fmt.Sprint(strings.Join(got, ", "), "; ", err)
			}()
			answer(t, a, `["ask",2]`, `["go acks"]`)
			if got := b.client.Next(); !strings.HasSuffix(got, `["ask",2]`) {
				t.Errorf("%s", got)
			}
			p.event("x", "ask", 2.0)
			if got, want := <-done, "false go acks false, false x:2 false, true  true; <nil>"; got != want {
				t.Errorf("CallAll: %s, want %s", got, want)
			}
			// Nodes of siokit take one of the two forms of a request, and Node its own.
			for n := range 10 {
				if err := a.Of("/").EmitServers("tell", n); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 10 {
				if got := <-b.events; got != n {
					t.Errorf("event %d, not %d", got, n)
				}
			}
			list, err := sio.CallServers[string](ctx, a.Of("/"), "question", 7)
			var got []string
			for _, x := range list {
				got = append(got, x.Value)
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, []string{"go:7", "node:7"}) {
				t.Errorf("CallServers: %q, %v", got, err)
			}
			if m := p.next("server event"); fmt.Sprint(m["args"]) != "[7]" {
				t.Errorf("Node got %v", m)
			}
			silent(t, p, a, b)
		})
	}
}

// silent: a process of Node that has stopped is missing, and nobody else.
func silent(t *testing.T, p *process, a, b *served) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	done := make(chan error)
	var list []sio.Answer[string]
	go func() {
		var err error
		list, err = sio.CallAll[string](ctx, a.Of("/").All(), "ask", 3)
		done <- err
	}()
	answer(t, a, `["ask",3]`, `["go acks"]`)
	answer(t, b, `["ask",3]`, `["go acks"]`)
	err := <-done
	var missing *cluster.Missing
	if !errors.As(err, &missing) || len(missing.Nodes) > 0 || missing.Others != 1 || len(list) != 2 {
		t.Errorf("CallAll without Node: %+v, %v", list, err)
	}
}

// answer has a client answer the question that comes next.
func answer(t *testing.T, s *served, want, data string) {
	t.Helper()
	got := s.client.Next()
	id, ok := strings.CutSuffix(strings.TrimPrefix(got, "42"), want)
	if !ok {
		t.Errorf("%s, not %s", got, want)
	}
	s.client.Send("43" + id + data)
}
