package nodewire

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/msgpack"
)

// AppendSession appends a session as the adapter for streams keeps it: the base64 of msgpack. Extra
// is not among it. An error says what of the session Node would not take.
func AppendSession(b []byte, s *cluster.Session) ([]byte, error) {
	w := writer{dialect: msgpack.Msgpack2}
	switch {
	case s.ID == "" || s.PID == "" || !validName(s.ID) || !validName(s.PID):
		w.malformed("a session without an id or a secret")
	case slices.ContainsFunc(s.Rooms, func(room string) bool { return !validName(room) }):
		w.malformed("the name of a room is too long, or not UTF-8")
	}
	w.object(4)
	w.key("sid")
	w.text(s.ID)
	w.key("pid")
	w.text(s.PID)
	w.key("rooms")
	w.texts(s.Rooms)
	w.key("data")
	w.declared(s.Data)
	text, err := w.done(nil)
	if err != nil {
		return b, err
	}
	return base64.StdEncoding.AppendEncode(b, text), nil
}

// ParseSession reads what [AppendSession], or Node, has written, into s. Whatever b is, it does not
// panic.
func ParseSession(b []byte, s *cluster.Session) error {
	*s = cluster.Session{}
	if len(b) > maxMessage {
		return fmt.Errorf("%w: more than %d bytes", errMalformed, maxMessage)
	}
	text, err := base64.StdEncoding.AppendDecode(nil, b)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	r := msgpack.NewReader(text)
	v := value{raw: r.Raw()}
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	p := parser{m: new(cluster.Message)}
	if v.kind() != msgpack.Map {
		p.fail("a session that is %v", v.kind())
		return p.err
	}
	v.object(func(key []byte, v value) {
		switch string(key) {
		case "sid":
			s.ID = p.name(v, "sid", "")
		case "pid":
			s.PID = p.name(v, "pid", "")
		case "rooms":
			s.Rooms = p.texts(v, "rooms", nil)
		case "data":
			if v.there() {
				s.Data = p.declared(v)
			}
		}
	})
	if s.ID == "" || s.PID == "" {
		p.fail("a session without an id or a secret")
	}
	return p.err
}
