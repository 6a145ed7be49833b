package node

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestBusyReceiver: a node that has far too much to do gives up nobody whose heartbeats wait
// behind it, and those that are gone when it has caught up.
func TestBusyReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb", "ccccc")
		a, b, quiet := ps[0], ps[1], ps[2]
		quiet.ids = []string{"c1"}
		b.onDeliver = func(*cluster.Message) { time.Sleep(beat) }
		for range 20 {
			a.Publish(emit("work"))
		}
		m := count()
		m.Timeout = time.Hour
		got, err := b.ask(t.Context(), m)()
		if err != nil || strings.Join(got, ";") != "aaaaa 0;ccccc 1" {
			t.Errorf("a question while much waits: %q, %v", got, err)
		}
		synctest.Wait()
		if b.newsOf("aaaaa") != "+aaaaa" || b.newsOf("ccccc") != "+ccccc" || b.Owner("ccccc123456789012345") == "" {
			t.Errorf("nodes: %s", b.news())
		}
		time.Sleep(10 * beat)
		bus.Cut("ccccc")
		time.Sleep((missedBeats + 2) * beat)
		synctest.Wait()
		if b.newsOf("ccccc") != "+ccccc -ccccc" || b.newsOf("aaaaa") != "+aaaaa" {
			t.Errorf("nodes: %s", b.news())
		}
	})
}

// lagging is a backend that says whether its Receiver is behind.
type lagging struct {
	held
	behind atomic.Bool
}

func (l *lagging) Behind() bool { return l.behind.Load() }

// TestBehind: silence counts from the moment when the Receiver is not behind any more.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(lagging)
		p := newPeer(l, "aaaaa").start(t)
		synctest.Wait()
		l.r.Receive(&cluster.Message{Kind: cluster.Hello, Node: "bbbbb", ID: "b"})
		l.behind.Store(true)
		time.Sleep(20*beat + beat/2)
		l.behind.Store(false)
		time.Sleep(2 * beat)
		synctest.Wait()
		if p.news() != "+bbbbb" {
			t.Errorf("nodes: %s", p.news())
		}
		time.Sleep(3 * beat)
		synctest.Wait()
		if p.news() != "+bbbbb -bbbbb" {
			t.Errorf("nodes: %s", p.news())
		}
	})
}

// TestBye: who has said that it leaves is told from who has fallen silent, and what both have
// said of themselves is known.
func TestBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb", "ccccc")
		ps[1].leave(t)
		bus.Cut("ccccc")
		time.Sleep((missedBeats + 2) * beat)
		synctest.Wait()
		equal(t, "byes", ps[0].byes, []string{"bbbbb"})
		equal(t, "infos", ps[0].infos, []string{"http://bbbbb", "http://ccccc"})
	})
}

// TestStray: what has the form of an id, and no owner that is known.
func TestStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := nodes(t, cluster.NewBus(), "aaaaa", "bbbbb")
		for room, want := range map[string]bool{
			"zzzzz123456789-_ABCD": true, "bbbbb123456789-_ABCD": false, "aaaaa123456789-_ABCD": false,
			"zzzzz123456789-_ABC": false, "zzzzz123456789-_ABC:": false, "": false,
		} {
			if got := ps[0].Stray(room); got != want {
				t.Errorf("%q: %v", room, got)
			}
		}
		if newPeer(new(counting), "ccccc").Stray("zzzzz123456789-_ABCD") {
			t.Error("on a bus with nodes of another kind")
		}
	})
}
