package sessionbridge

import (
	"context"
	"errors"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// ReloadBeforeEvent is a middleware that loads the session before every event, and refuses
// the event with the code "session" when it is gone. It costs a load for each event.
// Events of sockets that never had a session pass.
func (b *Bridge) ReloadBeforeEvent() sio.Middleware {
	return func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if s, ok := key.Get(ev.Socket.Conn()); ok { // also one that has ended
				stranger := !s.known()
				switch err := s.Reload(ctx); {
				case errors.Is(err, ErrDestroyed) && stranger:
				case errors.Is(err, ErrDestroyed):
					return sio.Errorf("session", "the session has ended")
				case err != nil:
					return err
				default:
					b.touch(ctx, s)
				}
			}
			return next.ServeEvent(ctx, ev)
		})
	}
}

// Touch is a middleware that puts off the session's expiry by what clients send,
// as Options.Touch says.
func (b *Bridge) Touch() sio.Middleware {
	return func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if s, ok := From(ctx, ev.Socket); ok {
				b.touch(ctx, s)
			}
			return next.ServeEvent(ctx, ev)
		})
	}
}

func (b *Bridge) touch(ctx context.Context, s *Session) {
	if b.opts.Touch > 0 {
		s.touch(ctx, b.opts.Touch)
	}
}

// Authenticated is a policy for sockets whose session has a value under a key,
// such as the user. It looks at the values as they were last loaded.
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
