package virtsocket

import (
	"net/http"
	"slices"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/httpreq"
)

// What a request counts as is decided here: which generation it is of, and
// whether it may be served before any session is looked up.

// recognise returns the dialect of a request, nil when no enabled one knows it.
// A request that says its generation is of that one. One that names a session
// alone is of the session's. What is left is of the first dialect that takes it
// for one of its own.
func (h *Hub) recognise(x host.Exchange) dialect.Dialect {
	if d := recognise(x, h.opts.Dialects); d != nil {
		return d
	}
	for _, d := range h.opts.Dialects {
		g, ok := d.(dialect.Guesser)
		if !ok {
			continue
		}
		if sid := g.Resumes(x); dialect.ValidSID(sid) {
			if s := h.get(sid); s != nil {
				if _, ok := s.dialect.(dialect.Guesser); ok {
					return s.dialect
				}
			}
		}
	}
	return guess(x, h.opts.Dialects)
}

// recognise returns the first dialect that knows the request by what it says.
func recognise(x host.Exchange, among []dialect.Dialect) dialect.Dialect {
	for _, d := range among {
		if d.Recognise(x) {
			return d
		}
	}
	return nil
}

// guess returns the first dialect that takes the request for one of its own.
func guess(x host.Exchange, among []dialect.Dialect) dialect.Dialect {
	for _, d := range among {
		if g, ok := d.(dialect.Guesser); ok && g.Guess(x) {
			return d
		}
	}
	return nil
}

// unrecognised answers a request of no enabled dialect: the reference looks at
// the transport first and at the version last.
func (h *Hub) unrecognised(x host.Exchange, hd head) {
	off := recognise(x, h.opts.Off)
	if off == nil {
		off = guess(x, h.opts.Off)
	}
	d, ref := off, h.transportKnown(x.Query("transport"))
	switch {
	case off != nil:
		why := h.opts.NotServed[off.Name()]
		if why == "" {
			why = off.Name() + " is not among Options.Dialects"
		}
		ref = &dialect.Refusal{Code: dialect.UnsupportedVersion, Message: dialect.UnsupportedVersion.Text() + ": " + why}
	case ref == nil:
		ref = &dialect.Refusal{Code: dialect.UnsupportedVersion}
	}
	if d == nil {
		d = h.opts.Dialects[0]
	}
	if !h.opts.Origins.admit(x, hd) {
		ref = foreign()
	}
	h.refuse(x, d, ref)
}

// foreign is the refusal of a page that may not talk to the server.
func foreign() *dialect.Refusal {
	return &dialect.Refusal{Code: dialect.Forbidden, Context: "origin", Cause: dialect.CauseOrigin}
}

// transportKnown refuses transports that are not enabled. One that exists is
// named, with what would enable it.
func (h *Hub) transportKnown(name string) *dialect.Refusal {
	if h.form(name) != nil || h.duplex(name) != nil {
		return nil
	}
	ref := &dialect.Refusal{Code: dialect.UnknownTransport}
	if slices.Contains(dialect.Transports, name) {
		ref.Message = ref.Text() + ": " + name + " is not among Options.Transports"
	}
	return ref
}

// check applies the rules that hold before any session is looked up.
func (h *Hub) check(x host.Exchange, hd head, d dialect.Dialect, req dialect.Request) *dialect.Refusal {
	if _, greets := d.(dialect.Greeter); req.End || greets && req.Transport == "" {
		return nil
	}
	if ref := h.transportKnown(req.Transport); ref != nil {
		return ref
	}
	duplex := h.duplex(req.Transport) != nil
	upgrade := httpreq.WantsUpgrade(x)
	switch {
	case included(req) && !h.opts.Origins.embeds(x, hd):
		return &dialect.Refusal{Code: dialect.Forbidden, Context: "included by a foreign page", Cause: dialect.CauseOrigin}
	case req.SID == "" && !duplex && upgrade:
		return &dialect.Refusal{Code: dialect.UnknownTransport, Context: "upgrade request for polling"}
	case req.SID == "" && x.Method() != http.MethodGet:
		return &dialect.Refusal{Code: dialect.BadHandshakeMethod}
	case duplex && !upgrade:
		return &dialect.Refusal{Code: dialect.BadRequest, Context: "transport handshake error: no upgrade request", Cause: dialect.CauseUpgrade}
	case duplex != upgrade:
		return &dialect.Refusal{Code: dialect.BadRequest, Context: "transport mismatch"}
	}
	return nil
}

// included reports whether any page can include the answer, as a script or a frame.
func included(req dialect.Request) bool {
	return req.Transport == dialect.JSONP || req.Transport == dialect.HTMLFile
}
