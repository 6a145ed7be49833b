package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
)

// place is a kind of call from the library into the application.
//
// Every such call is made in a function that defers Server.caught with its place,
// and nothing else in this package recovers. Hosts differ in what they do about a
// panic: net/http ends the connection, fasthttp the process. A new kind of call
// gets a place here and a row in the table of app_test.go, which knows this list.
type place string

// The places. Their text is Failure.Where, but for handlers, whose events are
// named there.
const (
	inHandler       place = "handler" // with its middleware, its decoder and the constructor of its State
	inGuard         place = "Guard"
	inOnConnect     place = "OnConnect" // of the server and of the namespace
	inOnConnected   place = "OnConnected"
	inOnDisconnect  place = "OnDisconnect"
	inOnAny         place = "OnAny"
	inOnAnyOutgoing place = "OnAnyOutgoing"
	inOnAck         place = "OnAck"
	inLoop          place = "Loop"
	inGo            place = "Socket.Go"
	inOfFunc        place = "OfFunc"
	inOnHandshake   place = "OnHandshake" // and what the adapter's Keep does
	inOnExchange    place = "OnExchange"
	inUseExchange   place = "UseExchange" // and the host's own part of a request
	inConn          place = "net.Conn"    // a connection of a type of the application's own
	inAllowOrigin   place = "AllowOrigin"
	inAddress       place = "Address"
	inRepairTextOf  place = "RepairTextOf"
	inHandleServers place = "HandleServers"
	inOnServer      place = "OnServer"
	inOnError       place = "OnError"
	inErrorAck      place = "ErrorAck"
	inEncode        place = "encode" // Options.JSON.Marshal and MarshalJSON of values
	inDecode        place = "decode" // Options.JSON.Unmarshal and UnmarshalArgs outside of handlers
	inError         place = "error"  // Unwrap, As and Error of an error
)

// errPanic is the error of a call into the application that panicked. It has been
// logged and reported.
var errPanic = errors.New("sio: application code panicked")

// errExit is the error of a call into the application that has not returned: *err
// holds it while the call runs. Code that ends its goroutine (runtime.Goexit, which
// testing's FailNow is) runs deferred functions, but there is nothing to recover.
var errExit = errors.New("sio: application code has ended its goroutine")

// caught is deferred around every call into the application. It turns a panic into
// a line in the log, a Failure, and errPanic in *err; so it does the end of the
// goroutine, if *err was errExit before the call. event is the event that was
// handled, c and sock the client that it is about; what is unknown is zero.
//
// After the end of the goroutine no caller goes on. Calls that are made once for a
// client or a request are therefore made by Server.apart. The frequent ones are
// made by the goroutine that handles the event: what has to follow them follows in
// deferred functions (client.event, client.serve), and another goroutine handles
// what waits (inbox.Run).
func (s *Server) caught(at place, event string, c *client, sock *Socket, err *error) {
	p := recover()
	if p == nil {
		if err == nil || *err != errExit {
			return
		}
		p = errExit
	}
	if err != nil {
		*err = errPanic
	}
	where := string(at)
	if event != "" {
		where = event
	}
	stack := debug.Stack()
	text := fmt.Sprint(p) // fmt recovers when the value's own method panics
	s.opts.Logger.Error("siokit: panic", "in", where, "panic", text, "stack", string(stack))
	if at == inOnError {
		return // or its next panic would be reported to it
	}
	in := Failure{Name: FailurePanic, Err: errors.New("panic: " + text), Where: where, Socket: sock, Stack: stack}
	if c != nil {
		in.Request = c.req
	}
	s.report(in)
}

// apart calls application code in a goroutine of its own and waits for it: code that
// ends its goroutine does not end the caller's. at, c and sock are as for caught.
func (s *Server) apart(at place, c *client, sock *Socket, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errExit
		defer func() { done <- err }()
		defer s.caught(at, "", c, sock, &err)
		err = fn()
	}()
	return <-done
}

