package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

const (
	clusterNamesSpec = "docs/protocol.md 13.2"
	clusterNodesSpec = "docs/protocol.md 13.3"
)

// clusterNameCases are about namespaces that not every node has, and about odd names.
var clusterNameCases = []clusterCase{
	{
		name: "dynamic/name",
		rule: "a dynamic namespace is reached by its name from a node where it does not exist",
		spec: clusterNamesSpec,
		run: func(c *clusterEnv) {
			c.dynamic("/conformance-name/by name", func(node int) *sio.Namespace { return c.all()[node].Of(c.ns) })
		},
	},
	{
		name: "dynamic/pattern",
		rule: "all namespaces of a pattern are reached by the pattern from a node where none of them exists",
		spec: clusterNamesSpec,
		run: func(c *clusterEnv) {
			c.dynamic("/conformance-pattern/by pattern", func(node int) *sio.Namespace { return c.all()[node].OfPattern("/conformance-pattern/{id}") })
		},
	},
	{
		name: "dynamic/func",
		rule: "a namespace that a function has accepted is reached by its name from a node where it does not exist",
		spec: clusterNamesSpec,
		run: func(c *clusterEnv) {
			c.dynamic("/conformance-func/1", func(node int) *sio.Namespace { return c.all()[node].Of(c.ns) })
		},
	},
	{
		name: "names/rooms",
		rule: "rooms may have any names: none is taken for another, nor for a pattern of the bus",
		spec: clusterNamesSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			rooms := oddNames()
			for i, room := range rooms {
				c.socket(c.clients[i%9].name).Join(room)
			}
			c.settle()
			for i, room := range rooms {
				c.check(c.of(0).To(room).Emit("one", i))
				c.check(c.of(0).To(room, rooms[(i+1)%len(rooms)]).Emit("two", i))
			}
			c.get(0, func(name string) (want []string) {
				in := func(i int) bool { return c.clients[i%len(rooms)%9].name == name }
				for i := range rooms {
					if in(i) {
						want = append(want, fmt.Sprint("one ", i))
					}
					if in(i) || in(i+1) {
						want = append(want, fmt.Sprint("two ", i))
					}
				}
				return want
			})
		},
	},
	{
		name: "names/namespaces",
		rule: "namespaces may have any names that a client can send, and none is taken for another",
		spec: clusterNamesSpec,
		run: func(c *clusterEnv) {
			var spaces []*sio.Namespace
			var heard []*clusterClient
			for _, name := range oddNames() {
				if strings.ContainsAny(name, ",?\x00\r\n") { // they end the name in a packet, or are refused
					continue
				}
				in := &clusterEnv{T: c.T, run: c.run, clusterNodes: c.clusterNodes, ns: "/odd/" + name, seen: c.seen}
				spaces = append(spaces, in.of(0))
				in.of(1)
				heard = append(heard, in.client(1, "eio4"))
				in.settle()
			}
			for i, n := range spaces {
				c.check(n.Emit("hi", i))
				c.check(n.Emit(clusterEnd))
			}
			for i, cl := range heard {
				if got := cl.until(clusterEnd); len(got) != 1 || got[0] != fmt.Sprint("hi ", i) {
					c.T.Errorf("the client of %q got %q", cl.ns, got)
				}
			}
		},
	},
}

