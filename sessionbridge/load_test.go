package sessionbridge_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

// TestStoreThatHangs, and does not look at its context: handshakes and handlers wait
// for LoadTimeout and no longer, and no more than so many loads are left behind.
func TestStoreThatHangs(t *testing.T) {
	s := start(t, &sessionbridge.Options{RevalidateEvery: -1, LoadTimeout: 2 * time.Millisecond}, false)
	s.io.Of("/").On("who", sio.Reply(func(ctx context.Context, so *sio.Socket, _ sio.None) (any, error) {
		sess, ok := sessionbridge.From(ctx, so)
		return []any{ok, sess.Get("user")}, nil
	}))
	ann, _ := s.visitor(sessionbridge.Values{"user": "ann"})
	release := make(chan struct{})
	s.store.hang.Store(&release)
	w := ann.Join("")
	ask := func(w *wire.WS, want string) {
		t.Helper()
		w.Send(`421["who"]`)
		if m := w.Next(); m != `431`+want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	ask(w, `[[false,null]]`)
	for range 280 { // one load each
		w.Send(`42["who"]`)
	}
	ask(w, `[[false,null]]`)
	before := s.store.loads.Load()
	ask(w, `[[false,null]]`)
	if n := s.store.loads.Load(); n != before {
		t.Errorf("a store that has stopped answering was asked %d times more", n-before)
	}
	s.store.hang.Store(nil)
	close(release)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // until they are back
		w.Send(`421["who"]`)
		if m := w.Next(); m == `431[[true,"ann"]]` {
			break
		} else if time.Now().After(end) {
			t.Fatal(m)
		}
	}
}

// TestFromHonoursItsContext: a handler that has given up does not wait for the store, and
// Get never does.
func TestFromHonoursItsContext(t *testing.T) {
	s := start(t, &sessionbridge.Options{RevalidateEvery: -1, LoadTimeout: time.Minute}, false)
	s.io.Of("/").On("who", sio.Reply(func(ctx context.Context, so *sio.Socket, _ sio.None) (any, error) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		sess, ok := sessionbridge.From(ctx, so)
		return []any{ok, sess.Get("user")}, nil
	}))
	ann, id := s.visitor(sessionbridge.Values{"user": "ann"})
	broken := errors.New("store is down")
	s.store.fail.Store(&broken)
	w := ann.Join("")
	s.store.fail.Store(nil)
	release := make(chan struct{})
	s.store.hang.Store(&release)
	defer close(release)
	defer s.store.hang.Store(nil)
	w.Send(`421["who"]`)
	if m := w.Next(); m != `431[[false,null]]` {
		t.Errorf("%s for %s", m, id)
	}
}
