package sio

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/siokit/siokit/core/host"
)

// UseExchange adds middleware around every HTTP exchange of the server, before
// it is known what the request is: for its own answers, headers, counts. The
// first one is outermost. It panics when one of them is nil or returns nil. A
// middleware that hands on an exchange of its own gives it an Unwrap; see
// host.Wrapper.
//
// A panic in the middleware is logged, and the request is answered with status 500
// if it has no answer yet.
func (s *Server) UseExchange(mw ...func(next host.Handler) host.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Concat(s.exchanges, mw)
	var h host.Handler = s.hub
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

// ServeExchange implements host.Handler.
func (s *Server) ServeExchange(x host.Exchange) {
	entry := s.entry.Load()
	answered := func() bool { return false }
	if entry.wraps { // a panic may come before the answer and behind it
		t := &tracked{Exchange: x}
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

// tracked is an exchange that knows whether it has been answered. Only the goroutine
// that serves the exchange answers it.
type tracked struct {
	host.Exchange
	answered bool
}

var _ host.Wrapper = (*tracked)(nil)

// Reply implements host.Exchange.
func (t *tracked) Reply(status int, body []byte) error {
	t.answered = true
	return t.Exchange.Reply(status, body)
}

// Stream implements host.Exchange. One that fails has not been answered.
func (t *tracked) Stream(status int, run func(host.Stream)) error {
	t.answered = true
	err := t.Exchange.Stream(status, run)
	t.answered = err == nil
	return err
}

// Upgrade implements host.Exchange. One that fails has not been answered.
func (t *tracked) Upgrade(opts host.UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error {
	t.answered = true
	err := t.Exchange.Upgrade(opts, run)
	t.answered = err == nil
	return err
}

// Unwrap implements host.Wrapper.
func (t *tracked) Unwrap() host.Exchange { return t.Exchange }
