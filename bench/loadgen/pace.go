//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

// waiting is how many messages of one connection may be without an answer. A server that is
// further behind does not keep up with the rate.
const waiting = 256

// paced is a connection that sends at a rate. Answers come in the order of the messages; each
// says its number modulo waiting.
type paced struct {
	*conn
	due  chan time.Time // when the messages without an answer were to be sent
	sent int
}

// pace sends messages at a fixed rate, over all connections in turn, and waits for no answer. Time
// counts from when a message was to be sent, so that one which waits behind others is late, too.
func (l *load) pace(conns []*conn) (*result, error) {
	if l.o.rate < 0 || l.o.ack || l.o.depth != 1 {
		closeAll(conns)
		return nil, errors.New("echo: -rate is more than 0, and goes without -ack and -d")
	}
	texts := make([][]byte, waiting)
	for n := range texts {
		texts[n] = event("echo", n, l.o.size)
	}
	all := make([]*paced, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		all[i] = &paced{conn: c, due: make(chan time.Time, waiting)}
		wg.Go(func() { l.fail(l.answers(all[i], texts)) })
	}
	var late time.Duration
	wg.Go(func() {
		var err error
		late, err = l.messages(all, texts)
		l.fail(err)
	})
	res, err := l.measure()
	closeAll(conns)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	res.Late = late.Seconds() * 1e3
	return l.finish(res), nil
}

// messages sends all of them, from one goroutine. It returns what it was late for one at most,
// while that was measured.
func (l *load) messages(all []*paced, texts [][]byte) (late time.Duration, err error) {
	frames := make([][]byte, len(texts))
	for n := range frames {
		f := &conn{mask: all[0].mask}
		f.add(texts[n])
		frames[n] = f.out
	}
	start := time.Now()
	for i := 0; !l.stopping.Load(); i++ {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(l.o.rate))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(max(wait, time.Millisecond)) // what is due by then goes out without another sleep
		}
		if l.measuring.Load() {
			late = max(late, time.Since(due))
		}
		p := all[i%len(all)]
		select {
		case p.due <- due:
		default:
			return late, fmt.Errorf("%d messages of one connection have no answer: the server does not keep up", waiting)
		}
		if _, err := p.c.Write(frames[p.sent%waiting]); err != nil {
			return late, err
		}
		p.sent++
	}
	return late, nil
}

// answers reads those of one connection.
func (l *load) answers(p *paced, texts [][]byte) error {
	var mine []time.Duration
	defer func() { l.lat.add(mine) }()
	for n := 0; ; n++ {
		text, err := p.next()
		if err != nil {
			return err
		}
		if want := texts[n%waiting]; !bytes.Equal(text, want) {
			l.reordered.Add(1)
			return fmt.Errorf("got %.60q, want %.60q", text, want)
		}
		l.count.Add(1)
		if due := <-p.due; l.measuring.Load() {
			mine = append(mine, time.Since(due))
		}
	}
}
