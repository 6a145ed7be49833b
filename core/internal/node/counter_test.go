package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// counting is a backend that counts nodes of other kinds.
type counting struct {
	held
	others int
	err    error
}

func (c *counting) Others(context.Context, string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.others, c.err
}

func (c *counting) set(others int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others, c.err = others, err
}

// counted is a node of a cluster with one more of siokit and two of another kind. start makes a
// request.
func counted(t *testing.T) (h *counting, p *peer, start func() (say func(node string, number int), done func() ([]string, error))) {
	h = &counting{others: 2}
	p = newPeer(h, "aaaaa").start(t)
	time.Sleep(settleTime)
	return h, p, func() (say func(node string, number int), done func() ([]string, error)) {
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb", ID: "b"})
		m := count()
		m.Timeout = 2 * beat
		done = p.ask(t.Context(), m)
		synctest.Wait()
		id := h.lastID()
		return func(node string, number int) {
			h.r.Receive(&cluster.Message{Kind: cluster.Counted, Node: node, ID: id, Number: number})
			synctest.Wait()
		}, done
	}
}

// TestCounter: nodes of siokit are waited for by name, those of other kinds by their number.
func TestCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, start := counted(t)
		say, done := start()
		say("", 1)
		say("bbbbb", 2)
		say("bbbbb", 2)
		say("ccccc", 4) // of siokit, and not known when the request was made
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("some process of Node", 3)
		if got, err := done(); err != nil || len(got) != 4 {
			t.Error(got, err)
		}

		// Those of other kinds do not stand for the one that is known.
		say, done = start()
		say("", 1)
		say("some process of Node", 3)
		say("another one", 3)
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("bbbbb", 2)
		if got, err := done(); err != nil || len(got) != 4 {
			t.Error(got, err)
		}

		// Two are missing; one of them is known.
		say, done = start()
		say("", 1)
		_, err := done()
		missing(t, err, cluster.ErrRequestTimeout, "bbbbb")
		if m, _ := errors.AsType[*cluster.Missing](err); m.Others != 1 {
			t.Errorf("%d others are missing", m.Others)
		}

		h.set(-1, nil)
		say, done = start()
		say("bbbbb", 1)
		if got, err := done(); err != nil || len(got) != 1 {
			t.Error(got, err)
		}

		h.set(0, errors.New("no number"))
		_, err = p.ask(t.Context(), count())()
		missing(t, err, h.err, "bbbbb")
	})
}

// TestCounterLeave: a node that leaves is not waited for, with or without a word; those of other
// kinds are.
func TestCounterLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, start := counted(t)
		leave := func() {
			h.r.Receive(&cluster.Message{Kind: cluster.Bye, Node: "bbbbb", ID: "b"})
			synctest.Wait()
		}
		say, done := start()
		say("", 1)
		leave()
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("vYNYRq", 1)
		if got, err := done(); err != nil || len(got) != 2 {
			t.Error(got, err)
		}

		say, done = start()
		say("", 1)
		say("bbbbb", 1) // has answered, and goes
		leave()
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("vYNYRq", 1)
		if got, err := done(); err != nil || len(got) != 3 {
			t.Error(got, err)
		}

		h.set(0, nil)
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb"})
		m := count()
		m.Timeout = time.Hour
		done = p.ask(t.Context(), m)
		_, err := done()
		missing(t, err, cluster.ErrGone, "bbbbb")
	})
}

// TestCounterAcks: a request whose clients do not answer ends in time. A node without a name that
// has said how many it has asked is not missing.
func TestCounterAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, _ := counted(t)
		m := &cluster.Message{Kind: cluster.Emit, Namespace: "/", Data: []byte(`["q"]`), Timeout: 2 * beat}
		done := p.ask(t.Context(), m)
		synctest.Wait()
		id := h.lastID()
		for _, n := range []int{1, 0} {
			h.r.Receive(&cluster.Message{Kind: cluster.Asked, ID: id, Number: n})
		}
		_, err := done()
		missing(t, err, cluster.ErrRequestTimeout)
		if m, _ := errors.AsType[*cluster.Missing](err); m == nil || m.Others != 0 {
			t.Errorf("%+v", m)
		}
	})
}

// TestLeavesUnsaid: nodes of other kinds are not told that a client has left: they have no such
// message. Those of siokit are.
func TestLeavesUnsaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, _ := counted(t)
		p.ids, p.silent = []string{"one"}, true
		for _, node := range []string{"bbbbb", "vYNYRq"} {
			h.r.Receive(&cluster.Message{Kind: cluster.Emit, Node: node, Namespace: "/", ID: node + "1", Data: []byte(`["q"]`)})
		}
		synctest.Wait()
		for _, ack := range p.acks {
			ack("")
		}
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		var got []string
		for _, m := range h.said {
			if m.To != "" {
				got = append(got, fmt.Sprint(m.Kind, " to ", m.To))
			}
		}
		if want := []string{"Asked to bbbbb", "Asked to vYNYRq", "Acked to bbbbb"}; !slices.Equal(got, want) {
			t.Errorf("published %q, not %q", got, want)
		}
	})
}

// TestClash: two nodes with one name are told, not too often, and nothing breaks.
func TestClash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "aaaaa", "bbbbb")
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, p := range ps[:2] {
			if n := len(lines(p, "one name")); n < 1 || n > 2 {
				t.Errorf("%d lines in a minute", n)
			}
		}
		if news := ps[2].news(); news != "+aaaaa" {
			t.Errorf("the third node: %s", news)
		}
		if _, err := ps[2].ask(t.Context(), count())(); err != nil {
			t.Error(err)
		}
	})
}

func lines(p *peer, with string) []string {
	return slices.DeleteFunc(strings.Split(p.log.String(), "\n"), func(l string) bool { return !strings.Contains(l, with) })
}
