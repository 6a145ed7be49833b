//go:build linux

package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// offer has clients come at a rate: each connects, joins the root namespace and leaves. Nobody
// waits for those before, so that a server which does not keep up has more and more of them. Time
// counts from when a client was to come.
func offer(o *options) (*result, error) {
	if o.mode != "ws" || o.proto != protoSIO5 {
		return nil, errors.New("connect: -rate is for -mode ws and -proto sio5")
	}
	if o.rate < 0 {
		return nil, fmt.Errorf("connect: -rate is %d", o.rate)
	}
	l := newLoad(o)
	var wg sync.WaitGroup
	var from time.Time
	var before int64
	var used, late time.Duration
	start := time.Now()
	for i := 0; ; i++ {
		after := time.Duration(i) * time.Second / time.Duration(o.rate)
		if after >= o.warm+o.time {
			break
		}
		due := start.Add(after)
		time.Sleep(time.Until(due))
		if from.IsZero() && after >= o.warm {
			var err error
			if before, used, err = l.read(); err != nil {
				return nil, err
			}
			from = time.Now()
		}
		measured := !from.IsZero()
		if measured {
			late = max(late, time.Since(due))
		}
		wg.Go(func() { l.come(i, due, measured) })
	}
	wg.Wait()
	after, now, err := l.read()
	if err != nil {
		return nil, err
	}
	res := &result{Count: after - before, PerS: float64(after-before) / time.Since(from).Seconds(), Late: late.Seconds() * 1e3}
	if res.Count > 0 && o.pid != 0 {
		res.CPU = (now - used).Seconds() / float64(res.Count) * 1e6
	}
	return l.finish(res), nil
}

// come is client i, who was to come when it was due.
func (l *load) come(i int, due time.Time, measured bool) {
	c, err := l.o.dial(i)
	if err != nil {
		l.fail(err)
		return
	}
	took := time.Since(due)
	_ = c.c.Close()
	l.count.Add(1)
	if measured {
		l.lat.add([]time.Duration{took})
	}
}
