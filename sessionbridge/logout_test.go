package sessionbridge_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/siokit/siokit/sessionbridge"
)

// TestLogoutBesideHandshake: a handshake that comes when Logout has looked for
// connections, and has not deleted the session yet, is no way around it.
func TestLogoutBesideHandshake(t *testing.T) {
	s := start(t, never(), false)
	c, id := s.visitor(sessionbridge.Values{"user": "ann"})
	var once bool
	s.store.deleting = func() {
		if !once {
			once = true
			c.Join("")
		}
	}
	if n := s.bridge.Logout(ctx, id); n != 1 {
		t.Errorf("%d connections ended", n)
	}
	if s.bridge.Session(id) != nil {
		t.Error("the session has connections")
	}
}

// TestStoreThatExits: a store that ends its goroutine has not said that the session exists.
func TestStoreThatExits(t *testing.T) {
	s := start(t, &sessionbridge.Options{RevalidateEvery: -1, RequireSession: true}, false)
	c, _ := s.visitor(sessionbridge.Values{"user": "ann"})
	s.store.loading = func(context.Context) { runtime.Goexit() }
	if a := c.Must("GET", "EIO=4&transport=polling", ""); a.Status == 200 {
		t.Error(a)
	}
}
