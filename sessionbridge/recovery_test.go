package sessionbridge_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

// answer joins the default namespace, and returns the secret of the
// session.
func answer(t *testing.T, c *wire.Client, auth string) (w *wire.WS, pid string) {
	t.Helper()
	w, _ = c.WebSocket()
	w.Send("40" + auth)
	var a struct{ Pid string }
	if err := json.Unmarshal([]byte(w.Next()[2:]), &a); err != nil || a.Pid == "" {
		t.Fatal(err)
	}
	return w, a.Pid
}

// TestRecoveryBelongs: a client recovers what is its user's, or its session's, and nothing after a
// logout.
func TestRecoveryBelongs(t *testing.T) {
	for _, key := range []string{"", "user"} {
		t.Run("UserKey "+key, func(t *testing.T) {
			s := start(t, &sessionbridge.Options{RevalidateEvery: -1, UserKey: key}, false)
			io := sio.NewServer(&sio.Options{OnHandshake: s.bridge.OnHandshake, Logger: slog.New(slog.DiscardHandler), Recovery: &sio.Recovery{}})
			hs := httptest.NewServer(io)
			defer hs.Close()
			defer func() { _ = io.Shutdown(ctx) }()
			s.url = hs.URL
			ann, id := s.visitor(sessionbridge.Values{"user": "ann"})
			elsewhere, _ := s.visitor(sessionbridge.Values{"user": "ann"})
			eve, _ := s.visitor(sessionbridge.Values{"user": "eve"})

			w, pid := answer(t, ann, "")
			var first []string
			if err := json.Unmarshal([]byte(w.Next()[2:]), &first); err != nil || len(first) != 2 {
				t.Fatal(first, err)
			}
			auth := fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, first[1])
			gone := func() {
				t.Helper()
				w.Reset()
				for deadline := time.Now().Add(wire.Patience); io.Of("/").Len() > 0; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the socket does not end")
					}
				}
			}
			recovers := func(who *wire.Client) bool {
				t.Helper()
				var now string
				gone()
				w, now = answer(t, who, auth)
				return now == pid
			}
			if recovers(eve) {
				t.Error("another user")
			}
			if !recovers(ann) {
				t.Error("not the same session")
			}
			if got := recovers(elsewhere); got != (key != "") {
				t.Error("another session of the user:", got)
			}
			if !recovers(ann) {
				t.Error("not the same session, again")
			}
			gone()
			if err := s.store.Delete(ctx, id); err != nil {
				t.Fatal(err)
			}
			if recovers(ann) {
				t.Error("after the end of the session")
			}
		})
	}
}
