//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/siokit/siokit/bench/internal/clock"
)

// footprint is what a server holds. What it does not tell is 0.
type footprint struct{ kib, heapKiB, goroutines float64 }

// crowd are connections that say nothing.
type crowd struct {
	*load
	pings   atomic.Int64
	leaving atomic.Bool // the server was asked to shut down
	last    time.Time   // goodbye; guarded by mu
}

// idle holds n connections that say nothing, and reads what they cost the server.
func idle(o *options) (*result, error) {
	if o.pid == 0 {
		return nil, errors.New("idle needs -pid")
	}
	before, err := look(o)
	if err != nil {
		return nil, err
	}
	l := &crowd{load: newLoad(o)}
	var wg sync.WaitGroup
	start := time.Now()
	conns := l.open(o.n, func(c *conn) {
		c.pings = &l.pings
		wg.Go(func() { l.stay(c) })
	})
	if len(conns) == 0 {
		return nil, fmt.Errorf("nobody is let in: %w", l.first)
	}
	n := float64(len(conns))
	res := &result{Count: int64(n), PerS: n / time.Since(start).Seconds()}
	err = l.hold(res, n, before)
	if err == nil && o.term {
		err = l.shutdown(res, &wg)
	}
	l.stopping.Store(true)
	closeAll(conns)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return l.finish(res), nil
}

// hold waits, and reads what n connections have cost meanwhile.
func (l *crowd) hold(res *result, n float64, before footprint) error {
	used, err := clock.Used(l.o.pid)
	if err != nil {
		return err
	}
	pings := l.pings.Load()
	time.Sleep(l.o.hold)
	now, err := clock.Used(l.o.pid)
	if err != nil {
		return err
	}
	res.held = &held{
		HoldCPU: float64((now - used).Microseconds()) / n / l.o.hold.Seconds(),
		Pings:   float64(l.pings.Load()-pings) / n,
	}
	after, err := look(l.o)
	if err != nil {
		return err
	}
	res.KiB = (after.kib - before.kib) / n
	res.HeapKiB = (after.heapKiB - before.heapKiB) / n
	res.Routines = (after.goroutines - before.goroutines) / n
	return nil
}

// stay is the life of a client: it answers pings until the goodbye. Before a shutdown there is
// none.
func (l *crowd) stay(c *conn) {
	text, err := c.next()
	leaving := l.leaving.Load()
	switch said := closed(nil); {
	case err == nil:
		l.fail(fmt.Errorf("got %.60q, want nothing", text))
	case leaving && errors.As(err, &said):
		l.goodbye(time.Now())
		_, _ = c.r.ReadByte() // the server closes the connection, as RFC 6455 wants it
	case leaving:
		l.fail(fmt.Errorf("the connection ended without a goodbye: %w", err))
	default:
		l.fail(err)
	}
	_ = c.c.Close()
}

func (l *crowd) goodbye(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.last) {
		l.last = now
	}
}

// shutdown asks the server to shut down, and waits for the end of all connections and of the
// process.
func (l *crowd) shutdown(res *result, clients *sync.WaitGroup) error {
	server, err := os.FindProcess(l.o.pid)
	if err != nil {
		return err
	}
	used, err := clock.Used(l.o.pid)
	if err != nil {
		return err
	}
	l.leaving.Store(true)
	asked := time.Now()
	if err := server.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err = ended(l.o.pid, 30*time.Second)
	res.Shutdown = time.Since(asked).Seconds()
	if err != nil {
		l.fail(err)
		return nil
	}
	if now, err := clock.Used(l.o.pid); err == nil { // a zombie still tells
		seconds := (now - used).Seconds()
		res.EndCPU = &seconds
	}
	clients.Wait()
	if !l.last.IsZero() {
		res.Goodbye = l.last.Sub(asked).Seconds()
		res.Shutdown = max(res.Shutdown, res.Goodbye)
	}
	return nil
}

// look reads what the server holds, after a collection where one is asked for.
func look(o *options) (f footprint, err error) {
	if o.gc {
		server, err := os.FindProcess(o.pid)
		if err != nil {
			return f, err
		}
		if err := server.Signal(syscall.SIGUSR2); err != nil {
			return f, err
		}
		time.Sleep(time.Second) // the server does not say when it has finished
	}
	kib, err := rss(o.pid)
	if err != nil {
		return f, err
	}
	f.kib = float64(kib)
	if !o.counts {
		return f, nil
	}
	// A connection that was kept would be one of those that are counted.
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + o.addr + "/debug/counts")
	if err != nil {
		return f, err
	}
	defer func() { _ = res.Body.Close() }()
	var counts struct{ Heap, Goroutines float64 }
	if err := json.NewDecoder(res.Body).Decode(&counts); err != nil {
		return f, fmt.Errorf("/debug/counts: %s: %w", res.Status, err)
	}
	f.heapKiB, f.goroutines = counts.Heap/1024, counts.Goroutines
	return f, nil
}
