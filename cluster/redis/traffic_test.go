package redisbus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
)

type traffic struct {
	from   *peer
	stop   chan struct{}
	done   chan struct{}
	sent   int
	failed map[int]bool // numbers that may be lost, by what Publish has said
	named  int          // how many Publish has said are lost
}

func newTraffic(from *peer) *traffic {
	tr := &traffic{from: from, stop: make(chan struct{}), done: make(chan struct{}), failed: make(map[int]bool)}
	go tr.run()
	return tr
}

func (tr *traffic) run() {
	defer close(tr.done)
	for size := 1; ; size = size%37 + 1 {
		select {
		case <-tr.stop:
			return
		default:
		}
		var ms []*cluster.Message
		first := tr.sent
		for range size {
			m := emit(`["n",` + strconv.Itoa(tr.sent) + `]`)
			if tr.sent%3 == 0 {
				m.Rooms = []string{"r"}
			}
			ms = append(ms, &m)
			tr.sent++
		}
		err := tr.from.try(ms...)
		if err == nil {
			continue
		}
		var part *PublishError
		if errors.As(err, &part) {
			tr.named += len(part.Failed)
		} else {
			tr.named += size
		}
		for i := range size {
			if part == nil || slices.Contains(part.Failed, i) {
				tr.failed[first+i] = true
			}
		}
		if errors.Is(err, cluster.ErrClosed) {
			return // the test has failed
		}
		if errors.Is(err, cluster.ErrDown) {
			tr.from.until(tr.from.t, "up again", func() bool { // the engine does not publish meanwhile either
				select {
				case <-tr.stop:
					return true
				default:
					return tr.from.ups > tr.from.downs
				}
			})
		}
	}
}

func (tr *traffic) end() {
	close(tr.stop)
	tr.from.note(func() {})
	<-tr.done
	last := emit(`["last"]`)
	tr.from.until(tr.from.t, "up at the end", func() bool { return tr.from.ups > tr.from.downs })
	tr.from.say(&last)
}

func (tr *traffic) check(t *testing.T, to *peer) (received int) {
	t.Helper()
	to.until(t, "the last message", func() bool {
		return len(to.ms) > 0 && string(to.ms[len(to.ms)-1].Data) == `["last"]`
	})
	to.mu.Lock()
	defer to.mu.Unlock()
	got := make(map[int]bool)
	before, jumps, unexplained := -1, 0, 0
	for _, m := range to.ms[:len(to.ms)-1] {
		var n int
		if _, err := fmt.Sscanf(string(m.Data), `["n",%d]`, &n); err != nil {
			t.Fatalf("%s: %v", m.Data, err)
		}
		if n <= before {
			t.Fatalf("%d after %d", n, before)
		}
		jump := false
		for i := before + 1; i < n; i++ {
			if !tr.failed[i] {
				jump = true
				unexplained++
			}
		}
		if jump {
			jumps++
		}
		before, got[n] = n, true
	}
	if jumps > to.downs {
		t.Errorf("%d times something was missing, and the receiver was without Redis %d times", jumps, to.downs)
	}
	lost := 0
	for i := range tr.failed {
		if !got[i] {
			lost++
		}
	}
	if lost > tr.named {
		t.Errorf("%d lost, Publish has said %d", lost, tr.named)
	}
	if len(got)+lost+unexplained < before {
		t.Errorf("%d received, %d lost, %d missed of %d", len(got), lost, unexplained, tr.sent)
	}
	t.Logf("%d sent, %d received, %d called lost, %d missed in %d gaps", tr.sent, len(got), tr.named, unexplained, to.downs)
	return len(got)
}

func (p *peer) flows(n int) {
	p.t.Helper()
	p.mu.Lock()
	from := len(p.ms)
	p.mu.Unlock()
	p.until(p.t, "traffic", func() bool { return len(p.ms) >= from+n })
}

func (p *peer) returns(downs int) {
	p.t.Helper()
	p.until(p.t, "down and up again", func() bool { return p.downs >= downs && p.ups > p.downs })
}

