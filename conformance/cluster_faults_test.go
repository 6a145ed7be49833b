package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/bustest"
)

// change changes each message that is published.
func change(f func(m *cluster.Message)) bustest.Faulty {
	return bustest.Faulty{Change: func(ms []*cluster.Message) []*cluster.Message {
		for _, m := range ms {
			f(m)
		}
		return ms
	}}
}

// lose loses the messages that f chooses.
func lose(f func(m *cluster.Message) bool) bustest.Faulty {
	return bustest.Faulty{Change: func(ms []*cluster.Message) []*cluster.Message { return slices.DeleteFunc(ms, f) }}
}

func event(m *cluster.Message) bool { return m.Kind == cluster.Emit && m.ID == "" }

// TestClusterSees: each fault of a backend is seen by the case that is about it.
func TestClusterSees(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: each fault is seen when something has not come in time")
	}
	for _, row := range []struct {
		name, seen string
		fault      bustest.Faulty
	}{
		{"events come twice", "emit/all", bustest.Faulty{Change: func(ms []*cluster.Message) (list []*cluster.Message) {
			for _, m := range ms {
				if list = append(list, m); event(m) {
					list = append(list, m)
				}
			}
			return list
		}}},
		{"a batch comes in the wrong order", "order/one-emitter", bustest.Faulty{Change: func(ms []*cluster.Message) []*cluster.Message {
			slices.Reverse(ms)
			return ms
		}}},
		{"events are lost", "emit/all", lose(event)},
		{"events for one node are lost", "emit/id", lose(func(m *cluster.Message) bool { return event(m) && m.To != "" })},
		{"rooms are not watched", "emit/room", bustest.Faulty{Watched: func(list []cluster.Interest) []cluster.Interest {
			return slices.DeleteFunc(list, func(i cluster.Interest) bool { return i.Room != "" })
		}}},
		{"rooms are forgotten", "emit/room", change(func(m *cluster.Message) { m.Rooms = nil })},
		{"only one room is kept", "emit/rooms", change(func(m *cluster.Message) { m.Rooms = m.Rooms[:min(1, len(m.Rooms))] })},
		{"exceptions are forgotten", "emit/except", change(func(m *cluster.Message) { m.Except = nil })},
		{"names of rooms lose their case", "names/rooms", change(func(m *cluster.Message) {
			for i := range m.Rooms {
				m.Rooms[i] = strings.ToLower(m.Rooms[i])
			}
		})},
		{"namespaces are cut at a dot", "names/namespaces", change(func(m *cluster.Message) { m.Namespace, _, _ = strings.Cut(m.Namespace, ".") })},
		{"attachments are lost", "emit/binary", change(func(m *cluster.Message) { m.Attachments = nil })},
		{"joins are lost", "targets/join", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Join })},
		{"leaving is lost", "targets/leave", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Leave })},
		{"leaving all is lost", "targets/leave-all", lose(func(m *cluster.Message) bool { return m.Kind == cluster.LeaveAll })},
		{"disconnects are lost", "targets/disconnect", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Disconnect })},
		{"closing is lost", "targets/close-conns", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Close })},
		{"closing of transports is lost", "targets/close-transport", lose(func(m *cluster.Message) bool { return m.Kind == cluster.CloseTransport })},
		{"counts are wrong", "ask/count", change(func(m *cluster.Message) { m.Number++ })},
		{"rooms of sockets are lost", "ask/sockets", change(func(m *cluster.Message) {
			for i := range m.Sockets {
				m.Sockets[i].Rooms = nil
			}
		})},
		{"answers of clients are lost", "ask/call-all", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Acked })},
		{"it is not said who was asked", "ask/call-silent", change(func(m *cluster.Message) {
			if m.Kind == cluster.Asked {
				m.Names = nil
			}
		})},
		{"events for servers are lost", "servers/emit", lose(func(m *cluster.Message) bool { return m.Kind == cluster.ServerEvent })},
		{"answers of servers are lost", "servers/call", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Answer })},
		{"what an emitter says is lost", "emitter/emit", lose(func(m *cluster.Message) bool { return event(m) && m.Node == "emitter" })},
		{"the last that an emitter says is lost", "emitter/close", lose(func(m *cluster.Message) bool { return event(m) && strings.Contains(string(m.Data), "199]") })},
		{"what an emitter does to rooms is lost", "emitter/rooms", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Leave && m.Node == "emitter" })},
		{"an emitter does not learn who is there", "emitter/ask", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Hello && m.Node == "emitter" })},
		{"an emitter's events for servers are lost", "emitter/servers", lose(func(m *cluster.Message) bool { return m.Kind == cluster.ServerEvent && m.Node == "emitter" })},
		{"an emitter is taken for a node", "emitter/no-node", change(func(m *cluster.Message) {
			if m.Kind == cluster.Hello && m.Node == "emitter" {
				m.Node = "some1"
			}
		})},
		{"what one server asks another is lost", "nodes/recovery", lose(func(m *cluster.Message) bool { return m.Kind == cluster.ServerEvent && m.To != "" })},
		{"nobody says that it leaves", "nodes/shutdown", lose(func(m *cluster.Message) bool { return m.Kind == cluster.Bye })},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRun(nil, []Option{Only(row.seen), Patience(500 * time.Millisecond)})
			bus := cluster.NewBus()
			nodes := newClusterNodes(t, func() cluster.Backend {
				f := row.fault
				f.Backend = bus.Backend()
				return &f
			}, 5*time.Second)
			defer nodes.stop()
			for range 3 {
				nodes.start()
			}
			for _, c := range r.clusterCases() {
				if res := r.oneCluster(t, c, nodes); !res.Bad() {
					t.Errorf("%s: %s", c.name, res.Status)
				}
			}
		})
	}
}
