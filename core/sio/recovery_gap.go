package sio

import "slices"

// What is not in the logs because it never came. A node knows of two cases: nothing came from the
// bus for a while, or the bus has dropped something for this node (node.Deaf); or another node has
// said that it could not publish all its events (cluster.Gap). What this node itself could not
// publish is in its logs.

// broken says that events were for this node, and did not come. What the log has from before is of
// no use: nobody can be told that it is all. l.mu is held.
func (l *recoveryLog) broken() {
	l.position++
	l.lost, l.broke = l.position, l.position
	l.empty()
}

// gone is broken for a log with a journal: what is missing stands at a position, or, with 0, behind
// all that was read. A client that was connected may have had nothing since, and lacks it. l.mu is
// held.
func (l *recoveryLog) gone(position uint64) {
	known := l.reach(position)
	if !known {
		l.catchUp()
	}
	l.forget()
	if !known {
		l.lost = max(l.lost, l.position+1) // it is behind the position
	}
	l.broke = l.lost
}

// whole reports whether what other nodes emit comes here now. When it did not for a while, the log
// breaks. The node is asked whenever that matters, so nothing depends on when somebody is told.
// l.mu is held.
func (l *recoveryLog) whole() bool {
	if l.r.srv.node == nil || l.journaled() { // a journal is read on where it was
		return true
	}
	changes, deaf := l.r.srv.node.Deaf()
	if changes != l.deaf {
		l.deaf = changes
		l.broken()
	}
	return !deaf
}

// recoveryGap is for what another node could not publish in namespaces, none for all, or has
// published and is not taken here. position is its place in a journal.
func (s *Server) recoveryGap(position uint64, namespaces ...string) {
	if s.recovery == nil {
		return
	}
	for _, l := range s.recovery.logs() {
		if len(namespaces) == 0 || slices.ContainsFunc(namespaces, l.ns.hears) {
			l.mu.Lock()
			if l.journaled() {
				l.gone(position)
			} else {
				l.broken()
			}
			l.mu.Unlock()
		}
	}
}

// hears reports whether what is emitted on the bus to a namespace with this name is for n too.
func (n *Namespace) hears(bus string) bool {
	return bus == n.busName() || n.parent != nil && bus == n.parent.busName()
}
