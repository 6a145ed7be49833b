package mixin

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// How the nodes of a cluster tell each other of members. Each node tells of its own, in
// messages with numbers that rise by one, so that a loss is noticed. Whoever has noticed
// one asks the node for all of its members.
const (
	// presenceBeat is how often a node with sockets says which number its last message had.
	presenceBeat = 10 * time.Second
	// presenceLinger is how long the members of a node that says nothing are kept, when
	// nobody says that it has left.
	presenceLinger = 3 * presenceBeat
	// maxPresencePart is how many members one message tells of.
	maxPresencePart = 256
	// maxPresenceNodes is of how many nodes members are kept, and maxPresenceNamespaces in
	// how many namespaces of one node: who writes to the bus must not use up the memory.
	maxPresenceNodes      = 1024
	maxPresenceNamespaces = 65_536
)

// What a presenceNews is.
const (
	newsAsk    = "ask"    // the node To is to tell of all its members
	newsBeat   = "beat"   // Seq is the number of the last message
	newsChange = "change" // members have come, and Left have gone
	newsAll    = "all"    // all members follow in parts, until the end
	newsPart   = "part"
	newsEnd    = "end"
)

// presenceNews is the first argument of the event for servers; the members follow.
type presenceNews struct {
	Kind string   `json:"kind"`
	Node string   `json:"node"` // who says it
	Seq  uint64   `json:"seq"`
	To   string   `json:"to,omitempty"`
	Path string   `json:"path,omitempty"`
	Left []string `json:"left,omitempty"`
}

// others is what a mixing knows of other nodes.
type others struct {
	seq   uint64 // of the last message of this node
	nodes map[string]*otherNode
	over  chan struct{} // closed to end the beats; nil when there are none
}

// otherNode is one other node, as far as it has told.
type otherNode struct {
	seq    uint64
	behind bool // something was lost: it was asked for all
	heard  time.Time
	ids    map[string]map[string]struct{} // of its members, by namespace
	fresh  map[string][]Member            // while all of them come
	coming bool                           // fresh counts
}

// name is the name of the event for servers.
func (x *mixing) name() string { return "siokit:" + x.event }

// listen takes what other nodes say.
func (x *mixing) listen() {
	if x.node == "" {
		return
	}
	x.others.nodes = make(map[string]*otherNode)
	sio.HandleServers(x.n, x.name(), func(_ context.Context, a sio.Args) error {
		var news presenceNews
		if err := a.Bind(&news); err != nil {
			return err
		}
		members, err := membersIn(a.Slice(1))
		if err != nil {
			return err
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.heard(news, members)
		return nil
	})
	x.n.Server().OnServer(func(node string, joined bool) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if !joined {
			x.lose(node)
			return
		}
		x.ask(node) // as the other node does
	})
}

