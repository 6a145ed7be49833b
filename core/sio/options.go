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

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/transport/polling"
	"github.com/siokit/siokit/core/internal/transport/websocket"
	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/internal/safelog"
)

// Options configure a [Server]. The zero value of every field means its default. The ten
// options that most servers set come first, then times, bounds, errors, and client
// generations.
type Options struct {
	// The ten options that most servers look at.

	// Origins are the web origins, besides the server's own, whose pages may connect,
	// such as "https://app.example.com" or "https://*.example.com". A slash at the
	// end, upper case and the default port make no difference. An entry that no page
	// can have, such as one with a path, panics. Programs send other forms than
	// browsers: the origins wss:// and ws:// count as https:// and http://, what
	// stands behind the host is ignored, and a host without a scheme counts as both.
	//
	// The single entry "*" admits every page, without cookies. A browser sends the
	// visitor's cookies with every websocket and script, also for a page of another
	// origin. These cookies are hidden from the handshake, from sessions and from the
	// framework's context, and Request.Values is empty. What middleware in front of
	// the server has already done with the cookies is not undone.
	Origins []string
	// AllowOrigin decides about origins that are not in Origins; nil admits none. It
	// gets them in lower case, with http and https in place of ws and wss, and without
	// a path; the origin of a program may have no scheme. Pages that it admits are
	// served with the visitor's cookies. So it must never admit every origin in
	// production: then every page on the web could act in the name of a visitor who is
	// logged in here.
	AllowOrigin func(origin string) bool
	// OnHandshake decides about each new connection before the client is answered. An
	// error refuses the connection with status 403. The client gets the text of an
	// *Error; any other error is logged. x is the only way to the framework's live
	// context (see Context of each adapter) and is valid until OnHandshake returns.
	OnHandshake func(ctx context.Context, r *Request, x host.Exchange) error
	// OnError is called with each Failure, for counts and alerts. What is logged is logged
	// all the same. The server waits for it, so it must return quickly; a panic in it is
	// recovered and logged.
	OnError func(f Failure)
	// Logger receives what goes wrong; slog.Default().
	Logger *slog.Logger
	// PingInterval is the time from one ping of a client to the next; 25 s. Behind a
	// proxy that ends idle connections earlier, choose a shorter one.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer a ping; 20 s. After it the
	// connection ends with the reason PingTimeout.
	PingTimeout time.Duration
	// MaxPayload is the largest message or POST that a client may send, in bytes; 1
	// 000 000. Clients of 4.x are told the number. A larger one ends the connection.
	MaxPayload int64
	// Transports are the names of the enabled transports; "polling" and "websocket".
	// Four more are for old browsers: "jsonp", "htmlfile", "xhr-multipart" and
	// "flashsocket". They are off because each opens a way for pages of other origins;
	// what an enabled one opens is logged at start-up.
	Transports []string
	// Address names the client of a handshake, for the bounds for each address; a
	// client with the name "" is not counted by them. The default is the peer of the
	// TCP connection without its port; for IPv6, its network of 64 bits. Behind a
	// proxy, return what the proxy says, and nothing that a client can choose: the
	// last address of X-Forwarded-For, not the first. A peer without an IP address, as
	// on a Unix socket, is not counted by default, which is logged. Only the first 64
	// bytes count. x is valid until Address returns.
	Address func(x host.Exchange) string

	// Times.

	// ConnectTimeout is how long a client may stay without joining a namespace; 20 s.
	// After it the connection ends.
	ConnectTimeout time.Duration
	// AckTimeout is how long Call and CallAll wait when their context has no deadline;
	// 10 s.
	AckTimeout time.Duration
	// UpgradeTimeout is how long the upgrade from polling to a websocket may take; 10
	// s. After it the websocket is closed and the client stays on polling.
	UpgradeTimeout time.Duration
	// AttachmentTimeout is how long a client may take to send all attachments of a
	// binary packet; PingInterval and PingTimeout together, 45 s. Each 1 000 000 bytes
	// of attachments that have arrived extend it by the same time again, and fewer
	// bytes by their share, so that a slow link has time for large attachments. A
	// client that takes longer is disconnected with MalformedPacket; otherwise what it
	// has sent would be held for ever.
	AttachmentTimeout time.Duration

	// Bounds of connections and namespaces.

	// MaxConnections is how many connections there may be, those that are closing
	// included; 100 000. MaxConnectionsPerAddress is how many may come from one
	// address; no bound. A handshake beyond a bound is refused with status 503. For
	// these two bounds and the next two, a negative number means no bound.
	MaxConnections           int
	MaxConnectionsPerAddress int
	// MaxPending is how many connections may be pending, 10 000, and
	// MaxPendingPerAddress how many of one address, 1 000. A connection is pending
	// until its client has joined a namespace and, when it polls, has sent another
	// request after the handshake. The bound for each address keeps one client from
	// shutting out all others. Behind a proxy all clients have one address, unless
	// Address tells them apart.
	MaxPending           int
	MaxPendingPerAddress int
	// MaxNamespaces is how many namespaces one client may join; 32. A further one is
	// refused with the CONNECT_ERROR "Too many namespaces".
	MaxNamespaces int
	// MaxDynamicNamespaces is how many namespaces of OfPattern and OfFunc may exist at
	// once; 10 000. Their names are chosen by clients. A client that asks for one more
	// is refused as for an unknown namespace, and that is logged.
	MaxDynamicNamespaces int
	// JoinBurst and JoinRate bound how often one connection may ask to join a
	// namespace: JoinBurst attempts at once, 64 or twice MaxNamespaces if that is
	// more, and then JoinRate more each second, 5. Every attempt counts, because each
	// may be a guess at the auth payload, and each join may be announced to others. An
	// attempt too many is refused with the CONNECT_ERROR "Too many joins", and the
	// application is not asked.
	JoinBurst int
	JoinRate  float64

	// Bounds of what one client sends, and of what waits for it.

	// MaxQueueBytes and MaxQueueMessages bound what waits for one client that does not
	// read fast enough; 1 MiB and 1 024 messages. A client that reaches one of them is
	// disconnected with SlowClient. The message that reaches the bound is still sent,
	// however large it is, and a sixteenth of the bound may wait behind what is being
	// written. A handler that emits more at once than the network takes can reach the
	// bounds too.
	MaxQueueBytes    int
	MaxQueueMessages int
	// MaxInbox and MaxInboxBytes bound the packets of one client that wait while a
	// handler runs, in all its namespaces together; 64 packets, and 4 times MaxPayload
	// bytes, bookkeeping included. At a bound the server stops reading from the
	// connection, and the client has to wait; one packet more has been read by then.
	//
	// The packet that is being handled does not count. When handlers of several
	// namespaces run, the bytes of all but one count. While a handler waits for an ack
	// of its own client, the bounds are 256 times the number and 4 times the bytes,
	// because the ack may come behind other packets.
	MaxInbox      int
	MaxInboxBytes int
	// MaxQuery is the largest query of a request together with its path, in bytes; 16
	// KiB. A longer one is refused with status 414 before it is parsed. The query of
	// the handshake is kept as long as its connection.
	MaxQuery int
	// MaxHeaders is the largest sum of the headers of a request, in bytes; 32 KiB.
	// Each header counts its name, its value, and 32 bytes more, which bounds their
	// number. A larger sum is refused with status 431. The headers of the handshake
	// are kept as long as its connection. A host may have a smaller bound of its own:
	// fiber's ReadBufferSize is 4 KiB for query and headers together.
	MaxHeaders int
	// Limits bound the parts of incoming packets. A field that is 0 has its default. A
	// packet beyond one of them ends the connection.
	Limits Limits

	// Recovery lets clients that have lost their connection go on where they were. Nil: a
	// client that connects again is a new one.
	Recovery *Recovery

	// Errors and encoding.

	// ErrorAck returns what a client gets as the ack of an event that failed or was
	// refused. The default is an object with the error under "error".
	ErrorAck func(e *Error) any
	// ExplainRefusals tells clients why an event was refused, whether it asked for an
	// ack or not: that there is no such event, or that they may not use it. This shows
	// to everybody which events exist. It is meant for development, and for clients
	// that were written against gevent-socketio, which does so.
	ExplainRefusals bool
	// JSON encodes and decodes arguments, acks and auth payloads; encoding/json
	// without HTML escaping. Strings, numbers and []byte are encoded without it.
	JSON JSON
	// Path is the mount point for a Server that is used as an http.Handler without a
	// pattern of http.ServeMux; "/socket.io".
	Path string

	// Other processes.

	// Cluster joins the server to others: what it emits reaches their clients too, and what
	// they emit reaches its own. A Backend belongs to one Server, which closes it at
	// Shutdown. Nil: the server is alone. docs/cluster.md says which there are, and what a
	// cluster promises.
	Cluster cluster.Backend
	// Forward lets requests come to any server of the cluster: those of a session that
	// another one has are passed on to it. Nil: all requests of a session must come to the
	// server that has it (sticky sessions), unless clients use websockets alone. It needs
	// Cluster, on all servers.
	Forward *Forward
	// Drain says how Shutdown takes leave of the clients: by default of all at once.
	Drain Drain

	// Client generations.

	// Dialects are the client generations that are served: "eio4" (Socket.IO 3.x and
	// 4.x), "eio3" (1.x and 2.x), "sio1" (0.7 to 0.9). These three are on by default.
	// "sio06" (0.6) is off; almost nobody needs it. A client of a generation that is
	// off is refused in its own protocol, and the answer names the option.
	Dialects []string
	// Legacy are the options for clients of Socket.IO before 3.0.
	Legacy Legacy
	// Subprotocols are the subprotocols (RFC 6455) that a websocket may have: the
	// first that the client offers among them is chosen. Nil: the first that the
	// client offers, whatever it is, because clients that offer one fail when none is
	// chosen. Empty but not nil: none. What Socket.IO sends is the same with any.
	Subprotocols []string
}

