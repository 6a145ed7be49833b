package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
)

const clusterAskSpec = "docs/protocol.md 13.5"

// clusterAskCases are about what one server asks, and the clients of all answer.
var clusterAskCases = []clusterCase{
	{
		name: "ask/sockets",
		rule: "Sockets yields each socket of a target once, those of other nodes with their rooms, and what is done to one of them is done",
		spec: clusterAskSpec,
		run:  clusterSockets,
	},
	{
		name: "ask/count",
		rule: "Count is the number of sockets of a target on all nodes, each counted once",
		spec: clusterAskSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(at(0, 1), "r")
			c.join(at(1, 2), "s")
			for i := range 3 {
				n := c.of(i)
				c.count("all", n.All(), 9)
				c.count("r", n.To("r"), 6)
				c.count("r and s", n.To("r", "s"), 9)
				c.count("r without s", n.To("r").Except("s"), 3)
				c.count("an id", n.To(c.socket("sio1@1").ID()), 1)
				c.count("nobody", n.To("nobody"), 0)
				c.count("no room", n.To(), 0)
				c.count("the others", c.socket(fmt.Sprint("eio4@", i)).Broadcast(), 8)
				c.count("those of the node", n.All().Local(), 3)
			}
		},
	},
	{
		name: "ask/call-all",
		rule: "CallAll has an answer of each client of the target, of every generation and node, with the id of its socket",
		spec: clusterAskSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			for i := range 3 {
				done := c.call(i, c.run.patience, "q", []byte{1, 2})
				for _, cl := range c.clients {
					event, id := cl.event()
					if !strings.HasPrefix(event, "q ") {
						c.T.Errorf("%s was asked %q", cl.name, event)
					}
					cl.answer(id, fmt.Sprintf(`"of %s"`, cl.name))
				}
				c.answers(<-done, func(name string) string { return "of " + name })
			}
		},
	},
	{
		name: "ask/call-silent",
		rule: "CallAll ends with the context, has the answers that have come, and names the sockets that did not answer; no node is said to be missing",
		spec: clusterAskSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			done := c.call(0, 4*time.Second, "q") // below the patience of the cases and AckTimeout
			for _, cl := range c.clients {
				if _, id := cl.event(); cl.name != "eio3@1" && cl.name != "eio4@0" {
					cl.answer(id, `"yes"`)
				}
			}
			c.answers(<-done, func(name string) string {
				if name == "eio3@1" || name == "eio4@0" {
					return sio.ErrAckTimeout.Error()
				}
				return "yes"
			})
		},
	},
	{
		name: "ask/call-leaves",
		rule: "CallAll does not wait for a client that leaves, on whichever node, and says that it has left",
		spec: clusterAskSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			from := time.Now()
			done := c.call(0, c.run.patience, "q")
			for _, cl := range c.clients {
				_, id := cl.event()
				switch cl.name {
				case "eio4@0", "eio4@2", "sio1@1":
					cl.leave()
				default:
					cl.answer(id, `"yes"`)
				}
			}
			c.answers(<-done, func(name string) string {
				switch name {
				case "eio4@0", "eio4@2", "sio1@1":
					return sio.ErrDisconnected.Error()
				}
				return "yes"
			})
			if took := time.Since(from); took >= c.run.patience {
				c.T.Errorf("CallAll waited %v", took)
			}
		},
	},
}

func clusterSockets(c *clusterEnv) {
	c.open(0, 1, 2)
	c.join(at(1, 2), "r")
	for i := range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
		var got, want []string
		for s, err := range c.of(i).To("r", c.socket("eio4@0").ID()).Sockets(ctx) {
			if err != nil {
				c.T.Errorf("Sockets ended with %v", err)
				break
			}
			got = append(got, fmt.Sprint(s.ID(), s.Rooms()))
			c.check(s.Emit("you", s.ID()))
			s.Join(fmt.Sprint("own ", i))
			c.check(c.of(i).To(fmt.Sprint("own ", i)).Except("met").Emit("own"))
			s.Join("met")
			s.Leave(fmt.Sprint("own ", i))
		}
		cancel()
		for _, name := range c.names(nil) {
			if id := c.socket(name).ID(); at(1, 2)(name) {
				want = append(want, fmt.Sprint(id, "[r]"))
			} else if name == "eio4@0" {
				want = append(want, fmt.Sprint(id, "[]"))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			c.T.Errorf("the sockets with their rooms, at node %d\n got  %q\n want %q", i, got, want)
		}
		c.of(i).To("met").Leave("met")
		c.get(i, func(name string) []string {
			if at(1, 2)(name) || name == "eio4@0" {
				return []string{"you " + c.socket(name).ID(), "own"}
			}
			return nil
		})
	}
}

// calledAll is what CallAll has returned.
type calledAll struct {
	list []sio.Answer[string]
	err  error
}

// call has a node ask all clients, and waits so long at most.
func (c *clusterEnv) call(node int, d time.Duration, event string, args ...any) <-chan calledAll {
	done := make(chan calledAll, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		list, err := sio.CallAll[string](ctx, c.of(node).All(), event, args...)
		done <- calledAll{list, err}
	}()
	return done
}

// answers compares what CallAll has returned: a value or the text of an error for each client.
func (c *clusterEnv) answers(got calledAll, want func(name string) string) {
	c.T.Helper()
	if got.err != nil {
		c.T.Errorf("CallAll: %v", got.err)
	}
	var list, all []string
	for _, a := range got.list {
		text := a.Value
		switch {
		case errors.Is(a.Err, sio.ErrAckTimeout):
			text = sio.ErrAckTimeout.Error()
		case a.Err != nil:
			text = a.Err.Error()
		}
		list = append(list, c.nameOf(a.ID)+": "+text)
	}
	for _, name := range c.names(nil) {
		all = append(all, name+": "+want(name))
	}
	slices.Sort(list)
	slices.Sort(all)
	if !slices.Equal(list, all) {
		c.T.Errorf("the answers\n got  %q\n want %q", list, all)
	}
}

// nameOf is the client with a socket.
func (c *clusterEnv) nameOf(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, s := range c.seen {
		if s.ID() == id {
			return name
		}
	}
	return "the unknown socket " + id
}

// leave leaves the case's namespace.
func (cl *clusterClient) leave() { cl.post("41"+cl.ns+",", "0::"+cl.ns) }
