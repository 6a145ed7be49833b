package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// lifeCases are about slow clients, about Shutdown, and about the end of a socket.
var lifeCases = []testCase{
	{
		name: "limits/slow-reader",
		rule: "a client that does not read is disconnected at the queue's bound, the others receive " +
			"everything, memory stays flat",
		spec: "docs/protocol.md 8.1",
		opts: func(o *sio.Options) { o.MaxQueueBytes, o.MaxQueueMessages = 1<<20, 1024 },
		run:  slowReader,
	},
	{
		name: "limits/slow-poller",
		rule: "a client that does not poll is disconnected at the queue's bound",
		spec: "docs/protocol.md 8.1",
		opts: func(o *sio.Options) { o.MaxQueueBytes, o.MaxQueueMessages = 1<<20, 100 },
		run:  limitsSlowPoller,
	},
	{
		name: "limits/stall-and-recover",
		rule: "a client that stops reading for a while, within the bound, then gets everything in order",
		spec: "docs/protocol.md 8.1",
		opts: deepQueue,
		run:  limitsStallAndRecover,
	},
	{
		name: "limits/concurrent-writers",
		rule: "many goroutines, broadcasts and pings share one connection; each sender's order is kept",
		spec: "docs/protocol.md 8.1",
		opts: deepQueue,
		run:  limitsConcurrentWriters,
	},
	{
		name: "limits/one-big-message",
		rule: "a message larger than the queue's bound passes, also behind a small one",
		spec: "docs/protocol.md 8.1",
		opts: func(o *sio.Options) { o.MaxQueueBytes = 1 << 10 },
		run:  limitsOneBigMessage,
	},
	{
		name: "lifecycle/shutdown",
		rule: "Shutdown answers held polls, closes websockets with 1001, refuses handshakes with 503, " +
			"and ends within its context",
		spec:  "docs/protocol.md 7.2",
		local: true,
		run:   lifecycleShutdown,
	},
	{
		name: "lifecycle/shutdown-deadline",
		rule: "a handler that does not return does not keep Shutdown beyond its context",
		spec: "docs/protocol.md 7.2",
		slow: true, local: true,
		run: lifecycleShutdownDeadline,
	},
	{
		name:  "lifecycle/shutdown-ack",
		rule:  "a handler that runs when Shutdown begins answers before its transport closes",
		spec:  "docs/protocol.md 7.2",
		local: true,
		run:   lifecycleShutdownAck,
	},
	{
		name:  "lifecycle/restart",
		rule:  "after a restart on the same address clients connect again",
		spec:  "docs/protocol.md 7.2",
		local: true,
		run:   lifecycleRestart,
	},
	{
		name: "lifecycle/once",
		rule: "OnDisconnect runs exactly once, whoever ends the socket",
		spec: "docs/protocol.md 7.3",
		run:  lifecycleOnce,
	},
}

func limitsSlowPoller(c *env) {
	s := c.Polling()
	s.Join("")
	c.settle()
	for i := range 200 {
		_ = c.of("/").Emit("x", i)
	}
	c.reason(sio.SlowClient)
	c.Want("later", s.Get().Status, 400)
}

func limitsStallAndRecover(c *env) {
	w := c.Join("")
	const count = 1500
	pad := strings.Repeat("y", 2048)
	c.settle()
	for i := range count {
		if err := c.of("/").Emit("x", i, pad, []byte{byte(i)}); err != nil {
			c.T.Fatal(err)
		}
	}
	_ = w.Raw(wire.Frame(0x89, []byte("still there?")))
	for i := range count {
		p := w.Next()
		if strings.HasPrefix(p, "control 8a") {
			p = w.Next()
		}
		if want := fmt.Sprintf(`451-["x",%d,"%s",{"_placeholder":true,"num":0}]`, i, pad); p != want {
			c.T.Fatalf("message %d is %.40s", i, p)
		}
		if p, want := w.Next(), "b"+base64.StdEncoding.EncodeToString([]byte{byte(i)}); p != want {
			c.T.Fatalf("attachment %d is %s", i, p)
		}
	}
}

func limitsConcurrentWriters(c *env) {
	w := c.Join("")
	const senders, count = 16, 200
	c.settle()
	var wg sync.WaitGroup
	for g := range senders {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range count {
				_ = c.of("/").Emit("x", g, i)
			}
		}()
	}
	go func() {
		for range 50 {
			_ = w.Raw(wire.Frame(0x89, []byte("p")))
			w.Send(`42["shout","x"]`)
		}
	}()
	var next [senders]int
	for got := 0; got < senders*count; {
		var g, i int
		if n, _ := fmt.Sscanf(w.Next(), `42["x",%d,%d]`, &g, &i); n != 2 {
			continue
		}
		if i != next[g] {
			c.T.Fatalf("sender %d: %d instead of %d", g, i, next[g])
		}
		next[g]++
		got++
	}
	wg.Wait()
}

func limitsOneBigMessage(c *env) {
	w := c.Join("")
	c.settle()
	_ = c.of("/").Emit("small")
	_ = c.of("/").Emit("x", strings.Repeat("y", 1<<20))
	c.Want("before it", w.Next(), `42["small"]`)
	if got := w.Next(); len(got) < 1<<20 {
		c.T.Errorf("got %d bytes", len(got))
	}
}

