package sio

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/transport/polling"
	"github.com/siokit/siokit/core/internal/transport/websocket"
	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/internal/safelog"
)

// Options configure a [Server]. The zero value of every field means its default. The ten
// that most servers look at come first.
type Options struct {
	// The ten options that most servers look at.

	// Origins are the web origins, beside the server's own, whose pages may
	// connect, such as "https://app.example.com" or "https://*.example.com". A
	// slash at the end, upper case and the scheme's own port do not matter; an
	// entry that no page can have, such as one with a path, panics. A client that
	// sends wss:// or ws:// as its origin counts as https:// or http://, and what it
	// sends behind the host does not count. One that sends a host without a scheme
	// counts as both.
	//
	// The single entry "*" admits every page, without cookies: those that a
	// browser sends for a page of another origin, as it does with every websocket
	// and script, are hidden from the handshake, from sessions and from the
	// framework's context, and Request.Values is empty then. What middleware in
	// front of the server has done with them is not undone.
	Origins []string
	// AllowOrigin decides about origins that are not in Origins; it sees them in
	// lower case, with http and https in place of ws and wss and without a path; that
	// of a program may have no scheme. What it admits may use credentials: never let it
	// admit everything in production, or every page on the web can act in the name of a
	// visitor who is logged in here.
	AllowOrigin func(origin string) bool
	// OnHandshake is asked before a client is answered. An error refuses it
	// with status 403; the text of an *Error is shown, any other is logged. x is
	// the only way to the framework's live context (see the adapters' Context
	// functions) and must not be kept.
	OnHandshake func(ctx context.Context, r *Request, x host.Exchange) error
	// OnError is told what went wrong with what clients sent and in application
	// code: for counts and alerts. What is logged is logged all the same. It runs
	// where the fault was found and must be quick.
	OnError func(in Failure)
	// Logger receives what goes wrong; slog.Default().
	Logger *slog.Logger
	// PingInterval is how often the server asks a client whether it is there; 25 s.
	// Proxies that cut idle connections earlier need a shorter one.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer; 20 s.
	PingTimeout time.Duration
	// MaxPayload is the largest message or POST that a client may send, in bytes;
	// 1 000 000. The client is told. A larger one ends its connection.
	MaxPayload int64
	// Transports are the enabled transports by name; "polling" and "websocket".
	// Others serve old browsers and are off because each opens something that a
	// server does better without: "jsonp", "htmlfile", "xhr-multipart" and
	// "flashsocket". What an enabled one opens is logged at start-up.
	Transports []string
	// Address names the client of a handshake, for the bounds per address; ""
	// exempts it. The default is the peer of the TCP connection without its port,
	// of IPv6 the network of 64 bits. Behind a proxy return what the proxy says,
	// and nothing that a client can choose: the last address of X-Forwarded-For,
	// not the first. A peer without an IP address, as on a Unix socket, is exempt by
	// default, which is logged. Only the first 64 bytes count. x must not be kept.
	Address func(x host.Exchange) string

	// Times.

	// ConnectTimeout is how long a client may stay without joining a namespace; 20 s.
	ConnectTimeout time.Duration
	// AckTimeout is how long Call waits for a client whose context has no
	// deadline of its own; 10 s.
	AckTimeout time.Duration
	// UpgradeTimeout is how long an upgrade from polling may take; 10 s. After
	// it the client stays on polling.
	UpgradeTimeout time.Duration
	// AttachmentTimeout is how long a client may take for the attachments of a binary
	// packet that it has begun, all together; PingInterval and PingTimeout together,
	// 45 s. For each 1 000 000 bytes of attachments that have come it has as long again,
	// and for less its share: a slow link has time for large ones, and small ones do not
	// put off the end. A client that takes longer is disconnected with MalformedPacket: what
	// it has sent would be held for ever.
	AttachmentTimeout time.Duration

	// Bounds of connections and namespaces.

	// MaxConnections is how many connections there may be, with those that are
	// saying goodbye; 100 000. MaxConnectionsPerAddress is how many may come from
	// one address; any number. A handshake beyond a bound is refused with status
	// 503. For these four bounds a negative number means none.
	MaxConnections           int
	MaxConnectionsPerAddress int
	// MaxPending is how many connections may be pending, 10 000, and
	// MaxPendingPerAddress how many from one address, 1 000. A connection is
	// pending until its client has joined a namespace and, when it polls, come
	// back after the handshake. The bound of an address is what keeps one client
	// from shutting out all others. Behind a proxy all clients have one address,
	// unless Address tells them apart.
	MaxPending           int
	MaxPendingPerAddress int
	// MaxNamespaces is how many namespaces one client may join; 32. It is refused
	// one more with a CONNECT_ERROR.
	MaxNamespaces int
	// MaxDynamicNamespaces is how many namespaces of OfPattern and OfFunc may exist
	// at once; 10 000. Clients choose their names. Beyond it a new one is refused as an
	// unknown namespace is, and logged.
	MaxDynamicNamespaces int
	// JoinBurst and JoinRate bound how often one connection may ask to join a
	// namespace: so many times at once, 64 or twice MaxNamespaces if that is more, and
	// then so many a second, 5. Every attempt counts, since each may be a guess at a
	// namespace's auth, and each join and leave may be told to others. One too many
	// is refused with the CONNECT_ERROR "Too many joins", without asking the application.
	JoinBurst int
	JoinRate  float64

	// Bounds of what one client sends, and of what waits for it.

	// MaxQueueBytes and MaxQueueMessages bound what waits for one client that does not
	// keep up; 1 MiB and 1 024 messages. Beyond either it is disconnected with
	// SlowClient: its memory would otherwise grow without bound. The message that
	// reaches the bound is still sent, however large it is. A handler that
	// emits more in one go than the network takes reaches it as well.
	MaxQueueBytes    int
	MaxQueueMessages int
	// MaxInbox and MaxInboxBytes bound what waits for the handlers of one client,
	// behind one that takes its time; 64 packets, and 4 times MaxPayload bytes with
	// what keeping them costs. Beyond either the connection is not read on, and the
	// client has to wait. One packet more has been read by then, and the one that is
	// being handled does not count. While a handler waits for an ack of its own client, which
	// may lie behind what the client has sent, the bounds are 256 times the number
	// and 4 times the bytes.
	MaxInbox      int
	MaxInboxBytes int
	// MaxQuery is the largest query of a request, in bytes, together with its
	// path; 16 KiB. A longer one is refused with status 414 before it is read. The
	// query of the handshake is kept as long as its connection.
	MaxQuery int
	// MaxHeaders is the largest sum of a request's headers, in bytes: of each its
	// name, its value and 32 more, which bounds their number; 32 KiB. A larger one
	// is refused with status 431. The headers of the handshake are kept as long as
	// its connection. A host may have a smaller bound of its own: fiber's
	// ReadBufferSize is 4 KiB for both.
	MaxHeaders int
	// Limits bound the parts of incoming packets. A field that is 0 has its default. A
	// packet beyond one of them ends the connection.
	Limits Limits

	// Errors and encoding.

	// ErrorAck makes what a client gets as the ack of an event that failed or was
	// refused. The default is an object with the error under "error".
	ErrorAck func(e *Error) any
	// ExplainRefusals tells clients why an event was refused, whether it asked for an
	// ack or not: that there is none, or that they may not use it. It shows
	// strangers what there is; meant for development, and for clients that were
	// written against a server that did so.
	ExplainRefusals bool
	// JSON encodes and decodes what is not encoded by hand; encoding/json.
	JSON JSON
	// Path is the mount point for a Server that is used as an http.Handler
	// without a pattern; "/socket.io".
	Path string

	// Client generations.

	// Dialects are the client generations that are served: "eio4" (Socket.IO 3.x
	// and 4.x), "eio3" (1.x and 2.x), "sio1" (0.7 to 0.9). All three are on;
	// "sio06" (0.6) is there for museums. Clients of another one are told so.
	Dialects []string
	// Legacy are the options for clients of Socket.IO before 3.0.
	Legacy Legacy
	// Subprotocols are those of RFC 6455 that a websocket may have: the first one
	// that the client offers among them is chosen. Nil: the first one that the
	// client offers, whatever it is, since clients that offer one fail without an
	// answer; what Socket.IO sends is the same with any. Empty but not nil: none.
	Subprotocols []string
}

