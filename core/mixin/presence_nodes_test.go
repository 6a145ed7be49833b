package mixin

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// TestPresenceNews: what is out of order is not believed until all has come again, and what
// was believed before stays until then.
func TestPresenceNews(t *testing.T) {
	srv := sio.NewServer(&sio.Options{Cluster: cluster.NewBus().Backend()})
	t.Cleanup(func() { _ = srv.Shutdown(context.Background()) })
	p := &Presence{MaxMembers: 3}
	n := srv.Of("/")
	n.Mix(p)
	x := p.mixings[0]
	hear := func(kind string, seq uint64, left []string, came ...string) {
		var list []Member
		for _, id := range came {
			list = append(list, Member{ID: id})
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.heard(presenceNews{Kind: kind, Node: "other", Seq: seq, Path: "/", Left: left}, list)
	}
	is := func(when, want string) {
		t.Helper()
		got := ""
		for _, m := range p.Members(n) {
			got += m.ID
		}
		if got != want {
			t.Errorf("%s: %q instead of %q", when, got, want)
		}
	}
	hear(newsChange, 5, nil, "a")
	is("the middle of a node's life", "")
	hear(newsChange, 6, nil, "b")
	is("before all has come", "")
	hear(newsAll, 7, nil)
	hear(newsPart, 8, nil, "a", "b")
	is("while all comes", "")
	hear(newsEnd, 9, nil)
	hear(newsChange, 10, []string{"a", "nobody"}, "c", "c")
	is("in order", "bc")
	hear(newsBeat, 10, nil)
	hear(newsChange, 11, nil, "d")
	is("after a beat", "bcd")
	hear(newsBeat, 12, nil)
	hear(newsChange, 13, []string{"b"})
	is("a beat has shown a loss", "bcd")
	hear(newsAll, 14, nil)
	hear(newsPart, 16, nil, "x")
	hear(newsEnd, 17, nil)
	is("a part was lost", "bcd")
	hear(newsAll, 20, nil)
	hear(newsChange, 21, nil, "x")
	is("a change among the parts", "bcd")
	hear(newsAll, 30, nil)
	hear(newsPart, 31, nil, "d", "e")
	hear(newsEnd, 32, nil)
	is("all again", "de")
	hear(newsChange, 33, nil, "f", "g", "h")
	is("more than the bound", "def")

	x.mu.Lock()
	x.expire(time.Now().Add(presenceLinger - time.Second))
	x.mu.Unlock()
	is("a node that is quiet", "def")
	x.mu.Lock()
	x.beat(time.Now().Add(time.Hour), true)
	x.mu.Unlock()
	is("this process stood still", "def")
	x.mu.Lock()
	x.beat(time.Now().Add(2*time.Hour), false)
	x.mu.Unlock()
	is("a node that says nothing", "")

	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range 2 * maxPresenceNodes {
		x.heard(presenceNews{Kind: newsBeat, Node: fmt.Sprint(i)}, nil)
	}
	if n := len(x.others.nodes); n > maxPresenceNodes || len(x.rosters) != 0 {
		t.Errorf("%d nodes, %d namespaces", n, len(x.rosters))
	}
}
