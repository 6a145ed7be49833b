package mixin

// Said returns the number of the last message of this node about its members.
func (p *Presence) Said() uint64 {
	x := p.mixings[0]
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.others.seq
}

// Heard returns the number of the last message that was taken from another node.
func (p *Presence) Heard(node string) uint64 {
	x := p.mixings[0]
	x.mu.Lock()
	defer x.mu.Unlock()
	if o := x.others.nodes[node]; o != nil {
		return o.seq
	}
	return 0
}
