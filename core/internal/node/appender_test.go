package node

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// appender notes what a node tells it.
type appender struct {
	mu   sync.Mutex
	told []string
}

func (a *appender) tell(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, what)
}

func (a *appender) Unpublished(ms []*cluster.Message) {
	for _, m := range ms {
		a.tell(fmt.Sprint("lost ", m.Ticket, string(m.Data)))
	}
}
func (a *appender) Away()   { a.tell("away") }
func (a *appender) Back()   { a.tell("back") }
func (a *appender) Missed() { a.tell("missed") }

// TestAppender: with a log the Host gets what the node itself has said, with its place, in order
// with what others say, and is told what is lost.
func TestAppender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		bus.Keep(100)
		ticket := uint64(0)
		var tell appender
		b := bus.Backend()
		if !b.(cluster.Journal).OpenJournal() {
			t.Fatal("no journal")
		}
		a := newPeer(b, "AAAAA")
		a.Append(&tell)
		a.onDeliver = func(m *cluster.Message) {
			if m.Position == 0 || m.Node == "AAAAA" && m.Kind == cluster.Emit && m.Ticket != ticket {
				t.Errorf("%+v", m)
			}
		}
		a.start(t)
		a.Enter("/", "", false)
		other := nodes(t, bus, "BBBBB")[0]
		say := func(p *peer, data string) bool {
			m := emit(data)
			if p == a {
				ticket++
				m.Ticket = ticket
			}
			ok := p.Publish(m)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			return ok
		}
		say(a, `["one"]`)
		say(other, `["two"]`)
		say(a, `["three"]`)
		a.Publish(&cluster.Message{Kind: cluster.Gap, Ticket: 1})
		synctest.Wait()
		if got := strings.Join(a.delivered, ", "); got != `AAAAA ["one"], BBBBB ["two"], AAAAA ["three"]` {
			t.Error(got)
		}
		equal(t, "the other node", other.delivered, []string{`AAAAA ["one"]`, `AAAAA ["three"]`})
		equal(t, "the gap", other.untold, []string{"AAAAA "})
		bus.Cut("AAAAA")
		synctest.Wait()
		if say(a, `["lost"]`) {
			t.Error("published while the bus is away")
		}
		say(other, `["late"]`)
		bus.Heal()
		synctest.Wait()
		if got := strings.Join(tell.told, ", "); got != "back, away, back" {
			t.Error(got)
		}
		if last := a.delivered[len(a.delivered)-1]; last != `BBBBB ["late"]` {
			t.Error(last)
		}
		receiver{a.Node}.Lost(2, fmt.Errorf("dropped"))
		if got := tell.told[len(tell.told)-1]; got != "missed" {
			t.Error(got)
		}
	})
}
