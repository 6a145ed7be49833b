package mixin

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// TestOnceKeep: an event is remembered for Keep after its handler has returned, whether the
// handler took longer than that or not, and nothing is counted when all is forgotten.
func TestOnceKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		o := Once{Keep: time.Minute}
		begin := func(id string) (*run, bool) { return m.begin("c", eventID{"/", "e", id}, o.limits(), t.Context()) }
		a, first := begin("a")
		if !first {
			t.Fatal("not the first")
		}
		time.Sleep(2 * time.Minute)
		if again, first := begin("a"); first || again != a {
			t.Error("forgotten while the handler runs")
		}
		a.returned(false)
		time.Sleep(time.Minute - 1)
		if _, first := begin("a"); first {
			t.Error("forgotten before its time")
		}
		for i := range 50 {
			r, _ := begin(fmt.Sprint(i))
			r.returned(false)
		}
		time.Sleep(time.Nanosecond)
		if again, first := begin("a"); !first {
			t.Error("remembered for too long")
		} else {
			again.returned(false)
		}
		time.Sleep(time.Minute)
		m.mu.Lock()
		m.expire(time.Minute)
		if m.bytes != 0 || len(m.clients) != 0 || m.runs.Len() != 0 {
			t.Errorf("%d bytes of %d clients are left", m.bytes, len(m.clients))
		}
		m.mu.Unlock()
	})
}

func packedArgs(t *testing.T) sio.Args {
	t.Helper()
	args, err := sio.NewServer(nil).Of("/").Encode("x")
	if err != nil {
		t.Fatal(err)
	}
	return args
}

// TestOnceForgotten: an answer that comes when its event is forgotten is counted for nobody,
// and a repetition that has found the event before is told so.
func TestOnceForgotten(t *testing.T) {
	var m memory
	l := onceLimits{time.Minute, 1, 1 << 20, 1 << 20}
	a, _ := m.begin("c", eventID{"/", "e", "a"}, l, t.Context())
	a.returned(false)
	b, _ := m.begin("c", eventID{"/", "e", "b"}, l, t.Context())
	b.returned(false)
	size := m.bytes
	a.answered(packedArgs(t))
	if m.bytes != size || !a.lost {
		t.Errorf("%d bytes instead of %d, lost %v", m.bytes, size, a.lost)
	}
	b.answered(packedArgs(t))
	if m.bytes <= size || b.lost {
		t.Errorf("%d bytes with an answer, lost %v", m.bytes, b.lost)
	}
}

// TestOnceOutliving: the context of a handler ends some time after its socket's.
func TestOnceOutliving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		socket, end := context.WithCancel(t.Context())
		ctx, cancel := outliving(socket)
		quick, returned := outliving(socket)
		end()
		returned()
		time.Sleep(onceHandlerTime - 1)
		synctest.Wait()
		if ctx.Err() != nil || quick.Err() == nil {
			t.Errorf("%v, and for a handler that has returned %v", ctx.Err(), quick.Err())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("the context does not end")
		}
		cancel()
	})
}
