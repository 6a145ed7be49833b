package sessionbridge_test

import (
	"errors"
	"testing"

	"github.com/siokit/siokit/sessionbridge"
)

// TestUserChanges: a session that has another user than before, also none, ends its
// connections, however that is seen; the store keeps it.
func TestUserChanges(t *testing.T) {
	for what, see := range map[string]func(s *site, id string) error{
		"looked up":   func(s *site, _ string) error { s.bridge.Revalidate(ctx); return sessionbridge.ErrDestroyed },
		"reloaded":    func(s *site, id string) error { return s.bridge.Session(id).Reload(ctx) },
		"updated":     func(s *site, id string) error { return s.bridge.Session(id).Update(ctx, nil) },
		"another tab": nil,
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t, &sessionbridge.Options{RevalidateEvery: -1, UserKey: "user"}, false)
			c, id := s.visitor(sessionbridge.Values{"user": "ann"})
			w := c.Join("")
			if s.bridge.Revalidate(ctx) != 0 {
				t.Error("ended without a change")
			}
			if err := s.store.Save(ctx, id, sessionbridge.Values{"user": "bob"}); err != nil {
				t.Fatal(err)
			}
			if see == nil {
				tab := c.Join("")
				defer tab.Reset()
				_ = s.io.Of("/").To(sessionbridge.UserRoom("bob")).Emit("x")
				if m := tab.Next(); m != `42["x"]` {
					t.Errorf("the new tab: %s", m)
				}
			} else if err := see(s, id); !errors.Is(err, sessionbridge.ErrDestroyed) {
				t.Error(err)
			}
			w.End()
			again := c.Join("")
			_ = s.io.Of("/").To(sessionbridge.UserRoom("bob")).Emit("y")
			if m := again.Next(); m != `42["y"]` {
				t.Errorf("come back: %s", m)
			}
		})
	}
}

// TestLoginBySocket: Update may change who is logged in. The change stays, and the
// connections come back as that user's.
func TestLoginBySocket(t *testing.T) {
	for _, bare := range []bool{false, true} {
		s := start(t, &sessionbridge.Options{RevalidateEvery: -1, UserKey: "user"}, bare)
		c, id := s.visitor(sessionbridge.Values{"lang": "en"})
		w := c.Join("")
		sess := s.bridge.Session(id)
		if err := sess.Update(ctx, func(v sessionbridge.Values) error { v["user"] = "ann"; return nil }); err != nil {
			t.Fatal(err)
		}
		w.End()
		if err := sess.Reload(ctx); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("the session is still that of %v: %v", sess.Get("user"), err)
		}
		if v, err := s.store.full.Load(ctx, id); err != nil || v["user"] != "ann" {
			t.Errorf("%v %v", v, err)
		}
		again := c.Join("")
		_ = s.io.Of("/").To(sessionbridge.UserRoom("ann")).Emit("x")
		if m := again.Next(); m != `42["x"]` {
			t.Error(m)
		}
	}
}

// TestPanicOfTheStore while sessions are looked up ends nothing.
func TestPanicOfTheStore(t *testing.T) {
	s := start(t, never(), false)
	c, id := s.visitor(sessionbridge.Values{"user": "ann"})
	w := c.Join("")
	s.store.explode.Store(true)
	if n := s.bridge.Revalidate(ctx); n != 0 {
		t.Errorf("%d ended", n)
	}
	s.store.explode.Store(false)
	if s.bridge.Session(id).Reload(ctx) != nil {
		t.Error("afterwards")
	}
	w.Reset()
}
