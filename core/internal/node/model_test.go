package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// model is a cluster of which a test knows what each node has to get. What it cannot know, a
// room that lingers, is not looked at.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	bus     *cluster.Bus
	nodes   []*modelNode
	started int
	sent    int
}

type modelNode struct {
	*peer
	cut    bool
	rooms  map[string]bool
	left   map[string]bool     // rooms that may linger
	want   map[string][]string // by the name of the sender
	may    map[string]bool     // texts that may have come
	refuse int64
}

func (m *model) start() {
	m.started++
	n := &modelNode{
		peer: newPeer(m.bus.Backend(), fmt.Sprintf("n%04d", m.started)), rooms: map[string]bool{}, left: map[string]bool{},
		want: map[string][]string{}, may: map[string]bool{},
	}
	n.ids = []string{n.Name()}
	n.peer.start(m.t)
	n.Enter("/", "", false)
	n.rooms[""] = true
	m.nodes = append(m.nodes, n)
	synctest.Wait()
}

// publish sends a burst, so that there is something to put in order.
func (m *model) publish(n *modelNode) {
	for range 1 + m.rnd.IntN(20) {
		m.sent++
		text := fmt.Sprint(m.sent)
		msg := emit(text)
		room := ""
		switch m.rnd.IntN(4) {
		case 0:
			room = fmt.Sprint("r", m.rnd.IntN(4))
			msg.Rooms = []string{room}
		case 1:
			msg.Rooms = []string{"r1", "r2"}
		case 2:
			msg.To = m.nodes[m.rnd.IntN(len(m.nodes))].Name()
		}
		if taken := n.Publish(msg); taken == n.cut {
			m.t.Fatalf("%s: taken %v, cut %v", n.Name(), taken, n.cut)
		}
		if n.cut {
			n.refuse++
			continue
		}
		for _, to := range m.nodes {
			switch {
			case to == n || to.cut || msg.To != "" && msg.To != to.Name():
			case msg.To != "" || to.rooms[room]:
				to.want[n.Name()] = append(to.want[n.Name()], text)
			case to.left[room]:
				to.may[text] = true
			}
		}
	}
}

// room has a node enter or leave one.
func (m *model) room(n *modelNode) {
	synctest.Wait()
	room := fmt.Sprint("r", m.rnd.IntN(4))
	if n.rooms[room] {
		n.Exit("/", room, false)
		delete(n.rooms, room)
		n.left[room] = true
		return
	}
	n.Enter("/", room, false)
	n.rooms[room] = true
	synctest.Wait()
}

func (m *model) step() {
	n := m.nodes[m.rnd.IntN(len(m.nodes))]
	switch op := m.rnd.IntN(20); {
	case op < 8:
		m.publish(n)
	case op < 12:
		m.room(n)
	case op < 14:
		synctest.Wait()
		if n.cut = !n.cut; n.cut {
			m.bus.Cut(n.Name())
		} else {
			m.bus.Heal(n.Name())
		}
		synctest.Wait()
	case op == 14 && len(m.nodes) > 3 && !n.cut:
		synctest.Wait() // what is on its way to a node that leaves may be lost
		n.leave(m.t)
		m.check(n)
		m.nodes = slices.DeleteFunc(m.nodes, func(o *modelNode) bool { return o == n })
	case op == 15 && len(m.nodes) < 5:
		synctest.Wait()
		m.start()
	case op == 16:
		done := n.ask(m.t.Context(), count())
		if _, err := done(); err == nil && n.cut {
			m.t.Error("a request without the bus succeeded")
		}
		if n.cut {
			n.refuse++
		}
	default:
		time.Sleep(time.Duration(m.rnd.IntN(3000)) * time.Millisecond)
	}
}

// check compares what a node has got with what it had to get.
func (m *model) check(n *modelNode) {
	synctest.Wait()
	for i := 1; i <= m.started; i++ {
		from := fmt.Sprintf("n%04d", i)
		got := slices.DeleteFunc(n.texts(from), func(text string) bool { return n.may[text] })
		if !slices.Equal(got, n.want[from]) {
			m.t.Fatalf("%s got of %s\n%v, want\n%v", n.Name(), from, got, n.want[from])
		}
	}
	if s := n.Stats(); s.Lost != n.refuse || s.Missed != 0 || s.Waiting != 0 || s.Requests != 0 {
		m.t.Errorf("%s: %+v; %d were refused", n.Name(), s, n.refuse)
	}
	lost := 0
	for i, g := range n.gapList() {
		if g.Until.IsZero() != (i%2 == 0) {
			m.t.Errorf("%s: report %d: %+v", n.Name(), i, g)
		}
		if !g.Until.IsZero() {
			lost += g.Lost
		}
	}
	if int64(lost) > n.refuse {
		m.t.Errorf("%s: the gaps have %d lost messages of %d", n.Name(), lost, n.refuse)
	}
}

// TestModel: nodes come, go, lose the bus, enter rooms, publish and ask, at random; each
// gets what it has to get, in order, once, and what is lost is counted exactly.
func TestModel(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 10
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &model{t: t, rnd: rand.New(rand.NewPCG(uint64(seed), 7)), bus: cluster.NewBus()}
				for range 3 {
					m.start()
				}
				for range 150 {
					m.step()
				}
				synctest.Wait()
				m.bus.Heal()
				time.Sleep(10 * beat)
				for _, n := range m.nodes {
					m.check(n)
					if g := n.gapList(); len(g)%2 != 0 {
						t.Errorf("%s: a gap has not ended: %+v", n.Name(), g[len(g)-1])
					}
					if got, err := n.ask(t.Context(), count())(); err != nil || len(got) != len(m.nodes)-1 {
						t.Errorf("%s asks %d nodes: %v, %v", n.Name(), len(m.nodes)-1, got, err)
					}
				}
			})
		})
	}
}
