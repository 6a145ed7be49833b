package redisbus

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
)

// TestRefusedChannel: a channel that Redis refuses is the fault of its own room alone, is tried again
// when it is asked for, and does not keep the node from coming back.
func TestRefusedChannel(t *testing.T) {
	for _, w := range []Wire{Classic, Sharded} {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			r, root := guarded(t, "user partly on >CHANGE-ME ~* +@all resetchannels &socket.io-* &socket.io#/# &socket.io#/#BBBBB* &socket.io#/#good*\n")
			a, b := join(t, New(root, Options{Wire: w}), "AAAAA"), join(t, New(r.as("partly"), Options{Wire: w}), "BBBBB")
			hears := func(rooms ...string) {
				t.Helper()
				for _, room := range rooms {
					m := emit(`["`+room+`"]`, room)
					a.say(&m)
					if m := b.next(t, 1)[0]; string(m.Data) != `["`+room+`"]` {
						t.Errorf("%s: %s", room, m.Data)
					}
				}
			}
			enter := func(rooms ...string) error {
				var list []cluster.Interest
				for _, room := range rooms {
					list = append(list, cluster.Interest{Namespace: "/", Room: room, On: true})
				}
				return b.Watch(t.Context(), list)
			}
			refused := func(err error, want ...int) {
				t.Helper()
				var part cluster.Partial
				if !errors.As(err, &part) || !slices.Equal(part.Unpublished(), want) || !strings.Contains(err.Error(), "NOPERM") {
					t.Errorf("%v; want the changes %v", err, want)
				}
			}
			refused(enter("good1", "bad1", "good2", "bad2"), 1, 3)
			hears("good1", "good2")
			if err := enter("good3"); err != nil {
				t.Error(err)
			}
			hears("good3")
			refused(enter("bad1", "bad2", "good4"), 0, 1)
			if n, err := a.Backend.(cluster.Counter).Others(t.Context(), "/"); n != 0 || err != nil {
				t.Errorf("%d others, %v", n, err)
			}

			// The next connection.
			r.Kill()
			b.until(t, "down", func() bool { return b.downs > 0 })
			a.until(t, "down", func() bool { return a.downs > 0 })
			if err := enter("good5", "bad3"); err != nil {
				t.Errorf("without Redis: %v", err)
			}
			r.Restart()
			b.until(t, "up", func() bool { return b.ups == 2 })
			a.until(t, "up", func() bool { return a.ups == 2 })
			b.until(t, "something is missing", func() bool {
				return slices.ContainsFunc(b.errs, func(err error) bool { return err != nil && strings.Contains(err.Error(), "NOPERM") })
			})
			hears("good1", "good2", "good3", "good4", "good5")
			// All is told again, and tried as far as it is refused.
			refused(enter("good1", "bad3", "good5", "bad1", "good4"), 1, 3)
			hears("good1", "good5")

			// Redis takes it now.
			c, err := rueidis.NewClient(root)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			do(t, c, "ACL", "SETUSER", "partly", "&socket.io#/#bad1*")
			if err := enter("bad1"); err != nil {
				t.Error(err)
			}
			hears("bad1", "good1")
		})
	}
}
