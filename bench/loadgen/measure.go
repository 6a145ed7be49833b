//go:build linux

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// load is what the goroutines of one command share.
type load struct {
	o         *options
	count     atomic.Int64 // messages, deliveries or connects so far
	errors    atomic.Int64
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
}

// dial opens n connections, some at a time.
func (l *load) dial(n int) ([]*conn, error) {
	conns := make([]*conn, n)
	errs := make([]error, n)
	slots := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for i := range conns {
		slots <- struct{}{}
		wg.Go(func() {
			conns[i], errs[i] = dial(l.o.addr, l.o.proto)
			<-slots
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			closeAll(conns)
			return nil, err
		}
	}
	return conns, nil
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.c.Close()
		}
	}
}

// measure lets the load warm up, and reads the counters at both ends of the time.
func (l *load) measure() (*result, error) {
	time.Sleep(l.o.warm)
	before, cpuBefore, err := l.read()
	if err != nil {
		return nil, err
	}
	l.measuring.Store(true)
	start := time.Now()
	time.Sleep(l.o.time)
	l.measuring.Store(false)
	took := time.Since(start)
	after, cpuAfter, err := l.read()
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

func (l *load) read() (count int64, used time.Duration, err error) {
	if l.o.pid != 0 {
		used, err = cpu(l.o.pid)
	}
	return l.count.Load(), used, err
}

// finish fills in what the goroutines have left.
func (l *load) finish(res *result) *result {
	l.mu.Lock()
	defer l.mu.Unlock()
	res.Errors, res.Reordered = l.errors.Load(), l.reordered.Load()
	if l.first != nil {
		res.First = l.first.Error()
	}
	res.Lat = l.lat.summary()
	if res.Count == 0 && res.Errors == 0 {
		res.Errors, res.First = 1, "nothing arrived"
	}
	return res
}