// oddNames are names that mean something to some bus, or look alike.
func oddNames() []string {
	long := strings.Repeat("x", 240)
	return []string{
		"a", "a.b", "a b", "a  b", "*", ">", "a.*", "a.>", "?", "[ab]", "{a}", "#", "a#b", "/", "a/b", "A", "ä", "a\u0308", "😀",
		"~", "$SYS", "nodes", "all", "r", "node", "a,b", "\x00", "a\r\nPUB x 0", "%00", "'", `"`, `\`, "0", "-", "null", long, long + "y",
	}
}

// dynamic opens clients in a namespace at two nodes, and emits from the third.
func (c *clusterEnv) dynamic(ns string, target func(node int) *sio.Namespace) {
	c.T.Helper()
	c.ns = ns
	for _, n := range []int{1, 2} {
		for _, generation := range clusterGenerations {
			c.client(n, generation)
		}
	}
	c.settle()
	n := target(0)
	c.check(n.Emit("all"))
	n.All().Join("r", "s")
	c.check(n.To("r").Emit("room"))
	c.check(n.To("r", "s").Emit("rooms"))
	n.To("s").Leave("r")
	c.check(n.To("r").Emit("never"))
	c.check(n.To("s").Emit("other"))
	c.count("all", n.All(), 6)
	c.count("the room", n.To("s"), 6)
	for s, err := range n.All().Sockets(context.Background()) {
		c.check(err)
		c.check(s.Emit("you"))
	}
	c.check(n.Emit(clusterEnd))
	c.got(only(nil, "all", "room", "rooms", "other", "you"))
}

// clusterNodeCases are about nodes that come and go.
var clusterNodeCases = []clusterCase{
	{
		name:  "nodes/late",
		rule:  "a node that joins late is one of the cluster: it reaches the clients of all others, its own are reached, and it is asked",
		spec:  clusterNodesSpec,
		alone: true,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(nil, "r")
			late := c.start()
			defer c.end(late)
			c.open(3)
			c.join(at(3), "r")
			for _, i := range []int{3, 0} {
				c.check(c.of(i).Emit("all", i))
				c.check(c.of(i).To("r").Emit("room", i))
				c.check(c.of(i).To(c.socket("eio4@3").ID(), c.socket("eio4@1").ID()).Emit("ids", i))
				c.get(i, func(name string) []string {
					want := []string{fmt.Sprint("all ", i), fmt.Sprint("room ", i)}
					if name == "eio4@3" || name == "eio4@1" {
						want = append(want, fmt.Sprint("ids ", i))
					}
					return want
				})
			}
		},
	},
	{
		name:  "nodes/shutdown",
		rule:  "a node that leaves by Shutdown is not waited for, by requests that are open nor by those that follow, and is not missing",
		spec:  clusterNodesSpec,
		alone: true,
		run:   clusterShutdown,
	},
	{
		name: "nodes/recovery",
		rule: "a client that comes back to another node has the same id there, and gets what it has missed, in order; " +
			"where the bus keeps no order it is a new one",
		spec:  "docs/protocol.md 14.2; docs/protocol.md 14.4",
		alone: true,
		run:   clusterRecovery,
	},
	{
		name:  "nodes/malformed",
		rule:  "what is malformed on the bus ends no connection and no process, and OnError is told of it",
		spec:  "docs/protocol.md 13.7",
		alone: true,
		run:   clusterMalformed,
	},
}

// stranger is a node that is none of siokit.
type stranger struct{ up chan struct{} }

func (s stranger) Receive(*cluster.Message) {}
func (s stranger) Up()                      { close(s.up) }
func (s stranger) Down(error)               {}
func (s stranger) Lost(int, error)          {}

// malformed are messages that no node of siokit sends, and that must do no harm.
func malformed(ns string) (list []*cluster.Message) {
	deep := func(n int) string { return `["e",` + strings.Repeat("[", n) + strings.Repeat("]", n) + "]" }
	for _, data := range []string{
		"", "x", `["e"`, `["e",]`, `{}`, `[]`, `[1]`, `[null,1]`, `["connect"]`, `["disconnect",1]`, `["e","` + "\xff" + `"]`,
		deep(100), deep(400), deep(5000), `["e",{"_placeholder":true,"num":1}]`, `["e",{"_placeholder":true,"num":-1}]`, `["e"] ["e"]`,
	} {
		list = append(list, &cluster.Message{Kind: cluster.Emit, Data: []byte(data), Attachments: [][]byte{{1}}},
			&cluster.Message{Kind: cluster.Emit, Data: []byte(data)},
			&cluster.Message{Kind: cluster.Emit, Data: []byte(data), ID: "question", Timeout: time.Millisecond},
			&cluster.Message{Kind: cluster.ServerEvent, Data: []byte(data), ID: "question"})
	}
	long := strings.Repeat("y", 60_000)
	list = append(list,
		&cluster.Message{Kind: cluster.Emit, Data: []byte(`["e"]`), Rooms: []string{long, "", "\xff"}, Except: []string{""}},
		&cluster.Message{Kind: cluster.Join, Names: []string{long, ""}, Rooms: []string{"nobody"}},
		&cluster.Message{Kind: cluster.Leave}, &cluster.Message{Kind: cluster.Kind(77)}, &cluster.Message{Kind: 0},
		&cluster.Message{Kind: cluster.Fetch}, &cluster.Message{Kind: cluster.Count}, &cluster.Message{Kind: cluster.ListRooms},
		&cluster.Message{Kind: cluster.Counted, ID: "unknown", Number: 1 << 40}, &cluster.Message{Kind: cluster.Acked, ID: "unknown"},
		&cluster.Message{Kind: cluster.Asked, ID: "unknown", Number: 7}, &cluster.Message{Kind: cluster.Sockets},
	)
	for _, m := range list {
		m.Node, m.Namespace = "alien", ns
	}
	for _, other := range []string{"/unknown", "no slash", "", long} {
		list = append(list, &cluster.Message{Kind: cluster.Emit, Node: long, Namespace: other, Data: []byte(`["e"]`)},
			&cluster.Message{Kind: cluster.Disconnect, Node: "alien", Namespace: other},
			&cluster.Message{Kind: cluster.Hello, Node: long, Namespace: other})
	}
	return list
}

func clusterMalformed(c *clusterEnv) {
	c.open(0, 1, 2)
	ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
	defer cancel()
	b, s := c.newBackend(), stranger{make(chan struct{})}
	c.check(b.Start(ctx, "alien", s))
	defer func() { _ = b.Close(context.Background()) }()
	select {
	case <-s.up:
	case <-ctx.Done():
		c.T.Fatal("the backend has not reached the bus")
	}
	for _, m := range malformed(c.ns) {
		_ = b.Publish(ctx, []*cluster.Message{m}) // many backends refuse most of it
	}
	c.check(b.Publish(ctx, []*cluster.Message{{Kind: cluster.Emit, Node: "alien", Namespace: c.ns, Data: []byte(`["marker"]`)}}))
	for _, cl := range c.clients { // an event with a placeholder and without attachments is text
		for _, event := range cl.until("marker") {
			if event != "e" && event != `e {"_placeholder":true,"num":1}` && event != `e {"_placeholder":true,"num":-1}` {
				c.T.Errorf("%s got %q", cl.name, event)
			}
		}
	}
	for i, n := range c.all() {
		c.eventually(fmt.Sprintf("OnError of node %d is told", i), func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.failures > 0
		})
	}
	c.check(c.of(1).Emit("alive"))
	c.get(1, only(nil, "alive"))
}

func clusterShutdown(c *clusterEnv) {
	leaving := c.start()
	release := make(chan struct{})
	asked := make(chan struct{})
	sio.ReplyServers(leaving.Of(c.ns), "wait", func(ctx context.Context, _ sio.None) (string, error) {
		close(asked)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return "", errors.New("too late")
	})
	for i := range 3 {
		sio.ReplyServers(c.of(i), "wait", func(context.Context, sio.None) (string, error) { return "quick", nil })
	}
	type answers struct {
		list []sio.Answer[string]
		err  error
		took time.Duration
	}
	done := make(chan answers, 1)
	go func() {
		from := time.Now()
		list, err := sio.CallServers[string](context.Background(), c.of(0), "wait")
		done <- answers{list, err, time.Since(from)}
	}()
	<-asked
	c.end(leaving)
	close(release)
	got := <-done
	var missing *cluster.Missing
	if errors.As(got.err, &missing) || got.took > 4*time.Second {
		c.T.Errorf("CallServers while a node leaves: %v after %v", got.err, got.took)
	}
	quick := 0
	for _, a := range got.list {
		if a.Value == "quick" {
			quick++
		}
	}
	if quick != 2 {
		c.T.Errorf("the answers of the others\n got  %+v\n want two", got.list)
	}
	c.await()
	c.open(0, 1, 2)
	from := time.Now()
	if list := callServers[string](c, 0, "wait"); len(list) != 2 {
		c.T.Errorf("%d servers answer", len(list))
	}
	if took := time.Since(from); took > 4*time.Second {
		c.T.Errorf("requests after a Shutdown took %v", took)
	}
}
