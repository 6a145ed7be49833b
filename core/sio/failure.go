package sio

import (
	"context"
	"time"

	"github.com/siokit/siokit/core/internal/ratelog"
)

// Failure is something that went wrong with what a client sent, or in application code.
// Options.OnError is called with each, and Stats.Failures counts them by name.
type Failure struct {
	// Name is one of the Failure constants.
	Name string
	// Err is what a policy, handler or decoder has returned. errors.Unwrap of an *Error
	// is its cause.
	Err error
	// Where is the event's name, or the function that failed, such as "OnConnect".
	Where string
	// Namespace is the name of the namespace that the client's packet was for.
	Namespace string
	// Socket is the client's socket; nil when there is none, as for FailureNoNamespace.
	Socket *Socket
	// Request is the request of the client's handshake; nil before there is one.
	Request *Request
	// Remote is the peer of the TCP connection, for failures of HTTP requests.
	Remote string
	// Reason says in words what happened and which option is about it, for failures of
	// HTTP requests.
	Reason string
	// Stack is the stack of a panic.
	Stack []byte
}

// The names of failures. Those that gevent-socketio has too (invalid_packet to
// invalid_method_args) have its names.
const (
	FailurePacket      = "invalid_packet"       // malformed; the connection is closed
	FailureNoNamespace = "no_such_namespace"    // unknown, or not joined
	FailureNoHandler   = "no_such_method"       // an event without a handler
	FailureDenied      = "method_access_denied" // a policy refused; Err is its error
	FailureArgs        = "invalid_method_args"  // the arguments do not fit the handler
	FailureHandler     = "handler_failed"       // a handler or hook returned an error that is no *Error, or an *Error with a cause
	FailurePanic       = "panic"                // application code panicked

	// HTTP requests that are refused. OnError is called for each; the log has a line once a
	// minute for each kind.
	FailureOrigin    = "origin_refused"       // a page that is not among Options.Origins
	FailureVersion   = "unsupported_version"  // a client of a generation that is not among Options.Dialects
	FailureSession   = "unknown_session"      // a session that has ended, or is in another process
	FailureTransport = "unknown_transport"    // a transport that is not among Options.Transports
	FailureUpgrade   = "upgrade_stripped"     // a request for a websocket whose Upgrade header a proxy has removed
	FailureTooLarge  = "message_too_large"    // a message or POST over Options.MaxPayload, a query over MaxQuery, headers over MaxHeaders
	FailureLimit     = "too_many_connections" // a handshake beyond MaxConnections, MaxPending or the bounds per address
	FailureRefused   = "request_refused"      // refused by OnHandshake or Conn.OnExchange with an *Error
	FailureRequest   = "bad_request"          // any other request that is malformed or out of place

	// What a client asks for too often. The log has a line once a minute.
	FailureTooManyJoins      = "too_many_joins"      // more attempts to join than Options.JoinBurst and JoinRate allow
	FailureTooManyNamespaces = "too_many_namespaces" // more than Options.MaxNamespaces or MaxDynamicNamespaces

	// Failures of a cluster.
	FailureCluster = "cluster" // other nodes cannot be reached, or one has sent what is malformed
	FailureForward = "forward" // a request could not be passed on to the node that has its session, or a stranger came where nodes do so; see Options.Forward
)

// Notices about clients are logged at warn, each kind with the same detail once a
// minute: what a client sends must not fill a disk.
const (
	noticeEvery   = time.Minute
	noticeDetails = 32
)

func newNotices() *ratelog.Limiter { return ratelog.New(noticeEvery, noticeDetails) }

// noticeTexts are what the log says of the failures that clients cause.
var noticeTexts = map[string]string{
	FailurePacket:            "siokit: malformed packet, the connection ends",
	FailureNoNamespace:       "siokit: no such namespace",
	FailureNoHandler:         "siokit: event without a handler",
	FailureDenied:            "siokit: refused by a policy",
	FailureArgs:              "siokit: arguments do not fit the handler",
	FailureTooManyJoins:      "siokit: too many attempts to join, see Options.JoinBurst and JoinRate",
	FailureTooManyNamespaces: "siokit: too many namespaces, see Options.MaxNamespaces and MaxDynamicNamespaces",
}

// notice logs something that a client has caused, and reports it. detail is what
// makes two of a kind the same for the log.
func (c *client) notice(in Failure, detail string) {
	if in.Socket != nil {
		in.Namespace = in.Socket.ns.path
	}
	if suppressed, ok := c.srv.notices.Allow(in.Name, detail); ok {
		attrs := []any{"in", in.Where, "namespace", in.Namespace, "remote", c.req.RemoteAddr}
		if in.Err != nil {
			attrs = append(attrs, "error", in.Err)
		}
		if suppressed > 0 {
			attrs = append(attrs, "suppressed", suppressed)
		}
		c.srv.opts.Logger.Warn(noticeTexts[in.Name], attrs...)
	}
	c.report(in)
}

// report tells Options.OnError about something of this client's.
func (c *client) report(in Failure) {
	in.Request = c.req
	c.srv.report(in)
}

// failed reports an error that the client is not shown, or that has a cause that it is
// not shown, or that says that its arguments do not fit.
func (c *client) failed(err error, where string, s *Socket) {
	if err == errPanic || c.srv.errorIs(err, errPanic) || c.srv.errorIs(err, ErrDisconnected) || c.srv.errorIs(err, context.Canceled) {
		return
	}
	switch e := c.srv.asError(err); {
	case e == nil:
		c.srv.opts.Logger.Error("siokit: handler failed", "in", where, "namespace", s.ns.path, "error", err)
		c.report(Failure{Name: FailureHandler, Err: err, Where: where, Socket: s})
	case e.Code == CodeBadArgument:
		c.notice(Failure{Name: FailureArgs, Err: detailed(err, e), Where: where, Socket: s}, where)
	case e.cause != nil:
		c.srv.opts.Logger.Error("siokit: handler failed", "in", where, "namespace", s.ns.path, "error", err, "cause", e.cause)
		c.report(Failure{Name: FailureHandler, Err: err, Where: where, Socket: s})
	}
}