// Legacy are options for clients of Socket.IO before 3.0. The zero value of every field
// means its default, which serves all of them; docs/clients.md says which clients need
// another.
type Legacy struct {
	// CloseTimeout is how long a client of Socket.IO 0.9 that polls may stay away
	// between two polls; 60 s. PollDuration is how long one of its polls lasts at
	// most; 20 s. Each client has a time of its own between half of it and all of
	// it, so that clients that connect together do not poll together.
	CloseTimeout time.Duration
	PollDuration time.Duration
	// AssumeEIO3 has clients that name no version of the protocol served as 1.x
	// and 2.x, as the Node servers do. Without it they are when they ask for b64,
	// as the client for Swift up to 15.2 does when it polls; with it also when that
	// one is told to use websockets alone.
	AssumeEIO3 bool
	// RepairText is what is done about the text of clients 1.x, which encode and decode
	// it as UTF-8 twice when they poll, those of 1.0 on websockets too:
	//   - "detected", the default: a packet that cannot be much else is read as encoded
	//     twice, and its client gets text so from then on;
	//   - "never", for fleets of 2.x alone;
	//   - "always", for fleets of 1.x alone;
	//   - "everywhere", for fleets of 1.0 alone, which decode twice on websockets too.
	RepairText string
	// RepairTextOf, when not nil, chooses for the client of each handshake in
	// place of RepairText, by its User-Agent or a parameter of its query; "" leaves it to
	// RepairText, and so does, logged, what is none of the choices. x must not be kept.
	RepairTextOf func(x host.Exchange) string
	// PollFraming is the form of the payloads to clients 1.x and 2.x that poll
	// and can receive binary:
	//   - "detected", the default: "binary" for those whose handshake has the parameter t,
	//     as that of official clients has, "text" for others;
	//   - "text", which clients 1.0 to 1.3 do not read;
	//   - "binary", for everybody who has not asked for b64.
	PollFraming string
	// FlashPolicyPort starts the policy server that the plug-in behind a flashsocket asks
	// first. It is the one port that the policy opens: the one at which clients reach
	// the application; 0: no policy server. The server admits the pages of
	// Options.Origins; what AllowOrigin would admit it cannot know.
	FlashPolicyPort int
	// FlashPolicyAddr is where the policy server listens; ":843", where plug-ins ask
	// first. Clients of Socket.IO 0.9 ask at port 10843 unless told otherwise.
	FlashPolicyAddr string
}

