package sessionbridge_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

// TestLoggedOutPage: with README's lines a page that is logged out neither comes back
// nor speaks; with the guard alone it comes back as a stranger who may do nothing.
func TestLoggedOutPage(t *testing.T) {
	for _, required := range []bool{true, false} {
		s := start(t, &sessionbridge.Options{RequireSession: required, RevalidateEvery: -1}, false)
		n := s.io.Of("/")
		n.Guard(sessionbridge.Authenticated("user"))
		n.On("say", sio.Handle(func(ctx context.Context, so *sio.Socket, text string) error {
			sess, _ := sessionbridge.From(ctx, so)
			return n.Emit("said", sess.Get("user"), text)
		}))
		ann, id := s.visitor(sessionbridge.Values{"user": "ann"})
		bob, _ := s.visitor(sessionbridge.Values{"user": "bob"})
		page, listener := ann.Join(""), bob.Join("")
		_ = s.store.Delete(ctx, id)
		s.bridge.Logout(ctx, id)
		page.Send(`42["say","ghost"]`)
		page.End()
		if required {
			if a := ann.Must("GET", "EIO=4&transport=polling", ""); a.String() != `403 {"code":4,"message":"no session"}` {
				t.Error(a)
			}
		} else {
			w, _ := ann.WebSocket()
			w.Send("40", `42["say","ghost"]`)
			if m := w.Next(); !strings.HasPrefix(m, "44") {
				t.Error(m)
			}
			w.Reset()
		}
		_ = n.Emit("end")
		if m := listener.Next(); m != `42["end"]` {
			t.Errorf("heard from a page that is logged out: %s", m)
		}
		listener.Reset()
	}
}

// TestStranger: the session of one who has none holds nothing, and no handler that
// does not look at ok panics.
func TestStranger(t *testing.T) {
	s := start(t, never(), false)
	got := make(chan string, 1)
	s.io.Of("/").On("try", sio.Handle(func(ctx context.Context, so *sio.Socket, _ sio.None) error {
		sess, ok := sessionbridge.From(ctx, so)
		change := func(sessionbridge.Values) error { return nil }
		switch {
		case ok, sess.ID() != "", sess.Get("user") != nil, len(sess.Snapshot()) > 0:
			got <- "it holds something"
		case !errors.Is(sess.Reload(ctx), sessionbridge.ErrNoSession), !errors.Is(sess.Update(ctx, change), sessionbridge.ErrNoSession), !errors.Is(sess.Destroy(ctx), sessionbridge.ErrNoSession):
			got <- "it can be changed"
		default:
			got <- "nothing"
		}
		return nil
	}))
	w := wire.New(t, s.url, "/socket.io/").Join("")
	w.Send(`42["try"]`)
	if m := <-got; m != "nothing" {
		t.Error(m)
	}
	w.Reset()
}
