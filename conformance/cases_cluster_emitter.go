package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
)

const clusterEmitterSpec = "docs/protocol.md 13.8"

// clusterEmitterCases are about processes that serve nobody.
var clusterEmitterCases = []clusterCase{
	{
		name: "emitter/emit",
		rule: "what an Emitter emits reaches every client that it is for, in order, also what it emits before it knows anybody",
		spec: clusterEmitterSpec,
		run:  clusterEmitterEmits,
	},
	{
		name: "emitter/rooms",
		rule: "an Emitter makes sockets join and leave rooms, in order with what it emits, and disconnects them",
		spec: clusterEmitterSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(2), "old")
			n := c.emitter().Of(c.ns)
			n.To("old").Join("new", "left")
			c.check(n.To("new").Emit("joined"))
			n.To("new").Leave("left")
			c.check(n.To("left").Emit("never"))
			n.To("old").Except(c.socket("eio3@2").ID()).LeaveAll()
			c.check(n.To("new").Emit("stayed"))
			c.check(n.Emit(clusterEnd))
			c.got(func(name string) []string {
				switch {
				case name == "eio3@2":
					return []string{"joined", "stayed"}
				case at(2)(name):
					return []string{"joined"}
				}
				return nil
			})
			n.To("new").Disconnect()
			c.check(n.Emit(clusterEnd))
			out := func(name string) bool { return name == "eio3@2" }
			c.got(only(out, "left"))
			c.reasons(out, sio.ServerNamespace)
			c.eventually("the others are left", func() bool {
				ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
				defer cancel()
				got, err := n.All().Count(ctx)
				return err == nil && got == len(c.clients)-1
			})
		},
	},
	{
		name: "emitter/close",
		rule: "Close of an Emitter that was made a moment ago returns when the bus has taken all that was emitted: nothing is lost",
		spec: clusterEmitterSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			const jobs, size = 3, 200
			var want []string
			for k := range jobs {
				em := sio.NewEmitter(c.newBackend(), nil)
				for i := range size {
					c.check(em.Of(c.ns).Emit("n", k*size+i))
					want = append(want, fmt.Sprint("n ", k*size+i))
				}
				c.closeEmitter(em)
			}
			em := sio.NewEmitter(c.newBackend(), nil)
			c.check(em.Of(c.ns).Emit(clusterEnd))
			c.closeEmitter(em)
			c.got(only(nil, want...))
		},
	},
	{
		name: "emitter/ask",
		rule: "CallAll, Count and Sockets of an Emitter that was made a moment ago have the answers of all nodes",
		spec: clusterEmitterSpec,
		run:  clusterEmitterAsks,
	},
	{
		name: "emitter/servers",
		rule: "an Emitter's events for servers reach every server once, in order, and CallServers has the answers of all",
		spec: clusterEmitterSpec,
		run: func(c *clusterEnv) {
			told := make(chan string, 100)
			for i := range 3 {
				sio.HandleServers(c.of(i), "tell", func(_ context.Context, n int) error { told <- fmt.Sprint(i, " ", n); return nil })
				sio.ReplyServers(c.of(i), "who", func(context.Context, sio.None) (int, error) { return i, nil })
			}
			c.open(0)
			n := c.emitter().Of(c.ns)
			c.check(n.EmitServers("tell", 1))
			c.check(n.EmitServers("tell", 2))
			ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
			defer cancel()
			list, err := sio.CallServers[int](ctx, n, "who") // behind the others at each server
			c.check(err)
			var got, ids, want []string
			for _, a := range list {
				got, ids = append(got, fmt.Sprint(a.Value, a.Err)), append(ids, a.ID)
			}
			for _, srv := range c.all() {
				want = append(want, srv.Node())
			}
			c.equal("the answers", got, []string{"0 <nil>", "1 <nil>", "2 <nil>"})
			c.equal("the nodes that answered", ids, want)
			seen := make(map[string]string)
			for range 6 {
				select {
				case text := <-told:
					at, n, _ := strings.Cut(text, " ")
					seen[at] += n
				case <-ctx.Done():
					c.T.Fatalf("the servers got %v", seen)
				}
			}
			if len(told) > 0 || seen["0"] != "12" || seen["1"] != "12" || seen["2"] != "12" {
				c.T.Errorf("the servers got %v", seen)
			}
		},
	},
	{
		name: "emitter/no-node",
		rule: "an Emitter is no server for others: OnServer does not tell of it, and nobody waits for it",
		spec: clusterEmitterSpec,
		run: func(c *clusterEnv) {
			for i := range 3 {
				sio.ReplyServers(c.of(i), "who", func(context.Context, sio.None) (int, error) { return i, nil })
			}
			c.open(0, 1, 2)
			em := c.emitter()
			c.count("those whom the emitter reaches", em.Of(c.ns).All(), len(c.clients))
			soon := func(f func()) { // who waits for a node that is none waits for 5 s
				from := time.Now()
				f()
				if took := time.Since(from); took > 4*time.Second {
					c.T.Errorf("somebody was waited for: %v", took)
				}
			}
			for i := range 3 {
				soon(func() { c.count("those whom a server reaches", c.of(i).All(), len(c.clients)) })
				soon(func() {
					if n := len(callServers[int](c, i, "who")); n != 2 {
						c.T.Errorf("CallServers has %d answers", n)
					}
				})
			}
			soon(func() { c.closeEmitter(em) })
			for i, srv := range c.all() {
				soon(func() { c.count("those whom a server reaches", c.of(i).All(), len(c.clients)) })
				if n := srv.others(); n != 2 {
					c.T.Errorf("a server knows %d others", n)
				}
			}
		},
	},
}

