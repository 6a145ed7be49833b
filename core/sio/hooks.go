package sio

import (
	"context"
	"slices"
	"sync"
)

// common are the hooks that every namespace has.
type common struct {
	mu         sync.Mutex
	middleware []Middleware
	connect    []func(ctx context.Context, s *Socket) error
}

func (c *common) get() ([]Middleware, []func(ctx context.Context, s *Socket) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.middleware, c.connect
}

// OnConnect adds a function that decides whether a client may join a namespace, for all
// namespaces. It runs before the functions of the namespace; see Namespace.OnConnect.
func (s *Server) OnConnect(fn func(ctx context.Context, s *Socket) error) {
	if fn == nil {
		panic("sio: nil function for OnConnect of the server")
	}
	s.common.mu.Lock()
	s.common.connect = append(slices.Clone(s.common.connect), fn)
	s.common.mu.Unlock()
	s.recompile()
}

// Use adds middleware around every handler of every namespace, outside of that of
// Namespace.Use; the first one is outermost. See Namespace.Use for the events that it
// runs for.
func (s *Server) Use(mw ...Middleware) {
	if slices.ContainsFunc(mw, isNil) {
		panic("sio: nil for Use of the server")
	}
	s.common.mu.Lock()
	s.common.middleware = append(slices.Clone(s.common.middleware), mw...)
	s.common.mu.Unlock()
	s.recompile()
}

// recompile has the namespaces take up the common hooks.
func (s *Server) recompile() {
	for _, n := range s.list() {
		n.recompile()
	}
}
