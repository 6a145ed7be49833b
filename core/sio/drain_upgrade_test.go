package sio

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/internal/wire"
)

// TestShutdownUpgrading: a client whose turn comes in the middle of its upgrade gets the answer of
// its handler: over the websocket, or by a poll when the upgrade fails. One that does neither
// keeps Shutdown no longer than Drain.AnswerTimeout.
func TestShutdownUpgrading(t *testing.T) {
	const want = `431["done 1"]`
	for _, row := range []struct {
		name    string
		patient time.Duration
		then    func(t *testing.T, s *wire.Session, w *wire.WS)
	}{
		{"goes over", 0, func(t *testing.T, _ *wire.Session, w *wire.WS) {
			w.Send("5")
			m, err := w.Read()
			for err == nil && m != want {
				m, err = w.Read()
			}
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if code := w.End().Code; code != 1001 {
				t.Errorf("the end is %d", code)
			}
		}},
		{"fails", 0, func(t *testing.T, s *wire.Session, w *wire.WS) {
			w.Reset()
			if got := s.Packets(1); !slices.Contains(got, want) {
				t.Errorf("the poll brings %q", got)
			}
			if a := s.Get(); a.Body != "6\x1e1" && a.Body != "1" {
				t.Errorf("the end is %v", a)
			}
		}},
		{"stays as it is", 100 * time.Millisecond, func(*testing.T, *wire.Session, *wire.WS) {}},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, runs, may := slowServer(Options{Drain: Drain{AnswerTimeout: row.patient}})
			s := serve(t, srv).Polling()
			s.Join("")
			s.Post(`421["slow",1]`)
			<-runs
			vs := srv.one(t).client.vs
			w := s.Probe()
			w.Send("2probe")
			if m := w.Next(); m != "3probe" {
				t.Fatal(m)
			}
			from := time.Now()
			done := make(chan error, 1)
			go func() { done <- srv.Shutdown(context.Background()) }()
			turned(t, srv, 1)
			may <- struct{}{}
			until(t, "the server has nothing more to say", func() bool {
				return vs.SendVolatile(packet.TextMessage(`42["beside"]`)) != nil
			})
			row.then(t, s, w)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if d := time.Since(from); row.patient > 0 && d > 5*time.Second {
				t.Errorf("Shutdown took %v", d)
			}
		})
	}
}
