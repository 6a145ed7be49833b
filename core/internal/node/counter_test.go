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

// counting is a backend that counts nodes.
type counting struct {
	held
	nodes int
	asked int
	err   error
	gate  chan struct{} // an answer waits for it; nil: not
}

func (c *counting) Nodes(context.Context, string) (int, error) {
	c.mu.Lock()
	c.asked++
	nodes, err, gate := c.nodes, c.err, c.gate
	c.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return nodes, err
}

func (c *counting) set(nodes int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes, c.err = nodes, err
}

// counted is a node of a cluster whose bus counts four nodes. start makes a request.
func counted(t *testing.T) (h *counting, p *peer, start func() (say func(node string, number int), done func() ([]string, error))) {
	h = &counting{nodes: 4}
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

// TestCounter: nodes without names are waited for by their number.
func TestCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, start := counted(t)
		say, done := start()
		say("", 1)
		say("bbbbb", 2)
		say("bbbbb", 2)
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("some process of Node", 3)
		if got, err := done(); err != nil || len(got) != 3 {
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

		h.set(0, errors.New("no number"))
		_, err = p.ask(t.Context(), count())()
		missing(t, err, h.err, "bbbbb")
	})
}

// TestCounterLeave: the bus counts again when a node leaves, with or without a word.
func TestCounterLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p, start := counted(t)
		leave := func() {
			h.set(3, nil)
			h.r.Receive(&cluster.Message{Kind: cluster.Bye, Node: "bbbbb", ID: "b"})
			synctest.Wait()
		}
		say, done := start()
		say("", 1)
		say("other", 1)
		leave()
		if got, err := done(); err != nil || len(got) != 2 {
			t.Error(got, err)
		}

		h.set(4, nil)
		say, done = start()
		say("", 1)
		say("bbbbb", 1) // has answered, and goes: its answer counts no more
		leave()
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("other", 1)
		if got, err := done(); err != nil || len(got) != 3 {
			t.Error(got, err)
		}

		h.set(4, nil)
		say, done = start()
		leave()
		h.set(0, errors.New("no number")) // then the number is what it was
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "ccccc"})
		h.r.Receive(&cluster.Message{Kind: cluster.Bye, Node: "ccccc"})
		synctest.Wait()
		if p.Stats().Requests != 1 {
			t.Error("over too early")
		}
		say("", 1)
		say("other", 1)
		if _, err := done(); err != nil {
			t.Error(err)
		}

		h.set(2, nil)
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb"})
		m := count()
		m.Timeout = time.Hour
		done = p.ask(t.Context(), m)
		synctest.Wait()
		h.set(1, nil)
		_, err := done()
		missing(t, err, cluster.ErrGone, "bbbbb")
	})
}

// TestRecount: nodes that leave together are counted again together, and the last number
// counts.
func TestRecount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &counting{nodes: 200}
		p := newPeer(h, "aaaaa").start(t)
		time.Sleep(settleTime)
		var done []func() ([]string, error)
		for i := range 100 {
			h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: fmt.Sprint(10_000 + i)})
			done = append(done, p.ask(t.Context(), count()))
		}
		synctest.Wait()
		gate := make(chan struct{})
		h.mu.Lock()
		h.gate, h.asked = gate, 0
		h.mu.Unlock()
		for i := range 100 {
			h.r.Receive(&cluster.Message{Kind: cluster.Bye, Node: fmt.Sprint(10_000 + i)})
			synctest.Wait()
		}
		h.set(1, nil)
		close(gate)
		for _, d := range done {
			if _, err := d(); err != nil {
				t.Error(err)
			}
		}
		if h.mu.Lock(); h.asked != 2 {
			t.Errorf("the bus was asked %d times", h.asked)
		}
		h.mu.Unlock()
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
