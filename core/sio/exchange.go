package sio

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
)

// UseExchange adds middleware around every HTTP exchange of the server, before the
// server looks at the request. It is for answers of your own, headers and counts. The
// first one is outermost. It panics when one of them is nil or returns nil. A
// middleware that passes on an exchange of its own type should give that type an Unwrap
// method; see host.Wrapper.
//
// A panic in the middleware is logged, and the request is answered with status 500 if
// it has no answer yet. A panic in a function that such an exchange has passed to
// Stream or Upgrade, or in its net.Conn, ends that stream or connection.
func (s *Server) UseExchange(mw ...func(next host.Handler) host.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Concat(s.exchanges, mw)
	var h host.Handler = s.hub
	if len(all) > 0 {
		h = innermost{s.hub}
	}
	for i, m := range slices.Backward(all) {
		if m == nil {
			panic(fmt.Sprintf("sio: nil for UseExchange (number %d)", i+1))
		}
		if h = m(h); h == nil {
			panic(fmt.Sprintf("sio: UseExchange: function number %d has returned no handler", i+1))
		}
	}
	s.exchanges = all
	s.entry.Store(&entryPoint{h, len(all) > 0})
}

// entryPoint is where requests enter: the outermost middleware, or the hub.
type entryPoint struct {
	h     host.Handler
	wraps bool // there is middleware
}

// ServeExchange implements host.Handler: adapters call it for each request below the
// mount point.
func (s *Server) ServeExchange(x host.Exchange) {
	entry := s.entry.Load()
	answered := func() bool { return false }
	if entry.wraps { // a panic may come before the answer and behind it
		t := &tracked{Exchange: x, srv: s}
		x, answered = t, func() bool { return t.answered }
	}
	if err := s.exchange(entry.h, x); err != nil && !answered() {
		s.fail(x)
	}
}

func (s *Server) exchange(h host.Handler, x host.Exchange) (err error) {
	defer s.caught(inUseExchange, "", nil, nil, &err)
	h.ServeExchange(x)
	return nil
}

// fail answers a request whose handling has panicked.
func (s *Server) fail(x host.Exchange) {
	var err error
	defer s.caught(inUseExchange, "", nil, nil, &err)
	x.SetHeader("Content-Type", "text/plain; charset=UTF-8")
	_ = x.Reply(http.StatusInternalServerError, []byte("Internal Server Error"))
}

// tracked is the exchange that the outermost middleware gets. It knows whether it has
// been answered, and guards what the host is given to run. Only the goroutine that
// serves the exchange answers it.
type tracked struct {
	host.Exchange
	srv      *Server
	answered bool
	offered  *offer // what the transport inside waits for; see inside
}

var _ host.Wrapper = (*tracked)(nil)

// Unwrap implements host.Wrapper.
func (t *tracked) Unwrap() host.Exchange { return t.Exchange }

// Reply implements host.Exchange.
func (t *tracked) Reply(status int, body []byte) error {
	t.answered = true
	return t.Exchange.Reply(status, body)
}

// Stream implements host.Exchange. One that fails has not been answered.
func (t *tracked) Stream(status int, run func(host.Stream)) error {
	t.answered = true
	s, o := t.srv, t.offered // a stream must not keep the exchange
	err := t.Exchange.Stream(status, func(st host.Stream) {
		// Apart, because fasthttp's answer would not end with the goroutine.
		if s.apart(inUseExchange, nil, nil, func() error { run(st); return nil }) != nil {
			o.withdraw()
		}
	})
	t.answered = err == nil
	return err
}

