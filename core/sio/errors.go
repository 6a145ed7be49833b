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
	CodeExpired     = "expired"      // the time of Socket.ExpireAt has come
)

// Error is the one error whose text reaches a client. Handlers, middleware and
// OnConnect return it. Any other error is logged, and the client gets the code
// CodeInternal. A nil *Error that is returned as an error counts as no error.
//
// In an ack, and in the event "error", a client gets code, message and data. A refusal
// by OnConnect is a CONNECT_ERROR, which has a place for message and data only:
// official clients see err.message and err.data there, and the code is not sent.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`

	cause error // for the log alone
}

// WithCause returns a copy of the Error that wraps err. When a handler or hook returns
// the copy, the cause is logged and Options.OnError is called; no client gets the
// cause. The text of the Error stays the same. errors.Is and errors.As find the cause.
func (e *Error) WithCause(err error) *Error {
	if e == nil {
		return nil
	}
	c := *e
	c.cause = err
	return &c
}

// Unwrap returns the cause: the error of WithCause, or what failed in Bind, Auth or
// Call. The cause is for the log. It may name Go types, and no client gets it.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Error returns code and message. A nil *Error has a text too.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// Errorf returns an Error with a code and a formatted message, and without data. From
// OnConnect the client gets the message alone; when it must tell reasons apart, return
// an Error with Data.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// errReserved is the error of sending an event that no client may be sent.
func errReserved(event string) error {
	return fmt.Errorf("sio: the event name %q is reserved", event)
}
