package sio

import (
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// address is who a handshake comes from, for the bounds per address, by
// Options.Address. When that panics, the peer counts: a bound must not end with a
// fault of the application.
func (s *Server) address(x host.Exchange) (name string) {
	if s.apart(inAddress, nil, nil, func() error { name = s.opts.Address(x); return nil }) != nil {
		return virtsocket.PeerAddress(x)
	}
	return name
}

// repairText is what Options.RepairTextOf says about a client; RepairText when it
// panics.
func (s *Server) repairText(x host.Exchange) (r RepairText) {
	r = s.opts.RepairText
	_ = s.apart(inRepairTextOf, nil, nil, func() error { r = s.opts.RepairTextOf(x); return nil })
	return r
}