// count is how many times the node was without Redis.
func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.downs
}

func (p *peer) reach() {
	p.t.Helper()
	for {
		_, err := p.Backend.(cluster.Counter).Others(p.t.Context(), "/")
		if err == nil {
			return
		}
		downs := p.count()
		p.until(p.t, "down and up: "+err.Error(), func() bool { return p.downs >= downs && p.ups > p.downs })
	}
}

func wires(t *testing.T, f func(t *testing.T, w Wire)) {
	for _, w := range []Wire{Classic, Sharded, Streams} {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			f(t, w)
		})
	}
}

func TestRestart(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a, b := join(t, New(r.option(), Options{Wire: w}), "AAAAA"), join(t, New(r.option(), Options{Wire: w}), "BBBBB")
		b.watch("/", "r")
		tr := newTraffic(a)
		b.flows(1000)
		for i := range 3 {
			r.Kill()
			a.until(t, "down", func() bool { return a.downs == i+1 })
			b.until(t, "down", func() bool { return b.downs == i+1 })
			r.Restart()
			a.returns(i + 1)
			b.returns(i + 1)
			b.flows(1000)
		}
		tr.end()
		tr.check(t, b)
	})
}

func TestStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		o := Options{Wire: w, Probe: time.Second}
		a, b := join(t, New(r.option(), o), "AAAAA"), join(t, New(r.option(), o), "BBBBB")
		b.watch("/", "r")
		tr := newTraffic(a)
		b.flows(1000)
		over := time.After(10 * time.Second)
		before := [...]int{a.count(), b.count()} // none, unless this process has stood still
		r.Stop()
		a.until(t, "down", func() bool { return a.downs > before[0] })
		b.until(t, "down", func() bool { return b.downs > before[1] })
		<-over
		r.Continue()
		a.returns(before[0] + 1)
		b.returns(before[1] + 1)
		b.flows(1000)
		tr.end()
		tr.check(t, b)
	})
}

func connections(t *testing.T, c rueidis.Client, name string) map[string]string {
	t.Helper()
	list, err := do(t, c, "CLIENT", "LIST").ToString()
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]string)
	for line := range strings.Lines(list) {
		if !strings.Contains(line, " name="+name+" ") {
			continue
		}
		_, id, _ := strings.Cut(line, "id=")
		id, _, _ = strings.Cut(id, " ")
		role := "send"
		if strings.Contains(line, " flags=P ") {
			role = "receive"
		} else if strings.Contains(line, " cmd=xread ") || strings.Contains(line, " cmd=xinfo|stream ") || strings.Contains(line, " cmd=exec ") {
			role = "read"
		}
		if ids[role] != "" {
			t.Fatalf("two connections to %s:\n%s", role, list)
		}
		ids[role] = id
	}
	return ids
}

func (r *redis) named(name string) rueidis.ClientOption {
	o := r.option()
	o.ClientName = name
	return o
}

func TestConnections(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		a := join(t, New(r.named("A"), Options{Wire: w}), "AAAAA")
		b := join(t, New(r.named("B"), Options{Wire: w}), "BBBBB")
		b.watch("/", "r")
		for i := range 50 {
			a.watch("/n"+strconv.Itoa(i), "", "r")
		}
		roles := []string{"receive", "send"}
		if w == Streams {
			roles = append(roles, "read")
		}
		raw := r.client()
		tr := newTraffic(a)
		for _, p := range []*peer{a, b} {
			for _, role := range roles {
				b.flows(100)
				p.reach() // by the sending connection, which rueidis makes when something is sent
				ids := connections(t, raw, p.node[:1])
				if len(ids) != len(roles) {
					t.Fatalf("connections %v", ids)
				}
				downs := p.count()
				do(t, raw, "CLIENT", "KILL", "ID", ids[role])
				if role != "send" { // when nothing is on its way, nothing is lost with that one
					p.until(t, "down and up", func() bool { return p.downs > downs && p.ups > p.downs })
				}
			}
		}
		b.flows(100)
		tr.end()
		tr.check(t, b)
	})
}
