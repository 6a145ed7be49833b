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
	"github.com/siokit/siokit/internal/testkit"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// await waits until Lost was called without a number so often.
func (r *tally) await(t *testing.T, told int) {
	t.Helper()
	testkit.Until(t, patience, fmt.Sprint("told ", told), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.told >= told
	})
}

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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- b.Watch(ctx, changes) }()
	testkit.Until(t, patience, "Watch waits for the second one", func() bool { // the handler holds that up
		b.denials.mu.Lock()
		defer b.denials.mu.Unlock()
		return len(b.denials.list) == 1 && b.denials.news != nil || len(watched) > 0
	})
	cancel()
	err := <-watched
	if _, ok := errors.AsType[cluster.Partial](err); ok || !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("%v", err)
	}
	release()
	r.await(t, 1) // what comes late is told, too
	if err := b.Watch(t.Context(), changes); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{b.subjects.watched(changes[0]), b.subjects.watched(changes[1])}; !slices.Equal(list, append(want, want...)) {
		t.Errorf("subscribed %q", list)
	}
}

// heard is what the server was told of subscriptions since it was asked before.
func (s *fakeServer) heard() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, s.log = s.log, nil
	return list
}

// refuse has the server say that the next subscriptions to these subjects are too many.
func (s *fakeServer) refuse(subjects ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribed = func(subject string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(subjects, subject); i >= 0 {
			subjects = slices.Delete(subjects, i, i+1)
			return "-ERR 'maximum subscriptions exceeded'\r\n"
		}
		return ""
	}
}

// rooms are changes, and the subjects of these.
func (b *backend) rooms(names ...string) (changes []cluster.Interest, subjects []string) {
	for _, name := range names {
		c := cluster.Interest{Namespace: "/", Room: name, On: true}
		changes, subjects = append(changes, c), append(subjects, b.subjects.watched(c))
	}
	return changes, subjects
}

// signed are subjects as heard has them.
func signed(sign string, subjects []string) (list []string) {
	for _, s := range subjects {
		list = append(list, sign+s)
	}
	return list
}

// TestTooManyLate: what nats.go hands on after Watch has returned, that there are too many
// subscriptions, ends those alone that the server may mean.
func TestTooManyLate(t *testing.T) {
	s := startFakeServer(t)
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	b, r := startFake(t, s, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { <-goOn }))
	watch := func(rooms ...string) {
		t.Helper()
		changes, _ := b.rooms(rooms...)
		if err := b.Watch(t.Context(), changes); err != nil {
			t.Error(err)
		}
	}
	watch("first")
	s.say("-ERR 'Permissions Violation for Publish to \"x\"'\r\n")
	r.await(t, 1) // the handler holds up what comes now
	watch("old")
	_, own := b.rooms("y", "z")
	s.refuse(own...)
	watch("x", "y", "z", "left")
	watch("between") // it may be that one
	changes, gone := b.rooms("left")
	changes[0].On = false
	if err := b.Watch(t.Context(), changes); err != nil {
		t.Error(err)
	}
	s.heard()
	_, kept := b.rooms("first", "old")
	again, ended := b.rooms("x", "y", "z", "between")
	release()
	r.await(t, 3)
	again = slices.Insert(again, 0, cluster.Interest{Namespace: "/", Room: "old", On: true})
	if err := b.Watch(t.Context(), again); err != nil {
		t.Error(err)
	}
	list := s.heard()
	slices.Sort(list[:min(len(ended), len(list))])
	slices.Sort(ended)
	want := signed("-", ended)
	_, ended = b.rooms("x", "y", "z", "between")
	if want = append(want, signed("+", ended)...); !slices.Equal(list, want) {
		t.Errorf("the server was told %q, want %q; %q and %q are none of that", list, want, kept, gone)
	}
	if n := b.beyond(len(again)); n != 0 { // all were taken
		t.Errorf("%d of those may be too many", n)
	}
}

// TestTooManyUnclear: a refusal that may be about what has come with the connection is not taken for
// one of the Watch that goes on meanwhile alone.
func TestTooManyUnclear(t *testing.T) {
	s := startFakeServer(t)
	b, r := startFake(t, s)
	all, subjects := b.rooms("old", "new")
	if err := b.Watch(t.Context(), all[:1]); err != nil {
		t.Error(err)
	}
	b.mu.Lock()
	b.unsure = unsure{all: true} // as behind a reconnect
	b.mu.Unlock()
	s.refuse(subjects[1])
	_ = b.Watch(t.Context(), all[1:]) // it has waited for that, or not
	r.await(t, 1)
	if err := b.Publish(t.Context(), []*cluster.Message{{Kind: cluster.Heartbeat}}); err != nil { // the server has heard all
		t.Error(err)
	}
	s.heard()
	if err := b.Watch(t.Context(), all); err != nil {
		t.Error(err)
	}
	if list := s.heard(); !slices.Equal(list, signed("+", subjects)) {
		t.Errorf("the server was told %q", list)
	}
}
