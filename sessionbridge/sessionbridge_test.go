package sessionbridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
	"github.com/siokit/siokit/sessionbridge/memory"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var ctx = context.Background()

// plain is a store that cannot compare, and counts.
type plain struct {
	full     // of sessions
	sessions *memory.Store
	loads    atomic.Int64
	touch    atomic.Int64
	fail     atomic.Pointer[error]

	explode atomic.Bool
	hang    atomic.Pointer[chan struct{}]

	deleting func()                    // runs before Delete
	loading  func(ctx context.Context) // runs before Load
}

func (p *plain) Delete(ctx context.Context, id string) error {
	if p.deleting != nil {
		p.deleting()
	}
	return p.full.Delete(ctx, id)
}

// full is what the memory store can do.
type full interface {
	sessionbridge.Backend
	sessionbridge.CompareAndSwapper
	sessionbridge.Toucher
}

// what the interface has, without what memory can do beyond it
type only struct{ sessionbridge.Backend }

func (p *plain) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	p.loads.Add(1)
	if p.loading != nil {
		p.loading(ctx)
	}
	if hang := p.hang.Load(); hang != nil {
		<-*hang
	}
	if p.explode.Load() {
		panic("the store")
	}
	if err := p.fail.Load(); err != nil {
		return nil, *err
	}
	return p.full.Load(ctx, id)
}

func (p *plain) Touch(ctx context.Context, id string) error {
	p.touch.Add(1)
	return p.full.Touch(ctx, id)
}

// site is a server with a bridge, and sessions.
type site struct {
	t      *testing.T
	io     *sio.Server
	store  *plain
	bridge *sessionbridge.Bridge
	url    string
}

func start(t *testing.T, o *sessionbridge.Options, bare bool) *site {
	t.Helper()
	sessions := memory.New("sid", 0)
	s := &site{t: t, store: &plain{full: sessions.Backend().(full), sessions: sessions}}
	var be sessionbridge.Backend = s.store
	if bare {
		be = only{s.store}
	}
	s.bridge = sessionbridge.New(be, o)
	s.io = sio.NewServer(&sio.Options{OnHandshake: s.bridge.OnHandshake, Logger: slog.New(slog.DiscardHandler)})
	hs := httptest.NewServer(s.io)
	s.url = hs.URL
	t.Cleanup(func() {
		if err := s.io.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		hs.Close()
	})
	return s
}

// visitor has a session, and its id.
func (s *site) visitor(v sessionbridge.Values) (*wire.Client, string) {
	c := wire.New(s.t, s.url, "/socket.io/")
	cookie := s.store.sessions.Create(v)
	c.Head.Set("Cookie", cookie.Name+"="+cookie.Value)
	return c, cookie.Value
}

func never() *sessionbridge.Options { return &sessionbridge.Options{RevalidateEvery: -1} }

// TestRevalidation costs one load for each session and interval, however many
// sockets it has, and stops when nobody is there.
func TestRevalidation(t *testing.T) {
	s := start(t, never(), false)
	c, id := s.visitor(sessionbridge.Values{"user": "ann"})
	d, _ := s.visitor(nil)
	for range 5 {
		c.Join("")
	}
	w := d.Join("")
	s.store.loads.Store(0)
	for range 3 {
		if n := s.bridge.Revalidate(ctx); n != 0 {
			t.Errorf("%d ended", n)
		}
	}
	if n := s.store.loads.Load(); n != 6 {
		t.Errorf("three looks at two sessions with six sockets took %d loads", n)
	}
	broken := errors.New("store is down")
	s.store.fail.Store(&broken)
	if n := s.bridge.Revalidate(ctx); n != 0 {
		t.Errorf("%d sessions ended with the store", n)
	}
	s.store.fail.Store(nil)
	_ = s.store.Delete(ctx, id)
	if n := s.bridge.Revalidate(ctx); n != 1 {
		t.Errorf("%d ended", n)
	}
	w.Send(`421["x"]`)
	if m := w.Next(); !strings.HasPrefix(m, "431") {
		t.Errorf("the other session: %s", m)
	}
}

// TestRevalidatesByItself, and the goroutine that does ends with the last session.
func TestRevalidatesByItself(t *testing.T) {
	s := start(t, &sessionbridge.Options{RevalidateEvery: 10 * time.Millisecond}, false)
	for range 2 {
		c, id := s.visitor(nil)
		w := c.Join("")
		_ = s.store.Delete(ctx, id)
		w.End()
	}
	if left := testkit.Leaked(5 * time.Second); strings.Contains(left, "sessionbridge.(*Bridge).look") {
		t.Error(left)
	}
}

// bomb is a logger's handler, and an error, whose methods panic.
type bomb struct{}

