package natsembed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/clustertest"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// The tests of this file have clients at Servers: what they get, and what is reported to the
// application.

func (b *broker) bus() clustertest.Bus { return busAt(b.url()) }

func busAt(url string) clustertest.Bus {
	return clustertest.Bus{Backend: func() cluster.Backend { return natsbus.New(url, &natsbus.Options{Connect: quick()}) }}
}

// TestServersWithoutNATS: the NATS server goes and comes.
func TestServersWithoutNATS(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{})
	clustertest.Away(t, b.bus(), b.stop, b.start)
}

// TestServersCut: the connection of one node is cut, or falls silent.
func TestServersCut(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "refused", true: "silent"}[silent], func(t *testing.T) {
			t.Parallel()
			b := startBroker(t, server.Options{})
			p := netfault.New(t, fmt.Sprint("127.0.0.1:", b.port))
			cut := p.Cut
			if silent {
				cut = p.Freeze
			}
			clustertest.Cut(t, b.bus(), busAt("nats://"+p.Addr), cut, p.Heal, silent)
		})
	}
}

// TestServersKilled: the process of a node is killed.
func TestServersKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{})
	clustertest.Killed(t, b.bus(), b.url())
}

// TestServersStalled: a node stops reading, and the NATS server ends its connection.
func TestServersStalled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{MaxPending: 2 << 20, WriteDeadline: time.Second})
	clustertest.Stalled(t, b.bus(), b.url(), false)
}

// TestServersForbidden: a server whose user of NATS may not subscribe to rooms, or may not publish
// to them, says so to the application, counts what is lost, and is no way to miss events unseen.
func TestServersForbidden(t *testing.T) {
	t.Parallel()
	rooms := &server.SubjectPermission{Deny: []string{"sio.default.*.r.>"}}
	b := startBroker(t, server.Options{Users: []*server.User{
		{Username: "deaf", Password: "p", Permissions: &server.Permissions{Subscribe: rooms}},
		{Username: "mute", Password: "p", Permissions: &server.Permissions{Publish: rooms}},
	}})
	gaps := make(chan sio.Failure, 100)
	serve := func(user string) (*sio.Server, string) {
		connect := append(quick(), nats.UserInfo(user, "p"))
		srv := sio.NewServer(&sio.Options{
			Cluster: natsbus.New(b.url(), &natsbus.Options{Connect: connect}), Logger: slog.New(slog.DiscardHandler),
			OnError: func(f sio.Failure) {
				if f.Name == sio.FailureCluster {
					gaps <- f
				}
			},
		})
		hs := httptest.NewServer(srv)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := srv.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			hs.Close()
		})
		return srv, hs.URL
	}
	next := func(prefix, text string) {
		t.Helper()
		select {
		case f := <-gaps:
			if !errors.Is(f.Err, nats.ErrPermissionViolation) || !strings.HasPrefix(f.Reason, prefix) || !strings.Contains(f.Reason, text) {
				t.Errorf("told %+v", f)
			}
		case <-time.After(patience):
			t.Fatal("nothing is reported")
		}
	}

	deaf, url := serve("deaf")
	joined := make(chan error, 1)
	deaf.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		s.Go(func(ctx context.Context) {
			joined <- s.JoinFrom(ctx, "r", func(context.Context) (uint64, error) { return 0, nil })
		})
		return nil
	})
	wire.New(t, url, "/socket.io/").Join("")
	if err := <-joined; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("JoinFrom: %v", err)
	}
	next("the other nodes cannot be reached since", "")

	mute, _ := serve("mute")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := mute.Of("/").All().Count(ctx); err != nil { // it has reached the bus
		t.Fatal(err)
	}
	for range 3 {
		if err := mute.Of("/").To("r").Emit("lost"); err != nil {
			t.Error(err)
		}
	}
	said := regexp.MustCompile(`^from .*[^0-9]([0-9]+) messages to other nodes were lost`)
	for lost := 0; lost < 3; { // in one gap, unless the machine stands still meanwhile
		select {
		case f := <-gaps:
			if m := said.FindStringSubmatch(f.Reason); m != nil {
				n, _ := strconv.Atoi(m[1])
				if lost += n; lost > 3 || !errors.Is(f.Err, nats.ErrPermissionViolation) {
					t.Errorf("told %+v", f)
				}
			}
		case <-ctx.Done():
			t.Fatalf("%d lost messages are told", lost)
		}
	}
}

// TestServersRefused: a room that the server refuses when it is there again.
func TestServersRefused(t *testing.T) {
	t.Parallel()
	users := func(deny ...string) []*server.User {
		return []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{">"}, Deny: deny}}}}
	}
	b := startBroker(t, server.Options{Users: users("sio.default.*.r.YmFk")}) // the room "bad"
	backend := natsbus.New(b.url(), &natsbus.Options{Connect: append(quick(), nats.UserInfo("u", "p"))})
	clustertest.Refused(t, backend, nats.ErrPermissionViolation.Error(), b.stop, b.start, func() { b.reload(func(o *server.Options) { o.Users = users() }) })
}

// TestServersPoison: what nobody should publish, on every subject.
func TestServersPoison(t *testing.T) {
	t.Parallel()
	b := startBroker(t, server.Options{})
	foreign, err := nats.Connect(b.url())
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	clustertest.Poison(t, b.bus(), func(names []string, payload string) (heard int) {
		// The subjects are those in the package's documentation.
		for subject, nodes := range map[string]int{
			"sio.default.nodes": 2, "sio.default.node." + names[0]: 1, "sio.default.node." + names[1]: 1,
			"sio.default.Lw.all": 2, "sio.default.Lw.r.cg": 2,
		} {
			if err := foreign.Publish(subject, []byte(payload)); err != nil {
				t.Error(err)
			}
			heard += nodes
		}
		if err := foreign.Flush(); err != nil {
			t.Error(err)
		}
		return heard
	})
}

// TestServersLoseTheServer: the process that serves ends under traffic. The others go on, and
// one more joins them.
func TestServersLoseTheServer(t *testing.T) {
	t.Parallel()
	port := testkit.Port(t)
	clustertest.First(t, clustertest.Bus{Backend: func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) }})
}

// TestServersServerKilled: the process that serves is killed.
func TestServersServerKilled(t *testing.T) {
	t.Parallel()
	port := testkit.Port(t)
	clustertest.FirstKilled(t, clustertest.Bus{Backend: func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) }}, fmt.Sprint("embedded ", port))
}

// childBackend is for a process that clustertest has started.
func childBackend(arg string) cluster.Backend {
	if port, ok := strings.CutPrefix(arg, "embedded "); ok {
		n, err := strconv.Atoi(port)
		if err != nil {
			panic(err)
		}
		return natsembed.New(&natsembed.Options{Port: n})
	}
	return busAt(arg).Backend()
}