// errorAck is the ack of an event that failed.
type errorAck struct {
	Error *Error `json:"error"`
}

// JSON is the codec for arguments and acks.
type JSON interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

type stdJSON struct{}

// Marshal leaves <, > and & alone, as JSON.stringify does.
func (stdJSON) Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

func (stdJSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// bound sets a bound to its default; the inner layers know 0 as none.
func bound(n *int, def int) {
	switch {
	case *n == 0:
		*n = def
	case *n < 0:
		*n = 0
	}
}

// defaultTo sets a field that is 0 to its default. A negative one has no meaning.
func defaultTo[T int | int64 | float64 | time.Duration](name string, field *T, def T) {
	if *field < 0 {
		panic(fmt.Sprintf("sio: Options.%s is negative: %v", name, *field))
	}
	if *field == 0 {
		*field = def
	}
}

// withDefaults returns a copy with every default filled in. It panics when
// options contradict each other: that is a mistake to be seen at start-up.
func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	defaultTo("PingInterval", &c.PingInterval, 25*time.Second)
	defaultTo("PingTimeout", &c.PingTimeout, 20*time.Second)
	defaultTo("UpgradeTimeout", &c.UpgradeTimeout, 10*time.Second)
	defaultTo("ConnectTimeout", &c.ConnectTimeout, 20*time.Second)
	defaultTo("AckTimeout", &c.AckTimeout, 10*time.Second)
	defaultTo("AttachmentTimeout", &c.AttachmentTimeout, c.PingInterval+c.PingTimeout)
	defaultTo("Legacy.CloseTimeout", &c.Legacy.CloseTimeout, 60*time.Second)
	defaultTo("Legacy.PollDuration", &c.Legacy.PollDuration, 20*time.Second)
	defaultTo("MaxPayload", &c.MaxPayload, 1_000_000)
	defaultTo("MaxQueueBytes", &c.MaxQueueBytes, 1<<20)
	defaultTo("MaxQueueMessages", &c.MaxQueueMessages, 1024)
	defaultTo("MaxNamespaces", &c.MaxNamespaces, 32)
	defaultTo("MaxDynamicNamespaces", &c.MaxDynamicNamespaces, 10_000)
	defaultTo("JoinBurst", &c.JoinBurst, max(64, 2*c.MaxNamespaces))
	defaultTo("JoinRate", &c.JoinRate, 5)
	defaultTo("MaxInbox", &c.MaxInbox, 64)
	defaultTo("MaxInboxBytes", &c.MaxInboxBytes, int(4*c.MaxPayload))
	defaultTo("MaxQuery", &c.MaxQuery, 16<<10)
	defaultTo("MaxHeaders", &c.MaxHeaders, 32<<10)
	bound(&c.MaxConnections, 100_000)
	bound(&c.MaxConnectionsPerAddress, 0)
	bound(&c.MaxPending, 10_000)
	bound(&c.MaxPendingPerAddress, 1_000)
	c.defaultLimits()
	if len(c.Transports) == 0 {
		c.Transports = []string{polling.Name, websocket.Name}
	}
	if len(c.Dialects) == 0 {
		c.Dialects = defaultDialects
	}
	c.checkNames()
	if c.ErrorAck == nil {
		c.ErrorAck = func(e *Error) any { return errorAck{e} }
	}
	if c.JSON == nil {
		c.JSON = checkedJSON{stdJSON{}, true}
	} else {
		c.JSON = checkedJSON{c.JSON, false}
	}
	if c.Path == "" {
		c.Path = "/socket.io"
	}
	c.Logger = safelog.New(c.Logger)
	return c
}

