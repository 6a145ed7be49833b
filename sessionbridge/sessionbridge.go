// Package sessionbridge lets handlers of sockets read and change the web session of the
// page: the same session that the HTTP handlers of the application use.
//
// # The lines
//
// Three lines tie a session library to a server. The fourth goes into the logout
// handler:
//
//	bridge := sessionbridge.New(backend, &sessionbridge.Options{RequireSession: true})
//	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
//	io.Of("/").Guard(sessionbridge.Authenticated("user"))
//
//	bridge.Logout(ctx, id) // after the host has destroyed the session
//
// RequireSession refuses the connection of a page without a session. The guard refuses a
// namespace, and each event in it, when the session has no value "user"; every namespace
// needs a guard of its own. An official client connects again within a second after a
// logout; without these two it comes back as a visitor without a session.
//
// The backends are in sessionbridge/gorilla (for gorilla/sessions, gin-contrib/sessions
// and echo-contrib/session), scs, fiber, fiberv3 and memory.
//
// In a handler:
//
//	sess, ok := sessionbridge.From(ctx, s)
//	user := sess.Get("user")
//	err := sess.Update(ctx, func(v sessionbridge.Values) error { v["seen"] = time.Now().Unix(); return nil })
//
// # What is live
//
// The bridge knows a session by its id, and keeps no object of the framework. Session.Get
// returns what was loaded last: at the handshake, by Session.Reload, by Session.Update or
// by a revalidation. Session.Reload loads what HTTP handlers have written since, and
// Bridge.ReloadBeforeEvent does so before each event. Session.Update loads, changes and
// saves in one step, and tries again when another change was faster. There is no plain
// save, because a save of stale values would undo what others have written.
//
// The bridge never creates a session, and never brings one back that was destroyed. When
// the session of a cookie has expired, or was lost in a restart, its visitor has none.
//
// Every HTTP request of a connection is compared with its handshake. A request with
// another session, or with none, is refused and the connection is dropped; the client
// comes back with the cookie that it has then.
//
// # Logout
//
// Call Bridge.Logout behind the line that destroys the session. Logout drops the
// connections of all tabs. Session.Destroy is a logout that a handler of a socket starts.
//
// In a cluster (sio.Options.Cluster) the connections on all nodes are dropped at once, also
// those of handshakes that are under way; so they are when Session.Update changes the user.
// On a server whose first handshake may come after the first Logout, say so with
// io.Of("/").Mix(bridge). Each node revalidates the sessions that have connections there.
//
// # A new id at login
//
// An application should give a session a new id at login. Otherwise session fixation
// works: somebody who has planted the old id in the visitor's browser is logged in too.
// After the id has changed, call Bridge.Logout with the old id. A connection is never
// moved to the new id, for the same reason; the client comes back with the new cookie.
//
// # Revalidation
//
// A session that expires, or that is destroyed without a call of Logout, is noticed by
// looking it up: every Options.RevalidateEvery, once for each session that has
// connections. Its connections are dropped then, as by a logout. Where the store itself
// reports the end of sessions, call Logout from there.
//
// With Options.UserKey the connections of a session are dropped also when the session
// belongs to another user than before.
//
// # Rooms
//
// Room and UserRoom name the rooms of a session's and of a user's sockets:
//
//	io.Of("/").To(sessionbridge.UserRoom("ann")).Emit("mail", 3)
//	s.To(sessionbridge.Room(sess.ID())).Emit("moved") // the visitor's other tabs
//
// # Sessions whose values are in the cookie
//
// Such a session has no id, so what it holds is compared: with Options.UserKey the user,
// otherwise everything that it held at the handshake. A websocket shows no cookie after
// its handshake, and keeps the values of the handshake. The session is read-only
// (ErrReadOnly), except with Options.WriteCookieOnPoll. A logout cannot be enforced: a
// copied cookie stays valid until it expires.
//
// # What it cannot do
//
// An HTTP handler that has loaded the session before an Update and saves after it
// overwrites the update, because session libraries save everything. Bridge.LockHandler or
// Bridge.Lock around such handlers prevents this in one process. Several processes need a
// store with CompareAndSwapper.
//
// A socket can neither make a session nor renew its cookie, because no HTTP answer is left
// that would carry the cookie. The page does both.
//
// The route of the socket must stay outside of middleware that saves sessions after the
// handler, such as LoadAndSave of scs: the save would undo a logout.
//
// # How to write a backend
//
// A Backend has four methods. Identify finds the id in a request; Load, Save and Delete
// ask the store by that id. Three rules matter:
//
//   - Load and Save return ErrDestroyed for a session that the store does not have, also
//     for an id that somebody has made up. Save never creates a session.
//   - An error that does not say that the session is gone must not be ErrDestroyed:
//     ErrDestroyed drops the connections.
//   - The map that Load returns belongs to the caller.
//
// What else a store can do is found by a type assertion: CompareAndSwapper, Toucher,
// Inspector, CookieBackend, CookieEncoder. conformance.RunBackend verifies a backend, and
// conformance.Run with the option Sessions a host with it.
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

