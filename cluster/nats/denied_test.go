package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/siokit/siokit/core/cluster"
)

// startFake starts a backend at a fake server.
func startFake(t *testing.T, s *fakeServer, options ...nats.Option) (*backend, *tally) {
	t.Helper()
	b := New("nats://"+s.Addr().String(), &Options{Connect: options}).(*backend)
	r := &tally{up: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	if err := b.Start(t.Context(), "aaaaa", r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	<-r.up
	return b, r
}

// TestDenialBehindOverrun: a message that may not be published is lost, also when nats.go drops
// messages at the same time, and its last error is that.
func TestDenialBehindOverrun(t *testing.T) {
	s := startFakeServer(t)
	payload, err := cluster.Append(nil, &cluster.Message{Kind: cluster.Heartbeat, Node: "other"})
	if err != nil {
		t.Fatal(err)
	}
	var overrun atomic.Bool
	s.published = func(subject string) string {
		if !strings.Contains(subject, ".r.") {
			return ""
		}
		said := fmt.Sprintf("-ERR 'Permissions Violation for Publish to %q'\r\n", subject)
		if overrun.Load() {
			said += s.messages(chanSize+1000, payload, "sio.default.nodes")
		}
		return said
	}
	b, _ := startFake(t, s)
	publish := func() {
		t.Helper()
		ms := []*cluster.Message{{Kind: cluster.Emit, Namespace: "/", Data: []byte(`["x"]`)}, {Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r"}, Data: []byte(`["x"]`)}}
		err := b.Publish(t.Context(), ms)
		if p, ok := errors.AsType[cluster.Partial](err); !ok || !errors.Is(err, nats.ErrPermissionViolation) || !slices.Equal(p.Unpublished(), []int{1}) {
			t.Errorf("%v", err)
		}
	}
	publish()
	for range 2 {
		overrun.Store(true)
		b.queue.mu.Lock() // what comes is not taken from the channel
		publish()
		b.queue.mu.Unlock()
		overrun.Store(false)
		publish()
	}
	if !errors.Is(b.conn.nc.LastError(), nats.ErrPermissionViolation) {
		t.Error(b.conn.nc.LastError())
	}
}

// TestDenialNotHandedOn: when nats.go does not say what was refused, Watch has taken nothing, and tries
// all of it again.
func TestDenialNotHandedOn(t *testing.T) {
	s := startFakeServer(t)
	goOn := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(goOn) }) }
	b, r := startFake(t, s, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { <-goOn }))
	defer release()
	var mu sync.Mutex
	var list []string
	s.mu.Lock()
	s.subscribed = func(subject string) string {
		mu.Lock()
		defer mu.Unlock()
		if list = append(list, subject); len(list) <= 2 {
			return fmt.Sprintf("-ERR 'Permissions Violation for Subscription to %q'\r\n", subject)
		}
		return ""
	}
	s.mu.Unlock()
	changes := []cluster.Interest{{Namespace: "/", Room: "x", On: true}, {Namespace: "/", Room: "y", On: true}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := b.Watch(ctx, changes) // the handler holds up the second one
	if _, ok := errors.AsType[cluster.Partial](err); ok || !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("%v", err)
	}
	release()
	late := time.After(20 * time.Second)
	told := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.told > 0
	}
	for !told() { // what comes late is told, too
		select {
		case <-r.news:
		case <-late:
			t.Fatal("nothing is told")
		}
	}
	if err := b.Watch(t.Context(), changes); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{b.subjects.watched(changes[0]), b.subjects.watched(changes[1])}; !slices.Equal(list, append(want, want...)) {
		t.Errorf("subscribed %q", list)
	}
}
