// Package htmlfile is the "forever iframe" of old Internet Explorers: a page
// that never ends, in which each payload is a script element that calls the
// page around it. Messages are sent as with polling. It is off unless named.
package htmlfile

import (
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// Name is the name of the transport.
const Name = "htmlfile"

// Form implements transport.Form.
type Form struct{}

var _ transport.Form = Form{}

// Name implements transport.Form.
func (Form) Name() string { return Name }

// Answer implements transport.Form. Slashes are escaped, so that no text can end
// the script element.
func (Form) Answer(s packet.Script) transport.Answer {
	return transport.Answer{
		ContentType: "text/html; charset=UTF-8",
		Stream:      true,
		Head:        s.Head,
		Wrap: func(dst, payload []byte) []byte {
			dst = jsontext.AppendScript(append(dst, s.Before...), payload, true)
			return append(dst, s.After...)
		},
	}
}
