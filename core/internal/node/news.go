package node

import "time"

// report is the goroutine that tells the Host of other nodes, and the application of gaps.
// It calls what may take its time, so it does nothing else. It ends when the node has left.
func (n *Node) report() {
	defer close(n.reported)
	tick := time.NewTicker(n.opts.Heartbeat)
	defer tick.Stop()
	told := make(map[string]struct{})
	for {
		n.reportMembers(told)
		if g, ok := n.gaps.news(); ok {
			n.opts.Report(g)
		}
		select {
		case <-n.news:
		case now := <-tick.C:
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
func (n *Node) reportMembers(told map[string]struct{}) {
	now := n.members.names()
	there := make(map[string]struct{}, len(now))
	for _, name := range now {
		there[name] = struct{}{}
	}
	for name := range told {
		if _, ok := there[name]; !ok {
			delete(told, name)
			n.host.Left(name)
		}
	}
	for _, name := range now {
		if _, ok := told[name]; !ok {
			told[name] = struct{}{}
			n.host.Joined(name)
		}
	}
}
