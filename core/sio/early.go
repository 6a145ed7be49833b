package sio

import "github.com/siokit/siokit/core/internal/packet"

// early are the messages for a socket that is connecting.
type early struct {
	messages []earlyMessage
	bytes    int // of these
}

type earlyMessage struct {
	m        *packet.Message
	volatile bool
}

// sendEarly keeps a message for a socket that is connecting, within the bounds of
// the queue that it moves to behind the answer.
func (s *Socket) sendEarly(m *packet.Message, volatile bool) error {
	s.mu.Lock()
	if s.state.Load() != stateConnecting {
		s.mu.Unlock()
		return s.sendMessage(m, volatile)
	}
	o := &s.ns.srv.opts
	// One place in the queue is the answer's.
	if s.early == nil {
		s.early = new(early)
	}
	if len(s.early.messages) >= max(1, o.MaxQueueMessages-1) || s.early.bytes >= o.MaxQueueBytes {
		s.mu.Unlock()
		m.Release()
		s.client.vs.Close(SlowClient.below())
		return ErrDisconnected
	}
	s.early.messages = append(s.early.messages, earlyMessage{m, volatile})
	s.early.bytes += m.Size()
	s.mu.Unlock()
	return nil
}
