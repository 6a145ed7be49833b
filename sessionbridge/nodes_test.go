package sessionbridge_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
	"github.com/siokit/siokit/sessionbridge/memory"
)

// held is a store that does something when it has loaded.
type held struct {
	*plain
	loaded func()
}

func (h *held) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	v, err := h.plain.Load(ctx, id)
	if h.loaded != nil {
		h.loaded()
	}
	return v, err
}

// cluster2 is two sites of one cluster with one store, each with a bridge of its own, and
// what waits until the other site has done what a site has said.
func cluster2(t *testing.T, o *sessionbridge.Options) (list [2]*site, stores [2]*held, done func(from int)) {
	bus, sessions := cluster.NewBus(), memory.New("sid", 0)
	joined := make(chan string, 2)
	for i := range list {
		s := &site{t: t, store: &plain{full: sessions.Backend().(full), sessions: sessions}}
		stores[i] = &held{plain: s.store}
		s.bridge = sessionbridge.New(stores[i], o)
		s.io = sio.NewServer(&sio.Options{Cluster: bus.Backend(), OnHandshake: s.bridge.OnHandshake, Logger: slog.New(slog.DiscardHandler)})
		sio.ReplyServers(s.io.Of("/"), "there", func(context.Context, sio.None) (bool, error) { return true, nil })
		s.io.OnServer(func(node string, _ bool) { joined <- node })
		hs := httptest.NewServer(s.io)
		s.url = hs.URL
		list[i] = s
		t.Cleanup(func() {
			if err := s.io.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			hs.Close()
		})
	}
	<-joined
	<-joined
	return list, stores, func(from int) {
		t.Helper()
		if got, err := sio.CallServers[bool](ctx, list[from].io.Of("/"), "there"); err != nil || len(got) != 1 {
			t.Error(got, err)
		}
	}
}

// visit opens a connection to a site with the session of another one's client.
func (s *site) visit(c *wire.Client) *wire.Client {
	d := wire.New(s.t, s.url, "/socket.io/")
	d.Head.Set("Cookie", c.Head.Get("Cookie"))
	return d
}

// TestLogoutOnAllNodes: the connections of a session end on every node at once, whoever
// says so, also on a node that has never had a connection.
func TestLogoutOnAllNodes(t *testing.T) {
	for name, end := range map[string]func(s *site, id string) error{
		"Logout": func(s *site, id string) error {
			if n := s.bridge.Logout(ctx, id); n != 1 {
				t.Errorf("%d connections ended", n)
			}
			return nil
		},
		"Destroy": func(s *site, id string) error { return s.bridge.Session(id).Destroy(ctx) },
	} {
		sites, _, _ := cluster2(t, never())
		c, id := sites[0].visitor(sessionbridge.Values{"user": "ann"})
		here, there := c.Join(""), sites[1].visit(c).Join("")
		other, _ := sites[1].visitor(nil)
		stays := other.Join("")
		if err := end(sites[0], id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		here.End()
		there.End()
		stays.Send(`421["x"]`)
		if m := stays.Next(); m[:3] != "431" {
			t.Errorf("%s: the other session: %s", name, m)
		}
	}
	sites, _, _ := cluster2(t, never())
	sites[0].io.Of("/").Mix(sites[0].bridge)
	c, id := sites[1].visitor(nil)
	w := c.Join("")
	if n := sites[0].bridge.Logout(ctx, id); n != 0 {
		t.Errorf("%d connections ended", n)
	}
	w.End()
}

// TestLogoutBesideHandshakeElsewhere: a handshake that has loaded the session, when another
// node ends it, is no way around the logout.
func TestLogoutBesideHandshakeElsewhere(t *testing.T) {
	o := never()
	o.RequireSession = true
	sites, stores, done := cluster2(t, o)
	c, id := sites[0].visitor(nil)
	c.Join("")
	stores[1].loaded = func() {
		if n := sites[0].bridge.Logout(ctx, id); n != 1 {
			t.Errorf("%d connections ended", n)
		}
		done(0)
	}
	if a := sites[1].visit(c).Must("GET", "EIO=4&transport=polling", ""); a.Status == 200 {
		t.Error(a)
	}
}

// TestUserChangesOnAllNodes: an Update that gives the session another user drops its
// connections on every node, at the cost of one load each.
func TestUserChangesOnAllNodes(t *testing.T) {
	o := never()
	o.UserKey = "user"
	sites, _, _ := cluster2(t, o)
	c, id := sites[0].visitor(sessionbridge.Values{"user": "ann"})
	c.Join("")
	d := sites[1].visit(c)
	a, b := d.Join(""), d.Join("")
	sites[1].store.loads.Store(0)
	err := sites[0].bridge.Session(id).Update(ctx, func(v sessionbridge.Values) error { v["user"] = "bob"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	a.End()
	b.End()
	if n := sites[1].store.loads.Load(); n != 1 {
		t.Errorf("%d loads", n)
	}
}

// TestRevalidationOnNodes costs one load for each session and node.
func TestRevalidationOnNodes(t *testing.T) {
	sites, _, _ := cluster2(t, never())
	c, _ := sites[0].visitor(nil)
	for _, s := range sites {
		d := s.visit(c)
		d.Join("")
		d.Join("")
		s.store.loads.Store(0)
	}
	for _, s := range sites {
		s.bridge.Revalidate(ctx)
		if n := s.store.loads.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
	}
}

// TestLogoutBesideSlowServers: a function of HandleServers that takes its time holds back no
// logout.
func TestLogoutBesideSlowServers(t *testing.T) {
	sites, _, _ := cluster2(t, never())
	c, id := sites[0].visitor(nil)
	here, there := c.Join(""), sites[1].visit(c).Join("") // each bridge knows its server by its first client
	running, goOn := make(chan struct{}), make(chan struct{})
	defer close(goOn)
	sio.HandleServers(sites[1].io.Of("/"), "slow", func(context.Context, sio.None) error {
		close(running)
		<-goOn
		return nil
	})
	if err := sites[0].io.Of("/").EmitServers("slow"); err != nil {
		t.Fatal(err)
	}
	<-running
	if n := sites[0].bridge.Logout(ctx, id); n != 1 {
		t.Errorf("%d connections ended", n)
	}
	here.End()
	there.End()
}
