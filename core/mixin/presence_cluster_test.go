package mixin_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// nodes are servers of one cluster, each with a Presence of its own in a namespace.
type nodes struct {
	t      *testing.T
	bus    *cluster.Bus
	set    func(n *sio.Server) *sio.Namespace
	srv    []*sio.Server
	n      []*sio.Namespace
	p      []*mixin.Presence
	at     []*wire.Client
	joined []chan string
}

func clustered(t *testing.T, count int, set func(srv *sio.Server) *sio.Namespace) *nodes {
	ns := &nodes{t: t, bus: cluster.NewBus(), set: set}
	for range count {
		ns.add()
	}
	return ns
}

// byName has the member that the auth payload names.
func byName(s *sio.Socket) mixin.Member {
	var auth struct{ Name string }
	_ = s.Auth(&auth)
	return mixin.Member{ID: auth.Name, Info: map[string]any{"of": auth.Name}}
}

// add starts one more node, and waits until it and the others know each other.
func (ns *nodes) add() {
	srv := sio.NewServer(&sio.Options{Cluster: ns.bus.Backend()})
	p := &mixin.Presence{Who: byName, Every: time.Millisecond}
	n := ns.set(srv)
	n.Mix(p)
	joined := make(chan string, 10)
	sio.ReplyServers(n, "there", func(context.Context, sio.None) (bool, error) { return true, nil })
	srv.OnServer(func(node string, is bool) {
		if is {
			joined <- node
		}
	})
	hs := httptest.NewServer(srv)
	c := wire.New(ns.t, hs.URL, "/socket.io/")
	ns.t.Cleanup(func() {
		c.Close()
		_ = srv.Shutdown(context.Background())
		hs.Close()
	})
	for i := range ns.srv {
		<-joined
		<-ns.joined[i]
	}
	ns.srv, ns.n, ns.p, ns.at = append(ns.srv, srv), append(ns.n, n), append(ns.p, p), append(ns.at, c)
	ns.joined = append(ns.joined, joined)
}

// enter joins a client to a namespace of a node.
func (ns *nodes) enter(node int, path, name string) *wire.WS {
	ns.t.Helper()
	w, _ := ns.at[node].WebSocket()
	w.Send("40" + path + `{"name":"` + name + `"}`)
	if m := w.Next(); !strings.HasPrefix(m, "40"+path+"{") {
		ns.t.Fatal(m)
	}
	return w
}

// heard waits until all other nodes have taken what the Presence of a node has said.
func (ns *nodes) heard(node int) {
	ns.t.Helper()
	said := ns.p[node].Said()
	for i, p := range ns.p {
		if i != node {
			testkit.Until(ns.t, 10*time.Second, "the other nodes have heard it", func() bool { return p.Heard(ns.srv[node].Node()) >= said })
		}
	}
}

