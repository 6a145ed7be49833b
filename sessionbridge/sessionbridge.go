// Package sessionbridge shows the web session of the host framework to the
// namespaces, live: read, change, log out, rotate.
//
//	bridge := sessionbridge.New(backend, &sessionbridge.Options{Require: true})
//	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
//	io.Of("/").Guard(sessionbridge.Authenticated("user"))
//	...
//	bridge.Logout(ctx, id)                     // in the host's logout handler
//
// In a handler:
//
//	sess, ok := sessionbridge.From(s)
//	user := sess.Get("user")
//	err := sess.Update(ctx, func(v sessionbridge.Values) error { v["seen"] = time.Now().Unix(); return nil })
//
// # What it promises
//
// A session is known by its id alone; no object of the framework is kept. The
// bridge never creates a session and never brings one back that was destroyed.
// Update loads, changes and saves in one step, and tries again when somebody else
// was faster; there is no plain Save, which would invite saving stale data.
//
// Every HTTP request of a connection is compared with its handshake: with another
// session, or none, it is refused and the connection is dropped, so that the client
// comes back with what it has now. Sessions in cookies have no id, so what they hold is
// compared: with Options.UserKey the user, else everything that was there at the handshake.
//
// A cookie whose session is no more, after an expiry or a restart, is a stranger's.
// A session that ends while its sockets are connected ends them.
//
// # What it cannot do
//
// An HTTP handler that has loaded the session before an Update and saves after it
// overwrites it: the libraries save everything. Bridge.Guard, or Lock, around such
// handlers prevents it in one process; several need a store with CompareAndSwapper.
// A new session cannot be made from a socket, and the cookie of one cannot be
// renewed: the page does that. Sessions whose values live in the cookie itself are
// read-only (ErrReadOnly) but for Options.WriteCookieOnPoll, and logging out of one cannot
// be enforced: its old cookie stays valid.
//
// The route of the socket must stay outside of middleware that saves sessions by
// itself after the handler, such as LoadAndSave of scs.
package sessionbridge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// Errors of sessions and backends.
var (
	// ErrNoSession: the request carries no session.
	ErrNoSession = errors.New("sessionbridge: the request carries no session")
	// ErrDestroyed: the session is gone, by logout, expiry, or a change of its id.
	ErrDestroyed = errors.New("sessionbridge: the session is gone")
	// ErrReadOnly: the values live in a cookie, and no answer is left to carry it.
	ErrReadOnly = errors.New("sessionbridge: the session lives in a cookie, which a socket cannot change")
	// ErrConflict: the session was changed by others again and again.
	ErrConflict = errors.New("sessionbridge: the session keeps changing")
)

// Values are what a session holds.
type Values map[string]any

// Backend knows one session library. It never creates a session and never brings
// one back. All methods are safe for concurrent use.
type Backend interface {
	// Identify returns the id of the session that a request carries, without
	// asking the store, or ErrNoSession.
	Identify(r *sio.Request) (id string, err error)
	// Load returns the values of a session, which are the caller's, or
	// ErrDestroyed.
	Load(ctx context.Context, id string) (Values, error)
	// Save replaces the values of a session, or returns ErrDestroyed when there
	// is none with this id any more.
	Save(ctx context.Context, id string, v Values) error
	// Delete destroys a session. One that is gone already is no error.
	Delete(ctx context.Context, id string) error
}

// CompareAndSwapper is a Backend whose store can save on condition that nobody
// else has: then Update is safe among several processes, and against HTTP handlers.
type CompareAndSwapper interface {
	// LoadVersion is Load, with a version that changes at every save.
	LoadVersion(ctx context.Context, id string) (v Values, version string, err error)
	// SaveIf is Save, or returns ErrConflict when the version is another one.
	SaveIf(ctx context.Context, id, version string, v Values) error
}

// CookieBackend is a Backend whose values live in the cookie. What its Identify
// returns must be the same as long as the cookie means the same visitor, and may be
// the same for all of them: the bridge compares what the sessions hold (see Visitors).
// Load, Save and Delete are not called.
type CookieBackend interface {
	// Decode returns the values in a request's cookie, or ErrNoSession.
	Decode(r *sio.Request) (Values, error)
}

// CookieEncoder is a CookieBackend that can make the cookie for changed values:
// what Options.WriteCookieOnPoll needs.
type CookieEncoder interface {
	// Encode returns the cookie for the request's session with these values.
	Encode(r *sio.Request, v Values) (*http.Cookie, error)
}

// Toucher is a Backend that can put off a session's expiry without changing it.
type Toucher interface {
	// Touch counts as a use of the session; ErrDestroyed when it is gone.
	Touch(ctx context.Context, id string) error
}

// Inspector is a Backend that can see at a handshake that the host is set up in a
// way that breaks sessions.
type Inspector interface {
	// Inspect returns an error that says what is wrong. The handshake is refused,
	// and the error logged.
	Inspect(x host.Exchange) error
}

// Room is the name of the room that every socket of a session is in, in each of
// its namespaces. It is one of the server's own (sio.ServerRoom), so clients cannot
// ask for it, and it does not show the id, which is a secret.
func Room(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "\x00session:" + base64.RawURLEncoding.EncodeToString(sum[:15])
}

// UserRoom is the name of the room that every socket of a user is in, with
// Options.UserKey. It is one of the server's own (sio.ServerRoom), so clients cannot
// ask for it.
func UserRoom(user any) string { return fmt.Sprintf("\x00user:%v", user) }

var key = sio.NewKey[*Session]("sessionbridge")

// From returns the session behind a socket; ok is false when its handshake
// carried none, one that was no more, or one that has ended since. A *Session that
// comes with false, also nil, holds nothing and cannot be changed.
//
// It costs no load: the handshake has loaded the session. Only when the store failed
// then does From ask it, for at most Options.LoadTimeout, until there is an answer.
func From(s *sio.Socket) (sess *Session, ok bool) {
	sess, ok = key.Get(s.Conn())
	return sess, ok && sess.exists()
}
