// Package jsonp is long polling for pages that cannot read answers of another
// origin: each answer is a script that calls a function with the payload, and
// messages are sent as the field of a form. Any page can include a script, so it
// opens a surface that polling has not; it is off unless named.
package jsonp

import (
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// Name is the name of the transport.
const Name = "jsonp"

// Form implements transport.Form.
type Form struct{}

var _ transport.Form = Form{}

// Name implements transport.Form.
func (Form) Name() string { return Name }

// Answer implements transport.Form: the call of the dialect's function with the
// payload as a string.
func (Form) Answer(s packet.Script) transport.Answer {
	return transport.Answer{
		ContentType: "text/javascript; charset=UTF-8",
		Escaped:     true,
		Wrap: func(dst, payload []byte) []byte {
			dst = jsontext.AppendScript(append(dst, s.Before...), payload, false)
			return append(dst, s.After...)
		},
	}
}
