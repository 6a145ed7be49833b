package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
)

const clusterDoneSpec = "docs/protocol.md 13.4"

// clusterTargetCases are about what one server does to the sockets of all.
var clusterTargetCases = []clusterCase{
	{
		name: "targets/join",
		rule: "after Join of a target an event of the same process for the room reaches the sockets that were to join, on every node",
		spec: clusterDoneSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			for i := range 3 {
				room := fmt.Sprint("room ", i)
				c.of(i).All().Join(room, "more")
				c.check(c.of(i).To(room).Emit("joined", i))
				c.of(i).To(room).Except(c.socket("eio4@1").ID()).Join("nested " + room)
				c.check(c.of(i).To("nested "+room).Emit("nested", i))
				c.get(i, func(name string) []string {
					if name == "eio4@1" {
						return []string{fmt.Sprint("joined ", i)}
					}
					return []string{fmt.Sprint("joined ", i), fmt.Sprint("nested ", i)}
				})
			}
			c.count("the room", c.of(0).To("more"), 9)
		},
	},
	{
		name: "targets/join-one",
		rule: "after Join of the target of a socket's id the room has that socket, on whichever node",
		spec: clusterDoneSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			for _, name := range c.names(nil) {
				c.of(0).To(c.socket(name).ID()).Join("of " + name)
				c.check(c.of(0).To("of "+name).Emit("in", name))
			}
			c.get(0, func(name string) []string { return []string{"in " + name} })
		},
	},
	{
		name: "targets/leave",
		rule: "after Leave of a target an event of the same process for the room does not reach those that were to leave",
		spec: clusterDoneSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(nil, "r", "s")
			for i := range 3 {
				c.check(c.of(i).To("r").Emit("before", i))
				c.of(i).To("s").Except("not there").Leave("r")
				c.check(c.of(i).To("r").Emit("never"))
				c.of(i).All().Join("r")
				c.check(c.of(i).To("r").Emit("after", i))
				c.get(i, only(nil, fmt.Sprint("before ", i), fmt.Sprint("after ", i)))
			}
		},
	},
	{
		name: "targets/leave-all",
		rule: "after LeaveAll of a target its sockets are in no room, and their ids still address them",
		spec: clusterDoneSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(nil, "r", "s")
			c.of(0).To("r").Except(c.socket("eio4@2").ID()).LeaveAll()
			c.check(c.of(0).To("r", "s").Emit("rooms"))
			c.check(c.of(0).To(c.socket("sio1@1").ID()).Emit("id"))
			c.get(0, func(name string) []string {
				switch name {
				case "eio4@2":
					return []string{"rooms"}
				case "sio1@1":
					return []string{"id"}
				}
				return nil
			})
			if rooms := c.socket("eio3@1").Rooms(); len(rooms) != 0 {
				c.T.Errorf("the rooms of a socket behind LeaveAll: %q", rooms)
			}
		},
	},
	{
		name: "targets/disconnect",
		rule: "after Disconnect of a target its sockets get nothing more, and all others do",
		spec: clusterDoneSpec,
		run: func(c *clusterEnv) {
			c.open(0, 1, 2)
			c.join(ofGeneration("eio4"), "r")
			c.join(at(2), "r")
			out := func(name string) bool { return at(2)(name) || ofGeneration("eio4")(name) }
			c.check(c.of(0).To("r").Emit("bye"))
			c.of(0).To("r").Disconnect()
			c.check(c.of(0).Emit("after"))
			c.get(0, func(name string) []string {
				if out(name) {
					return []string{"bye", "left"}
				}
				return []string{"after"}
			})
			c.reasons(out, sio.ServerNamespace)
			c.count("those that are left", c.of(1).All(), 4)
		},
	},
	{
		name: "targets/close-conns",
		rule: "CloseConns of a target ends the connections of its sockets, behind what was emitted before, and of nobody else",
		spec: clusterDoneSpec,
		run:  func(c *clusterEnv) { c.closes(sio.Target.CloseConns, sio.ServerNamespace, true) },
	},
	{
		name: "targets/close-transport",
		rule: "CloseTransport of a target closes the transports of its sockets, and of nobody else; what is emitted behind it does not reach them",
		spec: clusterDoneSpec,
		run:  func(c *clusterEnv) { c.closes(sio.Target.CloseTransport, sio.ServerTransportClose, false) },
	},
}

// closes has a target's connections end. behind says that they end behind what was emitted
// before.
func (c *clusterEnv) closes(end func(t sio.Target), why sio.Reason, behind bool) {
	c.T.Helper()
	c.open(0, 1, 2)
	c.join(at(1), "r")
	c.join(func(name string) bool { return name == "eio4@2" }, "r")
	out := func(name string) bool { return at(1)(name) || name == "eio4@2" }
	c.check(c.of(0).To("r").Emit("bye"))
	end(c.of(0).To("r"))
	c.check(c.of(0).Emit("after"))
	c.check(c.of(0).Emit(clusterEnd))
	for _, cl := range c.clients {
		switch {
		case !out(cl.name):
			if got := cl.until(clusterEnd); fmt.Sprint(got) != "[after]" {
				c.T.Errorf("what %s got: %q", cl.name, got)
			}
		case cl.ws != nil: // what those that poll have got by then depends on when they poll
			var got []string
			for {
				p, err := cl.ws.Read()
				if err != nil {
					break
				}
				got = append(got, p)
			}
			if text := strings.Join(got, " "); behind && !strings.Contains(text, `"bye"`) || strings.Contains(text, `"after"`) {
				c.T.Errorf("what %s got before its connection ended: %q", cl.name, got)
			}
		}
	}
	c.reasons(out, why)
	c.count("those that are left", c.of(2).All(), 5)
}

// reasons waits until the sockets that who chooses have ended and left their namespace, in which
// they still are while OnDisconnect runs, and compares why they ended.
func (c *clusterEnv) reasons(who func(name string) bool, want sio.Reason) {
	c.T.Helper()
	names := c.names(who)
	reason := func(name string) sio.Reason {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ended[name]
	}
	for _, name := range names {
		for until := time.Now().Add(c.run.patience); reason(name) == 0 && time.Now().Before(until); {
			time.Sleep(2 * time.Millisecond)
		}
		if got := reason(name); got != want {
			c.T.Errorf("why the socket of %s has ended\n got  %v\n want %v", name, got, want)
		}
		s := c.socket(name)
		c.eventually("the socket of "+name+" has left", func() bool { return s.Namespace().Socket(s.ID()) == nil })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ended) != len(names) {
		c.T.Errorf("%d sockets have ended, and %d were to: %v", len(c.ended), len(names), c.ended)
	}
}
