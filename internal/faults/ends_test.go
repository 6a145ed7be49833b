package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// shutdownMany: many clients, half of them polling, and a Shutdown.
func shutdownMany(t *testing.T) {
	// Nobody reads or polls again until all are there.
	s := serve(t, sio.Options{MaxPendingPerAddress: -1, PingInterval: 5 * time.Minute})
	count := pick(100, 2000)
	var ws []*wire.WS
	var held []<-chan wire.Answer
	for range count {
		c := s.client("")
		c.HTTP.Timeout = 5 * time.Minute
		c.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
		ws = append(ws, c.Join(""))
		sess := c.Polling()
		sess.Join("")
		held = append(held, sess.Hold())
	}
	s.await("the polls", func() bool { return s.Stats().Sockets == 2*count })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	from := time.Now()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	for _, h := range held {
		if a := <-h; a.Status != 200 || !strings.HasSuffix(a.Body, "1") {
			t.Fatalf("a poll: %v", a)
		}
	}
	for _, w := range ws {
		if ce := w.End(); ce.Code != 1001 {
			t.Fatalf("%v", ce)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if a := s.client("").Must("GET", "EIO=4&transport=polling", ""); a.Status != 503 {
		t.Errorf("a handshake: %v", a)
	}
	for _, why := range s.ends(2 * count) {
		if why != sio.ServerShutdown {
			t.Fatalf("%v", why)
		}
	}
	if n := s.Stats().Sessions; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// afterwards: Shutdown twice, at the same time and again, and a Server that is used behind it.
func afterwards(t *testing.T) {
	s := serve(t, sio.Options{})
	w := s.client("").Join("")
	var wg sync.WaitGroup
	var ended atomic.Int64
	for range 4 {
		wg.Go(func() {
			switch err := s.Shutdown(t.Context()); {
			case err == nil:
				ended.Add(1)
			case !errors.Is(err, sio.ErrServerClosed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := ended.Load(); n != 1 {
		t.Errorf("%d of four calls have shut down", n)
	}
	if ce := w.End(); ce.Code != 1001 {
		t.Errorf("%v", ce)
	}
	if err := s.Shutdown(t.Context()); !errors.Is(err, sio.ErrServerClosed) {
		t.Error(err)
	}
	for _, query := range []string{"EIO=4&transport=polling", "EIO=3&transport=polling"} {
		if a := s.client("").Must("GET", query, ""); a.Status != 503 {
			t.Errorf("%s: %v", query, a)
		}
	}
	if w, a := s.client("").Upgrade("EIO=4&transport=websocket", ""); w != nil || a.Status != 503 {
		t.Errorf("%v", a)
	}
	_ = s.Of("/").Emit("x")
	s.Of("/").All().Disconnect()
	if n, err := s.Of("/").All().Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

// rolling restarts three nodes one behind the other, while they emit numbers. Clients come back at
// the same address.
func rolling(t *testing.T) {
	bus := cluster.NewBus()
	type process struct {
		srv  *sio.Server
		host *http.Server
		done chan struct{}
	}
	var emitted, came atomic.Int64
	start := func(addr string) *process {
		p := &process{srv: sio.NewServer(&sio.Options{Cluster: bus.Backend(), MaxPendingPerAddress: -1}), done: make(chan struct{})}
		var ln net.Listener
		for from := time.Now(); ; time.Sleep(time.Millisecond) {
			var err error
			if ln, err = net.Listen("tcp", addr); err == nil {
				break
			}
			if time.Since(from) > patience {
				t.Fatal(err)
			}
		}
		p.host = &http.Server{Handler: p.srv}
		go func() { defer close(p.done); _ = p.host.Serve(ln) }()
		return p
	}
	var addrs []string
	var ps []*process
	for range 3 {
		addr := fmt.Sprint("127.0.0.1:", testkit.Port(t))
		addrs, ps = append(addrs, addr), append(ps, start(addr))
	}
	stop := func(p *process) {
		if err := p.srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		_ = p.host.Close()
		<-p.done
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	count, back := pick(30, 300), atomic.Int64{}
	for i := range count {
		wg.Go(func() {
			last := -1
			for {
				select {
				case <-over:
					return
				default:
				}
				c := wire.New(new(childTB), "http://"+addrs[i%3], "/socket.io/")
				c.Patience = patience
				w := dialAgain(c)
				if w == nil {
					c.Close()
					time.Sleep(10 * time.Millisecond) // as clients do before they connect again
					continue
				}
				back.Add(1)
				for {
					text, err := w.Read()
					if err != nil {
						break
					}
					var n int
					if _, err := fmt.Sscanf(text, `42["n",%d]`, &n); err == nil {
						if n <= last {
							t.Errorf("client %d got %d behind %d", i, n, last)
						}
						last = n
						came.Add(1)
					}
				}
				back.Add(-1)
				c.Close()
			}
		})
	}
	all := func() {
		t.Helper()
		want := emitted.Load() + 30
		for from := time.Now(); int(back.Load()) < count || emitted.Load() < want; time.Sleep(time.Millisecond) {
			if time.Since(from) > patience {
				t.Fatalf("%d clients of %d are back", back.Load(), count)
			}
		}
	}
	emits := make(chan struct{})
	wg.Go(func() {
		defer close(emits)
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
			_ = ps[0].srv.Of("/").Emit("n", emitted.Add(1))
		}
	})
	all()
	for _, k := range []int{2, 1} { // the first one emits, so that there is one order
		stop(ps[k])
		ps[k] = start(addrs[k])
		all()
	}
	close(over)
	<-emits
	// The first one is restarted too; nothing is emitted meanwhile.
	stop(ps[0])
	ps[0] = start(addrs[0])
	for _, p := range ps {
		stop(p)
	}
	wg.Wait()
	t.Logf("%d numbers, %d of them came to the %d clients", emitted.Load(), came.Load(), count)
	if int(came.Load()) < 30*count {
		t.Errorf("only %d numbers came", came.Load())
	}
}

// dialAgain opens a websocket of 4.x and joins, or returns nil where nobody serves.
func dialAgain(c *wire.Client) (w *wire.WS) {
	defer func() {
		if recover() != nil { // of childTB
			w = nil
		}
	}()
	return joinQuietly(c)
}

// storm: all clients connect again at once.
func storm(t *testing.T) {
	s := serve(t, sio.Options{MaxPendingPerAddress: -1})
	p := netfault.New(t, s.addr)
	count := pick(200, 1000) // the clients and the proxy share the machine with the server
	control := s.client("").Join("")
	join := func() {
		slots := make(chan struct{}, 100) // what the backlog of a listener takes
		var wg sync.WaitGroup
		for range count {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if joinQuietly(s.client(p.Addr)) == nil {
					t.Error("a client could not connect")
				}
			})
		}
		wg.Wait()
	}
	join()
	p.Reset()
	s.await("the ends", func() bool { return s.count() == count })
	from, over := time.Now(), make(chan struct{})
	var took []time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			at := time.Now()
			echo(t, control, "here")
			took = append(took, time.Since(at))
		}
	})
	join()
	back := time.Since(from)
	close(over)
	wg.Wait()
	if len(took) == 0 {
		t.Fatalf("the client that stayed had no answer in %v", back)
	}
	slices.Sort(took)
	t.Logf("%d clients were back after %v; %d round trips meanwhile, the 99th of 100 took %v", count, back.Round(time.Millisecond), len(took), took[len(took)*99/100])
	if back > 10*time.Second {
		t.Errorf("back after %v", back)
	}
}
