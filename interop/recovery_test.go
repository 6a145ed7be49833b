package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// cutter is a proxy that cuts connections. Of every second one only the client learns. Each
// connection goes to one of several servers, at random.
type cutter struct {
	to    []string
	mu    sync.Mutex
	conns []net.Conn // of the clients
	n     int
}

func (c *cutter) serve(ln net.Listener) {
	for {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.to[rand.IntN(len(c.to))])
		if err != nil {
			_ = client.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, client)
		half := c.n%2 == 0
		c.n++
		c.mu.Unlock()
		go func() {
			_, _ = io.Copy(server, client)
			c.forget(client)
			if !half {
				_ = server.Close()
			}
		}()
		go func() {
			_, _ = io.Copy(client, server)
			c.forget(client)
			_ = client.Close()
			if half { // as behind a dead network: the server writes into the void
				_, _ = io.Copy(io.Discard, server)
			}
			_ = server.Close()
		}()
	}
}

func (c *cutter) forget(client net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = slices.DeleteFunc(c.conns, func(o net.Conn) bool { return o == client })
}

// cut cuts one connection.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) == 0 {
		return
	}
	i := rand.IntN(len(c.conns))
	_ = c.conns[i].Close()
	c.conns[i] = c.conns[len(c.conns)-1]
	c.conns = c.conns[:len(c.conns)-1]
}

const recoveryRooms = 10

// crowd are the clients of TestRecovery at the server, or at several.
type crowd struct {
	at   []*sio.Namespace
	mu   sync.Mutex
	ids  map[int]string
	over bool // the clients have been told that it is the end
	sent struct {
		all       int
		room, one []int
	}
}

func newCrowd(clients int) *crowd {
	c := &crowd{ids: make(map[int]string)}
	c.sent.room, c.sent.one = make([]int, recoveryRooms), make([]int, clients)
	return c
}

// serve has the clients come to one more server.
func (c *crowd) serve(n *sio.Namespace) {
	c.at = append(c.at, n)
	n.OnConnect(func(_ context.Context, s *sio.Socket) error {
		if s.Recovered() {
			return nil
		}
		var auth struct{ Client int }
		if err := s.Auth(&auth); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ids[auth.Client] = s.ID()
		s.Join(strconv.Itoa(auth.Client % recoveryRooms))
		if c.over { // it has not come back as the one that was told
			return s.Emit("end", 0, 0, 0)
		}
		return nil
	})
}

// n is one of the servers: all events of a kind come from the same.
func (c *crowd) n(kind int) *sio.Namespace { return c.at[kind%len(c.at)] }

func (c *crowd) emit(t sio.Target, event string, n *int) {
	*n++
	var data any
	if *n%7 == 0 {
		data = []byte("abc")
	}
	_ = t.Emit(event, *n, data)
}

// step emits some of all kinds.
func (c *crowd) step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(c.n(0).All(), "all", &c.sent.all)
	room, one := rand.IntN(recoveryRooms), rand.IntN(len(c.sent.one))
	c.emit(c.n(1).To(strconv.Itoa(room)), "room", &c.sent.room[room])
	c.emit(c.n(2).To(c.ids[one]), "one", &c.sent.one[one])
	_ = c.n(rand.IntN(3)).All().Volatile().Emit("volatile", "text")
}

func (c *crowd) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for client, id := range c.ids {
		_ = c.n(0).To(id).Emit("end", c.sent.all, c.sent.room[client%recoveryRooms], c.sent.one[client])
	}
}

// TestRecovery: official clients whose connections are cut all the time get every event once and in
// order, or are told that they were not recovered.
func TestRecovery(t *testing.T) {
	need(t)
	const clients = 200
	srv := sio.NewServer(&sio.Options{
		Logger:   slog.New(slog.DiscardHandler),
		Recovery: &sio.Recovery{MaxEvents: 100_000, MaxBytes: 256 << 20},
		// A client whose websocket is cut during the upgrade waits for a ping.
		PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second,
	})
	c := newCrowd(clients)
	c.serve(srv.Of("/"))
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	recovered, fresh := c.run(t, clients, hs.Listener.Addr().String())
	if recovered < clients || fresh > recovered/10 {
		t.Error("too few")
	}
}

// recovered is how often the servers have recovered a client. Some of the clients are cut off again
// before they know.
func (c *crowd) recovered() (n int64) {
	for _, at := range c.at {
		n += at.Server().Stats().Recovered
	}
	return n
}

// settle waits until what each server has said, and which rooms it listens to, is known to all.
func (c *crowd) settle(t *testing.T) {
	t.Helper()
	for _, n := range c.at {
		if _, err := n.All().Count(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// run has the clients connect to these servers by way of a cutter, and returns how often they were
// recovered, and were not.
func (c *crowd) run(t *testing.T, clients int, servers ...string) (recovered, fresh int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	proxy := &cutter{to: servers}
	go proxy.serve(ln)

	cmd := node(t, "recovery.mjs", fmt.Sprintf("http://%s", ln.Addr()), strconv.Itoa(clients))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the clients are not ready: %q", lines.Text())
	}
	c.settle(t)
	for begin := time.Now(); c.recovered() < int64(2*clients) && time.Since(begin) < 2*time.Minute; time.Sleep(10 * time.Millisecond) {
		c.step()
		proxy.cut()
		proxy.cut()
	}
	c.settle(t)
	c.end()
	seen, events := 0, 0
	for lines.Scan() {
		var r struct {
			Client                   int
			Transports               string
			Recovered, Fresh, Events int
			Errors                   []string
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		seen++
		recovered, fresh, events = recovered+r.Recovered, fresh+r.Fresh, events+r.Events
		if len(r.Errors) > 0 {
			t.Errorf("client %d over %s: %q", r.Client, r.Transports, r.Errors)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d clients, %d events, recovered %d times, told that they are new %d times", seen, events, recovered, fresh)
	if seen != clients {
		t.Error("too few")
	}
	return recovered, fresh
}
