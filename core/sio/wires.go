package sio

import (
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/dialect/sio06"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/packet"
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
	limits := packet.Limits(o.Limits)
	settings := eio3.Settings{Assume: o.AssumeEIO3, Framing: eio3.Framing(o.PollFraming)}
	if choose := o.RepairTextOf; choose != nil {
		settings.Choose = func(x host.Exchange) eio3.Repair { return eio3.Repair(choose(x)) }
	}
	return []dialect.Dialect{
		eio4.New(limits),
		eio3.New(limits, eio3.Repair(o.RepairText)).With(settings),
		sio1.New(limits),
		sio06.New(limits),
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
