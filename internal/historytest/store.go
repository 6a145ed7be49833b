// Package historytest has the tests that every mixin.HistoryStore of this repository passes,
// and such a store in memory.
package historytest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/mixin"
)

// Open makes a store for one test: newStore returns one more client of it, as often as it is
// called, and forget takes all events from it.
type Open func(t *testing.T) (newStore func() mixin.HistoryStore, forget func())

// Run tests a HistoryStore.
func Run(t *testing.T, open Open) {
	for name, run := range map[string]func(s *stores){
		"empty": empty, "order": order, "bounds": bounds, "keys": keys, "bytes": anyBytes,
		"at once": atOnce, "forgotten": forgotten, "ended context": endedContext,
	} {
		t.Run(name, func(t *testing.T) {
			s := &stores{T: t}
			s.open, s.forget = open(t)
			run(s)
		})
	}
}

// plenty are bounds that a test does not reach.
var plenty = mixin.HistoryBounds{Events: 1_000_000, Bytes: 1 << 30}

// patience is how long a store may take for a call.
const patience = 20 * time.Second

// stores are the clients of one store.
type stores struct {
	*testing.T
	open   func() mixin.HistoryStore
	forget func()
}

// add appends an event, and returns its position.
func (s *stores) add(h mixin.HistoryStore, key, event string, keep mixin.HistoryBounds) uint64 {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	p, err := h.Append(ctx, key, []byte(event), keep)
	if err != nil || p == 0 {
		s.Errorf("Append: position %d, %v", p, err)
	}
	return p
}

func (s *stores) last(h mixin.HistoryStore, key string) []mixin.HistoryEvent {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	list, err := h.Last(ctx, key)
	if err != nil {
		s.Errorf("Last: %v", err)
	}
	return list
}

// check compares what the store has with these texts.
func (s *stores) check(h mixin.HistoryStore, key string, texts ...string) {
	s.Helper()
	var got []string
	var before uint64
	for _, e := range s.last(h, key) {
		got = append(got, string(e.Data))
		if e.Position <= before {
			s.Errorf("position %d comes after %d", e.Position, before)
		}
		before = e.Position
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", texts) {
		s.Errorf("key %q has %.200q, want %.200q", key, got, texts)
	}
}

func empty(s *stores) { s.check(s.open(), "k") }

// order: every client of the store sees all events, in one order, with the positions that
// Append has returned.
func order(s *stores) {
	a, b := s.open(), s.open()
	var positions []uint64
	var texts []string
	for i := range 20 {
		texts = append(texts, fmt.Sprint("event ", i))
		positions = append(positions, s.add([]mixin.HistoryStore{a, b}[i%2], "k", texts[i], plenty))
		s.check(a, "k", texts...)
		s.check(b, "k", texts...)
	}
	for i, e := range s.last(a, "k") {
		if e.Position != positions[i] {
			s.Errorf("event %d has the position %d, Append said %d", i, e.Position, positions[i])
		}
	}
}

// bounds: at the bounds an event is kept, beyond them the oldest go. The bounds of the last
// Append count.
func bounds(s *stores) {
	h := s.open()
	three := mixin.HistoryBounds{Events: 3, Bytes: 1 << 20}
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		s.add(h, "k", text, three)
	}
	s.check(h, "k", "c", "d", "e")
	s.add(h, "k", "f", mixin.HistoryBounds{Events: 1, Bytes: 1 << 20})
	s.check(h, "k", "f")
	ten := mixin.HistoryBounds{Events: 100, Bytes: 10}
	s.add(h, "k", "12345", ten)
	s.add(h, "k", "6789", ten)
	s.check(h, "k", "f", "12345", "6789")
	s.add(h, "k", "x", ten)
	s.check(h, "k", "12345", "6789", "x")
	s.add(h, "k", "y", ten)
	s.check(h, "k", "6789", "x", "y")
	s.add(h, "k", "1234567890", ten)
	s.check(h, "k", "1234567890")
	for range 100 {
		s.add(h, "k", "1234567", ten)
	}
	s.check(h, "k", "1234567")
}

// keys: one key has nothing to do with another, whatever is in it.
func keys(s *stores) {
	h := s.open()
	list := []string{"k", "", " ", "/chat,room", "/chat,", ",", "{a}b", "{a}c", "}", "{}", "a\x00b", "a\nb", "*", "\xff", "ß", strings.Repeat("long", 2000)}
	for _, key := range list {
		s.add(h, key, "of "+key, plenty)
	}
	for _, key := range list {
		s.check(h, key, "of "+key)
	}
}

// anyBytes: an event is bytes, and those of the caller.
func anyBytes(s *stores) {
	h := s.open()
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	large := bytes.Repeat(all, 1000)
	for _, data := range [][]byte{all, {}, {0}, []byte("1 2:3\r\n"), large} {
		mine := bytes.Clone(data)
		if _, err := h.Append(s.Context(), "k", mine, plenty); err != nil {
			s.Fatal(err)
		}
		clear(mine)
		list := s.last(h, "k")
		if got := list[len(list)-1].Data; !bytes.Equal(got, data) {
			s.Errorf("%.40q instead of %.40q", got, data)
		}
		clear(list[len(list)-1].Data)
	}
	if got := s.last(h, "k")[0].Data; !bytes.Equal(got, all) {
		s.Errorf("what Last returns is not the caller's: %.40q", got)
	}
}

// atOnce: what Last returns is always the beginning of what is there in the end.
func atOnce(s *stores) {
	const writers, each = 4, 100
	var wg, readers sync.WaitGroup
	done := make(chan struct{})
	var mu sync.Mutex
	var seen [][]mixin.HistoryEvent
	for range 2 {
		h := s.open()
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				list := s.last(h, "k")
				mu.Lock()
				seen = append(seen, list)
				mu.Unlock()
			}
		})
	}
	for i := range writers {
		h := s.open()
		wg.Go(func() {
			var before uint64
			for k := range each {
				p := s.add(h, "k", fmt.Sprint(i, " ", k), plenty)
				if p <= before {
					s.Errorf("writer %d: the position %d after %d", i, p, before)
				}
				before = p
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	all := s.last(s.open(), "k")
	if len(all) != writers*each {
		s.Fatalf("%d events instead of %d", len(all), writers*each)
	}
	for i := range all[1:] {
		if all[i].Position >= all[i+1].Position {
			s.Fatalf("the position %d before %d", all[i].Position, all[i+1].Position)
		}
	}
	for _, list := range seen {
		for i, e := range list {
			if e.Position != all[i].Position || string(e.Data) != string(all[i].Data) {
				s.Fatalf("event %d was %s at %d, and is %s at %d", i, e.Data, e.Position, all[i].Data, all[i].Position)
			}
		}
	}
}

// forgotten: positions rise when the store has lost all that it had.
func forgotten(s *stores) {
	h := s.open()
	var before uint64
	for range 100 {
		before = s.add(h, "k", "old", plenty)
	}
	s.forget()
	s.check(h, "k")
	if p := s.add(h, "k", "new", plenty); p <= before {
		s.Errorf("the position %d after %d", p, before)
	}
	s.check(h, "k", "new")
}

// endedContext: a context that has ended ends the call.
func endedContext(s *stores) {
	h := s.open()
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := h.Append(ctx, "k", []byte("x"), plenty); err == nil {
		s.Error("Append does not look at its context")
	}
	if _, err := h.Last(ctx, "k"); err == nil {
		s.Error("Last does not look at its context")
	}
}
