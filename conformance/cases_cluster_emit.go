package conformance

import (
	"fmt"
	"strings"
	"sync"
)

const (
	clusterOrderSpec = "docs/protocol.md 13.1"
	clusterReachSpec = "docs/protocol.md 13.2"
)

// clusterEmitCases are about what one server emits and the clients of all get.
var clusterEmitCases = []clusterCase{
	{
		name: "emit/all",
		rule: "an event for a namespace reaches every client of every node once, and those of other namespaces not",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			for i := range 3 {
				c.check(c.of(i).Emit("hi", i, "é€", nil))
				c.check(c.all()[i].Of(c.ns + "/other").Emit("never"))
				c.get(i, only(nil, fmt.Sprintf("hi %d é€ null", i)))
			}
		},
	},
	{
		name: "emit/room",
		rule: "an event for a room reaches its members on every node",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 2), "r")
			for i := range 3 {
				c.check(c.of(i).To("r").Emit("hi", i))
				c.check(c.of(i).To("nobody").Emit("never"))
				c.get(i, only(at(0, 2), fmt.Sprint("hi ", i)))
			}
		},
	},
	{
		name: "emit/rooms",
		rule: "an event for several rooms reaches each member once, however many of them it is in",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 1), "r")
			c.join(at(1, 2), "s")
			c.join(ofGeneration("eio3"), "t")
			for i := range 3 {
				c.check(c.of(i).To("r", "s").Emit("rs", i))
				c.check(c.of(i).To("r").To("t", "nobody").Emit("rt", i))
				c.check(c.of(i).To().Emit("never"))
				c.get(i, func(name string) []string {
					if at(2)(name) && !ofGeneration("eio3")(name) {
						return []string{fmt.Sprint("rs ", i)}
					}
					return []string{fmt.Sprint("rs ", i), fmt.Sprint("rt ", i)}
				})
			}
		},
	},
	{
		name: "emit/except",
		rule: "whoever is in an excepted room, on whichever node, gets nothing",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 1), "r")
			c.join(ofGeneration("eio3"), "not")
			for i := range 3 {
				c.check(c.of(i).Except("not").Emit("all", i))
				c.check(c.of(i).To("r").Except("not", "nobody").Emit("room", i))
				c.check(c.of(i).To("r").Except(c.socket("eio3@0").ID()).Emit("id", i))
				c.get(i, func(name string) (want []string) {
					if !ofGeneration("eio3")(name) {
						want = append(want, fmt.Sprint("all ", i))
						if at(0, 1)(name) {
							want = append(want, fmt.Sprint("room ", i))
						}
					}
					if at(0, 1)(name) && name != "eio3@0" {
						want = append(want, fmt.Sprint("id ", i))
					}
					return want
				})
			}
		},
	},
	{
		name: "emit/id",
		rule: "an event for the id of a socket reaches that socket, on whichever node, and nobody else",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			for i := range 3 {
				for _, name := range c.names(nil) {
					c.check(c.of(i).To(c.socket(name).ID()).Emit("you", name, i))
				}
				c.get(i, func(name string) []string { return []string{fmt.Sprintf("you %s %d", name, i)} })
			}
		},
	},
	{
		name: "emit/ids",
		rule: "an event for the ids of several sockets and a room reaches each of them once",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(2), "r")
			c.check(c.of(0).To(c.socket("eio4@1").ID(), c.socket("sio1@2").ID(), "r").Emit("some"))
			c.get(0, only(func(name string) bool { return name == "eio4@1" || at(2)(name) }, "some"))
		},
	},
	{
		name: "emit/others",
		rule: "what a socket broadcasts, to all or to a room, reaches all but itself",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 1), "r")
			for i, from := range []string{"eio4@0", "eio3@1", "sio1@2"} {
				s := c.socket(from)
				c.check(s.Broadcast().Emit("all", i))
				c.check(s.To("r").Emit("room", i))
				c.get(i, func(name string) (want []string) {
					if name != from {
						want = append(want, fmt.Sprint("all ", i))
						if at(0, 1)(name) {
							want = append(want, fmt.Sprint("room ", i))
						}
					}
					return want
				})
			}
		},
	},
	{
		name: "emit/volatile",
		rule: "a volatile event reaches every client that keeps up, on every node",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			// A client that polls has nobody to take the event between two polls.
			c.check(c.of(0).All().Volatile().Emit("maybe"))
			c.check(c.of(0).Emit(clusterEnd))
			for _, cl := range c.clients {
				if got := cl.until(clusterEnd); cl.ws != nil && fmt.Sprint(got) != "[maybe]" || len(got) > 1 {
					c.T.Errorf("what %s got: %q", cl.name, got)
				}
			}
		},
	},
	{
		name: "emit/binary",
		rule: "binary arguments, at any depth, reach every client of every node as they were",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			big := make([]byte, 100_000)
			for i := range big {
				big[i] = byte(i)
			}
			for i := range 3 {
				c.check(c.of(i).Emit("bin", []byte{1, byte(i)}, "between", []byte{0xff}, []byte{}))
				c.check(c.of(i).Emit("big", big))
				c.get(i, func(name string) []string {
					if ofGeneration("sio1")(name) { // it knows no binary
						return []string{fmt.Sprintf("bin %s between /w== ", []string{"AQA=", "AQE=", "AQI="}[i]), "big " + base64Of(big)}
					}
					return []string{fmt.Sprintf("bin 010%d between ff ", i), "big " + hexOf(big)}
				})
			}
		},
	},
	{
		name: "emit/local",
		rule: "a local event reaches the clients of its own node alone",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(nil, "r")
			for i := range 3 {
				c.check(c.of(i).All().Local().Emit("all", i))
				c.check(c.of(i).To("r").Local().Emit("room", i))
				c.get(i, only(at(i), fmt.Sprint("all ", i), fmt.Sprint("room ", i)))
			}
		},
	},
	{
		name: "emit/message",
		rule: "a message without an event's name reaches the clients of every node",
		spec: clusterReachSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.check(c.of(0).All().Send("text"))
			c.get(0, func(name string) []string {
				if name == "sio1@0" {
					return []string{"3::" + c.ns + ":text"}
				}
				return []string{"message text"}
			})
		},
	},
	{
		name: "order/one-emitter",
		rule: "what one process emits in one namespace, to all, to rooms and to ids, reaches each client in that order, once",
		spec: clusterOrderSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 1), "r")
			c.numbers([]int{0}, 300)
		},
	},
	{
		name: "order/three-emitters",
		rule: "where three processes emit at the same time, each client gets the events of each of them in order, once",
		spec: clusterOrderSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 1), "r")
			c.numbers([]int{0, 1, 2}, 200)
		},
	},
}

