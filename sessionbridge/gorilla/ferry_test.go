package gorillabridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/sessions"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// ferried is a browser whose session is in a cookie, connected by polling.
type ferried struct {
	t     *testing.T
	store *sessions.CookieStore
	io    *sio.Server
	c     *wire.Client
	poll  *wire.Session
	sess  *sessionbridge.Session
}

func startFerry(t *testing.T, o *sessionbridge.Options) *ferried {
	t.Helper()
	return startFerryAs(t, o, func(s *sessions.Session) { s.Values["user"] = "ann" })
}

// startFerryAs starts with what login puts into the session.
func startFerryAs(t *testing.T, o *sessionbridge.Options, login func(s *sessions.Session)) *ferried {
	t.Helper()
	b := &ferried{t: t, store: sessions.NewCookieStore(secret)}
	bridge := sessionbridge.New(gorillabridge.New(b.store, name), o)
	b.io = sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	found := make(chan *sessionbridge.Session, 1)
	b.io.Of("/").OnConnect(func(ctx context.Context, s *sio.Socket) error {
		sess, _ := sessionbridge.From(ctx, s)
		found <- sess
		return nil
	})
	hs := httptest.NewServer(b.io)
	b.c = wire.New(t, hs.URL, "/socket.io/")
	t.Cleanup(func() {
		b.c.Close()
		_ = b.io.Shutdown(context.Background())
		hs.Close()
	})
	b.c.Head = handle(t, b.store, http.Header{}, login)
	b.poll = b.c.Polling()
	b.poll.Join("")
	b.sess = <-found
	return b
}

// get polls once and keeps the cookie.
func (b *ferried) get() wire.Answer {
	a, err := b.poll.Do(context.Background(), "GET", b.poll.Query(), "")
	if err != nil {
		b.t.Error(err)
	}
	if set := a.Header.Get("Set-Cookie"); set != "" {
		cookie, _, _ := strings.Cut(set, ";")
		b.c.Head = http.Header{"Cookie": {cookie}}
	}
	if a.Body == "2" {
		b.poll.Post("3")
	}
	return a
}

// values are those of the browser's cookie.
func (b *ferried) values() (v map[any]any) {
	s, err := b.store.New(&http.Request{Header: b.c.Head}, name)
	if err != nil || s.IsNew {
		return nil
	}
	return s.Values
}

// TestFerry: changes by HTTP handlers and by sockets, one after the other on the
// same cookie, are all there in the end.
func TestFerry(t *testing.T) {
	b := startFerry(t, &sessionbridge.Options{WriteCookieOnPoll: true})
	const each = 20
	done := make(chan error, 1)
	go func() {
		defer func() { _ = b.io.Of("/").Emit("end") }() // ends the poll that is held
		for i := range each {
			err := b.sess.Update(context.Background(), func(v sessionbridge.Values) error {
				v[fmt.Sprintf("socket%d", i)] = i
				return nil
			})
			if err != nil {
				done <- fmt.Errorf("update %d: %w", i, err)
				return
			}
		}
		done <- nil
	}()
	for i := 0; ; i++ {
		b.get()
		if i < each { // between two polls the page does something
			b.c.Head = handle(t, b.store, b.c.Head, func(s *sessions.Session) { s.Values[fmt.Sprintf("http%d", i)] = i })
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			v := b.values()
			for i := range each {
				for _, k := range []string{"socket", "http"} {
					if v[fmt.Sprintf("%s%d", k, i)] != i {
						t.Errorf("%s%d is lost", k, i)
					}
				}
			}
			if v["user"] != "ann" || b.sess.Get("socket19") != 19 {
				t.Errorf("%v, %v", v["user"], b.sess.Snapshot())
			}
			return
		default:
		}
	}
}

// TestFerryLogout: a user who logs out while a poll is held stays logged out.
func TestFerryLogout(t *testing.T) {
	b := startFerry(t, &sessionbridge.Options{WriteCookieOnPoll: true})
	before := *b.poll
	before.Client = b.c.At(b.c.Path) // with the cookie as it is
	held := before.Hold()
	failed := make(chan error, 1)
	testkit.Pause(time.Second) // nothing tells from outside that a poll is held
	b.c.Head = http.Header{}
	go func() {
		failed <- b.sess.Update(context.Background(), func(v sessionbridge.Values) error { v["x"] = 1; return nil })
	}()
	if a := <-held; a.String() != "200 6" || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("the poll that was held: %v %v", a, a.Header)
	}
	if a := b.get(); a.Status != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("the next: %v %v", a, a.Header)
	}
	if err := <-failed; !errors.Is(err, sessionbridge.ErrDestroyed) {
		t.Error(err)
	}
}

// TestFerryEnds: what cannot be ferried says so.
func TestFerryEnds(t *testing.T) {
	change := func(v sessionbridge.Values) error { v["x"] = 1; return nil }
	t.Run("off", func(t *testing.T) {
		b := startFerry(t, nil)
		if err := b.sess.Update(context.Background(), change); !errors.Is(err, sessionbridge.ErrReadOnly) {
			t.Error(err)
		}
	})
	b := startFerry(t, &sessionbridge.Options{WriteCookieOnPoll: true})
	run := func(ctx context.Context, f func(v sessionbridge.Values) error) chan error {
		c := make(chan error, 1)
		go func() { c <- b.sess.Update(ctx, f) }()
		return c
	}
	t.Run("own error", func(t *testing.T) {
		own := errors.New("own")
		failed := run(context.Background(), func(sessionbridge.Values) error { return own })
		for {
			select {
			case err := <-failed:
				if err != own {
					t.Error(err)
				}
				return
			default:
				_ = b.io.Of("/").Emit("x") // polls end
				b.get()
			}
		}
	})
	t.Run("panic", func(t *testing.T) {
		caught := make(chan any, 1)
		go func() {
			defer func() { caught <- recover() }()
			_ = b.sess.Update(context.Background(), func(sessionbridge.Values) error { panic("own panic") })
		}()
		for {
			select {
			case p := <-caught: // Update's caller has it
				if !strings.HasPrefix(fmt.Sprint(p), "own panic\n") {
					t.Error(p)
				}
				return
			default:
				_ = b.io.Of("/").Emit("x")
				if a := b.get(); a.Status != http.StatusOK { // the poll, which only carried it, does not
					t.Fatal(a)
				}
			}
		}
	})
	t.Run("cookies are not kept", func(t *testing.T) {
		failed := run(context.Background(), change)
		for {
			select {
			case err := <-failed:
				if !errors.Is(err, sessionbridge.ErrConflict) {
					t.Error(err)
				}
				return
			default:
				head := b.c.Head
				_ = b.io.Of("/").Emit("x")
				b.get()
				b.c.Head = head
			}
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := <-run(ctx, change); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		failed := run(context.Background(), change)
		b.get() // the nudge
		w := b.poll.Probe()
		if err := <-failed; !errors.Is(err, sessionbridge.ErrReadOnly) {
			t.Error(err)
		}
		_ = w.Conn.Close()
	})
	t.Run("websocket", func(t *testing.T) {
		w := b.c.Join("")
		_ = w
		for s := range b.io.Of("/").All().Sockets(context.Background()) {
			if so := s.(*sio.Socket); so.Transport() == "websocket" {
				sess, _ := sessionbridge.From(context.Background(), so)
				if err := sess.Update(context.Background(), change); !errors.Is(err, sessionbridge.ErrReadOnly) {
					t.Error(err)
				}
			}
		}
	})
}