// membersIn are the members in arguments. Their Info stays the text that it is, unless
// there are bytes in it.
func membersIn(a sio.Args) ([]Member, error) {
	list := make([]Member, a.Len())
	for i := range list {
		var m struct {
			ID   string          `json:"id"`
			Info json.RawMessage `json:"info"`
		}
		if !bytes.Contains(a.Raw(i), []byte(`"_placeholder"`)) && a.Slice(i).Bind(&m) == nil {
			if list[i].ID = m.ID; m.Info != nil {
				list[i].Info = m.Info
			}
			continue
		}
		if err := a.Slice(i).Bind(&list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// send tells the other nodes; x.mu is held. What cannot be encoded of a member is left out.
func (x *mixing) send(news presenceNews, members []Member) {
	switch news.Kind {
	case newsAsk, newsBeat:
	default:
		x.others.seq++
	}
	news.Node, news.Seq = x.node, x.others.seq
	args := func(keep func(m Member) bool) []any {
		list := []any{news}
		for _, m := range members {
			if !keep(m) {
				m.Info = nil
			}
			list = append(list, m)
		}
		return list
	}
	if x.n.EmitServers(x.name(), args(func(Member) bool { return true })...) != nil {
		_ = x.n.EmitServers(x.name(), args(func(m Member) bool { _, err := x.n.Encode(m); return err == nil })...)
	}
}

// tellOthers tells the other nodes what the changes come to on this one; x.mu is held.
func (x *mixing) tellOthers(path string, r *roster, changes []string) {
	if x.node == "" {
		return
	}
	var came []Member
	var left []string
	flush := func(least int) {
		if len(came)+len(left) >= least {
			x.send(presenceNews{Kind: newsChange, Path: path, Left: left}, came)
			came, left = nil, nil
		}
	}
	for _, id := range changes {
		m := r.members[id]
		is := m != nil && m.here > 0
		switch _, said := r.said[id]; {
		case is && !said:
			r.said[id] = struct{}{}
			came = append(came, m.Member)
		case said && !is:
			delete(r.said, id)
			left = append(left, id)
		}
		flush(maxPresencePart)
	}
	flush(1)
}

// sendAll tells of all members of this node; x.mu is held. A node that has never had any
// has nothing to say.
func (x *mixing) sendAll() {
	if x.others.seq == 0 {
		return
	}
	x.send(presenceNews{Kind: newsAll}, nil)
	for path, r := range x.rosters {
		var list []Member
		flush := func(least int) {
			if len(list) >= least {
				x.send(presenceNews{Kind: newsPart, Path: path}, list)
				list = nil
			}
		}
		for id := range r.said {
			// The member may have gone, and that is not told yet.
			m := Member{ID: id}
			if is := r.members[id]; is != nil {
				m = is.Member
			}
			list = append(list, m)
			flush(maxPresencePart)
		}
		flush(1)
	}
	x.send(presenceNews{Kind: newsEnd}, nil)
}

// ask asks a node for all of its members; x.mu is held.
func (x *mixing) ask(node string) { x.send(presenceNews{Kind: newsAsk, To: node}, nil) }

// heard takes what another node says; x.mu is held.
func (x *mixing) heard(news presenceNews, members []Member) {
	if news.Kind == newsAsk {
		if news.To == x.node {
			x.sendAll()
		}
		return
	}
	o := x.others.nodes[news.Node]
	if o == nil {
		if len(x.others.nodes) >= maxPresenceNodes {
			return
		}
		o = &otherNode{ids: make(map[string]map[string]struct{})}
		x.others.nodes[news.Node] = o
	}
	o.heard = time.Now()
	switch {
	case news.Kind == newsBeat:
		if news.Seq != o.seq || o.behind {
			o.behind = true
			x.ask(news.Node)
		}
	case news.Kind == newsAll:
		o.seq, o.behind, o.fresh, o.coming = news.Seq, false, make(map[string][]Member), true
	case o.behind:
	case news.Seq != o.seq+1 || o.coming != (news.Kind != newsChange):
		o.behind, o.fresh, o.coming = true, nil, false
		x.ask(news.Node)
	default:
		o.seq = news.Seq
		x.take(o, news, members)
	}
}

// take does what a message in order says; x.mu is held.
func (x *mixing) take(o *otherNode, news presenceNews, members []Member) {
	touched := make(map[string]*roster)
	switch news.Kind {
	case newsPart:
		if list := o.fresh[news.Path]; len(list) < x.max() && len(o.fresh) < maxPresenceNamespaces {
			o.fresh[news.Path] = append(list, members...)
		}
	case newsEnd:
		fresh := o.fresh
		o.fresh, o.coming = nil, false
		x.replace(o, fresh, touched)
	case newsChange:
		for _, id := range news.Left {
			x.remove(o, news.Path, id, touched)
		}
		for _, m := range members {
			x.add(o, news.Path, m, touched)
		}
	}
	for path, r := range touched {
		x.tell(path, r)
	}
}

// replace makes fresh all members of a node; x.mu is held. Those that are not among them go
// first, or there would be no room for the others.
func (x *mixing) replace(o *otherNode, fresh map[string][]Member, touched map[string]*roster) {
	stay := make(map[string]map[string]struct{}, len(fresh))
	for path, members := range fresh {
		stay[path] = make(map[string]struct{}, len(members))
		for _, m := range members {
			stay[path][m.ID] = struct{}{}
		}
	}
	for path, ids := range o.ids {
		for id := range ids {
			if _, ok := stay[path][id]; !ok {
				x.remove(o, path, id, touched)
			}
		}
	}
	for path, members := range fresh {
		for _, m := range members {
			x.add(o, path, m, touched)
		}
	}
}

// add notes a member of another node; x.mu is held.
func (x *mixing) add(o *otherNode, path string, m Member, touched map[string]*roster) {
	ids := o.ids[path]
	if _, known := ids[m.ID]; known || len(ids) >= x.max() {
		return
	}
	if ids == nil {
		if len(o.ids) >= maxPresenceNamespaces {
			return
		}
		ids = make(map[string]struct{})
		o.ids[path] = ids
	}
	ids[m.ID] = struct{}{}
	r := x.roster(path)
	is := r.member(m.ID)
	if is.there++; is.here == 0 {
		is.Member = m
	}
	touched[path] = r
}

// remove forgets a member of another node; x.mu is held.
func (x *mixing) remove(o *otherNode, path, id string, touched map[string]*roster) {
	ids := o.ids[path]
	if _, known := ids[id]; !known {
		return
	}
	if delete(ids, id); len(ids) == 0 {
		delete(o.ids, path)
	}
	r := x.rosters[path]
	m := r.member(id)
	m.there--
	r.tidy(m)
	touched[path] = r
}

// lose forgets a node with its members; x.mu is held.
func (x *mixing) lose(node string) {
	o := x.others.nodes[node]
	if o == nil {
		return
	}
	delete(x.others.nodes, node)
	touched := make(map[string]*roster)
	x.replace(o, nil, touched)
	for path, r := range touched {
		x.tell(path, r)
	}
}

// expire forgets nodes with members that say nothing any more; x.mu is held.
func (x *mixing) expire(now time.Time) {
	for name, o := range x.others.nodes {
		if len(o.ids) > 0 && now.Sub(o.heard) > presenceLinger {
			x.lose(name)
		}
	}
}

// beats has the node say which number its last message had, as long as it has sockets. It
// runs as a task of the first one, so the server knows of it; x.mu is held.
func (x *mixing) beats(s *sio.Socket) {
	if x.node == "" {
		return
	}
	over := make(chan struct{})
	x.others.over = over
	s.Go(func(context.Context) {
		tick := time.NewTicker(presenceBeat)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-over:
				return
			case now := <-tick.C:
				x.mu.Lock()
				x.beat(now, now.Sub(last) > 2*presenceBeat)
				x.mu.Unlock()
				last = now
			}
		}
	})
}

// beat says that the node is there, and gives up those that say nothing. late: this process
// has stood still, and nothing is known of others; x.mu is held.
func (x *mixing) beat(now time.Time, late bool) {
	x.send(presenceNews{Kind: newsBeat}, nil)
	for _, o := range x.others.nodes {
		if late {
			o.heard = now
		}
	}
	x.expire(now)
}

// restBeats ends the beats; x.mu is held.
func (x *mixing) restBeats() {
	if x.others.over != nil {
		close(x.others.over)
		x.others.over = nil
	}
}
