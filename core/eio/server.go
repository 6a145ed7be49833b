package eio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/tracker"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// ErrServerClosed is returned by Shutdown when it is called again.
var ErrServerClosed = errors.New("eio: server closed")

// Server is an Engine.IO server. It is a host.Handler for the adapters and an
// http.Handler. All methods are safe for concurrent use.
type Server struct {
	opts    Options
	hub     *virtsocket.Hub
	inboxes inbox.Bounds
	running tracker.Tracker // sockets whose OnClose has not returned
	mu      sync.Mutex
	closed  bool
}

var (
	_ host.Handler = (*Server)(nil)
	_ http.Handler = (*Server)(nil)
)

// NewServer returns a server. It panics when Options.OnConnection is missing or an
// option makes no sense. End it with Shutdown.
func NewServer(opts *Options) *Server {
	s := &Server{opts: opts.withDefaults()}
	s.inboxes = inbox.Bounds{Count: maxInbox, Bytes: int(inboxFactor * s.opts.MaxPayload)}
	h := s.options()
	h.Accept = s.accept
	if s.opts.AllowOrigin != nil {
		h.Origins.Allow = s.allowOrigin
	}
	if s.opts.Address != nil {
		h.Limits.Address = s.address
	}
	s.hub = virtsocket.NewHub(h)
	return s
}

// ServeExchange implements host.Handler: adapters call it for each request below the
// mount point.
func (s *Server) ServeExchange(x host.Exchange) { s.hub.ServeExchange(x) }

// ServeHTTP implements http.Handler. The mount point is taken from the pattern of
// http.ServeMux ("/engine.io/"); without a pattern it is Options.Path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _ := strings.CutPrefix(r.URL.Path, strings.TrimRight(s.opts.Path, "/"))
	host.ServeHTTP(s, w, r, host.HTTPConfig{Path: path, Mux: true})
}

// Clients is the number of connections, those that are closing included.
func (s *Server) Clients() int { return s.hub.Len() }

// Shutdown refuses new handshakes, closes all connections so that clients connect again
// elsewhere, and waits until every OnClose has returned. When ctx ends first,
// connections that are still open are closed at once, and ctx's error is returned. A
// second call returns ErrServerClosed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return ErrServerClosed
	}
	ended := s.hub.Shutdown()
	select {
	case <-ended:
	case <-ctx.Done():
		s.hub.Abort()
		return ctx.Err()
	}
	select {
	case <-s.running.Idle():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// accept decides about a handshake.
func (s *Server) accept(vs *virtsocket.Socket, x host.Exchange) (virtsocket.Handler, *dialect.Refusal) {
	c := newSocket(s, vs)
	if s.opts.AllowRequest != nil {
		var refused error
		if err := s.apart("AllowRequest", func() { c.data, refused = s.opts.AllowRequest(x) }); err != nil || refused != nil {
			if refused != nil {
				s.opts.Logger.Info("siokit: a handshake is refused", "by", "AllowRequest", "error", refused)
			}
			return nil, &dialect.Refusal{Code: dialect.Forbidden, Status: http.StatusForbidden}
		}
	}
	s.running.Add()
	h := handler{c}
	vs.Handle(h)
	return h, nil
}

// allowOrigin is Options.AllowOrigin; one that panics admits nobody.
func (s *Server) allowOrigin(origin string) (ok bool) {
	_ = s.apart("AllowOrigin", func() { ok = s.opts.AllowOrigin(origin) })
	return ok
}

// address is Options.Address. When it panics, the peer counts: a bound must not end
// with a fault of the application.
func (s *Server) address(x host.Exchange) (name string) {
	if s.apart("Address", func() { name = s.opts.Address(x) }) != nil {
		return virtsocket.PeerAddress(x)
	}
	return name
}

// repairText is what Legacy.RepairTextOf says about a client; RepairText when it
// panics, or says nothing that is a choice.
func (s *Server) repairText(x host.Exchange) eio3.Repair {
	l := &s.opts.Legacy
	var name string
	_ = s.apart("RepairTextOf", func() { name = l.RepairTextOf(x) })
	if name == "" {
		name = l.RepairText
	}
	r, err := eio3.ParseRepair(name)
	if err != nil {
		s.opts.Logger.Error("siokit: RepairTextOf", "error", err)
		r, _ = eio3.ParseRepair(l.RepairText)
	}
	return r
}

// errPanic is the error of a call into the application that has panicked or ended its
// goroutine. The log has it.
var errPanic = errors.New("eio: application code panicked")

// call calls application code: every call goes through here. A panic, which would
// end a process under fasthttp, becomes a line in the log. ended is told of both that
// and of a call that has ended its goroutine, which no caller can follow.
func (s *Server) call(where string, fn func(), ended func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		if p == nil {
			p = "application code has ended its goroutine"
		}
		s.opts.Logger.Error("siokit: panic", "in", where, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		ended()
	}()
	fn()
	returned = true
}

// ofConn calls a method of a connection of a type of the application's own.
func (s *Server) ofConn(fn func()) (err error) {
	s.call("net.Conn", fn, func() { err = errPanic })
	return err
}

// apart calls application code in a goroutine of its own and waits for it.
func (s *Server) apart(where string, fn func()) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		s.call(where, fn, func() { err = errPanic })
	}()
	return <-done
}
