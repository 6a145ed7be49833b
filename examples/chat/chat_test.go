package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/siotest"
)

// joins has a client join a room, and returns what it is told.
func joins(c *siotest.Client, room, nick string) Joined {
	return siotest.Call[Joined](c, "join", room, nick)
}

// TestChat: who is in the room, what is said, and who may not say or join what. The people
// have clients of three generations.
func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := sio.NewServer(nil)
		io.Of("/chat").Mix(newChat())
		person := func(dialect string) *siotest.Client {
			return siotest.New(t, io, &siotest.Options{Dialect: dialect}).Connect("/chat", nil)
		}
		alice, bob, carol := person("eio4"), person("sio1"), person("eio3")

		if j := joins(alice, "lobby", "alice"); j.Room != "lobby" || len(j.History) != 0 || j.Node != "" {
			t.Errorf("alice is told %+v", j)
		}
		alice.Expect("nicks", []string{"alice"})
		first := siotest.Call[Message](alice, "say", "anybody here?")
		if j := joins(bob, " lobby ", "bob"); j.Room != "lobby" || len(j.History) != 1 || !same(j.History[0], first) {
			t.Errorf("bob is told %+v, and %+v was said", j, first)
		}
		for _, c := range []*siotest.Client{alice, bob} {
			c.Expect("nicks", []string{"alice", "bob"})
		}
		said := siotest.Call[Message](bob, "say", "me")
		if got := siotest.Receive[Message](alice, "said"); !same(got, said) || got.Nick != "bob" || got.Text != "me" {
			t.Errorf("alice hears %+v", got)
		}
		synctest.Wait() // what is volatile is not sent to a client that is still busy
		alice.Emit("typing", true)
		bob.Expect("typing", "alice", true)

		for _, row := range []struct {
			c     *siotest.Client
			event string
			args  []any
			code  string
		}{
			{carol, "say", []any{"x"}, "nowhere"},
			{carol, "join", []any{"lobby", "alice"}, "taken"},
			{carol, "join", []any{"", "carol"}, "bad_name"},
			{carol, "join", []any{"lobby", strings.Repeat("é", maxName+1)}, "bad_name"},
			{carol, "join", []any{alice.ID(), "carol"}, "bad_name"}, // the room of a socket
			{carol, "join", []any{"lobby"}, sio.CodeBadArgument},
			{alice, "say", []any{" \n"}, "refused"},
			{alice, "say", []any{strings.Repeat("é", maxText+1)}, "refused"},
		} {
			if e := row.c.Refused(row.event, row.args...); e.Code != row.code {
				t.Errorf("%s %.60v: %v, want the code %s", row.event, row.args, e, row.code)
			}
		}

		bob.Close()
		alice.Expect("nicks", []string{"alice"})
		for i := range historySize + 1 {
			alice.Ask("say", fmt.Sprint(i))
		}
		if j := joins(carol, "lobby", "carol"); len(j.History) != historySize || j.History[0].Text != "1" {
			t.Errorf("carol is told of %d messages", len(j.History))
		}
		alice.Expect("nicks", []string{"alice", "carol"})
		carol.Expect("nicks", []string{"alice", "carol"})
		joins(carol, "elsewhere", "carol")
		alice.Expect("nicks", []string{"alice"})
		carol.Expect("nicks", []string{"carol"})
		synctest.Wait()
		for _, c := range []*siotest.Client{alice, carol} {
			c.Quiet()
		}
	})
}

func same(a, b Message) bool { return a.Nick == b.Nick && a.Text == b.Text && a.At.Equal(b.At) }

// TestTwoServers: the people of two processes are in one room, and those of one that ends
// leave it.
func TestTwoServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		server := func() *sio.Server {
			io := sio.NewServer(&sio.Options{Cluster: bus.Backend()})
			c := newChat()
			io.Of("/chat").Mix(c)
			go c.keepTelling(t.Context())
			return io
		}
		a, b := server(), server()
		siotest.Together(t, a, b)
		alice, bob := siotest.New(t, a, nil).Connect("/chat", nil), siotest.New(t, b, nil).Connect("/chat", nil)
		if j := joins(alice, "lobby", "alice"); j.Node != a.Node() {
			t.Errorf("alice is told %+v", j)
		}
		synctest.Wait() // the other process knows
		joins(bob, "lobby", "bob")
		both := []string{"alice", "bob"}
		bob.Expect("nicks", both)
		alice.Expect("nicks", []string{"alice"})
		alice.Expect("nicks", both)

		second := siotest.New(t, b, nil).Connect("/chat", nil)
		if e := second.Refused("join", "lobby", "alice"); e.Code != "taken" {
			t.Error(e)
		}
		synctest.Wait()
		for from, to := range map[*siotest.Client]*siotest.Client{alice: bob, bob: alice} {
			said := siotest.Call[Message](from, "say", "hello")
			if got := siotest.Receive[Message](to, "said"); !same(got, said) || !slices.Contains(both, got.Nick) {
				t.Errorf("%+v was said, %+v heard", said, got)
			}
		}
		time.Sleep(10 * peopleEvery) // what is told again changes nothing
		alice.Quiet()
		bob.Quiet()

		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if why := bob.End(); why != "transport close" {
			t.Errorf("bob: %s", why)
		}
		alice.Expect("nicks", []string{"alice"})
	})
}
