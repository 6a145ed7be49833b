package virtsocket

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/host"
)

// Limits bound the sessions of a Hub. A bound of 0 is none.
//
// A session is pending from its handshake until its handler has called
// Socket.Settle and the client has come back: with a further request, or by
// having a duplex transport. Until then a session has cost its client one
// request that needs no answer.
type Limits struct {
	Connections           int // sessions, with those that are saying goodbye
	ConnectionsPerAddress int
	Pending               int
	PendingPerAddress     int
	// Address names who is counted for the bounds per address; "": nobody. It
	// must not panic. Only its first 64 bytes count. Nil: PeerAddress, and a line in
	// the log when a peer has none.
	Address func(x host.Exchange) string
}

// PeerAddress is the address of the connection's peer without its port, of IPv6
// the network of 64 bits: one client has as many addresses in it as it likes. It
// is "" when the connection has no such address, as with a Unix socket.
func PeerAddress(x host.Exchange) string {
	remote := x.RemoteAddr()
	ip, err := netip.ParseAddr(remote)
	if ap, err2 := netip.ParseAddrPort(remote); err2 == nil {
		ip, err = ap.Addr(), nil
	}
	if err != nil {
		return ""
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	p, _ := ip.Prefix(64)
	return p.String()
}

// limiter counts sessions for Limits. Its lock is taken with any other held, and
// nothing is called under it.
type limiter struct {
	limits Limits

	mu             sync.Mutex
	total, pending int
	peers          map[string]*peer
}

// peer counts the sessions of one address, those that a bound is about. It is
// forgotten with the last of them.
type peer struct {
	name           string
	total, pending int
}

// slot is what one session takes of the bounds.
type slot struct {
	peer  *peer // nil: not counted for an address, or not any more; guarded by limiter.mu
	state atomic.Uint32
}

// What slot.state is made of. It only changes with limiter.mu held.
const (
	taken   = 1 << iota // counted in all
	settled             // the handler has accepted the client for good
	back                // the client has come back
)

// take takes a slot, or says which option keeps it from doing so. Every slot
// is given back once.
func (d *limiter) take(p *slot, address string) (option string) {
	l := &d.limits
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case l.Connections > 0 && d.total >= l.Connections:
		return "MaxConnections"
	case l.Pending > 0 && d.pending >= l.Pending:
		return "MaxPending"
	}
	if address != "" && (l.PendingPerAddress > 0 || l.ConnectionsPerAddress > 0) {
		at := d.peers[address]
		switch {
		case at == nil:
			at = &peer{name: strings.Clone(address)}
			if d.peers == nil {
				d.peers = make(map[string]*peer)
			}
			d.peers[at.name] = at
		case l.ConnectionsPerAddress > 0 && at.total >= l.ConnectionsPerAddress:
			return "MaxConnectionsPerAddress"
		case l.PendingPerAddress > 0 && at.pending >= l.PendingPerAddress:
			return "MaxPendingPerAddress"
		}
		at.total++
		at.pending++
		p.peer = at
	}
	d.total++
	d.pending++
	p.state.Store(taken)
	return ""
}

// note adds settled or back to a slot. With both it is not pending any more.
func (d *limiter) note(p *slot, what uint32) {
	if p.state.Load()&what != 0 {
		return // every request of a session comes by here
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	was := p.state.Load()
	if was&taken == 0 || was&what != 0 {
		return
	}
	p.state.Store(was | what)
	if was|what != taken|settled|back {
		return
	}
	d.pending--
	if p.peer == nil {
		return
	}
	p.peer.pending--
	if d.limits.ConnectionsPerAddress <= 0 {
		d.forget(p)
	}
}

// giveBack gives a slot back.
func (d *limiter) giveBack(p *slot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := p.state.Load()
	if was&taken == 0 {
		return
	}
	p.state.Store(0)
	d.total--
	if was&(settled|back) != settled|back {
		d.pending--
		if p.peer != nil {
			p.peer.pending--
		}
	}
	if p.peer != nil {
		d.forget(p)
	}
}

// forget ends the counting of a slot for its address; d.mu is held.
func (d *limiter) forget(p *slot) {
	at := p.peer
	p.peer = nil
	if at.total--; at.total == 0 {
		delete(d.peers, at.name)
	}
}

// count is how many sessions are pending.
func (d *limiter) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pending
}
