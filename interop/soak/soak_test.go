package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestStream: each kind of fault has its name.
func TestStream(t *testing.T) {
	for _, c := range []struct {
		from    stream
		numbers []int
		want    string
	}{
		{stream{}, []int{7, 8, 9}, ",,"},
		{stream{begun: true}, []int{0, 1, 2}, ",,"},
		{stream{begun: true}, []int{1, 2}, "lost,"},
		{stream{}, []int{7, 9, 10}, ",lost,"},
		{stream{}, []int{7, 7, 8}, ",doubled,"},
		{stream{}, []int{7, 9, 8, 10}, ",lost,reordered,"},
		{stream{}, []int{7, 8, 9, 7, 10}, ",,,reordered,"},
	} {
		s := c.from
		var got []string
		for _, n := range c.numbers {
			got = append(got, s.got(n))
		}
		if text := strings.Join(got, ","); text != c.want {
			t.Errorf("%v: %q, want %q", c.numbers, text, c.want)
		}
	}
}

// grows makes samples of which one number grows by each minute.
func grows(base, each float64, noise ...float64) (list []sample) {
	for i := range 40 {
		v := base + each*float64(i)
		if len(noise) > 0 {
			v += noise[i%len(noise)]
		}
		list = append(list, sample{at: time.Duration(i) * time.Minute, heap: v * (1 << 20), goroutines: 100, files: 50, cpu: 20})
	}
	return list
}

// TestVerdicts: what grows is seen, what swings is not taken for it.
func TestVerdicts(t *testing.T) {
	first := grows(20, 0)
	for i := range 20 {
		first[i].heap /= 2 // memory that is taken once, in the first half
	}
	late := grows(20, 0)
	for i := range late {
		late[i].goroutines += float64(i)
	}
	files, cpu := grows(20, 0), grows(20, 0)
	for i := range files {
		files[i].files += float64(i) / 2
		cpu[i].cpu += float64(2 * i)
	}
	for _, c := range []struct {
		name string
		list []sample
		want string // the series that is not flat
	}{
		{"level", grows(20, 0), ""},
		{"noise", grows(20, 0, 0, 3, -2, 1, -3, 2, 5), ""},
		{"falls", grows(80, -1), ""},
		{"warm-up", first, ""},
		{"heap", grows(20, 0.2), "heap"},
		{"heap with noise", grows(20, 0.4, 0, 1, -1), "heap"},
		{"goroutines", late, "goroutines"},
		{"descriptors", files, "descriptors"},
		{"CPU", cpu, "CPU at idle"},
		{"too few", grows(20, 0)[:10], "5 samples"},
	} {
		texts, flat := verdicts(c.list)
		if flat != (c.want == "") {
			t.Errorf("%s: %q", c.name, texts)
		}
		for _, text := range texts {
			if bad := !strings.HasSuffix(text, ": flat"); bad != (c.want != "" && strings.HasPrefix(text, c.want)) {
				t.Errorf("%s: %s", c.name, text)
			}
		}
	}
}

func short() config {
	return config{duration: 2 * time.Second, traffic: time.Second, idle: 10 * time.Millisecond, seed: 1, clients: 16, nodes: 1, host: "nethttp", bus: "memory", trouble: 8, settles: time.Minute, answers: patience}
}

// TestSoak: a few seconds of it find nothing wrong, with a server and with a cluster.
func TestSoak(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		c, out := short(), new(testkit.Log)
		c.nodes = nodes
		soak(c, out) // too short for a verdict about growth
		if text := out.String(); strings.Contains(text, "WRONG") || !strings.Contains(text, "nothing was lost, doubled or reordered") ||
			!strings.Contains(text, "acks of the server") || !strings.Contains(text, "network: ") || !strings.Contains(text, "too few for a verdict") {
			t.Errorf("%d servers:\n%s", nodes, text)
		}
	}
}

// TestSoakFinds: a server that does one thing wrong is found out. Some wrong does not show on each
// connection, so each is done often.
func TestSoakFinds(t *testing.T) {
	var count atomic.Int64
	for name, spoil := range map[string]struct {
		f    func(n *node, p *peer, i int) error
		drop func(what string) bool
		want string
	}{
		"doubled": {func(_ *node, p *peer, i int) error { return p.sock.Emit("s", max(0, p.sent-1)) }, nil, "WRONG doubled"},
		"lost":    {func(_ *node, p *peer, i int) error { p.sent++; return nil }, nil, "WRONG lost"},
		"stray":   {func(_ *node, p *peer, i int) error { return p.sock.Emit("m", "x", 0, count.Add(1)) }, nil, "WRONG stray"},
		"unknown": {func(_ *node, p *peer, i int) error { return p.sock.Emit("other", i) }, nil, "WRONG event"},
		"fails":   {func(*node, *peer, int) error { panic("a handler") }, nil, "WRONG failure panic"},

		"broadcast is dropped":         {nil, func(what string) bool { return what == "" }, `to the room "", from 0`},
		"event of the room is dropped": {nil, func(what string) bool { return what != "" && what[0] == 'r' }, `to the room "r`},
		"ack is dropped":               {nil, func(what string) bool { return what == "ack" }, "WRONG ack"},
	} {
		c, out := short(), new(testkit.Log)
		c.duration, c.clients, c.trouble, c.settles, c.answers = time.Second, 8, 0, 2*time.Second, time.Second
		c.drop = spoil.drop
		c.spoil = func(n *node) sio.Handler {
			return sio.Handle(func(_ context.Context, s *sio.Socket, i int) error {
				if err := n.event(s, i); err != nil {
					return err
				}
				p := n.peer(s)
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.sock == nil || p.got < 5 || spoil.f == nil {
					return nil
				}
				return spoil.f(n, p, i)
			})
		}
		if ok := soak(c, out); ok || !strings.Contains(out.String(), spoil.want) {
			t.Errorf("%s:\n%s", name, out.String())
		}
	}
}
