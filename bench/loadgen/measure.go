//go:build linux

package main

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/siokit/siokit/bench/internal/clock"
)

// load is what the goroutines of one command share.
type load struct {
	o         *options
	count     atomic.Int64 // messages, deliveries or connects so far
	errors    atomic.Int64
	refused   atomic.Int64 // of the errors
	timeouts  atomic.Int64 // of the errors
	reordered atomic.Int64
	measuring atomic.Bool
	stopping  atomic.Bool
	stop      chan struct{}
	lat       latencies
	mu        sync.Mutex
	first     error
}

func newLoad(o *options) *load { return &load{o: o, stop: make(chan struct{})} }

// fail counts an error, unless it is the end of the run.
func (l *load) fail(err error) {
	if err == nil || l.stopping.Load() {
		return
	}
	l.errors.Add(1)
	var status refusal
	var slow net.Error
	switch {
	case errors.As(err, &status), errors.Is(err, syscall.ECONNREFUSED):
		l.refused.Add(1)
	case errors.As(err, &slow) && slow.Timeout():
		l.timeouts.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
}

// dial opens n connections, or none.
func (l *load) dial(n int) ([]*conn, error) {
	conns := l.open(n, func(*conn) {})
	if l.first != nil {
		closeAll(conns)
		return nil, l.first
	}
	return conns, nil
}

// open opens n connections, some at a time, and has use called for each as soon as it is there.
// Those that fail are errors, and left out.
func (l *load) open(n int, use func(c *conn)) []*conn {
	conns := make([]*conn, n)
	slots := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for i := range conns {
		slots <- struct{}{}
		wg.Go(func() {
			c, err := l.o.dial(i)
			if err != nil {
				l.fail(err)
			} else {
				conns[i] = c
				use(c)
			}
			<-slots
		})
	}
	wg.Wait()
	return slices.DeleteFunc(conns, func(c *conn) bool { return c == nil })
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.c.Close()
	}
}

// measure lets the load warm up, and reads the counters at both ends of the time. Either takes
// longer when nothing has arrived until then: on a machine that is busy a short time is too short.
func (l *load) measure() (*result, error) {
	l.run(l.o.warm)
	l.measuring.Store(true)
	before, cpuBefore, err := l.read()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	l.run(l.o.time)
	took := time.Since(start)
	after, cpuAfter, err := l.read()
	l.measuring.Store(false)
	if err != nil {
		return nil, err
	}
	l.stopping.Store(true)
	close(l.stop)
	count := after - before
	res := &result{Count: count, PerS: float64(count) / took.Seconds()}
	if count > 0 && l.o.pid != 0 {
		res.CPU = (cpuAfter - cpuBefore).Seconds() / float64(count) * 1e6
	}
	return res, nil
}

// run waits for a time, and then for something to have arrived in it, or failed.
func (l *load) run(d time.Duration) {
	start, before := time.Now(), l.count.Load()
	time.Sleep(d)
	for l.count.Load() == before && l.errors.Load() == 0 && time.Since(start) < d+patience {
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *load) read() (count int64, used time.Duration, err error) {
	if l.o.pid != 0 {
		used, err = clock.Used(l.o.pid)
	}
	return l.count.Load(), used, err
}

// finish fills in what the goroutines have left.
func (l *load) finish(res *result) *result {
	l.mu.Lock()
	defer l.mu.Unlock()
	res.Errors, res.Reordered = l.errors.Load(), l.reordered.Load()
	res.Refused, res.Timeouts = l.refused.Load(), l.timeouts.Load()
	if l.first != nil {
		res.First = l.first.Error()
	}
	res.Lat = l.lat.summary()
	if res.Count == 0 && res.Errors == 0 {
		res.Errors, res.First = 1, "nothing arrived"
	}
	return res
}