// check is for calls that must not fail.
func (c *clusterEnv) check(err error) {
	c.T.Helper()
	if err != nil {
		c.T.Fatal(err)
	}
}

// numbers has nodes emit numbers at the same time, by turns to all, to rooms, and to the
// one socket that is in the room and the namespace, and compares what each client gets.
func (c *clusterEnv) numbers(nodes []int, n int) {
	c.T.Helper()
	all := c.names(nil)
	var wg sync.WaitGroup
	for _, node := range nodes {
		ids := make([]string, len(all))
		for i, name := range all {
			ids[i] = c.socket(name).ID()
		}
		ns := c.of(node)
		wg.Go(func() {
			for i := range n {
				t := ns.All()
				switch i % 4 {
				case 1:
					t = ns.To("r")
				case 2:
					t = ns.To("nobody", "r")
				case 3:
					t = ns.To(ids[i%len(ids)])
				}
				if err := t.Emit("n", node, i); err != nil {
					c.T.Error(err)
				}
			}
			_ = ns.Emit(clusterEnd, node)
		})
	}
	wg.Wait()
	for k, cl := range c.clients {
		got := make(map[int][]int)
		for ends := 0; ends < len(nodes); {
			event, _ := cl.event()
			var node, i int
			if strings.HasPrefix(event, clusterEnd) {
				ends++
			} else if _, err := fmt.Sscanf(event, "n %d %d", &node, &i); err != nil {
				c.T.Fatalf("%s got %q", cl.name, event)
			} else {
				got[node] = append(got[node], i)
			}
		}
		var want []int
		for i := range n {
			if i%4 == 0 || i%4 < 3 && at(0, 1)(cl.name) || i%4 == 3 && i%len(all) == k {
				want = append(want, i)
			}
		}
		for _, node := range nodes {
			if fmt.Sprint(got[node]) != fmt.Sprint(want) {
				c.T.Errorf("the numbers of node %d at %s\n got  %v\n want %v", node, cl.name, got[node], want)
			}
		}
	}
}
