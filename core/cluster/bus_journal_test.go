package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journalNode is a node of a Bus that is a log.
type journalNode struct {
	*busNode
	mu  sync.Mutex
	got []string
	at  []uint64
}

func (n *journalNode) Receive(m *Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, string(m.Data))
	n.at = append(n.at, m.Position)
}
func (n *journalNode) Up()        {}
func (n *journalNode) Down(error) {}
func (n *journalNode) Lost(count int, _ error) {
	n.mu.Lock()
	n.got = append(n.got, fmt.Sprint("lost ", count))
	n.mu.Unlock()
}

// TestBusJournal: with Keep a Bus is a log: positions are those of all nodes, one that was cut off
// reads on where it was, and what was dropped is not behind anything that is older.
func TestBusJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := NewBus()
		if bus.Backend().(Journal).OpenJournal() {
			t.Error("a journal without Keep")
		}
		bus.Keep(3)
		var list []*journalNode
		for _, name := range []string{"AAAAA", "BBBBB"} {
			n := &journalNode{busNode: bus.Backend().(*busNode)}
			if !n.OpenJournal() {
				t.Fatal("no journal")
			}
			if err := n.Start(t.Context(), name, n); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = n.Close(context.Background()) })
			list = append(list, n)
		}
		a, b := list[0], list[1]
		say := func(n *journalNode, texts ...string) {
			t.Helper()
			for _, text := range texts {
				if err := n.Publish(t.Context(), []*Message{{Kind: Emit, Namespace: "/", To: "AAAAA", Data: []byte(text)}}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		begin := a.Reached()
		say(a, "one")
		say(b, "two")
		if !slices.Equal(a.got, []string{"one", "two"}) || !slices.Equal(a.got, b.got) || !slices.Equal(a.at, b.at) || a.Reached() != a.at[1] {
			t.Fatal(a.got, b.got, a.at, b.at)
		}
		bus.Cut("BBBBB")
		say(a, "three")
		bus.Heal()
		synctest.Wait()
		if !slices.Equal(b.got, []string{"one", "two", "three"}) {
			t.Error(b.got)
		}
		behind := func(p uint64, namespaces ...string) (texts []string) {
			t.Helper()
			last, err := b.After(t.Context(), p, namespaces, func(m *Message) error { texts = append(texts, string(m.Data)); return nil })
			if err != nil {
				return []string{err.Error()}
			}
			if last != a.Reached() {
				t.Error(last)
			}
			return texts
		}
		if got := behind(begin, "/"); !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Error(got)
		}
		if got := behind(a.at[0], "/other"); len(got) != 0 {
			t.Error(got)
		}
		bus.Cut("BBBBB")
		say(a, "four", "five", "six", "seven")
		bus.Heal()
		synctest.Wait()
		if got := b.got[3:]; !slices.Equal(got, []string{"lost 1", "five", "six", "seven"}) {
			t.Error(got)
		}
		if got := behind(a.at[2], "/"); !slices.Equal(got, []string{ErrNotKept.Error()}) {
			t.Error(got)
		}
		if got := behind(a.at[3], "/"); !slices.Equal(got, []string{"five", "six", "seven"}) {
			t.Error(got)
		}
		if got := behind(a.Reached()+1, "/"); !slices.Equal(got, []string{ErrNotKept.Error()}) {
			t.Error(got)
		}

		s := Session{ID: "s", PID: "p", Rooms: []string{"s"}, Extra: []byte("x")}
		if err := a.SaveSession(t.Context(), &s, time.Minute); err != nil {
			t.Fatal(err)
		}
		s.Rooms[0] = "changed"
		if got, err := b.TakeSession(t.Context(), "p"); err != nil || got == nil || got.ID != "s" || got.Rooms[0] != "s" {
			t.Error(got, err)
		}
		if got, err := b.TakeSession(t.Context(), "p"); err != nil || got != nil {
			t.Error(got, err)
		}
		older, newer := s, s
		older.Moves, newer.Moves = 1, 2
		for _, x := range []*Session{&older, &newer, &older} {
			if err := a.SaveSession(t.Context(), x, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := b.TakeSession(t.Context(), "p"); err != nil || got == nil || got.Moves != 2 {
			t.Error(got, err)
		}
		_ = a.SaveSession(t.Context(), &older, time.Minute) // when the newer one was taken, too
		if got, err := b.TakeSession(t.Context(), "p"); err != nil || got != nil {
			t.Error(got, err)
		}
		time.Sleep(time.Minute)
		_ = a.SaveSession(t.Context(), &s, time.Minute)
		time.Sleep(time.Minute)
		if got, err := b.TakeSession(t.Context(), "p"); err != nil || got != nil {
			t.Error(got, err)
		}
		bus.Cut("BBBBB")
		if _, err := b.TakeSession(t.Context(), "p"); !errors.Is(err, ErrDown) {
			t.Error(err)
		}
		if err := b.SaveSession(t.Context(), &s, time.Minute); !errors.Is(err, ErrDown) {
			t.Error(err)
		}
		if _, err := b.After(t.Context(), begin, nil, nil); !errors.Is(err, ErrDown) {
			t.Error(err)
		}
	})
}
