package conformance

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

// bridged is a backend with a bridge and a server, for the tests about logouts that
// come at the wrong moment.
type bridged struct {
	BackendUnderTest
	t      *testing.T
	bridge *sessionbridge.Bridge
	io     *sio.Server
	url    string
}

// bridgeTests are those of RunBackend that need a bridge.
var bridgeTests = []struct {
	name string
	opts sessionbridge.Options
	run  func(b *bridged)
}{
	{
		name: "logout-during-save",
		run:  func(b *bridged) { b.whileSaving(func(h http.Header, id string) { b.logout(h, id) }, nil) },
	},
	{
		name: "logout-during-save-told-later",
		run:  bridgeLogoutDuringSaveToldLater,
	},
	{
		name: "logout-during-save-of-one-who-left",
		run:  bridgeLogoutDuringSaveOfOneWhoLeft,
	},
	{
		name: "logout-beside-handshake",
		run:  func(b *bridged) { b.besideHandshake(false) },
	},
	{
		name: "logout-beside-handshake-required",
		opts: sessionbridge.Options{RequireSession: true},
		run:  func(b *bridged) { b.besideHandshake(true) },
	},
	{
		name: "cookie-of-before",
		run:  bridgeCookieOfBefore,
	},
	{
		name: "cookie-of-before-required",
		opts: sessionbridge.Options{RequireSession: true},
		run:  bridgeCookieOfBeforeRequired,
	},
	{
		name: "ends-while-connected",
		run:  bridgeEndsWhileConnected,
	},
}

func bridgeLogoutDuringSaveToldLater(b *bridged) {
	b.whileSaving(func(h http.Header, _ string) { b.Destroy(b.t, h) }, func(id string) { b.bridge.Logout(context.Background(), id) })
}

func bridgeLogoutDuringSaveOfOneWhoLeft(b *bridged) {
	b.whileSaving(func(h http.Header, id string) {
		for s := range b.io.Of("/").All().Sockets(context.Background()) {
			s.(*sio.Socket).CloseTransport()
		}
		b.until("the connection has ended", func() bool { return b.bridge.Session(id) == nil })
		b.logout(h, id)
	}, nil)
}

func bridgeCookieOfBefore(b *bridged) {
	h := b.Create(b.t, sessionbridge.Values{"user": "ann"})
	b.Destroy(b.t, h)
	c := b.client(h)
	w := c.Join("")
	b.want(w, "none")
	b.bridge.Revalidate(context.Background())
	b.want(w, "none")
}

func bridgeCookieOfBeforeRequired(b *bridged) {
	h := b.Create(b.t, sessionbridge.Values{"user": "ann"})
	b.Destroy(b.t, h)
	if a := b.client(h).Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusForbidden {
		b.t.Errorf("a handshake with the cookie of a session that is gone: %v", a)
	}
}

func bridgeEndsWhileConnected(b *bridged) {
	h := b.Create(b.t, sessionbridge.Values{"user": "ann"})
	w := b.client(h).Join("")
	b.Destroy(b.t, h)
	if n := b.bridge.Revalidate(context.Background()); n != 1 {
		b.t.Errorf("%d sessions have ended", n)
	}
	w.End()
}

// loads is a backend that says when it has loaded.
type loads struct {
	sessionbridge.Backend
	loaded func(id string)
}

// Load implements sessionbridge.Backend.
func (l *loads) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	v, err := l.Backend.Load(ctx, id)
	if f := l.loaded; f != nil {
		l.loaded = nil
		f(id)
	}
	return v, err
}

// runBridge runs one of bridgeTests.
func runBridge(t *testing.T, b BackendUnderTest, o sessionbridge.Options, run func(b *bridged)) {
	o.RevalidateEvery = -1
	x := &bridged{BackendUnderTest: b, t: t}
	x.use(b.Backend, o)
	run(x)
}

// use starts the bridge of a backend, and its server.
func (b *bridged) use(be sessionbridge.Backend, o sessionbridge.Options) {
	b.bridge = sessionbridge.New(be, &o)
	b.io = sio.NewServer(&sio.Options{OnHandshake: b.bridge.OnHandshake})
	b.io.Of("/").On("who", sio.Reply(func(ctx context.Context, s *sio.Socket, _ sio.None) (any, error) {
		if sess, ok := sessionbridge.From(ctx, s); ok {
			return sess.Get("user"), nil
		}
		return "none", nil
	}))
	hs := httptest.NewServer(b.io)
	b.url = hs.URL
	io := b.io
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := io.Shutdown(ctx); err != nil {
			b.t.Error(err)
		}
		hs.Close()
	})
}

func (b *bridged) client(h http.Header) *wire.Client {
	c := wire.New(b.t, b.url, "/socket.io/")
	c.Head = h.Clone()
	b.t.Cleanup(c.Close)
	return c
}

// want asks who the socket is for the server.
func (b *bridged) want(w *wire.WS, user string) {
	b.t.Helper()
	w.Send(`421["who"]`)
	if m := w.Next(); m != `431["`+user+`"]` {
		b.t.Errorf("%s instead of %s", m, user)
	}
}

func (b *bridged) until(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not in time: %s", what)
		}
	}
}

// logout is what a host's handler does.
func (b *bridged) logout(h http.Header, id string) {
	b.Destroy(b.t, h)
	b.bridge.Logout(context.Background(), id)
}

// gone verifies that a session has not come back.
func (b *bridged) gone(h http.Header, id string) {
	b.t.Helper()
	if got := b.Read(b.t, h); got != nil {
		b.t.Errorf("the old cookie is good again: %v", got)
	}
	if _, err := b.Backend.Load(context.Background(), id); !errors.Is(err, sessionbridge.ErrDestroyed) {
		b.t.Errorf("Load: %v", err)
	}
}

// whileSaving changes a session, and has something happen after the backend has
// looked and before its save is done.
func (b *bridged) whileSaving(meanwhile func(h http.Header, id string), afterwards func(id string)) {
	if b.Slow == nil {
		b.t.Skip("nothing comes between the look and the save of this store")
	}
	h := b.Create(b.t, sessionbridge.Values{"user": "ann"})
	id := b.id(b.t, h)
	w := b.client(h).Join("")
	sess := b.bridge.Session(id)
	if sess == nil {
		b.t.Fatal("the session has no connection")
	}
	reached := false
	b.Slow(b.t, func() {
		reached = true
		meanwhile(h, id)
	})
	err := sess.Update(context.Background(), update)
	if !reached {
		b.t.Fatal("Slow has not been called: the save did not reach the store")
	}
	if afterwards != nil {
		afterwards(id)
	} else if !errors.Is(err, sessionbridge.ErrDestroyed) {
		b.t.Errorf("Update: %v", err)
	}
	b.gone(h, id)
	w.End()
}

// besideHandshake logs out when the handshake has loaded the session and not yet
// done anything with it.
func (b *bridged) besideHandshake(required bool) {
	h := b.Create(b.t, sessionbridge.Values{"user": "ann"})
	slow := &loads{Backend: b.Backend}
	b.use(slow, sessionbridge.Options{RevalidateEvery: -1, RequireSession: required})
	slow.loaded = func(id string) { b.logout(h, id) }
	c := b.client(h)
	if required {
		if a := c.Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusForbidden {
			b.t.Errorf("a handshake whose session was destroyed: %v", a)
		}
		return
	}
	b.want(c.Join(""), "none")
	if n := b.io.Stats().Sockets; n != 1 {
		b.t.Errorf("%d sockets", n)
	}
}