// Legacy are options for clients of Socket.IO before 3.0. The zero value of every field
// means its default, which serves all of them; docs/clients.md says which clients need
// another.
type Legacy struct {
	// CloseTimeout is how long a client of Socket.IO 0.9 that polls may stay away
	// between two polls; 60 s. PollDuration is how long one poll is held at most; 20
	// s. Each client has its own duration between half of PollDuration and all of it,
	// so that clients that connect together do not poll together.
	CloseTimeout time.Duration
	PollDuration time.Duration
	// AssumeEIO3 serves clients that name no version of the protocol as clients of 1.x
	// and 2.x, as Node's servers do. Without the option such a client is served only
	// when it asks for b64, as the client for Swift up to 15.2 does when it polls;
	// when that client uses websockets only, it needs the option.
	AssumeEIO3 bool
	// RepairText chooses how text of clients 1.x is read and written. They encode and
	// decode text as UTF-8 twice when they poll, and clients 1.0 on websockets too:
	//   - "detected", the default: a packet that can hardly be anything else is read as encoded
	//     twice, and its client gets text encoded twice from then on;
	//   - "never", when all old clients are 2.x;
	//   - "always", when all old clients are 1.x;
	//   - "everywhere", when all old clients are 1.0, which decode twice on websockets too.
	RepairText string
	// RepairTextOf, when not nil, chooses for the client of each handshake instead of
	// RepairText, for example by its User-Agent or a parameter of its query. The
	// result "" leaves the choice to RepairText; so does a result that is none of the
	// choices, which is logged. x is valid until RepairTextOf returns.
	RepairTextOf func(x host.Exchange) string
	// PollFraming is the form of the payloads to clients 1.x and 2.x that poll and can
	// receive binary:
	//   - "detected", the default: "binary" for clients whose handshake has the parameter t, as
	//     that of official clients has, and "text" for others;
	//   - "text", which clients 1.0 to 1.3 cannot read;
	//   - "binary", for all clients that have not asked for b64.
	PollFraming string
	// FlashPolicyPort starts the policy server that the plug-in behind a flashsocket
	// asks first; 0 starts none. The number is the one port that the policy opens: the
	// port at which clients reach the application. The server admits the pages of
	// Options.Origins; those of AllowOrigin are unknown to it.
	FlashPolicyPort int
	// FlashPolicyAddr is the address at which the policy server listens; ":843", where
	// plug-ins ask first. Clients of Socket.IO 0.9 ask at port 10843 unless they are
	// told otherwise.
	FlashPolicyAddr string
}

// errorAck is the ack of an event that failed.
type errorAck struct {
	Error *Error `json:"error"`
}

// JSON is the codec for arguments, acks and auth payloads. Its methods are called by many
// goroutines at once. An error of Marshal is that of Emit; for an error of Unmarshal the
// client gets CodeBadArgument.
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
	defaultTo("Drain.Notice", &c.Drain.Notice, 0)
	defaultTo("Drain.Rate", &c.Drain.Rate, 0)
	defaultTo("Drain.AnswerTimeout", &c.Drain.AnswerTimeout, 10*time.Second)
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
	c.checkForward()
	c.recoveryDefaults()
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
