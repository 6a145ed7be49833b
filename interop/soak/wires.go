package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// gaveUp is the panic of a wire client that cannot go on: it was written for tests.
type gaveUp string

// tb is what wire takes for a test.
type tb struct {
	testing.TB // of which nothing else is called
	mu         sync.Mutex
	cleanups   []func()
}

func (*tb) Helper()                     {}
func (*tb) Fatalf(f string, a ...any)   { panic(gaveUp(fmt.Sprintf(f, a...))) }
func (*tb) Fatal(a ...any)              { panic(gaveUp(fmt.Sprint(a...))) }
func (t *tb) Cleanup(f func())          { t.mu.Lock(); t.cleanups = append(t.cleanups, f); t.mu.Unlock() }
func (t *tb) Logf(string, ...any)       {}
func (t *tb) Errorf(f string, a ...any) { panic(gaveUp(fmt.Sprintf(f, a...))) }

// cleanup calls what Cleanup was given, as a test does at its end.
func (t *tb) cleanup() {
	t.mu.Lock()
	list := t.cleanups
	t.cleanups = nil
	t.mu.Unlock()
	for i := range list {
		list[len(list)-1-i]()
	}
}

// try turns the end of a wire client into an error.
func try(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			switch v := v.(type) {
			case gaveUp:
				err = errors.New(string(v))
			case malformed:
				err = v
			default:
				panic(v)
			}
		}
	}()
	f()
	return nil
}

// link is a connection that carries packets of Socket.IO. next and send panic with gaveUp at the
// end of the connection.
type link struct {
	next func() string
	send func(packets ...string)
	beat func() // the client's heartbeat, which only clients of 2.x have
}

// kinds are the clients of the run: generation and transport.
var kinds = []struct {
	name string
	old  bool // speaks 0.9
	open func(c *wire.Client) link
}{
	{"4.x websocket", false, open4},
	{"4.x polling", false, func(c *wire.Client) link { return poll4(c, false) }},
	{"4.x upgrade", false, func(c *wire.Client) link { return poll4(c, true) }},
	{"2.x websocket", false, open3},
	{"2.x polling", false, func(c *wire.Client) link { return poll3(c, false) }},
	{"2.x upgrade", false, func(c *wire.Client) link { return poll3(c, true) }},
	{"0.9 websocket", true, open1},
	{"0.9 polling", true, poll1},
}

// newWire is a client behind a proxy. Each request has a connection of its own, because net/http
// asks again by itself when one that it has used before breaks, as no browser does.
func newWire(t *tb, addr string, dialed func(net.Conn)) *wire.Client {
	c := wire.New(t, "http://"+addr, "/socket.io/")
	c.Patience = patience
	c.HTTP.Timeout = patience
	c.HTTP.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, addr)
		if err == nil {
			dialed(nc)
		}
		return nc, err
	}}
	return c
}

// message is a packet of Engine.IO without its type; ok is false when it is for nobody above.
func message(p string) (string, bool) {
	switch {
	case p == "1":
		panic(gaveUp("closed by the server"))
	case strings.HasPrefix(p, "4"):
		return p[1:], true
	}
	return "", false
}

func engine(packets []string) []string {
	list := make([]string, len(packets))
	for i, p := range packets {
		list[i] = "4" + p
	}
	return list
}

// onWebsocket is a link over a websocket of Engine.IO.
func onWebsocket(w *wire.WS) link {
	return link{
		next: func() string {
			for {
				if m, ok := message(w.Next()); ok {
					return m
				}
			}
		},
		send: func(packets ...string) { w.Send(engine(packets)...) },
		beat: func() { w.Send("2") },
	}
}

func open4(c *wire.Client) link {
	w, _ := c.WebSocket()
	l := onWebsocket(w)
	l.beat = nil
	l.send("0")
	return l
}

func open3(c *wire.Client) link {
	w, a := c.Upgrade("EIO=3&transport=websocket", "")
	if w == nil {
		panic(gaveUp(a.String()))
	}
	return onWebsocket(w)
}

// upgrading is a link that polls, and goes over to a websocket when its probe was answered.
type upgrading struct {
	link
	probed chan *wire.WS
	mu     sync.Mutex // held while something is sent
	over   *link
}

// probe asks for the websocket beside the polls.
func (u *upgrading) probe(open func() *wire.WS) {
	u.probed = make(chan *wire.WS, 1)
	go func() {
		_ = try(func() { // a candidate that breaks leaves the client polling
			w := open()
			w.Send("2probe")
			if w.Next() == "3probe" {
				u.probed <- w
			}
		})
	}()
}