func lifecycleShutdown(c *env) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	idle := c.Polling()
	idle.Join("")
	w := c.Join("")
	c.holds()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	from := time.Now()
	go func() { done <- c.shutdown(ctx) }()
	c.Want("held poll", <-held, "200 1")
	c.Want("websocket", w.End().Code, 1001)
	if err := <-done; err != nil {
		c.T.Errorf("Shutdown: %v", err)
	}
	if d := time.Since(from); d > 4500*time.Millisecond { // less than ctx has
		c.T.Errorf("Shutdown took %v", d)
	}
	c.Want("handshake", c.Must("GET", q4, "").Status, 503)
	if ws, a := c.Upgrade(w4, ""); ws != nil || a.Status != 503 {
		c.T.Errorf("websocket: %v", a)
	}
	c.Want("reasons", c.own().ended(), []sio.Reason{sio.ServerShutdown, sio.ServerShutdown, sio.ServerShutdown})
	c.Want("a second call", c.shutdown(ctx), sio.ErrServerClosed)
}

func lifecycleShutdownDeadline(c *env) {
	release, entered := make(chan struct{}), make(chan struct{})
	c.of("/").On("stuck", sio.Handle(func(context.Context, *sio.Socket, sio.None) error {
		close(entered)
		<-release
		return nil
	}))
	w := c.Join("")
	w.Send(`42["stuck"]`)
	select {
	case <-entered:
	case <-time.After(c.run.patience):
		c.T.Fatal("the handler does not run")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := c.shutdown(ctx); err != context.DeadlineExceeded {
		c.T.Errorf("Shutdown: %v", err)
	}
	close(release)
}

func lifecycleShutdownAck(c *env) {
	release, entered := make(chan struct{}), make(chan struct{}, 2)
	answers := sync.OnceFunc(func() { close(release) })
	defer answers()
	c.of("/").On("slow", sio.Reply(func(_ context.Context, _ *sio.Socket, n int) (string, error) {
		entered <- struct{}{}
		<-release
		return fmt.Sprintf("answer %d", n), nil
	}))
	w := c.Join("")
	s := c.Polling()
	s.Join("")
	w.Send(`421["slow",1]`)
	c.Want("post", s.Post(`422["slow",2]`).Status, 200)
	held := s.Hold()
	for range 2 {
		select {
		case <-entered:
		case <-time.After(c.run.patience):
			c.T.Fatal("a handler does not run")
		}
	}
	c.holds()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
	defer cancel()
	go func() { done <- c.shutdown(ctx) }()
	c.Eventually("handshakes are refused", func() bool { return c.Must("GET", q4, "").Status == 503 })
	answers()
	c.Want("the answer over a websocket", w.Next(), `431["answer 1"]`)
	c.Want("the answer to a poll", <-held, `200 432["answer 2"]`)
	if end := s.Get(); end.Status != 200 || !strings.HasSuffix(end.Body, "1") {
		c.T.Errorf("the end of the polling session: %v", end)
	}
	c.Want("the end of the websocket", w.End().Code, 1001)
	if err := <-done; err != nil {
		c.T.Errorf("Shutdown: %v", err)
	}
	c.Want("reasons", c.own().ended(), []sio.Reason{sio.ServerShutdown, sio.ServerShutdown})
}

func lifecycleRestart(c *env) {
	port, ok := testkit.FreePort() // the system may give the one of before to a connection meanwhile
	if !ok {
		c.T.Fatal("no port is free")
	}
	c.Stop()
	c.Start(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	w := c.Join("")
	url := c.Host.URL
	_, addr, _ := strings.Cut(url, "://")
	c.Stop()
	w.End()
	c.Start(addr)
	c.Want("same address", c.Host.URL, url)
	c.Alive()
	s := c.Polling()
	s.Join("")
}

func lifecycleOnce(c *env) {
	const n = 50
	var wg sync.WaitGroup
	for i := range n {
		w := c.Join("")
		wg.Add(2)
		go func() {
			defer wg.Done()
			if i%2 == 0 {
				w.Send(`42["kick",true]`)
			} else {
				w.Send("41")
			}
		}()
		go func() {
			defer wg.Done()
			w.Reset()
		}()
	}
	wg.Wait()
	c.Eventually("all ends", func() bool { return c.stats().Sessions == 0 && len(c.own().ended()) >= n })
	c.Want("ends", len(c.own().ended()), n)
}

// deepQueue makes room for all that a case emits at once.
func deepQueue(o *sio.Options) { o.MaxQueueMessages = 10_000 }

func slowReader(c *env) {
	slow := c.Join("")
	good := c.Join("")
	const count = 4000
	pad := strings.Repeat("x", 4096)
	var before, peak runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := make(chan int, 1)
	ready := make(chan struct{}, 1)
	go func() {
		for i := range count {
			if p, err := good.Read(); err != nil || p != fmt.Sprintf(`42["x",%d,"%s"]`, i, pad) {
				got <- i
				return
			}
			if i%50 == 49 {
				ready <- struct{}{}
			}
		}
		got <- count
	}()
	c.settle()
	for i := range count {
		if err := c.of("/").Emit("x", i, pad); err != nil {
			c.T.Fatal(err)
		}
		if i%50 == 49 {
			select { // the one that reads sets the pace
			case <-ready:
			case n := <-got: // all of them, when both have come
				if n < count {
					c.T.Fatalf("the other client got %d messages", n)
				}
				got <- n
			}
		}
		if i == count/2 {
			runtime.GC()
			runtime.ReadMemStats(&peak)
		}
	}
	c.Want("the other client", <-got, count)
	c.reason(sio.SlowClient)
	_ = slow.Conn.Close()
	if c.run.outside {
		return // what the clients of a bus keep is in this heap too
	}
	if grown := int64(peak.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		c.T.Errorf("the heap grew by %d bytes while 16 MiB were sent", grown)
	}
}
