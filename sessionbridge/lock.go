package sessionbridge

import (
	"context"
	"net/http"

	"github.com/siokit/siokit/core/sio"
)

// lock is the lock of one session id. It is there while somebody holds it or waits
// for it. Bridge.mu guards users and gone.
type lock struct {
	ch    chan struct{} // holds one value when free
	users int
	gone  bool // the session was destroyed while somebody held the lock or waited for it
}

// Lock takes the lock of a session that Session.Update takes too, for HTTP handlers that
// load, change and save the session themselves, in this process. The lock must be held from
// before the load until after the save; then call unlock, once. Meanwhile the handler must
// not wait for a socket's handler that updates the same session. The error is that of ctx.
func (b *Bridge) Lock(ctx context.Context, id string) (unlock func(), err error) {
	_, unlock, err = b.lock(ctx, id)
	return unlock, err
}

func (b *Bridge) lock(ctx context.Context, id string) (l *lock, unlock func(), err error) {
	b.mu.Lock()
	l = b.locks[id]
	if l == nil {
		l = &lock{ch: make(chan struct{}, 1)}
		l.ch <- struct{}{}
		b.locks[id] = l
	}
	l.users++
	b.mu.Unlock()
	release := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(b.locks, id)
		}
	}
	select {
	case <-l.ch:
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
	return l, func() {
		l.ch <- struct{}{}
		release()
	}, nil
}

// over reports whether the session of a lock was destroyed since it was asked for.
func (b *Bridge) over(l *lock) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.gone
}

// LockHandler is Lock around an http.Handler, by the session that the request carries. The
// answer is 503 when the request ends before the lock is free. LockHandler must not be
// around the route of the socket. Sessions in cookies are not locked: each request carries
// a copy of its own.
func (b *Bridge) LockHandler(next http.Handler) http.Handler {
	if _, inCookie := b.be.(CookieBackend); inCookie {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := b.identify(&sio.Request{Method: r.Method, Host: r.Host, RawQuery: r.URL.RawQuery, Header: r.Header})
		if err == nil && id != "" {
			unlock, err := b.Lock(r.Context(), id)
			if err != nil {
				http.Error(w, "the session is busy", http.StatusServiceUnavailable)
				return
			}
			defer unlock()
		}
		next.ServeHTTP(w, r)
	})
}
