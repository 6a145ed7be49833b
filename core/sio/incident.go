package sio

import "runtime/debug"

// Incident is something that went wrong with what a client sent, or in
// application code. Options.OnError is told.
type Incident struct {
	// Name is one of the Incident constants.
	Name string
	// Err is the cause: what a policy, handler or decoder has returned.
	Err error
	// Where is the event's name, or the function that failed: "OnConnect".
	Where string
	// Namespace is the name that the client has used.
	Namespace string
	// Socket is nil when there is none, as for IncidentNoNamespace.
	Socket *Socket
	// Request is the client's.
	Request *Request
	// Stack is the stack of a panic.
	Stack []byte
}

// The names of incidents. Those that the seeds of this project had are as there.
const (
	IncidentPacket      = "invalid_packet"       // malformed; the connection is closed
	IncidentNoNamespace = "no_such_namespace"    // unknown, or not joined
	IncidentNoMethod    = "no_such_method"       // an event without a handler
	IncidentDenied      = "method_access_denied" // a policy refused; Err is its error
	IncidentArgs        = "invalid_method_args"  // the arguments do not fit the handler
	IncidentFailed      = "handler_failed"       // a handler or hook returned an error that clients are not shown
	IncidentPanic       = "panic"                // application code panicked
)

// report tells Options.OnError.
func (s *Server) report(in Incident) {
	fn := s.opts.OnError
	if fn == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("siokit: panic", "in", "OnError", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if in.Socket != nil {
		in.Namespace = in.Socket.ns.path
	}
	fn(in)
}

// report tells Options.OnError about something of this client's.
func (c *client) report(in Incident) {
	in.Request = c.req
	c.srv.report(in)
}