// Upgrade implements host.Exchange. One that fails has not been answered.
func (t *tracked) Upgrade(opts host.UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error {
	t.answered = true
	s, o := t.srv, t.offered // a connection must not keep the exchange
	err := t.Exchange.Upgrade(opts, func(c net.Conn, br *bufio.Reader) { s.serveConn(o, c, br, run) })
	t.answered = err == nil
	return err
}

// serveConn calls what middleware has made of a transport's run with the host's
// connection. A panic ends the connection: the transport, which may read it on another
// goroutine, finds that out.
func (s *Server) serveConn(o *offer, c net.Conn, br *bufio.Reader, run func(c net.Conn, br *bufio.Reader)) {
	if o != nil {
		o.host = c
	}
	err := errExit
	defer func() {
		if err != nil {
			_ = s.ofConn(func() { _ = c.Close() })
			o.withdraw()
		}
	}()
	defer s.caught(inUseExchange, "", nil, nil, &err)
	run(c, br)
	err = nil
}

// ofConn calls a method of a connection that may be the application's.
func (s *Server) ofConn(fn func()) (err error) {
	err = errExit
	defer s.caught(inConn, "", nil, nil, &err)
	fn()
	return nil
}

// innermost is the hub behind middleware.
type innermost struct{ hub host.Handler }

// ServeExchange implements host.Handler.
func (h innermost) ServeExchange(x host.Exchange) {
	outer, _ := host.As[*tracked](x) // nil behind middleware without an Unwrap
	h.hub.ServeExchange(inside{x, outer})
}

// inside is the exchange that a transport gets behind middleware. What the transport
// gives it to run is run once, whatever the middleware does: a session waits for it.
type inside struct {
	host.Exchange
	outer *tracked
}

var _ host.Wrapper = inside{}

// Unwrap implements host.Wrapper.
func (x inside) Unwrap() host.Exchange { return x.Exchange }

// Stream implements host.Exchange.
func (x inside) Stream(status int, run func(host.Stream)) error {
	o := x.offer(func() { run(noStream{}) })
	err := x.Exchange.Stream(status, func(st host.Stream) {
		if o.take() {
			run(st)
		}
	})
	if err != nil {
		o.take()
	}
	return err
}

// Upgrade implements host.Exchange.
func (x inside) Upgrade(opts host.UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error {
	o := x.offer(func() {
		gone, other := net.Pipe()
		_, _ = gone.Close(), other.Close()
		run(gone, nil)
	})
	err := x.Exchange.Upgrade(opts, func(c net.Conn, br *bufio.Reader) {
		if o.take() {
			run(o.backed(c), br)
		} else {
			_ = c.Close()
		}
	})
	if err != nil {
		o.take()
	}
	return err
}

// offer is something to run once.
type offer struct {
	taken  atomic.Bool
	missed func()   // runs it with a stream or connection that has ended
	host   net.Conn // what the host has given for it, where that is known
}

// offer makes an offer. The outer exchange withdraws it when middleware panics before
// it was taken; where that exchange is not to be found, time does.
func (x inside) offer(missed func()) *offer {
	o := &offer{missed: missed}
	if x.outer != nil {
		x.outer.offered = o
	} else {
		time.AfterFunc(host.StreamTimeout, o.withdraw)
	}
	return o
}

// take reports whether the offer is the caller's.
func (o *offer) take() bool { return !o.taken.Swap(true) }

// withdraw tells whoever waits that nobody has taken the offer. It is nil for what
// middleware runs itself.
func (o *offer) withdraw() {
	if o != nil && o.take() {
		o.missed()
	}
}

// backed returns a connection that middleware has made of the host's.
func (o *offer) backed(c net.Conn) net.Conn {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn, *tls.Conn: // the transport knows these; they do not panic
		return c
	}
	if o.host == nil {
		return c
	}
	return backed{c, o.host}
}

// backed is a connection of the application's own, behind which the host's is closed
// when its Close panics: fasthttp keeps a goroutine until then.
type backed struct {
	net.Conn
	host net.Conn
}

// Close closes the connection.
func (c backed) Close() error {
	closed := false
	defer func() {
		if !closed {
			_ = c.host.Close()
		}
	}()
	err := c.Conn.Close()
	closed = true
	return err
}

// CloseWrite is that of the connection, where it has one.
func (c backed) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// noStream is a stream that has never begun.
type noStream struct{}

func (noStream) Write([]byte) (int, error) { return 0, host.ErrGone }
func (noStream) Flush() error              { return host.ErrGone }