func (bomb) Enabled(context.Context, slog.Level) bool  { return true }
func (bomb) Handle(context.Context, slog.Record) error { panic("Handle") }
func (bomb) WithAttrs([]slog.Attr) slog.Handler        { panic("WithAttrs") }
func (bomb) WithGroup(string) slog.Handler             { panic("WithGroup") }

func (bomb) Error() string { return "bomb" }
func (bomb) Is(error) bool { panic("Is") }

// TestLookingGoesOn: neither the logger nor the errors of a store end the goroutine that
// looks after the sessions, and the process with it.
func TestLookingGoesOn(t *testing.T) {
	s := start(t, &sessionbridge.Options{RevalidateEvery: 5 * time.Millisecond, Logger: slog.New(bomb{})}, false)
	c, id := s.visitor(nil)
	w := c.Join("")
	for _, err := range []error{errors.New("down"), bomb{}} {
		s.store.fail.Store(&err)
		for n := s.store.loads.Load() + 4; s.store.loads.Load() < n; {
			time.Sleep(time.Millisecond)
		}
		s.store.fail.Store(nil)
	}
	_ = s.store.Delete(ctx, id)
	w.End()
}

// TestUpdate: conflicts are tried again, in stores that can compare and in those
// that cannot.
func TestUpdate(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("bare=%t", bare), func(t *testing.T) {
			s := start(t, never(), bare)
			c, id := s.visitor(sessionbridge.Values{"n": 1})
			c.Join("")
			sess := s.bridge.Session(id)
			meddle := func(times int) func(sessionbridge.Values) error {
				return func(v sessionbridge.Values) error {
					v["n"] = v["n"].(int) + 1
					if times--; times >= 0 { // somebody is faster
						other, _ := s.store.full.Load(ctx, id)
						other["other"] = times
						_ = s.store.Save(ctx, id, other)
					}
					return nil
				}
			}
			if err := sess.Update(ctx, meddle(3)); err != nil {
				t.Error(err)
			}
			if v, _ := s.store.full.Load(ctx, id); v["n"] != 2 || v["other"] != 0 || sess.Get("n") != 2 {
				t.Errorf("%v, %v", v, sess.Snapshot())
			}
			if err := sess.Update(ctx, meddle(100)); !errors.Is(err, sessionbridge.ErrConflict) {
				t.Errorf("always in conflict: %v", err)
			}
			own := errors.New("own")
			if err := sess.Update(ctx, func(v sessionbridge.Values) error { v["n"] = 0; return own }); err != own {
				t.Error(err)
			}
			if v, _ := s.store.full.Load(ctx, id); v["n"] != 2 {
				t.Errorf("saved in spite of the error: %v", v)
			}
			sess.Snapshot()["n"] = 9
			if sess.Get("n") != 2 {
				t.Error("a snapshot is the session's own")
			}
			done, cancel := context.WithCancel(ctx)
			unlock, err := s.bridge.Lock(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := sess.Update(done, meddle(0)); !errors.Is(err, context.Canceled) {
				t.Errorf("while locked: %v", err)
			}
			unlock()
		})
	}
}

