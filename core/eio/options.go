package eio

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport/jsonp"
	"github.com/siokit/siokit/core/internal/transport/polling"
	"github.com/siokit/siokit/core/internal/transport/websocket"
	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/internal/safelog"
)

// Options configure a [Server]. The zero value of every field means its default.
type Options struct {
	// OnConnection is called for every new connection, before its first message is
	// handled. It registers the functions of the Socket. It is the one option that is
	// required.
	OnConnection func(s *Socket)
	// AllowRequest decides about each handshake. An error refuses the client with
	// status 403 and is logged; the client does not get its text. data is what
	// Socket.Data returns. x is valid until AllowRequest returns.
	AllowRequest func(x host.Exchange) (data any, err error)

	// Protocols are the revisions of Engine.IO that are served; 4 and 3. A client of
	// another revision is refused with status 400.
	Protocols []int
	// Transports are the names of the enabled transports; "polling" and "websocket".
	// "jsonp" is off because any web page can include its answers as a script.
	Transports []string
	// Origins are the web origins, beside the server's own, whose pages may connect,
	// such as "https://app.example.com". The single entry "*" admits every page,
	// without cookies. An entry that no page can have panics.
	Origins []string
	// AllowOrigin decides about origins that are not in Origins; nil admits none.
	// Pages that it admits are served with the visitor's cookies.
	AllowOrigin func(origin string) bool

	// PingInterval is how often the server, or with protocol 3 the client, asks
	// whether the other side is there; 25 s. PingTimeout is how long the answer may
	// take; 20 s. UpgradeTimeout is how long an upgrade from polling may take; 10 s.
	PingInterval   time.Duration
	PingTimeout    time.Duration
	UpgradeTimeout time.Duration
	// MaxPayload is the largest message or POST that a client may send, in bytes;
	// 1 000 000. A larger one ends its connection.
	MaxPayload int64
	// MaxQueueMessages and MaxQueueBytes bound what waits for one client that does not
	// read fast enough; 1 024 messages and 1 MiB. A client that reaches one of them is
	// disconnected with "slow client".
	MaxQueueMessages int
	MaxQueueBytes    int
	// MaxConnections is how many connections there may be; 100 000.
	// MaxConnectionsPerAddress is how many may come from one address; no bound.
	// MaxPending is how many may be pending, 10 000, and MaxPendingPerAddress how many
	// of one address, 1 000: a connection that polls is pending until its client has
	// sent another request after the handshake. A handshake beyond a bound is refused
	// with status 503. A negative number means no bound.
	MaxConnections           int
	MaxConnectionsPerAddress int
	MaxPending               int
	MaxPendingPerAddress     int
	// Address names the client of a handshake, for the bounds for each address; a
	// client with the name "" is not counted by them. The default is the peer of the
	// TCP connection without its port; for IPv6, its network of 64 bits. Behind a
	// proxy that is the proxy, for every client: return what the proxy says, such as
	// the last address of X-Forwarded-For. The first address can be chosen by the
	// client. A peer without an IP address, as on a Unix socket, is not counted by
	// default, which is logged. Only the first 64 bytes count. x is valid until
	// Address returns.
	Address func(x host.Exchange) string
	// MaxQuery is the largest query of a request, in bytes, with the path below the
	// mount point; 16 KiB. A longer one is refused with status 414.
	MaxQuery int
	// MaxHeaders is the largest sum of a request's headers, in bytes: of each its
	// name, its value and 32 more, which bounds their number; 32 KiB. A larger one is
	// refused with status 431. A host may have a smaller bound of its own.
	MaxHeaders int

	// Legacy are the options for old clients of protocol 3.
	Legacy Legacy
	// Path is the mount point for a Server that is used as an http.Handler without a
	// pattern; "/engine.io".
	Path string
	// Logger receives what goes wrong; slog.Default().
	Logger *slog.Logger
}

// Legacy are options for clients of protocol 3 that are older than engine.io-client 2. The
// zero value of every field means its default, which serves all of them.
type Legacy struct {
	// AssumeEIO3 serves clients that name no protocol with protocol 3. Without the
	// option such a client is served only when it asks for b64.
	AssumeEIO3 bool
	// RepairText chooses how text of clients before engine.io-client 2 is read and
	// written. They encode and decode text as UTF-8 twice when they poll, and those
	// before 1.4 on websockets too:
	//   - "detected", the default: a message that can hardly be anything else is read as encoded
	//     twice, and its client gets text encoded twice from then on;
	//   - "never", when all old clients are engine.io-client 2 or later;
	//   - "always", when all old clients are engine.io-client 1.x;
	//   - "everywhere", when all old clients are before 1.4, which decode twice on websockets too.
	//
	// A client that is sent text beyond ASCII before it has sent some itself, on the
	// same transport, cannot be recognised: when the server sends such text first,
	// make another choice.
	RepairText string
	// RepairTextOf, when not nil, chooses for the client of each handshake instead of
	// RepairText, for example by its User-Agent or a parameter of its query. The
	// result "" leaves the choice to RepairText; so does a result that is none of the
	// choices, which is logged. x is valid until RepairTextOf returns.
	RepairTextOf func(x host.Exchange) string
	// PollFraming is the form of the payloads to clients of protocol 3 that poll and
	// can receive binary:
	//   - "detected", the default: "binary" for clients whose handshake has the parameter t, as
	//     that of official clients has, and "text" for others;
	//   - "text", which the oldest clients in browsers cannot read;
	//   - "binary", for all clients that have not asked for b64.
	PollFraming string
}