// maxReports is how many calls of OnError run at once. More are an OnError that
// causes the Failure that it is told of: what it does there is logged only.
const maxReports = 256

// report tells Options.OnError.
func (s *Server) report(in Failure) {
	s.failures.count(in.Name)
	fn := s.opts.OnError
	if fn == nil {
		return
	}
	defer s.reports.Add(-1)
	if s.reports.Add(1) > maxReports {
		s.opts.Logger.Error("siokit: OnError is not told", "failure", in.Name, "in", in.Where)
		return
	}
	if in.Socket != nil {
		in.Namespace = in.Socket.ns.path
	}
	_ = s.apart(inOnError, nil, nil, func() error { fn(in); return nil })
}

// settled is err, or nil for a nil *Error: a function that returns *Error itself
// gives its callers an error that is not nil and has no value.
func settled(err error) error {
	if e, ok := err.(*Error); ok && e == nil {
		return nil
	}
	return err
}

// asError is the *Error in err, or nil. An error's Unwrap and As are application code.
func (s *Server) asError(err error) (e *Error) {
	if e, ok := err.(*Error); ok { // the commonest, which needs no look inside
		return e
	}
	ended := errExit
	defer s.caught(inError, "", nil, nil, &ended)
	var found *Error
	if errors.As(err, &found) {
		e = found
	}
	ended = nil
	return e
}

// errorIs is errors.Is, for an error that may be the application's.
func (s *Server) errorIs(err, target error) (is bool) {
	ended := errExit
	defer s.caught(inError, "", nil, nil, &ended)
	is = errors.Is(err, target)
	ended = nil
	return is
}

// public is what a client may see of err.
func (s *Server) public(err error) *Error {
	if e := s.asError(err); e != nil {
		return e
	}
	return internalError
}

// internalError is what a client sees of a failure that is not its business.
var internalError = &Error{Code: CodeInternal, Message: "internal error"}

// internalAck and internalData are internalError in the forms that do not ask the
// application how they are written.
const (
	internalData = `{"code":"internal","message":"internal error"}`
	internalAck  = `[{"error":` + internalData + `}]`
)

// encode encodes the array of an event or ack.
func (s *Server) encode(e *encoder, event string, named bool, args []any) (err error) {
	err = errExit
	defer s.caught(inEncode, "", nil, nil, &err)
	return e.array(event, named, args)
}

// marshal encodes one value.
func (s *Server) marshal(v any) (data []byte, err error) {
	err = errExit
	defer s.caught(inEncode, "", nil, nil, &err)
	return s.opts.JSON.Marshal(v)
}

// auth decodes the payload of a CONNECT, by the rules of Args.Bind.
func (s *Server) auth(data []byte, v any) (err error) {
	err = errExit
	defer s.caught(inDecode, "", nil, nil, &err)
	a := Args{raw: []json.RawMessage{data}, json: s.opts.JSON}
	if err := a.decode(0, v); err != nil {
		return fmt.Errorf("sio: the auth payload does not fit: %w", err)
	}
	return nil
}

// decoded decodes what a client has answered.
func decoded[Out any](s *Socket, dec func(Args) (Out, error), a Args) (out Out, err error) {
	err = errExit
	defer s.ns.srv.caught(inDecode, "", s.client, s, &err)
	out, err = dec(a)
	return out, settled(err)
}

// errorAck is what Options.ErrorAck makes of an error.
func (s *Server) errorAck(e *Error) (v any, err error) {
	err = s.apart(inErrorAck, nil, nil, func() error { v = s.opts.ErrorAck(e); return nil })
	return v, err
}

// allowOrigin is Options.AllowOrigin; one that panics admits nobody.
func (s *Server) allowOrigin(origin string) (ok bool) {
	_ = s.apart(inAllowOrigin, nil, nil, func() error { ok = s.opts.AllowOrigin(origin); return nil })
	return ok
}
