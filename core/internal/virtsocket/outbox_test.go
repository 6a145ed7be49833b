package virtsocket

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

// sink counts how often an outbox wants its transport flushed.
type sink struct{ flushes int }

func (s *sink) Flush() { s.flushes++ }

func newOutbox(count, bytes int) (*outbox, *sink) {
	l := newOutboxLimits(count, bytes)
	o, s := &outbox{limits: &l}, &sink{}
	o.attach(s)
	return o, s
}

// texts takes what is queued, as a transport would, and says that it was sent.
func (o *outbox) texts() string {
	var all []string
	for ms := o.take(); ms != nil; ms = o.take() {
		for _, m := range ms {
			all = append(all, string(m.Data()))
		}
		o.sent(ms)
	}
	return strings.Join(all, " ")
}

func numbered(i int) *packet.Message { return packet.TextMessage(fmt.Sprint(i)) }

// TestOutboxOrder: messages leave in the order in which they were added, also
// those that a transport gives back.
func TestOutboxOrder(t *testing.T) {
	o, _ := newOutbox(100, 1000)
	for i := range 3 {
		if to, err := o.add(numbered(i), 0); to == nil || err != nil {
			t.Fatalf("%v, %v", to, err)
		}
	}
	ms := o.take()
	_, _ = o.add(numbered(3), 0)
	o.unsent(ms)
	if got := o.texts(); got != "0 1 2 3" {
		t.Errorf("order %q", got)
	}
	if !o.empty() || o.bytes != 0 || o.take() != nil {
		t.Errorf("left: %d messages, %d bytes", o.count, o.bytes)
	}
}

// TestOutboxBounds: the message that reaches a bound passes, the next one does not.
// What is being written counts until it is sent, but a few may wait behind it.
func TestOutboxBounds(t *testing.T) {
	for name, o := range map[string]*outbox{
		"messages": {limits: &outboxLimits{count: 32, bytes: 1 << 20, cork: 1}},
		"bytes":    {limits: &outboxLimits{count: 1 << 20, bytes: 32 * numbered(10).Size(), cork: 1}},
	} {
		fits := func(want int) {
			t.Helper()
			n := 0
			for n < 1000 {
				if _, err := o.add(numbered(10), 0); errors.Is(err, errFull) {
					break
				}
				n++
			}
			if n != want {
				t.Errorf("%s: %d messages, not %d", name, n, want)
			}
		}
		fits(32)
		ms := o.take()
		fits(2)
		o.sent(ms)
		fits(30)
	}
	// One large message that is being written, and what its client asks for next.
	o, _ := newOutbox(1024, 1<<20)
	big := packet.TextMessage(strings.Repeat("x", 1<<20))
	_, _ = o.add(big, 0)
	if _, err := o.add(numbered(0), 0); !errors.Is(err, errFull) {
		t.Errorf("behind a large message that waits: %v", err)
	}
	ms := o.take()
	for i := range 64 {
		if _, err := o.add(numbered(i), 0); err != nil {
			t.Fatalf("behind a large message that is being written: number %d: %v", i, err)
		}
	}
	if _, err := o.add(numbered(64), 0); !errors.Is(err, errFull) {
		t.Errorf("too many behind a large message that is being written: %v", err)
	}
	o.sent(ms)
}

// TestOutboxBatch: in a batch nobody is to flush before its end, unless the batch
// is released or has filled what may wait.
func TestOutboxBatch(t *testing.T) {
	o, _ := newOutbox(8, 1<<20) // a cork of 4 messages
	flushes := func(what string, want bool) {
		t.Helper()
		if to, err := o.add(numbered(0), 0); (to != nil) != want || err != nil {
			t.Errorf("%s: flush %v, %v", what, to, err)
		}
	}
	o.begin()
	o.begin()
	flushes("in a batch", false)
	if !o.keepsBack() || o.idle() {
		t.Error("nothing is kept back in a batch")
	}
	if to, last := o.end(); to != nil || last {
		t.Errorf("end of one of two: %v, %t", to, last)
	}
	flushes("in the other", false)
	if o.release() == nil || o.keepsBack() {
		t.Error("released, and still kept back")
	}
	flushes("released", true)
	if to, last := o.end(); to == nil || !last {
		t.Errorf("end with messages: %v, %t", to, last)
	}
	o.texts()
	o.begin()
	for i := range 4 { // the release was of the batches before
		flushes(fmt.Sprint("message ", i), i == 3)
	}
	o.texts()
	if to, last := o.end(); to != nil || !last {
		t.Errorf("end without messages: %v, %t", to, last)
	}
	if o.release(); o.released {
		t.Error("released without a batch")
	}
}

