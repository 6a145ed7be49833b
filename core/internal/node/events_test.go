package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestOwnEvents: functions of the application keep nothing of siokit's own waiting, and do not
// have it dropped; a question that is dropped is answered at once.
func TestOwnEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		goOn := make(chan struct{})
		p.set(func() {
			p.onEvent = func(m *cluster.Message) {
				if !strings.Contains(string(m.Data), "siokit:session") {
					<-goOn
				}
			}
		})
		for range maxServerEvents + 1 {
			serverEvent(h, "/", `["slow"]`)
			synctest.Wait()
		}
		for range maxServerEvents + 1 {
			serverEvent(h, "/", `["siokit:other"]`)
			synctest.Wait()
		}
		if n := p.Stats().Missed; n != 0 {
			t.Fatalf("%d are missed", n)
		}
		serverEvent(h, "/", `["siokit:session",1]`)
		synctest.Wait()
		equal(t, "meanwhile", p.texts("bbbbb"), []string{`["siokit:session",1]`})
		h.r.Receive(&cluster.Message{Kind: cluster.ServerEvent, Node: "bbbbb", Namespace: "/", ID: "q1", Data: []byte(`["slow"]`)})
		synctest.Wait()
		h.mu.Lock()
		last := h.said[len(h.said)-1]
		h.mu.Unlock()
		if last.Kind != cluster.Answer || last.To != "bbbbb" || last.ID != "q1" || !strings.HasPrefix(string(last.Data), `[{"error":{"code":"internal",`) {
			t.Errorf("the answer to a question that was dropped: %+v %s", last, last.Data)
		}
		if n := p.Stats().Missed; n != 1 {
			t.Errorf("%d are missed", n)
		}
		// Shutdown waits for these as well.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(goOn)
	})
}
