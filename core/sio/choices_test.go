package sio

import (
	"reflect"
	"testing"

	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// TestOwnTypes: the types that an application sees have the values of the layers below,
// to which they are converted.
func TestOwnTypes(t *testing.T) {
	for own, below := range map[Reason]virtsocket.Reason{
		TransportClose:      virtsocket.TransportClose,
		TransportError:      virtsocket.TransportError,
		PingTimeout:         virtsocket.PingTimeout,
		ParseError:          virtsocket.ParseError,
		MalformedPacket:     virtsocket.ForcedClose,
		ProtocolViolation:   virtsocket.ForcedServer,
		SlowClient:          virtsocket.SlowClient,
		ServerShutdown:      virtsocket.ServerShutdown,
		ServerTransport:     virtsocket.ServerTransport,
		ClientNamespace:     virtsocket.ClientNamespace,
		ServerNamespace:     virtsocket.ServerNamespace,
		ServerNamespace + 1: virtsocket.ServerNamespace + 1,
	} {
		if own.below() != below || own.String() != below.String() || own.Reconnects() != below.Reconnects() {
			t.Errorf("%d (%s) is not %d (%s)", own, own, below, below)
		}
	}
	for own, below := range map[RepairText]eio3.Repair{
		RepairDetected: eio3.RepairDetected, RepairNever: eio3.RepairNever, RepairAlways: eio3.RepairAlways,
	} {
		if eio3.Repair(own) != below {
			t.Errorf("RepairText %d is not %d", own, below)
		}
	}
	for own, below := range map[PollFraming]eio3.Framing{
		FramingDetected: eio3.FramingDetected, FramingText: eio3.FramingText, FramingBinary: eio3.FramingBinary,
	} {
		if eio3.Framing(own) != below {
			t.Errorf("PollFraming %d is not %d", own, below)
		}
	}
	for own, below := range map[string]string{
		FailureOrigin:    virtsocket.NoticeOrigin,
		FailureVersion:   virtsocket.NoticeVersion,
		FailureSession:   virtsocket.NoticeSession,
		FailureTransport: virtsocket.NoticeTransport,
		FailureUpgrade:   virtsocket.NoticeUpgrade,
		FailureTooLarge:  virtsocket.NoticeTooLarge,
		FailureLimit:     virtsocket.NoticeLimit,
		FailureRefused:   virtsocket.NoticeRefused,
		FailureRequest:   virtsocket.NoticeRequest,
	} {
		if own != below {
			t.Errorf("%q is not %q", own, below)
		}
	}
	if l := NewServer(nil).opts.Limits; !reflect.DeepEqual(packet.Limits(l), packet.DefaultLimits) {
		t.Errorf("the default limits are %+v", l)
	}
}