// protocols are the revisions that the package knows, in the order in which they are
// asked.
func (s *Server) protocols() []protocol {
	repair, _ := eio3.ParseRepair(s.opts.Legacy.RepairText) // withDefaults has looked at both
	framing, _ := eio3.ParseFraming(s.opts.Legacy.PollFraming)
	settings := eio3.Settings{Assume: s.opts.Legacy.AssumeEIO3, Framing: framing}
	if s.opts.Legacy.RepairTextOf != nil {
		settings.Choose = s.repairText
	}
	return []protocol{
		{4, eio4.New(packet.DefaultLimits)},
		{3, eio3.New(packet.DefaultLimits, repair).With(settings)},
	}
}

type protocol struct {
	revision int
	dialect  dialect.Dialect
}

func defaultTo[T int | int64 | time.Duration](name string, field *T, def T) {
	if *field < 0 {
		panic(fmt.Sprintf("eio: Options.%s is negative: %v", name, *field))
	}
	if *field == 0 {
		*field = def
	}
}

// bound sets a bound to its default; the layers inside know 0 as none.
func bound(n *int, def int) {
	switch {
	case *n == 0:
		*n = def
	case *n < 0:
		*n = 0
	}
}

// withDefaults returns a copy with every default filled in. It panics when an option
// makes no sense: that is a mistake to be seen at start-up.
func (o *Options) withDefaults() Options {
	if o == nil || o.OnConnection == nil {
		panic("eio: Options.OnConnection is required")
	}
	c := *o
	defaultTo("PingInterval", &c.PingInterval, 25*time.Second)
	defaultTo("PingTimeout", &c.PingTimeout, 20*time.Second)
	defaultTo("UpgradeTimeout", &c.UpgradeTimeout, 10*time.Second)
	defaultTo("MaxPayload", &c.MaxPayload, 1_000_000)
	defaultTo("MaxQueueMessages", &c.MaxQueueMessages, 1024)
	defaultTo("MaxQueueBytes", &c.MaxQueueBytes, 1<<20)
	defaultTo("MaxQuery", &c.MaxQuery, 16<<10)
	defaultTo("MaxHeaders", &c.MaxHeaders, 32<<10)
	bound(&c.MaxConnections, 100_000)
	bound(&c.MaxConnectionsPerAddress, 0)
	bound(&c.MaxPending, 10_000)
	bound(&c.MaxPendingPerAddress, 1_000)
	if len(c.Protocols) == 0 {
		c.Protocols = []int{4, 3}
	}
	for _, p := range c.Protocols {
		if p != 3 && p != 4 {
			panic(fmt.Sprintf("eio: Options.Protocols: there is no protocol %d; there are 3 and 4", p))
		}
	}
	if len(c.Transports) == 0 {
		c.Transports = []string{polling.Name, websocket.Name}
	}
	if _, err := eio3.ParseRepair(c.Legacy.RepairText); err != nil {
		panic(fmt.Sprintf("eio: Options.Legacy.RepairText: %v", err))
	}
	if _, err := eio3.ParseFraming(c.Legacy.PollFraming); err != nil {
		panic(fmt.Sprintf("eio: Options.Legacy.PollFraming: %v", err))
	}
	var err error
	if c.Origins, err = virtsocket.CleanOrigins(c.Origins, c.AllowOrigin != nil); err != nil {
		panic("eio: Options.Origins: " + err.Error())
	}
	if c.Path == "" {
		c.Path = "/engine.io"
	}
	c.Logger = safelog.New(c.Logger)
	return c
}

// options are those of the layer inside.
func (s *Server) options() virtsocket.Options {
	o := &s.opts
	h := virtsocket.Options{
		PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, UpgradeTimeout: o.UpgradeTimeout,
		MaxPayload: o.MaxPayload, MaxQueueMessages: o.MaxQueueMessages, MaxQueueBytes: o.MaxQueueBytes,
		MaxQuery: o.MaxQuery, MaxHeaders: o.MaxHeaders,
		Origins: virtsocket.Origins{List: o.Origins},
		Polling: polling.Transport{},
		Limits: virtsocket.Limits{
			Connections: o.MaxConnections, ConnectionsPerAddress: o.MaxConnectionsPerAddress,
			Pending: o.MaxPending, PendingPerAddress: o.MaxPendingPerAddress,
		},
		Logger: o.Logger,
	}
	h.NotServed = make(map[string]string)
	for _, p := range s.protocols() {
		if slices.Contains(o.Protocols, p.revision) {
			h.Dialects = append(h.Dialects, p.dialect)
		} else {
			h.Off = append(h.Off, p.dialect)
			h.NotServed[p.dialect.Name()] = fmt.Sprintf("%d is not among Options.Protocols", p.revision)
		}
	}
	for _, name := range o.Transports {
		switch name {
		case websocket.Name:
			h.Duplex = append(h.Duplex, websocket.Transport{MaxPayload: o.MaxPayload, Call: s.ofConn})
		case polling.Name:
			h.Forms = append(h.Forms, polling.Transport{})
		case jsonp.Name:
			h.Forms = append(h.Forms, jsonp.Form{})
		default:
			panic(fmt.Sprintf("eio: Options.Transports: unknown transport %q; there are polling, websocket and jsonp", name))
		}
	}
	return h
}