func clusterEmitterEmits(c *clusterEnv) {
	c.open(0, 1, 2)
	c.join(at(0, 2), "r")
	c.join(ofGeneration("eio3"), "s")
	n := c.emitter().Of(c.ns)
	for _, name := range c.names(nil) {
		c.check(n.To(c.socket(name).ID()).Emit("you", name))
	}
	c.check(n.Emit("all", 1, []byte{1, 2}, map[string][]byte{"b": {3}}))
	c.check(n.To("r").Emit("room"))
	c.check(n.To("r", "s").Emit("rooms"))
	c.check(n.To("r").Except("s", "nobody").Emit("except"))
	c.check(n.Except(c.socket("eio4@1").ID()).Emit(clusterEnd))
	c.check(n.To().Emit("never"))
	c.check(n.To(c.socket("eio4@1").ID()).Emit(clusterEnd))
	c.got(func(name string) []string {
		r, s := at(0, 2)(name), ofGeneration("eio3")(name)
		want := []string{"you " + name}
		if ofGeneration("sio1")(name) { // binary is JSON for it
			want = append(want, `all 1 AQI= {"b":"Aw=="}`)
		} else {
			want = append(want, `all 1 0102 {"b":{"_placeholder":true,"num":1}}`)
		}
		if r {
			want = append(want, "room")
		}
		if r || s {
			want = append(want, "rooms")
		}
		if r && !s {
			want = append(want, "except")
		}
		return want
	})
}

func clusterEmitterAsks(c *clusterEnv) {
	c.open(0, 1, 2)
	c.join(at(1, 2), "r")
	em := c.emitter()
	n := em.Of(c.ns)
	done := make(chan calledAll, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
		defer cancel()
		list, err := sio.CallAll[string](ctx, n.All(), "q", []byte{1})
		done <- calledAll{list, err}
	}()
	for _, cl := range c.clients {
		_, id := cl.event()
		cl.answer(id, fmt.Sprintf(`"of %s"`, cl.name))
	}
	c.answers(<-done, func(name string) string { return "of " + name })

	c.closeEmitter(em)
	n = c.emitter().Of(c.ns) // one that knows nobody
	c.count("r", n.To("r").Except(c.socket("sio1@1").ID()), 5)

	n = c.emitter().Of(c.ns)
	ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
	defer cancel()
	var got, want []string
	for s, err := range n.To("r", c.socket("eio4@0").ID()).Sockets(ctx) {
		if err != nil {
			c.T.Errorf("Sockets ended with %v", err)
			break
		}
		got = append(got, fmt.Sprint(s.ID(), s.Rooms()))
		c.check(s.Emit("you", s.ID()))
	}
	for _, name := range c.names(at(1, 2)) {
		want = append(want, c.socket(name).ID()+"[r]")
	}
	want = append(want, c.socket("eio4@0").ID()+"[]")
	c.equal("the sockets with their rooms", got, want)
	c.check(n.Emit(clusterEnd))
	c.got(func(name string) []string {
		if slices.ContainsFunc(want, func(text string) bool { return strings.HasPrefix(text, c.socket(name).ID()) }) {
			return []string{"you " + c.socket(name).ID()}
		}
		return nil
	})
}

// emitter returns an Emitter, which is closed at the end of the case.
func (c *clusterEnv) emitter() *sio.Emitter {
	em := sio.NewEmitter(c.newBackend(), nil)
	c.T.Cleanup(func() { c.closeEmitter(em) })
	return em
}

func (c *clusterEnv) closeEmitter(em *sio.Emitter) {
	ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
	defer cancel()
	c.check(em.Close(ctx))
}
