package virtsocket

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// In the older dialects a session comes to its transport by a request of its own,
// and to another one by the next: the newest wins (dialect.Rules.NewestTransportWins).

// replaceableLink is the Link of a duplex connection of such a session. Once another
// transport has taken over, the connection is cut off, and its end ends nothing.
//
// The reader of the connection may be inside a message at that time, and may wait
// there for room in the inbox. The next transport is read only when the message
// has its turn (leave): otherwise the next transport's messages could overtake it,
// and two readers would decode at once.
type replaceableLink struct {
	*Socket
	gone atomic.Bool // set with turn held

	turn    sync.Mutex    // a leaf: nothing is called while it is held
	frames  uint64        // that have begun
	inside  uint64        // the number of the one that has no turn yet; 0: none
	ordered chan struct{} // closed when inside becomes 0, if somebody waits
}

// Frame implements transport.Link.
func (l *replaceableLink) Frame(f packet.Frame) error {
	l.turn.Lock()
	if l.gone.Load() {
		l.turn.Unlock()
		return transport.ErrClosed
	}
	l.frames++
	n := l.frames
	l.inside = n
	l.turn.Unlock()
	defer l.hasTurn(n)
	return l.Socket.Frame(f)
}

// hasTurn notes that frame n has its turn in the order of the session: the frame
// has been handled or queued, or (Socket.AllowHandoff) is the one that is being handled,
// and the next one may be inside already.
func (l *replaceableLink) hasTurn(n uint64) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if n == 0 {
		n = l.inside // only the reader of this one can be asking
	}
	if l.inside != n {
		return
	}
	l.inside = 0
	if l.ordered != nil {
		close(l.ordered)
		l.ordered = nil
	}
}

// cut makes the connection nothing to the session. It returns what to wait for
// before another transport is read, nil: for nothing.
func (l *replaceableLink) cut(conn transport.Conn) <-chan struct{} {
	l.turn.Lock()
	l.gone.Store(true)
	if l.inside != 0 {
		l.ordered = make(chan struct{})
	}
	wait := l.ordered
	l.turn.Unlock()
	conn.Close(transport.NoStatus, "")
	return wait
}

// Unit implements transport.Link; a duplex transport brings frames.
func (*replaceableLink) Unit(packet.Unit) bool { return false }

// Next implements transport.Link.
func (l *replaceableLink) Next() []*packet.Message {
	if l.gone.Load() {
		return nil
	}
	return l.Socket.Next()
}

// Lost implements transport.Link.
func (l *replaceableLink) Lost(err error) {
	if !l.gone.Load() {
		l.Socket.Lost(err)
	}
}

// replace moves the session to a duplex transport.
func (s *Socket) replace(x host.Exchange, t transport.Duplex) {
	l := &replaceableLink{Socket: s}
	err := t.Serve(x, l, func(conn transport.Conn) {
		if !s.startSwitch(nil) {
			l.cut(conn) // the session goes on with the transport that is taking over
			return
		}
		defer s.endSwitch()
		s.leaveTransport()
		first := false
		ok := s.install(conn, func() {
			s.legacy.link, s.poll, s.legacy.quiet = l, nil, false
			first = !s.legacy.opened
		})
		if !ok {
			return
		}
		if first {
			s.start()
			return
		}
		conn.Flush()
	})
	if err != nil {
		s.hub.refuseUpgrade(x, s.dialect, err)
	}
}

// leaveTransport ends what the session used until now; legacy.switching is held. What
// a request under way carries precedes what the next transport brings.
func (s *Socket) leaveTransport() {
	s.mu.Lock()
	poll, l, conn := s.poll, s.legacy.link, s.conn
	s.mu.Unlock()
	if poll != nil {
		poll.Retire()
	}
	if l == nil {
		return
	}
	if wait := l.cut(conn); wait != nil {
		<-wait
	}
}

// startSwitch takes the right to replace the session's transport, and endSwitch gives
// it back. The holder waits for what the old transport still brings, which may be
// long when the application does not keep up, so nobody else waits longer than an
// upgrade may take, or for a client that has left.
func (s *Socket) startSwitch(gone func() <-chan struct{}) bool {
	select {
	case s.legacy.switching <- struct{}{}:
		return true
	default:
	}
	var left <-chan struct{}
	if gone != nil {
		left = gone()
	}
	late := time.NewTimer(s.hub.opts.UpgradeTimeout)
	defer late.Stop()
	select {
	case s.legacy.switching <- struct{}{}:
		return true
	case <-left:
	case <-late.C:
	}
	return false
}

func (s *Socket) endSwitch() { <-s.legacy.switching }

// attach sees to it that a session which may take over polls. A request that merely
// brings something does not take the session from a duplex transport. It reports
// whether this is the session's first transport, and not ok when another request
// has been replacing the transport for too long.
func (s *Socket) attach(x host.Exchange, req dialect.Request) (first, ok bool) {
	if !s.rules().NewestTransportWins {
		return false, true
	}
	if !s.startSwitch(x.Gone) {
		return false, false
	}
	defer s.endSwitch()
	s.mu.Lock()
	stays := s.poll != nil || s.state != stateOpen || s.conn != nil && x.Method() != http.MethodGet
	s.mu.Unlock()
	if stays {
		return false, true
	}
	s.leaveTransport()
	if !s.startPolling(req.Transport) {
		return false, true
	}
	s.mu.Lock()
	first = !s.legacy.opened
	s.mu.Unlock()
	if first {
		s.open(s.firstMessage())
	}
	return first, true
}