// TestOutboxShared: of broadcasts that meet, one adds the outbox to a flusher. While
// there is no transport nobody does, and nobody is relied on afterwards.
func TestOutboxShared(t *testing.T) {
	o := &outbox{limits: &outboxLimits{count: 100, bytes: 1000, cork: 50}}
	if to, _ := o.add(numbered(0), shared); to != nil {
		t.Errorf("flush %v before there is a transport", to)
	}
	s := &sink{}
	o.attach(s)
	if to, _ := o.add(numbered(1), shared); to == nil {
		t.Error("nobody flushes the first broadcast with a transport")
	}
	if to, _ := o.add(numbered(2), shared); to != nil {
		t.Error("listed twice")
	}
	if to, _ := o.add(numbered(3), 0); to == nil {
		t.Error("a message of its own waits for a flusher")
	}
	if to, _ := o.unlist(); to == nil {
		t.Error("taken from the list, and not flushed")
	}
	if to, _ := o.add(numbered(4), shared); to == nil {
		t.Error("not listed again")
	}
	if got := o.texts(); got != "0 1 2 3 4" {
		t.Errorf("order %q", got)
	}
}

// TestOutboxVolatile: such a message is dropped while others wait, but not because
// of those that wait for the end of its own batch.
func TestOutboxVolatile(t *testing.T) {
	o, _ := newOutbox(100, 1000)
	if _, err := o.add(numbered(0), volatile); err != nil {
		t.Error(err)
	}
	if _, err := o.add(numbered(1), volatile); !errors.Is(err, errDropped) {
		t.Errorf("while another waits: %v", err)
	}
	o.begin()
	if _, err := o.add(numbered(2), volatile); err != nil {
		t.Error(err)
	}
	if got := o.texts(); got != "0 2" {
		t.Errorf("%q", got)
	}
}

// TestOutboxSingle: the first message can be taken alone.
func TestOutboxSingle(t *testing.T) {
	o, _ := newOutbox(100, 1000)
	for i := range 3 {
		_, _ = o.add(numbered(i), 0)
	}
	o.takeSingle(true)
	if ms := o.take(); len(ms) != 1 {
		t.Errorf("%d messages", len(ms))
	}
	if got := o.texts(); got != "1 2" {
		t.Errorf("then %q", got)
	}
}

// TestOutboxClosed: nothing is added after close, by whomever; what was added
// before can be taken, or is released.
func TestOutboxClosed(t *testing.T) {
	for _, drop := range []bool{false, true} {
		o, _ := newOutbox(1<<20, 1<<30)
		var added [4]int
		var wg sync.WaitGroup
		started := make(chan struct{}, len(added))
		for g := range added {
			wg.Go(func() {
				for {
					if _, err := o.add(numbered(g), 0); err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
					if added[g]++; added[g] == 1 {
						started <- struct{}{}
					}
				}
			})
		}
		for range added {
			<-started
		}
		o.close(drop)
		left := len(o.take())
		wg.Wait()
		if o.take() != nil {
			t.Error("added after close")
		}
		total := 0
		for _, n := range added {
			total += n
		}
		if want := map[bool]int{false: total}[drop]; left != want {
			t.Errorf("drop %t: %d of %d messages left", drop, left, total)
		}
		if drop && (!o.empty() || o.bytes != 0) {
			t.Errorf("%d messages and %d bytes counted", o.count, o.bytes)
		}
	}
}
