// Package multipart is the streaming XMLHttpRequest of old Firefoxes: one answer
// of type multipart/x-mixed-replace, in which each payload is a part. Messages
// are sent as with polling. It is off unless named.
package multipart

import (
	"crypto/rand"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// Name is the name of the transport.
const Name = "xhr-multipart"

// Form implements transport.Form.
type Form struct{}

var _ transport.Form = Form{}

// Name implements transport.Form.
func (Form) Name() string { return Name }

// Answer implements transport.Form. The head of s, if there is one, is the first
// part. The boundary is a secret of the answer: a message that contained it
// could pose as several.
func (Form) Answer(s packet.Script) transport.Answer {
	delimiter := "--socketio" + rand.Text() + "\r\n"
	wrap := func(dst, payload []byte) []byte {
		dst = append(dst, "Content-Type: text/plain; charset=UTF-8\r\n\r\n"...)
		dst = append(dst, payload...)
		return append(append(dst, "\r\n"...), delimiter...)
	}
	head := []byte(delimiter)
	if s.Head != "" {
		head = wrap(head, []byte(s.Head))
	}
	return transport.Answer{
		ContentType: `multipart/x-mixed-replace;boundary="` + delimiter[2:len(delimiter)-2] + `"`,
		Stream:      true,
		Head:        string(head),
		Wrap:        wrap,
	}
}
