package sio

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// counting is a backend that counts the nodes of another kind.
type counting struct {
	cluster.Backend
	others int
}

func (c counting) Others(context.Context, string) (int, error) { return c.others, nil }

// stranger is a node of another kind: it says who is there, and does not count.
type stranger struct {
	b   cluster.Backend
	ask chan *cluster.Message
}

func (s stranger) Receive(m *cluster.Message) {
	if m.Kind == cluster.Fetch || m.Kind == cluster.Emit && m.ID != "" {
		s.ask <- m.Clone()
	}
}

func (stranger) Up()             {}
func (stranger) Down(error)      {}
func (stranger) Lost(int, error) {}

// mixed is a server in a cluster with a stranger.
func mixed(t *testing.T) (*Server, stranger) {
	ctx := context.Background()
	bus := cluster.NewBus()
	other := stranger{bus.Backend(), make(chan *cluster.Message, 1)}
	if err := other.b.Start(ctx, "0123456789abcdef", other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.b.Close(ctx) })
	return NewServer(&Options{Cluster: counting{bus.Backend(), 1}}), other
}

// TestClusterMixedCount: in a cluster with nodes that cannot count, sockets are counted by
// those who are there.
func TestClusterMixedCount(t *testing.T) {
	ctx := context.Background()
	srv, other := mixed(t)
	go func() {
		m := <-other.ask
		_ = other.b.Publish(ctx, []*cluster.Message{{
			Kind: cluster.Sockets, Node: "0123456789abcdef", To: m.Node, Namespace: m.Namespace, ID: m.ID, OnlyIDs: m.OnlyIDs,
			Sockets: []cluster.Socket{{ID: "a"}, {ID: "b"}},
		}})
	}()
	c := serve(t, srv)
	c.Join("")
	if n, err := srv.Of("/").All().Count(ctx); n != 3 || err != nil {
		t.Error(n, err)
	}
}

// TestClusterMixedSilent: clients of nodes that do not say their ids are counted when they have
// not answered, whether the node says its name or not; the node is not missing.
func TestClusterMixedSilent(t *testing.T) {
	for _, name := range []string{"", "0123456789abcdef"} {
		t.Run("node "+name, func(t *testing.T) {
			srv, other := mixed(t)
			serve(t, srv)
			go func() {
				m := <-other.ask
				answer := func(k cluster.Kind, number int, data string) *cluster.Message {
					return &cluster.Message{Kind: k, Node: name, To: m.Node, Namespace: m.Namespace, ID: m.ID, Number: number, Data: []byte(data)}
				}
				_ = other.b.Publish(context.Background(), []*cluster.Message{answer(cluster.Asked, 3, ""), answer(cluster.Acked, 0, `["yes"]`)})
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			answers, err := CallAll[string](ctx, srv.Of("/").All(), "ask")
			if err != nil || len(answers) != 3 || answers[0] != (Answer[string]{Value: "yes"}) {
				t.Fatal(answers, err)
			}
			for _, a := range answers[1:] {
				if a.ID != "" || a.Err != ErrAckTimeout {
					t.Error(a)
				}
			}
		})
	}
}

// TestClusterMixedRooms: for Node the id of a socket is a room like others, and here it is none.
func TestClusterMixedRooms(t *testing.T) {
	srv, other := mixed(t)
	serve(t, srv)
	go func() {
		m := <-other.ask
		_ = other.b.Publish(context.Background(), []*cluster.Message{{
			Kind: cluster.Sockets, Node: "0123456789abcdef", To: m.Node, Namespace: m.Namespace, ID: m.ID,
			Sockets: []cluster.Socket{{ID: "a", Rooms: []string{"a", "r1"}}, {ID: "b", Rooms: []string{"b"}}},
		}})
	}()
	var got []string
	for s, err := range srv.Of("/").All().Sockets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(s.ID(), s.Rooms()))
	}
	if !slices.Equal(got, []string{"a[r1]", "b[]"}) {
		t.Error(got)
	}
}
