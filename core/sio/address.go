package sio

import (
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
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

// repairText is what Legacy.RepairTextOf says about a client; RepairText when it
// panics, or says nothing that is a choice.
func (s *Server) repairText(x host.Exchange) eio3.Repair {
	l := &s.opts.Legacy
	var name string
	_ = s.apart(inRepairTextOf, nil, nil, func() error { name = l.RepairTextOf(x); return nil })
	if name == "" {
		name = l.RepairText
	}
	r, err := eio3.ParseRepair(name)
	if err != nil {
		if _, ok := s.notices.Allow("RepairTextOf", ""); ok {
			s.opts.Logger.Error("siokit: RepairTextOf", "error", err)
		}
		r, _ = eio3.ParseRepair(l.RepairText)
	}
	return r
}