// look goes over to the websocket, between two polls and with no POST under way.
func (u *upgrading) look() {
	if u.over != nil { // only this goroutine writes it
		return
	}
	select {
	case w := <-u.probed:
		u.mu.Lock()
		defer u.mu.Unlock()
		w.Send("5")
		l := onWebsocket(w)
		u.over = &l
	default:
	}
}

// whole is the link of both transports.
func (u *upgrading) whole() link {
	polling := u.link
	return link{
		next: polling.next,
		send: func(packets ...string) {
			u.mu.Lock()
			defer u.mu.Unlock()
			if u.over != nil {
				u.over.send(packets...)
			} else {
				polling.send(packets...)
			}
		},
		beat: func() {
			if polling.beat == nil {
				return
			}
			u.mu.Lock()
			defer u.mu.Unlock()
			if u.over != nil {
				u.over.beat()
			} else {
				polling.beat()
			}
		},
	}
}

// polling is next of a link that polls, until it has gone over to a websocket. take is a poll, and
// ping answers a heartbeat of the server.
func (u *upgrading) polling(take func() []string, ping func()) func() string {
	var have []string
	return func() string {
		for {
			for len(have) > 0 {
				p := have[0]
				have = have[1:]
				if p == "2" {
					ping()
				} else if m, ok := message(p); ok {
					return m
				}
			}
			if u.look(); u.over != nil {
				return u.over.next()
			}
			have = take()
		}
	}
}

// taken checks the answer to a request.
func taken(what string, a wire.Answer) wire.Answer {
	if a.Status != 200 {
		panic(gaveUp(what + ": " + a.String()))
	}
	return a
}

func poll4(c *wire.Client, upgrade bool) link {
	s := c.Polling()
	u := &upgrading{}
	post := func(body string) { taken("POST", s.Post(body)) }
	u.link = link{
		next: u.polling(
			func() []string { return strings.Split(taken("poll", s.Get()).Body, "\x1e") },
			func() {
				u.mu.Lock()
				defer u.mu.Unlock() // post may panic
				post("3")
			}),
		send: func(packets ...string) { post(strings.Join(engine(packets), "\x1e")) },
	}
	u.link.send("0")
	if upgrade {
		u.probe(s.Probe)
	}
	return u.whole()
}

func poll3(c *wire.Client, upgrade bool) link {
	s := c.Polling3()
	u := &upgrading{}
	post := func(packets ...string) { taken("POST", s.Post(packets...)) }
	u.link = link{
		next: u.polling(s.Take, func() {}), // the client pings there
		send: func(packets ...string) { post(engine(packets)...) },
		beat: func() { post("2") },
	}
	if upgrade {
		u.probe(func() *wire.WS {
			w, a := s.Upgrade("EIO=3&transport=websocket&sid="+s.Open.SID, "")
			if w == nil {
				panic(gaveUp(a.String()))
			}
			return w
		})
	}
	return u.whole()
}

// legacy is a link of 0.9, whose heartbeats are answered.
func legacy(next func() string, send func(packets ...string)) link {
	return link{send: send, next: func() string {
		for {
			switch p := next(); {
			case p == "2::":
				send("2::")
			case strings.HasPrefix(p, "0::"), p == "7:::1+0": // ended; no such session
				panic(gaveUp("closed by the server"))
			case p != "8::" && p != "1::":
				return p
			}
		}
	}}
}

func open1(c *wire.Client) link {
	sid := c.Handshake1("")
	at := c.At(c.Path + "1/websocket/" + sid)
	c.TB.Cleanup(at.Close)
	w, a := at.Upgrade("", "")
	if w == nil {
		panic(gaveUp(a.String()))
	}
	return legacy(w.Next, w.Send)
}

func poll1(c *wire.Client) link {
	s := c.Polling1()
	var mu sync.Mutex
	return legacy(s.Next, func(packets ...string) {
		mu.Lock()
		defer mu.Unlock()
		s.Send(packets...)
	})
}

// beats sends a client's heartbeat until done is closed.
func beats(l link, done <-chan struct{}) error {
	if l.beat == nil {
		<-done
		return nil
	}
	pace := time.NewTicker(pingInterval)
	defer pace.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-pace.C:
			if err := try(l.beat); err != nil {
				return err
			}
		}
	}
}
