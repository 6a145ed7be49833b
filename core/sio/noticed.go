package sio

import (
	"sync/atomic"

	"github.com/siokit/siokit/core/internal/virtsocket"
)

// noticed reports what the layers below say about requests. They have logged it.
func (s *Server) noticed(n virtsocket.Notice) {
	in := Failure{Name: n.Name, Err: n.Err, Reason: n.Text, Remote: n.Remote}
	if c, ok := n.Handler.(*client); ok {
		in.Request = c.req
	}
	s.report(in)
}

// RemoteAddr is where the handshake came from, for notices about the connection.
func (c *client) RemoteAddr() string { return c.req.RemoteAddr }

// failureCounts counts by Failure.Name. The map never changes.
type failureCounts map[string]*atomic.Int64

func newFailureCounts() failureCounts {
	counts := make(failureCounts)
	for _, name := range []string{
		FailurePacket, FailureNoNamespace, FailureNoHandler, FailureDenied, FailureArgs, FailureHandler, FailurePanic,
		FailureTooManyJoins, FailureTooManyNamespaces, FailureCluster, FailureForward,
		FailureOrigin, FailureVersion, FailureSession, FailureTransport, FailureUpgrade, FailureTooLarge, FailureLimit,
		FailureRefused, FailureRequest,
	} {
		counts[name] = new(atomic.Int64)
	}
	return counts
}

func (counts failureCounts) count(name string) {
	if n := counts[name]; n != nil {
		n.Add(1)
	}
}

func (counts failureCounts) all() map[string]int64 {
	m := make(map[string]int64, len(counts))
	for name, n := range counts {
		m[name] = n.Load()
	}
	return m
}
