//go:build linux

package main

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// reading is a connection to which a server sends some bytes.
func reading(t *testing.T, sent string) *conn {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _ = here.Close() })
	go func() {
		_, _ = there.Write([]byte(sent))
		_ = there.Close()
	}()
	return &conn{c: discard{here}, r: bufio.NewReader(here)}
}

// discard drops what is written.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestFragments: a server may send a message in several frames, and pings between them.
func TestFragments(t *testing.T) {
	long := strings.Repeat("x", 300)
	c := reading(t, "\x01\x02ab\x89\x01!\x00\x01c\x80\x02de"+"\x81\x7e\x01\x2c"+long+"\x81\x00")
	for _, want := range []string{"abcde", long, ""} {
		if got, err := c.next(); err != nil || string(got) != want {
			t.Errorf("got %.20q, want %.20q (%v)", got, want, err)
		}
	}
	for name, sent := range map[string]string{
		"a continuation of nothing":        "\x80\x02ab",
		"a message inside another":         "\x01\x02ab\x81\x02cd",
		"a ping in two frames":             "\x09\x01a",
		"a ping of more than 125 bytes":    "\x89\x7e\x00\x7e" + strings.Repeat("x", 126),
		"a frame of many megabytes":        "\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00",
		"the end inside of a message":      "\x01\x02ab",
		"binary, which nobody has sent to": "\x82\x01a",
	} {
		if got, err := reading(t, sent).next(); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestPace: every message has an answer, and there are no more than the rate allows.
func TestPace(t *testing.T) {
	o := peer(t, "-lib", "gws")
	o.proto, o.depth, o.rate, o.time = protoRaw, 1, 500, 400*time.Millisecond
	start := time.Now()
	res, err := echo(o)
	most := int64(time.Since(start).Seconds()*500) + 1
	if err != nil || res.Errors != 0 || res.Reordered != 0 || res.Count == 0 || res.Count > most || res.Lat["p50_us"] <= 0 || res.CPU <= 0 {
		t.Errorf("%+v, at most %d messages (%v)", res, most, err)
	}
	for name, change := range map[string]func(o *options){
		"with acks":        func(o *options) { o.ack = true },
		"many in flight":   func(o *options) { o.depth = 2 },
		"less than no one": func(o *options) { o.rate = -1 },
	} {
		bad := *o
		change(&bad)
		if res, err := echo(&bad); err == nil {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// TestPaceOfASilentServer: one that answers nothing does not keep up, and one that answers
// something else is found.
func TestPaceOfASilentServer(t *testing.T) {
	read := func(p *peerOf) {
		for {
			if _, err := p.r.Discard(1); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		serve     func(p *peerOf)
		rate      int
		want      string
		reordered int64
	}{
		"silent": {read, 20000, "does not keep up", 0},
		"wrong":  {func(p *peerOf) { p.send(0x81, `42["echo",1,"xxx"]`); read(p) }, 20, "want", 1},
	} {
		o := &options{addr: serve(t, c.serve), proto: protoSIO5, n: 1, depth: 1, rate: c.rate, size: 3, wait: patience,
			warm: 10 * time.Millisecond, time: 10 * time.Millisecond}
		res, err := echo(o)
		if err != nil || res.Errors == 0 || res.Reordered != c.reordered || !strings.Contains(res.First, c.want) {
			t.Errorf("%s: %+v (%v)", name, res, err)
		}
	}
}

// TestMeasureWaits: a time in which nothing has arrived yet is longer, and ends with an error.
func TestMeasureWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(&options{warm: time.Millisecond, time: time.Millisecond})
		go func() {
			for range 2 {
				time.Sleep(50 * time.Millisecond)
				l.count.Add(1)
			}
		}()
		if res, err := l.measure(); err != nil || res.Count != 1 || res.PerS > 100 {
			t.Errorf("%+v (%v)", res, err)
		}
		l = newLoad(&options{warm: time.Millisecond, time: time.Millisecond})
		start := time.Now()
		l.fail(bytes.ErrTooLarge)
		if res, err := l.measure(); err != nil || l.finish(res).Errors != 1 || time.Since(start) > time.Second {
			t.Errorf("%+v (%v)", res, err)
		}
		l = newLoad(&options{warm: time.Millisecond, time: time.Millisecond})
		if res, err := l.measure(); err != nil || l.finish(res).First != "nothing arrived" || time.Since(start) < patience {
			t.Errorf("%+v (%v)", res, err)
		}
	})
}

// TestRoom: a broadcast to a room arrives; a server without rooms is found.
func TestRoom(t *testing.T) {
	o := peer(t, "-lib", "gws")
	o.proto, o.room, o.depth = protoRaw, true, 1
	if res, err := broadcast(o); err != nil || res.Errors != 0 || res.Count == 0 {
		t.Errorf("raw: %+v (%v)", res, err)
	}
	bad := &options{addr: serve(t, func(p *peerOf) { p.send(0x81, `44{"message":"no"}`) }), proto: protoSIO5, n: 2, depth: 1, room: true, wait: patience}
	if res, err := broadcast(bad); err == nil || !strings.Contains(err.Error(), "join") {
		t.Errorf("%+v (%v)", res, err)
	}
}
