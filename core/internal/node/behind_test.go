package node

import (
	"slices"
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

// TestBye: who has said that it leaves is told from who has fallen silent, and what the latter has
// said of itself is known.
func TestBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb", "ccccc")
		ps[1].leave(t)
		bus.Cut("ccccc")
		time.Sleep((missedBeats + 2) * beat)
		synctest.Wait()
		equal(t, "byes", ps[0].byes, []string{"bbbbb"})
		equal(t, "infos", ps[0].infos, []string{"http://ccccc"})
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

// TestSilentInfo: what a node that has fallen silent has said of itself is known until the Host has
// been told, however long the Host takes for something else.
func TestSilentInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb", "ccccc")
		a := ps[0]
		hold := make(chan struct{})
		a.set(func() {
			a.onJoined = func(name string) {
				if name == "slow1" {
					<-hold
				}
			}
		})
		info := func(when, name string, want bool) {
			t.Helper()
			got, ok := a.Info(name)
			if ok != want || ok && got != "http://"+name {
				t.Errorf("%s: %s: %q, %v", when, name, got, ok)
			}
		}
		receiver{a.Node}.Receive(&cluster.Message{Kind: cluster.Hello, Node: "slow1", ID: "s", Info: "http://slow1"})
		synctest.Wait()
		receiver{a.Node}.Receive(&cluster.Message{Kind: cluster.Hello, Node: "ddddd", ID: "d", Info: "http://ddddd"}) // the Host never hears of it in time
		for _, name := range []string{"bbbbb", "ccccc"} {
			bus.Cut(name)
		}
		time.Sleep((missedBeats + 2) * beat)
		synctest.Wait()
		equal(t, "nodes", a.Nodes(), nil)
		for _, name := range []string{"bbbbb", "ccccc", "ddddd", "slow1"} {
			info("given up", name, true)
		}
		receiver{a.Node}.Receive(&cluster.Message{Kind: cluster.Bye, Node: "ccccc", ID: ps[2].instance})
		info("said that it leaves", "ccccc", false)
		if a.newsOf("bbbbb") != "+bbbbb" {
			t.Errorf("nodes: %s", a.news())
		}
		close(hold)
		synctest.Wait()
		for _, name := range []string{"bbbbb", "ccccc", "ddddd", "slow1"} {
			info("told", name, false)
			if got := a.newsOf(name); got != "+"+name+" -"+name {
				t.Errorf("%s: %s", name, got)
			}
		}
		equal(t, "byes", a.byes, []string{"ccccc"})
		slices.Sort(a.infos)
		equal(t, "infos", a.infos, []string{"http://bbbbb", "http://ddddd", "http://slow1"})
		bus.Heal("bbbbb")
		time.Sleep(2 * beat)
		synctest.Wait()
		info("heard again", "bbbbb", true)
	})
}
