package sio

import (
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/dialect/sio06"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/transport/htmlfile"
	"github.com/siokit/siokit/core/internal/transport/jsonp"
	"github.com/siokit/siokit/core/internal/transport/multipart"
	"github.com/siokit/siokit/core/internal/transport/polling"
	"github.com/siokit/siokit/core/internal/transport/websocket"
)

// dialects are the client generations that the library knows, in the order in
// which they are asked.
func dialects(o *Options) []dialect.Dialect {
	return []dialect.Dialect{
		eio4.New(o.Limits),
		eio3.New(o.Limits, o.RepairText).With(eio3.Settings{Assume: o.AssumeEIO3, Framing: o.PollFraming, Choose: o.RepairTextOf}),
		sio1.New(o.Limits),
		sio06.New(o.Limits),
	}
}

// defaultDialects are those that are on.
var defaultDialects = []string{"eio4", "eio3", "sio1"}

// transports are those that the library knows. What an optional one opens is
// logged at start-up.
var transports = map[string]struct {
	form   transport.Form
	duplex bool
	opens  string
}{
	polling.Name:        {form: polling.Transport{}},
	websocket.Name:      {duplex: true},
	websocket.FlashName: {duplex: true, opens: "websockets of the Flash plug-in, which only museum browsers run"},
	jsonp.Name:          {form: jsonp.Form{}, opens: "answers that any web page can include as a script; foreign pages are told by their Referer alone"},
	htmlfile.Name:       {form: htmlfile.Form{}, opens: "answers that are pages with scripts"},
	multipart.Name:      {form: multipart.Form{}, opens: "answers that never end, of the type multipart/x-mixed-replace"},
}

// RepairText is what is done about clients of Socket.IO 1.x, which encode text
// twice when they poll, those of 1.0 on websockets too.
type RepairText = eio3.Repair

// The choices; the first is the default.
const (
	RepairDetected   = eio3.RepairDetected   // a packet that cannot be much else is read as encoded twice
	RepairNever      = eio3.RepairNever      // for fleets of 2.x alone
	RepairAlways     = eio3.RepairAlways     // for fleets of 1.x alone
	RepairEverywhere = eio3.RepairEverywhere // for fleets of 1.0 alone, which decode twice on websockets too
)

// PollFraming is the form of the payloads to clients 1.x and 2.x that poll.
type PollFraming = eio3.Framing

// The choices; the first is the default.
const (
	FramingDetected = eio3.FramingDetected // binary for those whose handshake has the parameter t, as that of official clients has
	FramingText     = eio3.FramingText     // text, which clients 1.0 to 1.3 do not read
	FramingBinary   = eio3.FramingBinary   // binary for everybody who has not asked for b64
)