// Errors of sessions and backends. They may be wrapped: compare with errors.Is.
var (
	// ErrNoSession: the request carries no session, or the socket's visitor has none.
	ErrNoSession = errors.New("sessionbridge: the request carries no session")
	// ErrDestroyed: the session is gone, by logout, expiry, or a change of its id or user.
	ErrDestroyed = errors.New("sessionbridge: the session is gone")
	// ErrReadOnly: the values live in a cookie, and no answer is left to carry it.
	ErrReadOnly = errors.New("sessionbridge: the session lives in a cookie, which a socket cannot change")
	// ErrConflict: the session was changed by others in each of Options.Retries tries.
	ErrConflict = errors.New("sessionbridge: the session keeps changing")
)

// Values are what a session holds, by key. What a value may be is for the session library
// to say: most need types other than the basic ones to be registered with gob.
type Values map[string]any

// Backend knows one session library. It never creates a session and never brings one
// back. All methods are called from many goroutines at once. They should return when ctx
// ends. An error other than those below means that the store does not know: the session
// stays as it was.
type Backend interface {
	// Identify returns the id of the session that a request carries, without asking
	// the store, or ErrNoSession. The id need not be that of an existing session.
	Identify(r *sio.Request) (id string, err error)
	// Load returns the values of a session, in a map that belongs to the caller, or
	// ErrDestroyed.
	Load(ctx context.Context, id string) (Values, error)
	// Save replaces the values of a session, or returns ErrDestroyed when there is
	// none with this id any more. It does not keep v.
	Save(ctx context.Context, id string, v Values) error
	// Delete destroys a session. One that is gone already is no error.
	Delete(ctx context.Context, id string) error
}

// CompareAndSwapper is a Backend whose store can save on condition that nobody else has
// saved. Then Update is safe with several processes, and beside HTTP handlers.
type CompareAndSwapper interface {
	// LoadVersion is Load, with a version that changes at every save.
	LoadVersion(ctx context.Context, id string) (v Values, version string, err error)
	// SaveIf is Save. It returns ErrConflict, and saves nothing, when the session has
	// another version now.
	SaveIf(ctx context.Context, id, version string, v Values) error
}

// CookieBackend is a Backend whose values live in the cookie. What its Identify returns
// must stay the same as long as the cookie means the same visitor, and may be the same for
// all: the bridge compares what Decode returns. Load, Save and Delete are not called.
type CookieBackend interface {
	// Decode returns the values in a request's cookie, or ErrNoSession. Both maps belong
	// to the caller. hidden is what the session holds besides, such as values under keys
	// that are not strings: it tells visitors apart, and handlers do not see it. Its keys
	// must be other ones than those of v; nil when there is nothing.
	Decode(r *sio.Request) (v, hidden Values, err error)
}

// CookieEncoder is a CookieBackend that can make the cookie for changed values.
// Options.WriteCookieOnPoll needs one.
type CookieEncoder interface {
	// Encode returns the cookie for the request's session with these values, or
	// ErrNoSession. What Decode calls hidden stays as it is.
	Encode(r *sio.Request, v Values) (*http.Cookie, error)
}

// Toucher is a Backend whose store can put off a session's expiry without writing its
// values. Bridge.Touch needs one.
type Toucher interface {
	// Touch counts as a use of the session, or returns ErrDestroyed.
	Touch(ctx context.Context, id string) error
}

// Inspector is a Backend that can see at a handshake that the host is set up in a way that
// breaks sessions, such as a middleware around the socket's route.
type Inspector interface {
	// Inspect returns an error that says what is wrong, for the log. The handshake is
	// refused then. x must not be kept.
	Inspect(x host.Exchange) error
}

// Room is the name of the room that every socket of a session is in, in each of its
// namespaces, for as long as the socket lives: all tabs of a browser. Clients cannot ask
// for the room (see sio.ServerRoom). The name does not show the id, which is a secret.
// Sessions whose values are in the cookie have no such room.
func Room(id string) string { return roomPrefix + roomHash(id) }

const roomPrefix = "\x00session:"

func roomHash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// UserRoom is the name of the room that every socket of a user is in, in all browsers and
// namespaces, with Options.UserKey. user is the session's value under that key; two values
// that fmt prints alike share a room. Clients cannot ask for the room (see sio.ServerRoom).
func UserRoom(user any) string { return fmt.Sprintf("\x00user:%v", user) }

var key = sio.NewKey[*Session]("sessionbridge")

// From returns the session behind a socket. ok is false when the handshake carried no
// session, or one that was no more, and when the session has ended since. The methods of
// the *Session that comes with false, also of nil, can be called all the same: Get finds
// nothing, and Update returns an error, unless the store has come back.
//
// From does not ask the store, because the handshake has loaded the session. Only when the
// store failed at the handshake does From ask it, for as long as ctx lives and at most
// Options.LoadTimeout; ok is false when it fails again.
func From(ctx context.Context, s *sio.Socket) (sess *Session, ok bool) {
	sess, ok = key.Get(s.Conn())
	return sess, ok && sess.exists(ctx)
}
