package sio

import (
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
func (s *Server) dialects() []dialect.Dialect {
	o := &s.opts
	repair, _ := eio3.ParseRepair(o.Legacy.RepairText) // checkNames has looked at both
	framing, _ := eio3.ParseFraming(o.Legacy.PollFraming)
	settings := eio3.Settings{Assume: o.Legacy.AssumeEIO3, Framing: framing}
	if o.Legacy.RepairTextOf != nil {
		settings.Choose = s.repairText
	}
	limits := packet.Limits(o.Limits) // the layers inside have a type of their own, with the same fields
	return []dialect.Dialect{
		eio4.New(limits),
		eio3.New(limits, repair).With(settings),
		sio1.New(limits),
		sio06.New(limits),
	}
}

// dialectNames are the names of dialects.
var dialectNames = []string{"eio4", "eio3", "sio1", "sio06"}

// defaultDialects are those that are on.
var defaultDialects = []string{"eio4", "eio3", "sio1"}

// transports are those that the library knows: each is a form or a duplex transport.
// What an optional one opens is logged at start-up.
var transports = map[string]struct {
	form   transport.Form
	duplex func(s *Server) transport.Duplex
	opens  string
}{
	polling.Name:        {form: polling.Transport{}},
	websocket.Name:      {duplex: func(s *Server) transport.Duplex { return s.websocket(false) }},
	websocket.FlashName: {duplex: func(s *Server) transport.Duplex { return s.websocket(true) }, opens: "websockets of the Flash plug-in, which only very old browsers have"},
	jsonp.Name:          {form: jsonp.Form{}, opens: "answers that any web page can include as a script; foreign pages are told by their Referer alone"},
	htmlfile.Name:       {form: htmlfile.Form{}, opens: "answers that are pages with scripts"},
	multipart.Name:      {form: multipart.Form{}, opens: "answers that never end, of the type multipart/x-mixed-replace"},
}

func (s *Server) websocket(flash bool) transport.Duplex {
	return websocket.Transport{MaxPayload: s.opts.MaxPayload, Flash: flash, Protocols: s.opts.Subprotocols, Call: s.ofConn}
}
