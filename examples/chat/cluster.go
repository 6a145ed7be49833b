package main

import (
	"context"
	"log"
	"slices"
	"time"

	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/sio"
)

// clusterFlags say how processes of the chat find each other.
type clusterFlags struct {
	on     bool
	port   int
	secret string
}

// minSecret is what sio.Forward asks for.
const minSecret = 16

// options are those of a server that shares rooms with other processes of this machine. One of
// the processes is the NATS server of all. With Forward the requests of a client may come to
// any process, as behind a load balancer that is not sticky.
func (f clusterFlags) options() *sio.Options {
	if !f.on {
		return nil
	}
	return &sio.Options{
		Cluster: natsembed.New(&natsembed.Options{Port: f.port, App: "chat", Token: f.secret}),
		Forward: &sio.Forward{Listen: "127.0.0.1:0", Secret: []byte(f.secret)},
		OnError: func(f sio.Failure) {
			if f.Name == sio.FailureCluster {
				log.Print(f.Reason)
			}
		},
	}
}

// peopleEvery is how often a process tells the others who is in its rooms.
const peopleEvery = time.Second

// people is what a process tells the others: who is in its rooms. It is always all of them, so
// that what was lost while the bus was away is made good by the next.
type people struct {
	Node  string              `json:"node"`
	Rooms map[string][]string `json:"rooms"` // nicknames
}

// connect makes the members of a room those of all processes. Without a cluster it does nothing.
func (c *chat) connect(n *sio.Namespace) {
	c.ns = n
	if c.node = n.Server().Node(); c.node == "" {
		return
	}
	sio.HandleServers(n, "people", func(_ context.Context, p people) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard(p)
		return nil
	})
	n.Server().OnServer(func(node string, joined bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if joined {
			c.tell()
		} else {
			c.heard(people{Node: node}) // nobody is there any more
		}
	})
}

// keepTelling tells the other processes who is here until ctx ends.
func (c *chat) keepTelling(ctx context.Context) {
	if c.node == "" {
		return
	}
	every := time.NewTicker(peopleEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			c.mu.Lock()
			c.tell()
			c.mu.Unlock()
		}
	}
}

// tell tells the other processes who is here; c.mu is held.
func (c *chat) tell() {
	if c.node == "" {
		return
	}
	p := people{Node: c.node, Rooms: make(map[string][]string, len(c.rooms))}
	for name, r := range c.rooms {
		p.Rooms[name] = r.list()
	}
	if err := c.ns.EmitServers("people", p); err != nil {
		log.Print(err)
	}
}

// heard takes up what another process has told, and tells the clients of this one what has
// changed; c.mu is held.
func (c *chat) heard(p people) {
	before := c.others[p.Node]
	if len(p.Rooms) == 0 {
		delete(c.others, p.Node)
	} else {
		c.others[p.Node] = p.Rooms
	}
	for name := range c.rooms {
		if !slices.Equal(before[name], p.Rooms[name]) {
			c.show(name)
		}
	}
}

// show tells the clients of this process who is in a room; c.mu is held.
func (c *chat) show(name string) { _ = c.ns.To(name).Local().Emit("nicks", c.nicks(name)) }

// nicks are the members of a room on all processes; c.mu is held.
func (c *chat) nicks(name string) []string {
	list := []string{}
	if r := c.rooms[name]; r != nil {
		list = r.list()
	}
	for _, rooms := range c.others {
		list = append(list, rooms[name]...)
	}
	slices.Sort(list)
	return list
}
