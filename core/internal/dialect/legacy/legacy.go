// Package legacy is what the dialects of Socket.IO 0.6 and of 0.7 to 0.9 share: the
// rules of a protocol without Engine.IO below it, and the names of the transports,
// which are a part of each path.
package legacy

import (
	"slices"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

// Base is what these dialects have in common. Each embeds Base and shows what differs.
type Base struct{}

// SocketID is the session's id, the only one that clients know.
func (Base) SocketID(sid, _ string) string { return sid }

// Rules are the rules of these dialects. accepted is the answer to a request with a body.
func Rules(accepted string) dialect.Rules {
	return dialect.Rules{
		Heartbeat:           dialect.ServerPings,
		ImplicitConnect:     true,
		NewestTransportWins: true,
		QuietPolls:          true,
		FramePayloads:       true,
		RootEndsConn:        true,
		AnswersStrayPackets: true,
		Accepted:            accepted,
		Type:                TextType,
	}
}

// TextType is the content type of everything but scripts and streams.
const TextType = "text/plain; charset=UTF-8"

// ReplyText answers a request with a text.
func ReplyText(x host.Exchange, status int, text string) error {
	x.SetHeader("Content-Type", TextType)
	return x.Reply(status, []byte(text))
}

// names are the transports on the wire, in the order in which they are offered.
var names = [...]struct{ wire, name string }{
	{"websocket", dialect.WebSocket},
	{"flashsocket", dialect.FlashSocket},
	{"htmlfile", dialect.HTMLFile},
	{"xhr-multipart", dialect.XHRMultipart},
	{"xhr-polling", dialect.Polling},
	{"jsonp-polling", dialect.JSONP},
}

// Transport is the transport of a name on the wire; "" when there is none.
func Transport(wire string) string {
	for _, n := range names {
		if n.wire == wire {
			return n.name
		}
	}
	return ""
}

// Offered are the names on the wire of those transports that are enabled.
func Offered(enabled []string) (wire []string) {
	for _, n := range names {
		if slices.Contains(enabled, n.name) {
			wire = append(wire, n.wire)
		}
	}
	return wire
}
