package mixin_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/historytest"
	"github.com/siokit/siokit/internal/wire"
)

// storeNode is a server with a History that has a store.
type storeNode struct {
	h    *mixin.History
	n    *sio.Namespace
	c    *wire.Client
	errs chan error // what Join has returned
}

func withStore(t *testing.T, store mixin.HistoryStore, bus *cluster.Bus) *storeNode {
	t.Helper()
	o := &sio.Options{}
	if bus != nil {
		o.Cluster = bus.Backend()
	}
	srv := sio.NewServer(o)
	s := &storeNode{h: &mixin.History{Events: []string{"say"}, Store: store, Timeout: 20 * time.Second}, n: srv.Of("/"), errs: make(chan error, 10)}
	s.n.Mix(&mixin.Rooms{Enter: func(socket *sio.Socket, room string) error {
		err := s.h.Join(socket, room)
		if socket.In(room) != (err == nil) {
			t.Errorf("Join: %v, in the room: %v", err, socket.In(room))
		}
		s.errs <- err
		return err
	}}, s.h)
	hs := httptest.NewServer(srv)
	s.c = wire.New(t, hs.URL, "/socket.io/")
	t.Cleanup(func() {
		s.c.Close()
		_ = srv.Shutdown(context.Background())
		hs.Close()
	})
	return s
}

// TestHistoryStore: what was emitted is there for another server, binary included, and what
// clients send is kept as well.
func TestHistoryStore(t *testing.T) {
	store := new(historytest.Memory)
	for i := range 2 {
		s := withStore(t, store, nil)
		w := s.c.Join("")
		w.Send(`421["join","r"]`)
		if i == 1 {
			want(t, w, `451-["bytes",{"b":{"_placeholder":true,"num":0}},"x"]`, "bAQI=", `42["say","r",18446744073709551615]`)
		}
		want(t, w, `431["r"]`)
		if i == 0 {
			if err := s.h.Emit(s.n, "r", "bytes", map[string]any{"b": []byte{1, 2}}, "x"); err != nil {
				t.Fatal(err)
			}
			w.Send(`42["say","r",18446744073709551615]`)
			want(t, w, `451-["bytes",{"b":{"_placeholder":true,"num":0}},"x"]`, "bAQI=", `42["say","r",18446744073709551615]`)
		}
		w.Send(`422["join","r"]`) // again
		want(t, w, `432["r"]`)
	}
}

// TestHistoryStoreBounds: what is larger than Bytes is emitted and not kept, what must not be
// emitted is not kept either, and of the rest as much as the bounds allow is.
func TestHistoryStoreBounds(t *testing.T) {
	s := withStore(t, new(historytest.Memory), nil)
	s.h.Last, s.h.Bytes = 3, 1000
	old := s.c.Join("")
	old.Send(`421["join","r"]`)
	want(t, old, `431["r"]`)
	for _, event := range []string{"a", "b", "c", "d"} {
		if err := s.h.Emit(s.n, "r", event); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("x", 1000)
	if err := s.h.Emit(s.n, "r", "large", large); err != nil {
		t.Error(err)
	}
	if err := s.h.Emit(s.n, "r", "disconnect"); err == nil {
		t.Error("a reserved event was emitted")
	}
	if err := s.h.Emit(s.n, "r", "bad", make(chan int)); err == nil {
		t.Error("a channel was emitted")
	}
	want(t, old, `42["a"]`, `42["b"]`, `42["c"]`, `42["d"]`, `42["large","`+large+`"]`)
	w := s.c.Join("")
	w.Send(`421["join","r"]`)
	want(t, w, `42["b"]`, `42["c"]`, `42["d"]`, `431["r"]`)
}

// faultyStore fails as the test says.
type faultyStore struct {
	historytest.Memory
	append func(ctx context.Context) (uint64, error)
	last   func(ctx context.Context) ([]mixin.HistoryEvent, error)
}

func (f *faultyStore) Append(ctx context.Context, key string, event []byte, keep mixin.HistoryBounds) (uint64, error) {
	if f.append != nil {
		return f.append(ctx)
	}
	return f.Memory.Append(ctx, key, event, keep)
}

func (f *faultyStore) Last(ctx context.Context, key string) ([]mixin.HistoryEvent, error) {
	if f.last != nil {
		return f.last(ctx)
	}
	return f.Memory.Last(ctx, key)
}

// TestHistoryStoreFails: an event that the store does not take is not emitted, a socket whose
// history cannot be read is not in the room, and both are told.
func TestHistoryStoreFails(t *testing.T) {
	failed := errors.New("the store has failed")
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, row := range map[string]struct {
		append func(ctx context.Context) (uint64, error)
		last   func(ctx context.Context) ([]mixin.HistoryEvent, error)
		want   error // nil: any
	}{
		"error": {
			func(context.Context) (uint64, error) { return 7, failed },
			func(context.Context) ([]mixin.HistoryEvent, error) { return nil, failed }, failed,
		},
		"hangs": {
			func(ctx context.Context) (uint64, error) { return 0, hang(ctx) },
			func(ctx context.Context) ([]mixin.HistoryEvent, error) { return nil, hang(ctx) }, context.DeadlineExceeded,
		},
		"nonsense": {
			func(context.Context) (uint64, error) { return 0, nil },
			func(context.Context) ([]mixin.HistoryEvent, error) {
				return []mixin.HistoryEvent{{Position: 1, Data: []byte("[]")}}, nil
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &faultyStore{}
			s := withStore(t, store, nil)
			in, out := s.c.Join(""), s.c.Join("")
			in.Send(`421["join","r"]`)
			want(t, in, `431["r"]`)
			<-s.errs
			store.append, store.last = row.append, row.last
			if row.want == context.DeadlineExceeded {
				s.h.Timeout = 50 * time.Millisecond // the others have the time of a busy machine
			}
			if err := s.h.Emit(s.n, "r", "lost"); err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("Emit: %v", err)
			}
			out.Send(`421["join","r"]`)
			want(t, out, `431[{"error":{"code":"internal","message":"internal error"}}]`)
			if err := <-s.errs; err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("Join: %v", err)
			}
			in.Send(`422["say","r","lost"]`)
			want(t, in, `432[{"error":{"code":"internal","message":"internal error"}}]`)
			store.append, store.last, s.h.Timeout = nil, nil, 20*time.Second
			out.Send(`422["join","r"]`)
			want(t, out, `432["r"]`)
			if err := s.h.Emit(s.n, "r", "back"); err != nil {
				t.Error(err)
			}
			want(t, in, `42["back"]`)
			want(t, out, `42["back"]`)
		})
	}
}

