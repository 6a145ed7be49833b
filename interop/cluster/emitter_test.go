package cluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/redistest"
)

// TestEmitter: an Emitter reaches the clients of a process of Node and has their acks; Node does not
// count it.
func TestEmitter(t *testing.T) {
	for _, w := range []redisbus.Wire{redisbus.Classic, redisbus.Sharded, redisbus.Streams} {
		t.Run(w.String(), func(t *testing.T) {
			r := redistest.Start(t)
			backend := func() cluster.Backend {
				return redisbus.New(rueidis.ClientOption{InitAddress: []string{r.Addr}, ForceSingleClient: true}, redisbus.Options{Wire: w})
			}
			p := startNode(t, w.String(), r.Addr)
			id := p.client("x", "r1", "r2")
			emitterAlone(t, p, backend, id)
			emitterTargets(t, p, backend, id)
			emitterBeside(t, p, backend)
			em := sio.NewEmitter(backend(), nil)
			em.Of("/").To("r1").Disconnect()
			closeEmitter(t, em)
			if m := p.next("gone"); m["reason"] != "io server disconnect" {
				t.Error(m)
			}
			p.do("end", "")
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func closeEmitter(t *testing.T, em *sio.Emitter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := em.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// asked has an emitter ask all clients in a room, of which x is the only one.
func asked(t *testing.T, p *process, em *sio.Emitter, n int) {
	t.Helper()
	list, err := sio.CallAll[string](t.Context(), em.Of("/").To("r1"), "ask", n)
	if want := fmt.Sprint("x:", n); err != nil || len(list) != 1 || list[0].Value != want || list[0].Err != nil {
		t.Errorf("CallAll: %+v, %v", list, err)
	}
	p.event("x", "ask", float64(n))
}

// emitterAlone: a job that has nothing but a process of Node to speak to, and is short.
func emitterAlone(t *testing.T, p *process, backend func() cluster.Backend, id string) {
	em := sio.NewEmitter(backend(), nil)
	for i := range 100 {
		if err := em.Of("/").To("r1").Emit("job", i); err != nil {
			t.Error(err)
		}
	}
	closeEmitter(t, em)
	for i := range 100 {
		p.event("x", "job", float64(i))
	}
	em = sio.NewEmitter(backend(), nil)
	asked(t, p, em, 1)
	closeEmitter(t, em)
	em = sio.NewEmitter(backend(), nil)
	if n, err := em.Of("/").All().Count(t.Context()); n != 1 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	closeEmitter(t, em)
	em = sio.NewEmitter(backend(), nil)
	found := 0
	for s, err := range em.Of("/").To("r2").Sockets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if found++; s.ID() != id || !slices.Contains(s.Rooms(), "r1") {
			t.Errorf("%s in %q", s.ID(), s.Rooms())
		}
	}
	if found != 1 {
		t.Errorf("%d sockets", found)
	}
	closeEmitter(t, em)
}

func emitterTargets(t *testing.T, p *process, backend func() cluster.Backend, id string) {
	em := sio.NewEmitter(backend(), nil)
	defer closeEmitter(t, em)
	n := em.Of("/")
	emit := func(to sio.Target, args ...any) {
		t.Helper()
		if err := to.Emit("e", args...); err != nil {
			t.Error(err)
		}
	}
	emit(n.To(id), "before it knows anybody")
	p.event("x", "e", "before it knows anybody")
	emit(n.All(), 1, -5, 1.5, nil, "é€", map[string]any{"a": []bool{true}})
	p.event("x", "e", 1.0, -5.0, 1.5, nil, "é€", map[string]any{"a": []any{true}})
	emit(n.To("r1"), []byte{1, 255}, map[string][]byte{"deep": {2}})
	p.event("x", "e", "hex:01ff", map[string]any{"deep": "hex:02"})
	emit(n.Except("r2"), "not for x")
	emit(n.To("r1").Except(id), "not for x")
	emit(n.To("nobody"), "not for x")
	emit(n.To("nobody", "r1", "r2").Except("nobody").Volatile(), "several")
	p.event("x", "e", "several")
	n.To("r1").Join("new")
	emit(n.To("new"), "joined")
	p.event("x", "e", "joined")
	n.To("r1").Leave("new")
	emit(n.To("new"), "not for x")
	if c, err := n.To("r1").Count(t.Context()); c != 1 || err != nil { // it knows everybody now
		t.Errorf("Count: %d, %v", c, err)
	}
	emit(n.To(id), "to the socket")
	p.event("x", "e", "to the socket")
	if err := n.EmitServers("question", 7); err != nil {
		t.Error(err)
	}
	if m := p.next("server event"); fmt.Sprint(m["args"]) != "[7]" {
		t.Errorf("%v", m)
	}
}

// emitterBeside: there is a Server too. Neither it nor Node counts the emitter.
func emitterBeside(t *testing.T, p *process, backend func() cluster.Backend) {
	srv := sio.NewServer(&sio.Options{Cluster: backend()})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	srv.OnServer(func(node string, _ bool) { t.Errorf("the server was told of %s", node) })
	sio.ReplyServers(srv.Of("/"), "question", func(_ context.Context, n int) (string, error) { return fmt.Sprint("go:", n), nil })
	if n, err := srv.Of("/").All().Count(t.Context()); n != 1 || err != nil { // it has subscribed by now
		t.Errorf("Count: %d, %v", n, err)
	}
	em := sio.NewEmitter(backend(), nil)
	defer closeEmitter(t, em)
	list, err := sio.CallServers[string](t.Context(), em.Of("/"), "question", 8)
	var got []string
	for _, a := range list {
		got = append(got, fmt.Sprint(a.Value, " ", a.Err, " ", a.ID == srv.Node()))
	}
	slices.Sort(got)
	if want := []string{"go:8 <nil> true", "node:8 <nil> false"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("CallServers: %q, %v", got, err)
	}
	asked(t, p, em, 9)
	p.do("count", "")
	if m := p.next("count"); m["count"] != 2.0 {
		t.Errorf("Node counts %v", m)
	}
	began := time.Now()
	p.do("ask", `"args":["ask",10]`)
	p.event("x", "ask", 10.0)
	if m := p.next("acks"); fmt.Sprint(m["acks"]) != "[x:10]" {
		t.Errorf("%v", m)
	}
	p.do("question", `"args":["question",11]`)
	if m := p.next("answers"); fmt.Sprint(m["answers"]) != "[go:11]" {
		t.Errorf("%v", m)
	}
	if n, err := srv.Of("/").All().Count(t.Context()); n != 1 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("somebody has waited: %v", took)
	}
}
