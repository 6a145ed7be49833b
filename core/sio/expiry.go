package sio

import (
	"time"

	"github.com/siokit/siokit/core/internal/wheel"
)

// expiry is when a socket is disconnected by itself. It exists from the first ExpireAt on.
type expiry struct {
	s     *Socket
	timer wheel.Timer
	at    time.Time // zero: never; guarded by Socket.mu
	told  bool      // the client is being told: it is too late; guarded by Socket.mu
}

// maxExpiryWait is how long the wheel waits before the clock is looked at again: it may have
// been set meanwhile.
const maxExpiryWait = time.Hour

// What a client is told whose time is over. A refusal has no place for a code but its data.
var (
	expired    = &Error{Code: CodeExpired, Message: "expired"}
	notAnyMore = &Error{Code: CodeExpired, Message: "expired", Data: map[string]string{"code": CodeExpired}}
)

// ExpireAt has the socket disconnected at t, such as when the token of its client ends, in place
// of an earlier t: a later one renews. The zero time removes it. A t that has passed disconnects
// at once. ExpireAt is for OnConnect, handlers, and any other goroutine; the time ends with
// the socket.
//
// The client gets the error of EmitError with CodeExpired, and leaves the namespace as by
// Disconnect: official clients do not come back by themselves, so the page fetches a new token
// and connects again. OnDisconnect gets Expired. Events that wait are not handled any more. The
// client's sockets in other namespaces stay, but for those of clients whose connection ends with
// the default namespace. A socket that is still connecting is refused; official clients of
// 3.0 and later see err.message "expired" and err.data.code.
//
// The time is that of the system's clock. The end comes a tenth of a second late at most, or an
// hour when the clock was set meanwhile, and never early. With Options.Recovery a socket that
// comes back ends at the time of the earlier one, and is not recovered after that. The error is
// ErrDisconnected when the socket has ended, or was told that it expires: then the renewal came
// too late. For a client that has gone and whose last events are still handled it is nil.
func (s *Socket) ExpireAt(t time.Time) error {
	s.mu.Lock()
	x := s.expiry
	switch told := x != nil && x.told; {
	case !told && s.stillHeard():
		s.mu.Unlock()
		return nil
	case told || s.state.Load() == stateDisconnected:
		s.mu.Unlock()
		return ErrDisconnected
	}
	if x == nil {
		if t.IsZero() {
			s.mu.Unlock()
			return nil
		}
		x = &expiry{s: s}
		s.expiry = x
	}
	x.at = t.Round(0) // the clock of the system, which may be set, and not the one of this process
	over := x.arm()
	s.mu.Unlock()
	if over {
		x.end()
	}
	return nil
}

// arm sets the timer, or reports true when the time has come: then the caller calls end. The
// socket's mu is held.
func (x *expiry) arm() (over bool) {
	w := x.s.ns.srv.hub.Wheel()
	if x.at.IsZero() {
		w.Stop(&x.timer)
		return false
	}
	left := x.at.Sub(time.Now().Round(0))
	if left <= 0 {
		w.Stop(&x.timer)
		x.told = true
		return true
	}
	w.Set(&x.timer, x, min(left, maxExpiryWait))
	return false
}

// Expired implements wheel.Owner. A renewal may have been quicker.
func (x *expiry) Expired(*wheel.Timer) {
	s := x.s
	s.mu.Lock()
	over := s.state.Load() != stateDisconnected && !x.told && x.arm()
	s.mu.Unlock()
	if !over {
		return
	}
	s.ns.srv.running.Add()
	go func() { // encoding may take application code, for which the wheel must not wait
		defer s.ns.srv.running.Done()
		x.end()
	}()
}

// end tells the client and disconnects the socket. While the socket is connecting the error waits
// in Socket.early: a refusal drops it, and a client that is welcomed in this moment gets it.
func (x *expiry) end() {
	defer x.s.disconnect(Expired, true) // also when encoding has ended the goroutine
	_ = x.s.EmitError(expired)
}
