package mixin

import (
	"context"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// kept lists what a History has of a room.
func (h *History) kept(n *sio.Namespace, room string) (list []string) {
	for _, e := range h.all.entries(h.of(n).events, room) {
		list = append(list, e.event)
	}
	return list
}

// sum is what the ledger should have counted.
func (h *History) sum() (n int) {
	for el := h.all.recent.Front(); el != nil; el = el.Next() {
		re := el.Value.(*roomEvents)
		n += roomCost + len(re.room)
		for _, e := range re.entries {
			n += e.size
		}
	}
	return n
}

// TestHistoryBytes: at the bound an event is kept, one byte beyond the oldest goes.
func TestHistoryBytes(t *testing.T) {
	const size = 1000
	n, two := sio.NewServer(nil).Of("/"), sio.NewServer(nil).Of("/")
	text := func(event string, more int) string { return strings.Repeat("x", size-eventCost-len(event)-26+more) }
	h := &History{Bytes: 3 * size, MaxBytes: 4 * (3*size + roomCost + 1)}
	say := func(n *sio.Namespace, room, event string, more int) {
		t.Helper()
		if err := h.Emit(n, room, event, text(event, more)); err != nil {
			t.Fatal(err)
		}
		if h.all.bytes != h.sum() || h.all.bytes > h.MaxBytes {
			t.Fatalf("%d bytes are counted, %d are there", h.all.bytes, h.sum())
		}
	}
	check := func(room, want string) {
		t.Helper()
		if got := strings.Join(h.kept(n, room), " "); got != want {
			t.Errorf("room %s: %q instead of %q", room, got, want)
		}
	}
	for _, e := range []string{"a", "b", "c"} {
		say(n, "1", e, 0)
	}
	check("1", "a b c")
	say(n, "1", "d", 1)
	check("1", "c d")
	say(n, "1", "large", 2*size+1)
	check("1", "c d") // it is sent, and not kept
	say(n, "1", "full", 2*size)
	check("1", "full")
	for _, room := range []string{"2", "3"} {
		say(n, room, "full", 2*size)
	}
	say(two, "4", "full", 2*size) // the bound is for all namespaces
	check("1", "full")
	say(two, "5", "e", 0)
	check("1", "")
	check("2", "full")
	say(n, "2", "again", 0)
	say(two, "6", "full", 2*size)
	check("3", "full")
	say(two, "7", "full", 2*size)
	check("3", "")
	check("2", "again")
}

// TestHistoryOfANamespaceThatIsGone is forgotten with it.
func TestHistoryOfANamespaceThatIsGone(t *testing.T) {
	srv := sio.NewServer(nil)
	h := &History{Events: []string{"say"}}
	srv.OfPattern("/room/{id}").Mix(&Rooms{Enter: h.Join}, h)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	c := wire.New(t, hs.URL, "/socket.io/")
	defer c.Close()
	w := c.Join("")
	for i := range 3 {
		ns := fmt.Sprintf("/room/%d", i)
		w.Send("40" + ns)
		w.Next()
		w.Send(`42` + ns + `,1["join","r"]`)
		w.Next()
		w.Send(`42` + ns + `,2["say","r","text"]`)
		w.Next()
		w.Next()
		w.Send("41" + ns)
	}
	size := func() int {
		h.all.mu.Lock()
		defer h.all.mu.Unlock()
		return h.all.bytes
	}
	for end := time.Now().Add(5 * time.Second); size() > 0; runtime.GC() {
		if time.Now().After(end) {
			t.Fatalf("%d bytes of namespaces that are gone are kept", size())
		}
	}
}

// TestSizeOf: nothing that is kept is counted as less than it takes.
func TestSizeOf(t *testing.T) {
	n, h := sio.NewServer(nil).Of("/"), &History{}
	for what, row := range map[string]struct {
		args []any
		min  int
	}{
		"text":      {[]any{strings.Repeat("x", 5000)}, 5000},
		"bytes":     {[]any{make([]byte, 5000)}, 5000},
		"values":    {[]any{map[string]any{"a": strings.Repeat("x", 5000)}}, 5000},
		"numbers":   {[]any{1, 2.5, true, nil}, 96},
		"no values": {nil, 0},
	} {
		if err := h.Emit(n, what, "e", row.args...); err != nil {
			t.Fatal(err)
		}
		e := h.all.entries(h.of(n).events, what)[0]
		if least := row.min + eventCost + 1; e.size < least || e.size > least+300 {
			t.Errorf("%s: %d", what, e.size)
		}
	}
}

// TestArgsSize: attachments count wherever they are, and so does each argument.
func TestArgsSize(t *testing.T) {
	srv := sio.NewServer(nil)
	sizes := make(chan int, 1)
	srv.Of("/").On("ev", sio.Handle(func(_ context.Context, _ *sio.Socket, args sio.Args) error {
		sizes <- args.Clone().Size()
		return nil
	}))
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	c := wire.New(t, hs.URL, "/socket.io/")
	defer c.Close()
	w := c.Join("")
	w.Send(`451-["ev",{"a":{"_placeholder":true,"num":0}}]`)
	w.SendBinary(make([]byte, 50_000))
	if n := <-sizes; n < 50_000 {
		t.Errorf("a nested attachment of 50 000 bytes: %d", n)
	}
	w.Send(`42["ev"` + strings.Repeat(",1", 1000) + `]`)
	if n := <-sizes; n < 24_000 {
		t.Errorf("1 000 arguments: %d", n)
	}
}
