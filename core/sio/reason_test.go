package sio

import (
	"testing"

	"github.com/siokit/siokit/core/internal/virtsocket"
)

// TestSameBelow: the reasons and the names of failures are those of the layer below, which
// cannot import them.
func TestSameBelow(t *testing.T) {
	for r, want := range map[Reason]virtsocket.Reason{
		TransportClose: virtsocket.TransportClose, TransportError: virtsocket.TransportError, PingTimeout: virtsocket.PingTimeout,
		ParseError: virtsocket.ParseError, MalformedPacket: virtsocket.MalformedPacket, ProtocolViolation: virtsocket.ProtocolViolation,
		SlowClient: virtsocket.SlowClient, ServerShutdown: virtsocket.ServerShutdown, ServerTransportClose: virtsocket.ServerTransportClose,
		ClientNamespace: virtsocket.ClientNamespace, ServerNamespace: virtsocket.ServerNamespace,
		Expired: virtsocket.Expired,
	} {
		if r.below() != want {
			t.Errorf("%v is %d, and %d below", r, r, want)
		}
	}
	for name, want := range map[string]string{
		FailureOrigin: virtsocket.NoticeOrigin, FailureVersion: virtsocket.NoticeVersion, FailureSession: virtsocket.NoticeSession,
		FailureTransport: virtsocket.NoticeTransport, FailureUpgrade: virtsocket.NoticeUpgrade, FailureTooLarge: virtsocket.NoticeTooLarge,
		FailureLimit: virtsocket.NoticeLimit, FailureRefused: virtsocket.NoticeRefused, FailureRequest: virtsocket.NoticeRequest,
	} {
		if name != want {
			t.Errorf("%q is %q below", name, want)
		}
	}
}
