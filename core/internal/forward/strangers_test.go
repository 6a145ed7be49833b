package forward

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
)

// TestHerd: very many requests at once, as when a load balancer has lost a server, are all
// passed on.
func TestHerd(t *testing.T) {
	const n = 300 // more than one node connects at a time, many times over
	var held sync.WaitGroup
	held.Add(n)
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) {
		held.Done() // all are there at once
		held.Wait()
		_ = x.Reply(200, nil)
	}), Options{Wait: time.Minute})
	f := listen(t, nil, Options{Wait: time.Minute})
	var failed atomic.Int32
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			x := &fakeExchange{}
			if answered, err := f.Pass(x, "other", taker.Addr().String()); !answered || err != nil {
				if failed.Add(1) < 4 {
					t.Error(err)
				}
				held.Done()
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d failed", n)
	}
}

// TestStrangers: connections that say nothing do not keep the nodes away, and end.
func TestStrangers(t *testing.T) {
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) { _ = x.Reply(200, nil) }), Options{})
	var first net.Conn
	for i := range maxUnproved {
		c, err := net.Dial("tcp", taker.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if i == 0 {
			first = c
		}
	}
	f := listen(t, nil, Options{})
	for range 3 {
		l, err := f.dial("other", taker.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer f.forget(l)
	}
	_ = first.SetReadDeadline(time.Now().Add(4 * time.Second)) // less than authTimeout
	if _, err := io.ReadAll(first); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the oldest connection is still there")
	}
}

// TestSilent: neither end waits long for one that proves nothing.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, said := range []string{"", hello, hello + strings.Repeat("n", nonceSize)} {
			for what, run := range map[string]func(*conn) error{
				"prove":  func(c *conn) error { return c.prove(secret, end{}) },
				"verify": func(c *conn) error { return c.verify(secret, end{}) },
			} {
				a, b := net.Pipe()
				var others sync.WaitGroup
				others.Go(func() {
					for p := []byte(said); len(p) > 0; p = p[1:] { // slowly
						time.Sleep(time.Second)
						if _, err := b.Write(p[:1]); err != nil {
							return
						}
					}
				})
				others.Go(func() { _, _ = io.Copy(io.Discard, b) })
				from := time.Now()
				if run(newConn(a)) == nil || time.Since(from) > authTimeout+time.Second {
					t.Errorf("%s of %q took %v", what, said, time.Since(from))
				}
				_, _ = a.Close(), b.Close()
				others.Wait()
			}
		}
	})
}

// TestBetween: somebody who has told other nodes a false address of a node, and hands on what
// both ends say, gets nothing; nor does one who sends again what was heard.
func TestBetween(t *testing.T) {
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) { t.Error("a request") }), Options{})
	f := listen(t, nil, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	heard := make(chan []byte, 1)
	go func() {
		a, err := ln.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", taker.Addr().String())
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(a, b); _ = a.Close() }()
		var said bytes.Buffer
		_, _ = io.Copy(io.MultiWriter(b, &said), a)
		_ = b.Close()
		heard <- said.Bytes()
	}()
	if _, err := f.dial("other", ln.Addr().String()); !errors.Is(err, errSecret) {
		t.Error(err)
	}
	again, err := net.Dial("tcp", taker.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if _, err := again.Write(<-heard); err != nil {
		t.Fatal(err)
	}
	_ = again.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(again); err != nil || !strings.HasSuffix(string(got), forbidden) {
		t.Errorf("%q %v", got, err)
	}
}

// fakeExchange is a request of nobody.
type fakeExchange struct {
	host.Exchange
	status int
}

func (x *fakeExchange) Method() string                     { return http.MethodPost }
func (x *fakeExchange) Path() string                       { return "" }
func (x *fakeExchange) RawQuery() string                   { return "" }
func (x *fakeExchange) RemoteAddr() string                 { return "192.0.2.1:1" }
func (x *fakeExchange) Header(string) string               { return "" }
func (x *fakeExchange) EachHeader(func(key, value string)) {}
func (x *fakeExchange) TLS() *tls.ConnectionState          { return nil }
func (x *fakeExchange) Reply(status int, _ []byte) error   { x.status = status; return nil }