// TestNothingChanged is not saved.
func TestNothingChanged(t *testing.T) {
	s := start(t, never(), false)
	c, id := s.visitor(sessionbridge.Values{"n": 1})
	c.Join("")
	_, before, _ := s.store.LoadVersion(ctx, id)
	if err := s.bridge.Session(id).Update(ctx, func(v sessionbridge.Values) error { v["n"] = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, after, _ := s.store.LoadVersion(ctx, id); after != before {
		t.Error("it was saved")
	}
}

// TestLoads: the store is asked once, at the handshake, and again when somebody
// wants to know, also when it could not answer then.
func TestLoads(t *testing.T) {
	for _, required := range []bool{false, true} {
		s := start(t, &sessionbridge.Options{RevalidateEvery: -1, RequireSession: required}, false)
		s.io.Of("/").On("who", sio.Reply(func(ctx context.Context, so *sio.Socket, _ sio.None) (any, error) {
			if sess, ok := sessionbridge.From(ctx, so); ok {
				return sess.Get("user"), nil
			}
			return "nobody", nil
		}))
		c, id := s.visitor(sessionbridge.Values{"user": "ann"})
		w := c.Join("")
		for range 2 {
			w.Send(`421["who"]`)
			if m := w.Next(); m != `431["ann"]` {
				t.Error(m)
			}
			if user := s.bridge.Session(id).Get("user"); user != "ann" || s.store.loads.Load() != 1 {
				t.Errorf("%v after %d loads", user, s.store.loads.Load())
			}
		}
		broken := errors.New("store is down")
		s.store.fail.Store(&broken)
		d, _ := s.visitor(sessionbridge.Values{"user": "bob"})
		if required {
			if a := d.Must("GET", "EIO=4&transport=polling", ""); a.Status != 403 {
				t.Errorf("the store is down: %v", a)
			}
			continue
		}
		w = d.Join("")
		for i, want := range []string{"nobody", "bob"} {
			if i > 0 {
				s.store.fail.Store(nil)
			}
			w.Send(`421["who"]`)
			if m := w.Next(); m != `431["`+want+`"]` {
				t.Error(m)
			}
		}
	}
}

// TestRequire refuses strangers, and those whose session is gone.
func TestRequire(t *testing.T) {
	s := start(t, &sessionbridge.Options{RequireSession: true, RevalidateEvery: -1}, false)
	gone, id := s.visitor(nil)
	_ = s.store.Delete(ctx, id)
	for what, c := range map[string]*wire.Client{"none": wire.New(t, s.url, "/socket.io/"), "gone": gone} {
		if a := c.Must("GET", "EIO=4&transport=polling", ""); a.String() != `403 {"code":4,"message":"no session"}` {
			t.Errorf("%s: %v", what, a)
		}
	}
	c, _ := s.visitor(nil)
	c.Join("")
}

// TestDestroy ends every connection at once, and nothing else.
func TestDestroy(t *testing.T) {
	s := start(t, never(), false)
	c, id := s.visitor(nil)
	d, _ := s.visitor(nil)
	tabs := []*wire.WS{c.Join(""), c.Join("")}
	other := d.Join("")
	sess := s.bridge.Session(id)
	if err := sess.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	for _, w := range tabs {
		w.End()
	}
	if err := sess.Update(ctx, func(sessionbridge.Values) error { return nil }); !errors.Is(err, sessionbridge.ErrDestroyed) {
		t.Error(err)
	}
	if s.bridge.Session(id) != nil || s.bridge.Logout(ctx, id) != 0 {
		t.Error("it is still there")
	}
	other.Send(`421["x"]`)
	other.Next()
}

// TestRoom: all tabs of a browser are one room, whose name does not show the id.
func TestRoom(t *testing.T) {
	s := start(t, never(), false)
	s.io.Of("/chat")
	c, id := s.visitor(nil)
	d, _ := s.visitor(nil)
	a, b, other := c.Join(""), c.Join("/chat,"), d.Join("")
	_ = s.io.Of("/").To(sessionbridge.Room(id)).Emit("x")
	_ = s.io.Of("/chat").To(sessionbridge.Room(id)).Emit("x")
	_ = s.io.Of("/").Emit("end")
	for _, row := range []struct {
		w    *wire.WS
		want string
	}{{a, `42["x"]`}, {a, `42["end"]`}, {b, `42/chat,["x"]`}, {other, `42["end"]`}} {
		if m := row.w.Next(); m != row.want {
			t.Errorf("%s instead of %s", m, row.want)
		}
	}
	if strings.Contains(sessionbridge.Room(id), id) {
		t.Error("the room shows the id")
	}
}

// TestUser: a user is reached in every browser.
func TestUser(t *testing.T) {
	s := start(t, &sessionbridge.Options{RevalidateEvery: -1, UserKey: "user"}, false)
	ann, _ := s.visitor(sessionbridge.Values{"user": "ann"})
	elsewhere, _ := s.visitor(sessionbridge.Values{"user": "ann"})
	bob, _ := s.visitor(sessionbridge.Values{"user": "bob"})
	gone, id := s.visitor(nil)
	_ = s.store.Delete(ctx, id)
	tabs := []*wire.WS{ann.Join(""), elsewhere.Join(""), bob.Join(""), gone.Join("")}
	_ = s.io.Of("/").To(sessionbridge.UserRoom("ann")).Emit("x")
	_ = s.io.Of("/").Emit("end")
	for i, w := range tabs {
		if i < 2 {
			if m := w.Next(); m != `42["x"]` {
				t.Error(m)
			}
		}
		if m := w.Next(); m != `42["end"]` {
			t.Error(m)
		}
	}
}

// TestTouch: without an interval each event is a use of the session.
func TestTouch(t *testing.T) {
	s := start(t, never(), false)
	n := s.io.Of("/")
	n.Use(s.bridge.Touch(0))
	n.On("x", sio.Reply(func(context.Context, *sio.Socket, sio.None) (any, error) { return nil, nil }))
	c, _ := s.visitor(nil)
	w := c.Join("")
	for range 3 {
		w.Send(`421["x"]`)
		w.Next()
	}
	if n := s.store.touch.Load(); n != 3 {
		t.Errorf("%d touches by three events", n)
	}
	w.Reset()
}

// TestMiddleware: reloading before each event, and touching now and then.
func TestMiddleware(t *testing.T) {
	s := start(t, never(), false)
	n := s.io.Of("/")
	n.Use(s.bridge.ReloadBeforeEvent(), s.bridge.Touch(time.Hour))
	n.Guard(sessionbridge.Authenticated("user"))
	n.On("who", sio.Reply(func(ctx context.Context, so *sio.Socket, _ sio.None) (any, error) {
		sess, _ := sessionbridge.From(ctx, so)
		return sess.Get("user"), nil
	}))
	c, id := s.visitor(sessionbridge.Values{"user": "ann"})
	w := c.Join("")
	for i, user := range []string{"ann", "bob"} {
		if i > 0 {
			_ = s.store.Save(ctx, id, sessionbridge.Values{"user": user})
		}
		w.Send(`421["who"]`)
		if m := w.Next(); m != `431["`+user+`"]` {
			t.Error(m)
		}
	}
	if n := s.store.touch.Load(); n != 1 {
		t.Errorf("%d touches within an hour", n)
	}
	_ = s.store.Delete(ctx, id)
	w.Send(`421["who"]`)
	w.End()

	for what, c := range map[string]*wire.Client{"nobody": wire.New(t, s.url, "/socket.io/"), "no user": func() *wire.Client { c, _ := s.visitor(nil); return c }()} {
		w, _ := c.WebSocket()
		w.Send("40")
		if m := w.Next(); !strings.HasPrefix(m, "44") {
			t.Errorf("%s: %s", what, m)
		}
	}
}

// TestGuard: HTTP handlers that load, wait and save lose nothing.
func TestGuard(t *testing.T) {
	s := start(t, never(), true)
	c, id := s.visitor(sessionbridge.Values{"n": 0})
	c.Join("")
	h := s.bridge.LockHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		v, _ := s.store.full.Load(ctx, id)
		time.Sleep(time.Millisecond) // the handler thinks
		v["n"] = v["n"].(int) + 1
		_ = s.store.Save(ctx, id, v)
	}))
	sess := s.bridge.Session(id)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 25 {
				r := httptest.NewRequest("POST", "/", nil)
				r.Header.Set("Cookie", "sid="+id)
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
		wg.Go(func() {
			for range 25 {
				err := sess.Update(ctx, func(v sessionbridge.Values) error { v["n"] = v["n"].(int) + 1; return nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if v, _ := s.store.full.Load(ctx, id); v["n"] != 100 {
		t.Errorf("100 increments gave %v", v["n"])
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	unlock, _ := s.bridge.Lock(ctx, id)
	defer unlock()
	r := httptest.NewRequest("POST", "/", nil).WithContext(done)
	r.Header.Set("Cookie", "sid="+id)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != http.StatusServiceUnavailable {
		t.Error(rec.Code)
	}
}

// inCookie keeps values in the cookie.
type inCookie struct{ sessionbridge.Backend }

func (inCookie) Identify(r *sio.Request) (string, error) {
	if _, err := r.Cookie("user"); err != nil {
		return "", sessionbridge.ErrNoSession
	}
	return "cookie", nil
}

func (inCookie) Decode(r *sio.Request) (v, hidden sessionbridge.Values, err error) {
	c, err := r.Cookie("user")
	if err != nil {
		return nil, nil, sessionbridge.ErrNoSession
	}
	return sessionbridge.Values{"user": c.Value}, nil, nil
}

// TestCookie: values in a cookie can be read, and each visitor has their own.
func TestCookie(t *testing.T) {
	bridge := sessionbridge.New(inCookie{}, nil)
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	io.Of("/").On("try", sio.Reply(func(ctx context.Context, s *sio.Socket, _ sio.None) ([]any, error) {
		sess, _ := sessionbridge.From(ctx, s)
		return []any{
			sess.Get("user"), sess.ID(), sess.Reload(ctx) == nil,
			errors.Is(sess.Update(ctx, func(sessionbridge.Values) error { return nil }), sessionbridge.ErrReadOnly),
			errors.Is(sess.Destroy(ctx), sessionbridge.ErrReadOnly),
		}, nil
	}))
	hs := httptest.NewServer(io)
	defer hs.Close()
	defer func() { _ = io.Shutdown(ctx) }()
	for _, user := range []string{"ann", "bob"} {
		c := wire.New(t, hs.URL, "/socket.io/")
		c.Head.Set("Cookie", "user="+user)
		w := c.Join("")
		w.Send(`421["try"]`)
		if m := w.Next(); m != `431[["`+user+`","",true,true,true]]` {
			t.Error(m)
		}
		_ = w.Conn.Close()
	}
}

// TestOwnContext: OnHandshake needs the context that the server gives it.
func TestOwnContext(t *testing.T) {
	if err := sessionbridge.New(inCookie{}, nil).OnHandshake(ctx, nil, nil); err == nil {
		t.Error("no error")
	}
}
