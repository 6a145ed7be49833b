package sio

import (
	"errors"
	"fmt"
)

// Errors that sends and calls return.
var (
	// ErrDisconnected: the socket has ended, or ended before the client answered.
	ErrDisconnected = errors.New("sio: the socket is disconnected")
	// ErrAckTimeout: the client did not answer a Call in time.
	ErrAckTimeout = errors.New("sio: the client did not acknowledge in time")
	// ErrAlreadyAcked: an event was acknowledged twice.
	ErrAlreadyAcked = errors.New("sio: the event was acknowledged already")
	// ErrServerClosed is returned by Shutdown when it is called again.
	ErrServerClosed = errors.New("sio: server closed")
)

// The codes of errors that the library itself sends to clients.
const (
	CodeInternal    = "internal"     // the handler failed; the cause is in the log
	CodeRefused     = "refused"      // no such event, or not for this socket
	CodeBadArgument = "bad_argument" // the arguments do not fit the handler
)

// Error is the one error whose text reaches the client. Handlers, middleware
// and OnConnect return it; any other error is logged and reaches the client as
// the code "internal". A nil *Error that is returned as an error counts as no error.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`

	cause error // for the log alone
}

// WithCause returns a copy of the Error that wraps err. The cause is logged and told
// to Options.OnError when a handler or hook returns the Error; no client sees it. The
// text of the Error stays the same. errors.Is and errors.As find the cause.
func (e *Error) WithCause(err error) *Error {
	if e == nil {
		return nil
	}
	c := *e
	c.cause = err
	return &c
}

// Unwrap returns the cause of an Error: that of WithCause, or what failed in Bind, Auth
// or Call. The cause is for the log: it may name Go types, and no client sees it.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Error implements error. A nil Error has a text too.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// Errorf returns an Error with a code and a formatted message.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// errReserved is the error of sending an event that no client may be sent.
func errReserved(event string) error {
	return fmt.Errorf("sio: the event name %q is reserved", event)
}
