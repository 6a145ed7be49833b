package gorillabridge_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/gorilla/sessions"

	"github.com/siokit/siokit/sessionbridge"
)

// TestFerrySameValue changes what was in the session at the handshake, again and
// again: each cookie is expected, and so is the one before.
func TestFerrySameValue(t *testing.T) {
	for _, user := range []string{"", "user"} {
		b := startFerry(t, &sessionbridge.Options{WriteCookieOnPoll: true, UserKey: user})
		const count = 10
		done := make(chan error, 1)
		go func() {
			defer func() { _ = b.io.Of("/").Emit("end") }()
			for i := range count {
				err := b.sess.Update(context.Background(), func(v sessionbridge.Values) error {
					v["user"] = []string{"ann", "Ann"}[i%2]
					v["n"] = i
					return nil
				})
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for over := false; !over; {
			before := b.c.Head
			a := b.get()
			if a.Status != http.StatusOK {
				t.Fatalf("user %q: %v", user, a)
			}
			if a.Header.Get("Set-Cookie") != "" { // a POST that was on its way has the cookie of before
				late := *b.poll
				late.Client = b.c.At(b.c.Path)
				late.Head = before
				if a := late.Post("6"); a.Status != http.StatusOK {
					t.Fatalf("user %q: a late POST: %v", user, a)
				}
			}
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				over = true
			default:
			}
		}
		if v := b.values(); v["n"] != count-1 || v["user"] != "Ann" {
			t.Errorf("%v", v)
		}
	}
}

// TestFerryForeign: a change never rides on a request of another visitor, whatever
// the sessions have in common.
func TestFerryForeign(t *testing.T) {
	for what, bob := range map[string]func(s *sessions.Session){
		"another user":     func(s *sessions.Session) { s.Values["user"] = "bob" },
		"nobody":           func(s *sessions.Session) { s.Values["lang"] = "en" },
		"an empty session": func(*sessions.Session) {},
		"keys of other types": func(s *sessions.Session) {
			s.Values[7] = "bob"
		},
	} {
		for _, user := range []string{"", "user"} {
			b := startFerry(t, &sessionbridge.Options{WriteCookieOnPoll: true, UserKey: user})
			foreign := *b.poll
			foreign.Client = b.c.At(b.c.Path)
			foreign.Head = handle(t, b.store, http.Header{}, bob)
			failed := make(chan error, 1)
			go func() {
				failed <- b.sess.Update(context.Background(), func(v sessionbridge.Values) error { v["role"] = "ann's"; return nil })
			}()
			if a := foreign.Get(); a.Status != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %v %v", what, a, a.Header)
			}
			if err := <-failed; !errors.Is(err, sessionbridge.ErrDestroyed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestHidden: what is under keys that are not strings tells visitors apart, and is
// not for sockets.
func TestHidden(t *testing.T) {
	b := startFerryAs(t, &sessionbridge.Options{WriteCookieOnPoll: true}, func(s *sessions.Session) { s.Values[7] = "ann" })
	if v := b.sess.Snapshot(); len(v) != 0 {
		t.Errorf("%v", v)
	}
	b.c.Head = handle(t, b.store, b.c.Head, func(s *sessions.Session) { s.Values["n"] = 1 }) // ann's own
	_ = b.io.Of("/").Emit("x")
	if a := b.get(); a.Status != http.StatusOK {
		t.Errorf("the visitor's own change: %v", a)
	}
	b.c.Head = handle(t, b.store, http.Header{}, func(s *sessions.Session) { s.Values[7] = "bob" })
	if a := b.get(); a.Status != http.StatusForbidden {
		t.Errorf("another visitor: %v", a)
	}
}