// TestHistoryStoreHangs: a store that hangs holds up neither other rooms, nor the same room,
// nor the bus.
func TestHistoryStoreHangs(t *testing.T) {
	bus, memory := cluster.NewBus(), new(historytest.Memory)
	store := &faultyStore{}
	a, b := withStore(t, store, bus), withStore(t, memory, bus)
	a.h.Timeout = time.Minute
	in := a.c.Join("")
	in.Send(`421["join","r"]`)
	want(t, in, `431["r"]`)
	reading, writing, go_ := make(chan struct{}), make(chan struct{}), make(chan struct{})
	store.last = func(context.Context) ([]mixin.HistoryEvent, error) {
		close(reading)
		<-go_
		return nil, nil
	}
	late := a.c.Join("")
	late.Send(`421["join","r"]`)
	<-reading
	store.last = nil
	store.append = func(context.Context) (uint64, error) {
		close(writing)
		<-go_
		return 0, errors.New("late")
	}
	done := make(chan error, 1)
	go func() { done <- a.h.Emit(a.n, "r", "late") }()
	<-writing
	store.append = func(ctx context.Context) (uint64, error) { return 1 << 60, nil }
	if err := a.h.Emit(a.n, "r", "here"); err != nil {
		t.Error(err)
	}
	want(t, in, `42["here"]`)
	if got, err := b.n.To("r").Count(t.Context()); err != nil || got != 2 {
		t.Fatal(got, err)
	}
	if err := b.h.Emit(b.n, "r", "there"); err != nil {
		t.Error(err)
	}
	want(t, in, `42["there"]`)
	in.Send(`422["join","r2"]`)
	want(t, in, `432["r2"]`)
	close(go_)
	want(t, late, `42["here"]`, `42["there"]`, `431["r"]`) // they were held back
	if err := <-done; err == nil {
		t.Error("the late Emit has no error")
	}
}

// TestHistoryWithoutBus: while the bus is away, what is emitted on other nodes does not come,
// and whoever joins has it from the store.
func TestHistoryWithoutBus(t *testing.T) {
	bus, store := cluster.NewBus(), new(historytest.Memory)
	a, b := withStore(t, store, bus), withStore(t, store, bus)
	old := a.c.Join("")
	old.Send(`421["join","r"]`)
	want(t, old, `431["r"]`)
	if got, err := b.n.To("r").Count(t.Context()); err != nil || got != 1 {
		t.Fatal(got, err)
	}
	bus.Cut()
	if err := b.h.Emit(b.n, "r", "there"); err != nil {
		t.Error(err)
	}
	if err := a.h.Emit(a.n, "r", "here"); err != nil {
		t.Error(err)
	}
	want(t, old, `42["here"]`)
	late := a.c.Join("")
	late.Send(`421["join","r"]`)
	want(t, late, `42["there"]`, `42["here"]`, `431["r"]`)
}
