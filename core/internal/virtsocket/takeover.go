package virtsocket

import (
	"net/http"
	"slices"
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
// What the connection has read by then still counts, and may have to wait for room in
// the inbox. The next transport is read only when all of it has its turn: otherwise the
// next transport's messages could overtake it, and two readers would decode at once. So
// the cut waits for the batches (Begin, End) that are open. It does not wait for one
// whose message is inside application code: that one has its turn (AllowHandoff), and
// what was read behind it is handed to another reader, with a batch of its own.
type replaceableLink struct {
	*Socket
	leaving atomic.Bool // another transport takes over: nothing leaves here any more
	gone    atomic.Bool // nothing is taken from here any more; set with turn held

	turn    sync.Mutex    // a leaf: nothing is called while it is held
	batches int           // that are open
	frames  uint64        // that have begun
	inside  uint64        // the number of the one that has no turn yet; 0: none
	handed  []uint64      // those inside application code, whose batch is not waited for
	cutting bool          // the connection is gone with the last batch
	ordered chan struct{} // closed then, if somebody waits
}

// Begin implements transport.Link.
func (l *replaceableLink) Begin() {
	l.turn.Lock()
	l.batches++
	l.turn.Unlock()
	l.Socket.Begin()
}

// End implements transport.Link.
func (l *replaceableLink) End() {
	l.turn.Lock()
	l.batches--
	l.settle()
	l.turn.Unlock()
	l.Socket.End()
}

// settle ends the cut when everything that was read has its turn; l.turn is held.
func (l *replaceableLink) settle() {
	if !l.cutting || l.batches > len(l.handed) {
		return
	}
	l.gone.Store(true)
	if l.ordered != nil {
		close(l.ordered)
		l.ordered = nil
	}
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
	defer l.returned(n)
	return l.Socket.Frame(f)
}

// current is the number of the frame inside, for the goroutine that has brought it.
func (l *replaceableLink) current() uint64 {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.inside
}

// hasTurn notes that frame n has its turn in the order of the session, and is being
// handled (Socket.AllowHandoff). The next one may be inside already.
func (l *replaceableLink) hasTurn(conn transport.Conn, n uint64) {
	if l.leaving.Load() {
		conn.Detach() // what was read behind it must not wait for it
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if n == 0 {
		return
	}
	l.handed = append(l.handed, n)
	if l.inside == n {
		l.inside = 0
	}
	l.settle()
}

// returned notes the end of frame n.
func (l *replaceableLink) returned(n uint64) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.inside == n {
		l.inside = 0
	}
	if i := slices.Index(l.handed, n); i >= 0 {
		l.handed = slices.Delete(l.handed, i, i+1)
	}
}

// cut makes the connection nothing to the session. It returns when all that was read
// has its turn. Nothing of the network is waited for: a batch is what was read already.
func (l *replaceableLink) cut(conn transport.Conn) {
	l.leaving.Store(true)
	conn.Detach() // as in hasTurn, which from here on sees leaving
	l.turn.Lock()
	l.cutting = true
	l.ordered = make(chan struct{})
	wait := l.ordered
	l.settle()
	l.turn.Unlock()
	<-wait
	conn.Close(transport.NoStatus, "")
}

// Unit implements transport.Link; a duplex transport brings frames.
func (*replaceableLink) Unit(packet.Unit) bool { return false }

// Next implements transport.Link.
func (l *replaceableLink) Next() []*packet.Message {
	if l.leaving.Load() {
		return nil
	}
	return l.Socket.Next()
}

// Lost implements transport.Link.
func (l *replaceableLink) Lost(err error) {
	if !l.leaving.Load() {
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
	if l != nil {
		l.cut(conn)
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