func (ns *nodes) members(node int, path string) string {
	var ids []string
	for _, m := range ns.p[node].Members(ns.srv[node].Of(path)) {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func list(path string, names ...string) string {
	var ms []string
	for _, name := range names {
		ms = append(ms, member(name))
	}
	return "42" + path + `["presence",[` + strings.Join(ms, ",") + `]]`
}

func member(name string) string { return fmt.Sprintf(`{"id":%q,"info":{"of":%[1]q}}`, name) }

func come(path, name string) string { return "42" + path + `["presence-join",` + member(name) + `]` }

func left(path, name string) string { return "42" + path + `["presence-leave","` + name + `"]` }

func root(srv *sio.Server) *sio.Namespace { return srv.Of("/") }

// TestPresenceCluster: clients see on all nodes what they would see on one.
func TestPresenceCluster(t *testing.T) {
	for path, set := range map[string]func(srv *sio.Server) *sio.Namespace{
		"":      root,
		"/p/7,": func(srv *sio.Server) *sio.Namespace { return srv.OfPattern("/p/{id}") },
	} {
		ns := clustered(t, 3, set)
		name := strings.TrimSuffix(path, ",")
		ann := ns.enter(0, path, "ann")
		want(t, ann, list(path, "ann"))
		ns.heard(0)
		bob := ns.enter(1, path, "bob")
		want(t, bob, list(path, "ann", "bob"))
		want(t, ann, come(path, "bob"))
		ann2 := ns.enter(1, path, "ann") // on another node
		want(t, ann2, list(path, "ann", "bob"))
		ns.heard(1)
		said := ns.p[0].Said()
		ann.Send("41" + path)
		testkit.Until(t, 10*time.Second, "node 0 says that ann has gone", func() bool { return ns.p[0].Said() > said })
		ns.heard(0)
		for i := range ns.srv {
			if got := ns.members(i, name); got != "ann bob" {
				t.Errorf("%s: node %d: %s", path, i, got)
			}
		}
		cy := ns.enter(2, path, "cy")
		want(t, cy, list(path, "ann", "bob", "cy"))
		want(t, bob, come(path, "cy"))
		ann2.Send("41" + path)
		want(t, bob, left(path, "ann"))
		want(t, cy, left(path, "ann"))
		cy.Send("41" + path)
		want(t, bob, left(path, "cy"))

		ns.add() // one that comes later, and asks
		testkit.Until(t, 10*time.Second, "node 3 knows bob", func() bool { return ns.members(3, name) == "bob" })
		dan := ns.enter(3, path, "dan")
		want(t, dan, list(path, "bob", "dan"))
		want(t, bob, come(path, "dan"))
		if err := ns.srv[3].Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, bob, left(path, "dan"))
	}
}

// TestPresenceClusterOrder: whoever joins sees everybody once, in the list or as one who
// comes, however many come on all nodes at the same time.
func TestPresenceClusterOrder(t *testing.T) {
	ns := clustered(t, 3, root)
	const count = 12
	all := make(chan string, count)
	for i := range count {
		w, _ := ns.at[i%3].WebSocket()
		w.Send(fmt.Sprintf(`40{"name":"%02d"}`, i))
		go func() {
			var seen []string
			for len(seen) < count {
				m, err := w.Read()
				if err != nil {
					all <- err.Error()
					return
				}
				if strings.HasPrefix(m, `42["presence`) {
					for _, part := range strings.Split(m, `"id":"`)[1:] {
						seen = append(seen, part[:2])
					}
				}
			}
			slices.Sort(seen)
			all <- strings.Join(seen, " ")
		}()
	}
	for range count {
		if got := <-all; got != "00 01 02 03 04 05 06 07 08 09 10 11" {
			t.Error(got)
		}
	}
}

// TestPresenceClusterLoss: what was lost on the way between nodes is found out by the next
// change.
func TestPresenceClusterLoss(t *testing.T) {
	ns := clustered(t, 2, root)
	ann := ns.enter(0, "", "ann")
	want(t, ann, list("", "ann"))
	bob := ns.enter(1, "", "bob")
	want(t, ann, come("", "bob"))
	ns.bus.Cut(ns.srv[1].Node())
	ns.enter(1, "", "cy")
	bob.Send("41")
	bob.Send("40" + `{"name":"dan"}`)
	for m := ""; !strings.HasPrefix(m, "40{"); {
		m = bob.Next()
	}
	ns.bus.Heal(ns.srv[1].Node())
	for {
		if got, err := sio.CallServers[bool](t.Context(), ns.n[1], "there"); err == nil && len(got) == 1 {
			break
		}
	}
	ns.enter(1, "", "eve")
	got := []string{ann.Next(), ann.Next(), ann.Next(), ann.Next()}
	slices.Sort(got)
	if wanted := []string{come("", "cy"), come("", "dan"), come("", "eve"), left("", "bob")}; !slices.Equal(got, wanted) {
		t.Errorf("%q", got)
	}
}

// TestPresenceClusterDeath: the members of a node that has died leave.
func TestPresenceClusterDeath(t *testing.T) {
	if testing.Short() {
		t.Skip("a death is noticed after three heartbeats")
	}
	ns := clustered(t, 2, root)
	ann := ns.enter(0, "", "ann")
	want(t, ann, list("", "ann"))
	ns.heard(0)
	bob := ns.enter(1, "", "bob")
	want(t, bob, list("", "ann", "bob"))
	want(t, ann, come("", "bob"))
	dead := make(chan struct{}, 1)
	ns.srv[0].OnServer(func(_ string, is bool) {
		if !is {
			dead <- struct{}{}
		}
	})
	ns.bus.Cut(ns.srv[1].Node())
	<-dead // later than a client waits for
	want(t, ann, left("", "bob"))
	if got := ns.members(0, "/"); got != "ann" {
		t.Error(got)
	}
	ns.bus.Heal()
	want(t, ann, come("", "bob"))
}
