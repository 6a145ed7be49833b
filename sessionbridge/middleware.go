package sessionbridge

import (
	"context"
	"errors"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// ReloadBeforeEvent is a middleware for Namespace.Use that loads the session before every
// event, so that Session.Get is what the store has now. It refuses the event with the code
// "session" when the session is gone, and with the store's error when the store fails.
// Events of sockets that never had a session pass.
func (b *Bridge) ReloadBeforeEvent() sio.Middleware {
	return func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if s, ok := key.Get(ev.Socket.Conn()); ok { // also one that has ended
				unknown := !s.known()
				switch err := s.Reload(ctx); {
				case errors.Is(err, ErrDestroyed) && unknown:
				case errors.Is(err, ErrDestroyed):
					return sio.Errorf("session", "the session has ended")
				case err != nil:
					return err
				}
			}
			return next.ServeEvent(ctx, ev)
		})
	}
}

// Touch is a middleware for Namespace.Use that puts off the session's expiry when a socket
// sends an event, at most once in every; 0: at each event. It does nothing when the Backend
// is not a Toucher. Polls do not count: they would keep a session alive for ever. An event
// passes also when the store fails.
func (b *Bridge) Touch(every time.Duration) sio.Middleware {
	return func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if s, ok := From(ctx, ev.Socket); ok {
				s.touch(ctx, every)
			}
			return next.ServeEvent(ctx, ev)
		})
	}
}

// Authenticated is a policy for Namespace.Guard that allows sockets whose session has a
// value other than nil under a key, such as the user's name, and refuses all others. It
// looks at the values as they were last loaded.
func Authenticated(name string) acl.Policy {
	return acl.Authenticated(func(ctx context.Context, s acl.Subject) bool {
		socket, ok := s.(*sio.Socket)
		if !ok {
			return false
		}
		sess, ok := From(ctx, socket)
		return ok && sess.Get(name) != nil
	})
}
