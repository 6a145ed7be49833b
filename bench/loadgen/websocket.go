//go:build linux

package main

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// echo keeps depth messages in flight on each of n connections.
func echo(o *options) (*result, error) {
	l := newLoad(o)
	conns, err := l.dial(o.n)
	if err != nil {
		return nil, err
	}
	if o.rate != 0 {
		return l.pace(conns)
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() { l.fail(l.echo(c)) })
	}
	res, err := l.measure()
	closeAll(conns)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return l.finish(res), nil
}

// echo is the life of one connection. Every slot has one message in flight, and an answer
// must name a slot; what has been read at once is answered in one write.
func (l *load) echo(c *conn) error {
	var mine []time.Duration
	defer func() { l.lat.add(mine) }()
	texts := make([][]byte, l.o.depth)
	sent := make([]time.Time, l.o.depth)
	for slot := range texts {
		texts[slot] = event("echo", slot, l.o.size)
		if l.o.ack {
			texts[slot] = fmt.Appendf(nil, "42%d%s", slot, texts[slot][2:])
		}
		sent[slot] = time.Now()
		c.add(texts[slot])
	}
	for {
		if c.r.Buffered() == 0 {
			if err := c.flush(); err != nil {
				return err
			}
		}
		text, err := c.next()
		if err != nil {
			return err
		}
		slot, err := l.slot(text)
		if err != nil {
			return err
		}
		l.count.Add(1)
		if l.measuring.Load() {
			mine = append(mine, time.Since(sent[slot]))
		}
		sent[slot] = time.Now()
		c.add(texts[slot])
	}
}

// slot finds which message an answer belongs to, and compares the two.
func (l *load) slot(text []byte) (int, error) {
	args := text
	if l.o.ack {
		i := bytes.IndexByte(text, '[')
		if i < 0 || !bytes.HasPrefix(text, []byte("43")) {
			return 0, fmt.Errorf("got %.60q, want an ack", text)
		}
		args = fmt.Appendf(nil, `42["echo",%s`, text[i+1:])
	}
	n, ok := number(args)
	if !ok || n >= l.o.depth || !bytes.Equal(args, event("echo", n, l.o.size)) {
		return 0, fmt.Errorf("got %.60q, which is no answer to what is in flight", text)
	}
	return n, nil
}

// broadcast sends from the first of n connections, and counts what arrives at all.
func broadcast(o *options) (*result, error) {
	l := newLoad(o)
	conns, err := l.dial(o.n)
	if err != nil {
		return nil, err
	}
	if o.room && o.proto == protoSIO5 {
		if err := enter(conns); err != nil {
			closeAll(conns)
			return nil, err
		}
	}
	flights := make([]flight, o.depth)
	done := make(chan struct{}, o.depth)
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() { l.fail(l.receive(c, flights, done)) })
	}
	wg.Go(func() { l.fail(l.send(conns[0].c.Write, conns[0].mask, flights, done)) })
	res, err := l.measure()
	closeAll(conns)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return l.finish(res), nil
}

// enter lets all sockets join the room.
func enter(conns []*conn) error {
	for _, c := range conns {
		if err := c.roundTrip([]byte(`420["join"]`), []byte("430[]")); err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if err := c.c.SetDeadline(time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// flight is one broadcast on its way.
type flight struct {
	sent    atomic.Int64 // nanoseconds since epoch
	arrived atomic.Int64
}

var epoch = time.Now()

// send keeps as many broadcasts in flight as there are flights.
func (l *load) send(write func([]byte) (int, error), mask bool, flights []flight, done <-chan struct{}) error {
	out := &conn{mask: mask}
	name := "broadcast"
	if l.o.room && l.o.proto == protoSIO5 {
		name = "room"
	}
	for seq := 0; ; seq++ {
		if seq >= len(flights) {
			select {
			case <-done:
			case <-l.stop:
				return nil
			}
		}
		f := &flights[seq%len(flights)]
		f.arrived.Store(0)
		f.sent.Store(int64(time.Since(epoch)))
		out.add(event(name, seq, l.o.size))
		if _, err := write(out.out); err != nil {
			return err
		}
		out.out = out.out[:0]
	}
}

// receive counts what arrives at one connection, and checks the order.
func (l *load) receive(c *conn, flights []flight, done chan<- struct{}) error {
	for want := 0; ; want++ {
		text, err := c.next()
		if err != nil {
			return err
		}
		seq, ok := number(text)
		if !ok {
			return fmt.Errorf("got %.60q, want a broadcast", text)
		}
		if seq != want {
			l.reordered.Add(1)
			return fmt.Errorf("broadcast %d arrived, want %d", seq, want)
		}
		l.count.Add(1)
		f := &flights[seq%len(flights)]
		if f.arrived.Add(1) < int64(l.o.n) {
			continue
		}
		if l.measuring.Load() {
			l.lat.add([]time.Duration{time.Since(epoch) - time.Duration(f.sent.Load())})
		}
		done <- struct{}{}
	}
}