// checkNames panics for a transport, a dialect or an origin that is none.
func (o *Options) checkNames() {
	for _, t := range o.Transports {
		if _, ok := transports[t]; !ok {
			panic(fmt.Sprintf("sio: Options.Transports: unknown transport %q; there are %v", t, slices.Sorted(maps.Keys(transports))))
		}
	}
	l := &o.Legacy
	if port := l.FlashPolicyPort; port < 0 || port > 65535 || port > 0 && !slices.Contains(o.Transports, dialect.FlashSocket) || port == 0 && l.FlashPolicyAddr != "" {
		panic(`sio: Options.Legacy: a flash policy server needs a FlashPolicyPort, and "flashsocket" among the Transports`)
	}
	if _, err := eio3.ParseRepair(l.RepairText); err != nil {
		panic(fmt.Sprintf("sio: Options.Legacy.RepairText: %v", err))
	}
	if _, err := eio3.ParseFraming(l.PollFraming); err != nil {
		panic(fmt.Sprintf("sio: Options.Legacy.PollFraming: %v", err))
	}
	for _, name := range o.Dialects {
		if !slices.Contains(dialectNames, name) {
			panic(fmt.Sprintf("sio: Options.Dialects: unknown dialect %q", name))
		}
	}
	var err error
	if o.Origins, err = virtsocket.CleanOrigins(o.Origins, o.AllowOrigin != nil); err != nil {
		panic("sio: Options.Origins: " + err.Error())
	}
}
