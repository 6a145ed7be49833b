package virtsocket

import "github.com/siokit/siokit/core/internal/transport"

// What the layer above needs to end its sockets one by one, each when its application
// has answered: Refuse, BetweenPayloads, Finish. Hub.Shutdown ends all of them at once.

// Refuse refuses new handshakes from now on. It returns a channel that is closed when
// the transports of all sockets have ended, which is for others to bring about: sockets
// that are open stay open.
func (h *Hub) Refuse() <-chan struct{} {
	h.closed.Store(true)
	h.Each(func(s *Socket) {
		s.mu.Lock()
		if s.state != stateOpen && s.due != 0 { // it lingers for a poll that may never come
			s.set(shutdownLinger)
		}
		s.mu.Unlock()
	})
	if h.live.Load() == 0 {
		h.once.Do(func() { close(h.empty) })
	}
	return h.empty
}

// Handler is who handles the messages of the socket, or nil before Options.Accept has
// said it.
func (s *Socket) Handler() Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handler
}

// BetweenPayloads calls f when no payload is being handed to the handler: one that has
// begun ends first, and one that comes while f runs begins behind it. f must not wait
// for the client.
func (s *Socket) BetweenPayloads(f func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	for s.bodies > 0 {
		handled := s.payloadsEnd()
		s.mu.Unlock()
		<-handled
		s.mu.Lock()
	}
	s.gate = gate
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.gate = nil
		s.mu.Unlock()
		close(gate)
	}()
	f()
}

// Finish sends nothing more, and closes the socket with ServerShutdown when what is
// queued has been written. A client that polls fetches what is queued after the close,
// within answersLinger. A client in the middle of its upgrade would not: the close ends its
// websocket. So its queue is written before the close too, to the websocket, or to a poll
// when the upgrade fails.
func (s *Socket) Finish() {
	s.mu.Lock()
	polls := s.conn != nil && s.poll != nil && s.conn == transport.Conn(s.poll)
	waits := s.state == stateOpen && s.conn != nil && (!polls || s.candidate != nil)
	s.mu.Unlock()
	if waits && !s.out.finish() {
		s.Flush()
		return
	}
	s.Close(ServerShutdown)
}
