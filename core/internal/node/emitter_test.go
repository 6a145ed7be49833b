package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

func asEmitter(o *Options) { o.Emitter = true }

// listened is a backend that keeps what it is told and what is published.
type listened struct {
	cluster.Backend
	mu  sync.Mutex
	log []string
}

func (b *listened) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, fmt.Sprintf(format, args...))
}

func (b *listened) take() (log []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	log, b.log = b.log, nil
	return log
}

func (b *listened) WatchAnswers() { b.note("answers") }
func (b *listened) Publish(ctx context.Context, ms []*cluster.Message) error {
	for _, m := range ms {
		b.note("%v of %s %s", m.Kind, m.Node, m.Data)
	}
	return b.Backend.Publish(ctx, ms)
}

func (b *listened) Watch(ctx context.Context, changes []cluster.Interest) error {
	for _, c := range changes {
		b.note("watch %s%s %v", c.Namespace, c.Room, c.On)
	}
	return b.Backend.Watch(ctx, changes)
}

// TestEmitter: nodes are told what an emitter emits, answer it, and do not take it for one of
// them: they are not told of it, ask it nothing and hear nothing of its end.
func TestEmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		ps[0].ids, ps[1].ids = []string{"a1"}, []string{"b1", "b2"}
		b := &listened{Backend: bus.Backend()}
		e := newPeer(b, "eeeee", asEmitter).start(t)
		if !e.Publish(emit(`["first"]`)) { // before anything is known
			t.Error("the first message is lost")
		}
		began := time.Now()
		got, err := e.ask(t.Context(), emit(`["q"]`))()
		if took := time.Since(began); err != nil || took != settleTime {
			t.Errorf("%v, after %v", err, took)
		}
		equal(t, "answers", got, []string{"aaaaa 1", `aaaaa ["a1"]0[a1]`, "bbbbb 2", `bbbbb ["b1"]0[b1]`, `bbbbb ["b2"]0[b2]`})
		for _, p := range ps {
			equal(t, "what came under the emitter's name", p.texts("emitter"), []string{`["first"]`})
			equal(t, "what came under its own", p.texts("eeeee"), []string{`["q"]`})
			if strings.Contains(p.news(), "emitter") || strings.Contains(p.news(), "eeeee") {
				t.Errorf("the nodes were told of %s", p.news())
			}
			if got, err := p.ask(t.Context(), count())(); err != nil || len(got) != 1 {
				t.Errorf("a node has %v, %v", got, err)
			}
			p.Publish(emit(`["for nodes"]`))
			p.Publish(&cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["for nodes"]`)})
		}
		time.Sleep(10 * beat)
		e.leave(t)
		want := []string{"answers", "Hello of emitter ", `Emit of emitter ["first"]`, "watch / true", `Emit of eeeee ["q"]`, "watch / false"}
		equal(t, "what the bus was told", b.take(), want)
		if len(e.delivered) > 0 || e.newsOf("aaaaa") != "+aaaaa" || e.newsOf("bbbbb") != "+bbbbb" || e.Stats().Received != 5 {
			t.Errorf("the emitter got %q, %s, %d answers", e.delivered, e.news(), e.Stats().Received)
		}
		for _, p := range ps {
			if len(p.gapList()) > 0 || p.log.String() != "" {
				t.Errorf("%v, %s", p.gapList(), p.log.String())
			}
		}
	})
}

// TestEmitterAsks: the backend is told where answers come while there is a request, and for a
// while longer.
func TestEmitterAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa")
		var answers []func([]byte)
		ps[0].set(func() { ps[0].answer = func(a func([]byte)) { answers = append(answers, a) } })
		b := &listened{Backend: bus.Backend()}
		e := newPeer(b, "eeeee", asEmitter).start(t)
		time.Sleep(settleTime)
		synctest.Wait()
		b.take()
		event := func(ns string) *cluster.Message {
			return &cluster.Message{Kind: cluster.ServerEvent, Namespace: ns, Timeout: time.Hour}
		}
		var asked []func() ([]string, error)
		for _, ns := range []string{"/", "/", "/x"} {
			asked = append(asked, e.ask(t.Context(), event(ns)))
			synctest.Wait()
		}
		watched := func() []string {
			return slices.Sorted(slices.Values(slices.DeleteFunc(b.take(), func(l string) bool { return !strings.HasPrefix(l, "watch") })))
		}
		equal(t, "begins", watched(), []string{"watch / true", "watch /x true"})
		if len(answers) != 3 {
			t.Fatalf("%d questions", len(answers))
		}
		for i := range asked {
			answers[i]([]byte(`[1]`))
			time.Sleep(20 * time.Second) // longer than Linger
			synctest.Wait()
			if i == 0 {
				equal(t, "goes on", watched(), nil)
			}
		}
		for _, done := range asked {
			if _, err := done(); err != nil {
				t.Error(err)
			}
		}
		equal(t, "ends", watched(), []string{"watch / false", "watch /x false"})
	})
}

// late is a backend of a bus that is slow to say whether it is there.
type late struct {
	cluster.Backend
	after time.Duration
}

func (b late) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return b.Backend.Start(ctx, node, &lateReceiver{r, b.after})
}

type lateReceiver struct {
	cluster.Receiver
	after time.Duration
}

func (r *lateReceiver) Up() {
	time.Sleep(r.after)
	r.Receiver.Up()
}

func (r *lateReceiver) Down(err error) {
	time.Sleep(r.after)
	r.Receiver.Down(err)
}

// TestEmitterShort: an emitter that emits at once, and closes at once, loses nothing, however long the
// bus takes; what it emits keeps its order.
func TestEmitterShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa")
		e := newPeer(late{bus.Backend(), 3 * time.Second}, "eeeee", asEmitter).start(t)
		var want []string
		for i := range 900 {
			want = append(want, fmt.Sprintf(`["e",%d]`, i))
			e.Publish(emit(want[i]))
		}
		began := time.Now()
		if err := e.Flush(t.Context()); err != nil || e.Stats().Sent != 900 {
			t.Errorf("%v, %d were sent", err, e.Stats().Sent)
		}
		e.leave(t)
		synctest.Wait()
		equal(t, "what has come", ps[0].texts("emitter"), want)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("that took %v", took)
		}
		if lost, why := e.Lost(); lost != 0 || why != nil || len(e.gapList()) > 0 {
			t.Errorf("%d lost: %v, %v", lost, why, e.gapList())
		}
	})
}

// TestEmitterAway: what waits is lost, and counted, when the first attempt to reach the bus has
// failed, and when Shutdown may not wait any longer.
func TestEmitterAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa")
		bus.Cut("eeeee")
		e := newPeer(late{bus.Backend(), 3 * time.Second}, "eeeee", asEmitter).start(t)
		e.Publish(emit(`["lost"]`))
		flushed := make(chan int64)
		go func() {
			_ = e.Flush(t.Context())
			lost, _ := e.Lost()
			flushed <- lost
		}()
		began := time.Now()
		_, err := e.ask(t.Context(), count())()
		if took := time.Since(began); !errors.Is(err, cluster.ErrDown) || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if lost := <-flushed; lost == 0 {
			t.Error("flushed, and nothing is lost")
		}
		if e.Publish(emit(`["lost too"]`)) {
			t.Error("a message was taken while the bus is away")
		}
		if lost, why := e.Lost(); lost < 2 || !errors.Is(why, cluster.ErrDown) {
			t.Errorf("%d lost: %v", lost, why)
		}
		bus.Heal()
		time.Sleep(10 * time.Second)
		e.Publish(emit(`["after"]`))
		synctest.Wait()
		equal(t, "what has come", ps[0].texts("emitter"), []string{`["after"]`})
		if gaps := e.gapList(); len(gaps) != 2 || gaps[1].Until.IsZero() { // its end was noticed without another message
			t.Errorf("gaps: %v", gaps)
		}
		e.leave(t)

		e = newPeer(late{bus.Backend(), time.Hour}, "fffff", asEmitter)
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 7 {
			e.Publish(emit(`["never"]`))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = e.Shutdown(ctx)
		lost, why := e.Lost()
		if !errors.Is(err, context.DeadlineExceeded) || lost != 7 || !errors.Is(why, cluster.ErrClosed) {
			t.Errorf("%v, %d lost: %v", err, lost, why)
		}
		time.Sleep(time.Hour)
	})
}

// TestEmitterMembers: an emitter notices which nodes come, leave and die.
func TestEmitterMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		e := newPeer(bus.Backend(), "eeeee", asEmitter)
		if e.Settled() {
			t.Error("settled before Start")
		}
		e.start(t)
		time.Sleep(settleTime)
		synctest.Wait()
		if !e.Settled() || e.Owner("bbbbb123456789012345") != "bbbbb" {
			t.Error("the nodes are not known")
		}
		nodes(t, bus, "ccccc")
		ps[0].leave(t)
		bus.Cut("bbbbb")
		time.Sleep((missedBeats + 1) * beat)
		synctest.Wait()
		equal(t, "nodes", e.Nodes(), []string{"ccccc"})
	})
}
