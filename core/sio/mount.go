package sio

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// Mount registers the server on a ServeMux at path, such as "/socket.io", and below
// path. Both are needed. Clients whose option addTrailingSlash is false ask for the
// path without a slash; a ServeMux with the pattern "/socket.io/" alone redirects them,
// and no websocket follows a redirect.
//
// path may have a host and wildcards in front, as in
// "example.com/t/{tenant}/socket.io". A path with a method or with a wildcard at the
// end panics.
func (s *Server) Mount(mux *http.ServeMux, path string) {
	host.Require("sio.Server.Mount", s, "mux", mux)
	path = strings.TrimRight(path, "/")
	if strings.ContainsAny(path, " \t") || strings.HasSuffix(path, "...}") || strings.HasSuffix(path, "{$}") {
		panic(fmt.Sprintf("sio.Server.Mount: %q is not a path: it has a method in front or a wildcard for the rest", path))
	}
	if path != "" && !strings.Contains(path, "/") {
		panic(fmt.Sprintf("sio.Server.Mount: %q must begin with a slash, or with a host and a slash", path))
	}
	if path != "" {
		mux.Handle(path, s)
	}
	mux.Handle(path+"/", s)
}

// Mounted is what host.Announce calls. It logs limits of the host that are smaller than
// those of Options, and settings of the host under which clients cannot connect.
func (s *Server) Mounted(m host.Mount) {
	if m.Fault != "" {
		s.opts.Logger.Error("siokit: clients cannot connect under a setting of the host", "host", m.Host, "setting", m.Fault)
	}
	if m.BodyLimit > 0 && m.BodyLimit < s.opts.MaxPayload {
		s.opts.Logger.Warn("siokit: the host takes smaller request bodies than Options.MaxPayload: clients that poll lose their connection with a message between the two",
			"host", m.Host, m.Setting, m.BodyLimit, "MaxPayload", s.opts.MaxPayload)
	}
}

// request copies the request of a handshake. What the host's developer should
// know is logged, now and then for each name.
func (s *Server) request(x host.Exchange) *Request {
	r, more, refused := copyRequest(x)
	for name, why := range refused {
		if _, ok := s.notices.Allow("not kept", name); ok {
			s.opts.Logger.Warn("siokit: not kept in Request.Values", "name", name, "why", why)
		}
	}
	if a, ok := host.As[virtsocket.Anonymous](x); ok {
		if suppressed, ok := s.notices.Allow("hidden cookies", a.HiddenFrom()); ok {
			s.opts.Logger.Info("siokit: the cookies of a page of another origin are hidden", "origin", a.HiddenFrom(), "option", "Origins: list the origins that may use them", "suppressed", suppressed)
		}
	}
	if more.Believes != nil && !s.asked.Swap(true) {
		if setting := more.Believes(); setting != "" {
			s.opts.Logger.Warn("siokit: Request.ClientIP is what any client claims in a header such as X-Forwarded-For: name the proxies that may, or do not use it for limits and bans",
				"setting", setting)
		}
	}
	return r
}
