package node

import (
	"maps"
	"slices"
	"time"
)

// report is the goroutine that tells the Host of other nodes, and the application of gaps.
// It calls what may take its time, so it does nothing else. It ends when the node has left.
func (n *Node) report() {
	defer close(n.reported)
	tick := time.NewTicker(n.opts.Heartbeat)
	defer tick.Stop()
	told := make(map[string]*member)
	for {
		n.reportMembers(told)
		if g, ok := n.gaps.news(); ok {
			n.opts.Report(g)
		}
		select {
		case <-n.news:
		case now := <-tick.C:
			// A Watch that fails behind this look is a loss that end sees.
			if n.interests.deaf() != nil {
				continue // the gap goes on
			}
			if g, ok := n.gaps.end(now.Add(-n.opts.Heartbeat)); ok {
				n.opts.Report(g)
			}
		case <-n.ctx.Done():
			if g, ok := n.gaps.news(); ok {
				n.opts.Report(g)
			}
			if g, ok := n.gaps.leave(time.Now()); ok {
				n.opts.Report(g)
			}
			return
		}
	}
}

// reportMembers tells the Host what has changed since it was told.
func (n *Node) reportMembers(told map[string]*member) {
	there, silent := n.members.all()
	for name, m := range silent {
		if told[name] == nil { // it has come and gone meanwhile, and may have sessions
			n.host.Joined(name)
		}
		told[name] = m
	}
	for name, m := range told {
		if there[name] != nil {
			continue
		}
		delete(told, name)
		info, bye := n.members.end(m)
		if !bye {
			n.host.Silent(name, info)
		}
		n.members.forget(name, m)
		n.host.Left(name, bye)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		known := told[name] != nil
		if told[name] = there[name]; !known {
			n.host.Joined(name)
		}
	}
}
