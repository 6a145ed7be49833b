package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/wire"
)

// vanish has clients vanish at many bytes of what they say: in the handshake, in a frame, between
// two frames. hard is with a reset.
func vanish(t *testing.T, hard bool) {
	s := serve(t, sio.Options{})
	var script []byte
	for i := range 10 {
		script = append(script, wire.Frame(0x81, fmt.Appendf(nil, `42["n",%d]`, i))...)
	}
	step := pick(7, 1)
	joined := 0
	for at := 0; at < len(script)+step; at += step {
		at := min(at, len(script))
		c := s.client("")
		w := c.Join("")
		joined++
		_ = w.Raw(script[:at])
		if hard {
			w.Reset()
		} else {
			c.Close()
		}
		reasons := s.ends(joined)
		if why := reasons[len(reasons)-1]; why != sio.TransportClose && !(hard && why == sio.TransportError) {
			t.Errorf("behind %d bytes: %v", at, why)
		}
		s.empty(time.Second)
	}
	s.ordered() // no half message, and none that is not there
	if hard {
		s.resets()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := 0
	for _, list := range s.got {
		whole = max(whole, len(list))
	}
	if whole != 10 {
		t.Errorf("of the whole script %d events were handled", whole)
	}
}

// resets has the network reset the connections of clients that poll.
func (s *site) resets() {
	s.t.Helper()
	var at atomic.Int64
	p := netfault.NewFlows(s.t, s.addr, func(int) (up, down netfault.Flow) {
		left := at.Load()
		one := func(b []byte, forward func([]byte) error) error {
			if left < 0 {
				return forward(b)
			}
			n := min(left, int64(len(b)))
			if err := forward(b[:n]); err != nil {
				return err
			}
			if left -= n; left == 0 {
				return netfault.ErrReset
			}
			return nil
		}
		return one, nil
	})
	before := len(s.ends(s.count()))
	count := pick(5, 40)
	for k := range count {
		at.Store(-1)
		c := s.client(p.Addr)
		sess := c.Polling()
		sess.Join("")
		c.HTTP.CloseIdleConnections()
		at.Store(int64(60 + 350*k/count)) // in the head or in the body
		body := strings.Repeat(`42["n",0]`+"\x1e", 20)
		ctx := s.t.Context()
		if a, err := c.Do(ctx, "POST", sess.Query(), body+`42["n",1]`); err == nil {
			s.t.Fatalf("the POST was answered: %v", a)
		}
		at.Store(-1)
		_, _ = c.Do(ctx, "POST", sess.Query(), "1")
		c.Close()
		s.ends(before + k + 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.got {
		if len(list) > 1 && list[1] == 0 {
			s.t.Errorf("of a POST that was reset came %d events", len(list))
		}
	}
}

func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ended)
}

// halfOpen: nothing passes any more, and no side is told. The clients read and keep their
// connections alive all the time, so that the network alone is what ends them.
func halfOpen(t *testing.T) {
	const interval, timeout = 300 * time.Millisecond, 1200 * time.Millisecond
	s := serve(t, sio.Options{PingInterval: interval, PingTimeout: timeout})
	p := netfault.New(t, s.addr)
	c := s.client(p.Addr)
	over := make(chan struct{})
	var wg sync.WaitGroup
	stop := sync.OnceFunc(func() {
		close(over)
		p.Drop() // what still waits
		wg.Wait()
	})
	t.Cleanup(stop)
	reads := func(w *wire.WS) {
		for {
			text, err := w.Read()
			if err != nil {
				return
			}
			if text == "2::" { // a heartbeat of 0.9
				w.Send(text)
			}
		}
	}
	later := c.Join("")
	wg.Go(func() { reads(later) })

	middle, _ := c.Upgrade("EIO=3&transport=websocket", "")
	middle.Next()
	middle.Next()
	wg.Go(func() { reads(middle) })
	wg.Go(func() { // clients of this generation ping
		for {
			middle.Send("2")
			select {
			case <-over:
				return
			case <-time.After(interval):
			}
		}
	})

	at := c.At(c.Path + "1/websocket/" + c.Handshake1(""))
	t.Cleanup(at.Close)
	early, _ := at.Upgrade("", "")
	early.Next()
	wg.Go(func() { reads(early) })

	sess := c.Polling()
	sess.Join("")
	wg.Go(func() {
		for {
			a, err := c.Do(context.Background(), "GET", sess.Query(), "")
			if err != nil || a.Status != 200 {
				return
			}
			if a.Body == "2" {
				_, _ = c.Do(context.Background(), "POST", sess.Query(), "3")
			}
		}
	})

	time.Sleep(2 * (interval + timeout)) // without an answer each would have ended
	if n := s.count(); n != 0 {
		t.Fatalf("%d have ended on a sound network", n)
	}
	p.Freeze()
	from := time.Now()
	for _, why := range s.ends(4) {
		if why != sio.PingTimeout {
			t.Errorf("%v", why)
		}
	}
	// A ping may have been answered just before.
	if took := time.Since(from); took > 2*(interval+timeout)+2*time.Second {
		t.Errorf("took %v", took)
	}
	stop()
}

// slowFrame: a frame that comes a byte at a time and never ends is no sign of life.
func slowFrame(t *testing.T) {
	s := serve(t, sio.Options{PingInterval: 200 * time.Millisecond, PingTimeout: 2 * time.Second})
	var ws []*wire.WS
	for range pick(20, 500) {
		w := s.client("").Join("")
		_ = w.Raw(wire.Frame(0x81, make([]byte, 1000))[:8])
		ws = append(ws, w)
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, w := range ws {
				_, _ = w.Conn.Write([]byte{1})
			}
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond): // a slow client
			}
		}
	}()
	defer func() { close(over); <-done }()
	s.alive()
	timeouts := 0
	for _, why := range s.ends(len(ws) + 1) { // one is who was alive
		if why == sio.PingTimeout {
			timeouts++
		}
	}
	if timeouts != len(ws) {
		t.Errorf("%d of %d timeouts", timeouts, len(ws))
	}
}

// idle: a proxy ends connections on which nothing passes for a while.
func idle(t *testing.T) {
	const quiet = 2 * time.Second
	for _, c := range []struct {
		interval time.Duration
		lives    bool
	}{{200 * time.Millisecond, true}, {30 * time.Second, false}} {
		s := serve(t, sio.Options{PingInterval: c.interval, PingTimeout: 10 * time.Second})
		p := netfault.New(t, s.addr)
		p.Idle(quiet)
		w := s.client(p.Addr).Join("")
		if c.lives {
			from := time.Now()
			for time.Since(from) < 2*quiet {
				w.NoPong = true
				if got := w.Next(); got != "2" {
					t.Fatalf("%q", got)
				}
				w.Send("3")
			}
			w.NoPong = false
			echo(t, w, "still here")
			continue
		}
		if ce := w.End(); ce.Code != 1006 {
			t.Errorf("%v", ce)
		}
		if why := s.ends(1); !slices.Equal(why, []sio.Reason{sio.TransportClose}) {
			t.Errorf("%v", why)
		}
		echo(t, s.client(p.Addr).Join(""), "again")
	}
}
