package nodewire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/siokit/siokit/internal/strictmsgpack"
)

// What follows demands of a message all that Node's adapters demand without looking, and
// that nothing else is in it. It shares no code with what it tests.

// strict is a list of complaints.
type strict struct{ errs []error }

func (s *strict) want(ok bool, format string, args ...any) bool {
	if !ok {
		s.errs = append(s.errs, fmt.Errorf(format, args...))
	}
	return ok
}

// decode reads a message: JSON when its first byte says so.
func (s *strict) decode(b []byte, modern bool) any {
	if len(b) > 0 && b[0] == '{' {
		var v any
		err := json.Unmarshal(b, &v)
		if err != nil && strings.Contains(err.Error(), "cannot unmarshal number") {
			err = nil // an infinity in JavaScript
		}
		s.want(err == nil, "JSON: %v", err)
		return v
	}
	v, err := strictmsgpack.Decode(b, modern)
	s.want(err == nil, "msgpack: %v", err)
	return v
}

// object demands a map with these keys and no others. A key that begins with ? may be missing.
func (s *strict) object(v any, what string, keys ...string) map[string]any {
	m, ok := v.(map[string]any)
	s.want(ok, "%s is %T", what, v)
	known := map[string]bool{}
	for _, k := range keys {
		name, optional := strings.CutPrefix(k, "?")
		known[name] = true
		_, there := m[name]
		s.want(there || optional, "%s has no %s", what, name)
	}
	for k := range m {
		s.want(known[k], "%s has the key %q", what, k)
	}
	return m
}

func (s *strict) texts(v any, what string) {
	list, ok := v.([]any)
	s.want(ok, "%s is %T", what, v)
	for _, e := range list {
		_, ok := e.(string)
		s.want(ok, "%T among %s", e, what)
	}
}

func (s *strict) text(v any, what string) {
	text, ok := v.(string)
	s.want(ok && text != "", "%s is %v", what, v)
}

func (s *strict) event(v any, reserved ...string) {
	list, ok := v.([]any)
	if s.want(ok && len(list) > 0, "an event is %T", v) {
		name, ok := list[0].(string)
		s.want(ok && !slices.Contains(reserved, name), "the event %v", list[0])
	}
}

func (s *strict) packet(v any, nsp string) {
	keys := []string{"type", "data"}
	if nsp != "" {
		keys = append(keys, "nsp")
	}
	m := s.object(v, "packet", keys...)
	s.want(m["type"] == 2.0, "the packet type %v", m["type"])
	s.want(nsp == "" || m["nsp"] == nsp, "nsp is %v", m["nsp"])
	s.event(m["data"], "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
}

func (s *strict) opts(v any, flags bool) {
	keys := []string{"rooms", "except"}
	if flags {
		keys = append(keys, "flags")
	}
	m := s.object(v, "opts", keys...)
	s.texts(m["rooms"], "rooms")
	s.texts(m["except"], "except")
	if flags {
		f := s.object(m["flags"], "flags", "?volatile", "?timeout", "?expectSingleResponse")
		for k, v := range f {
			ms, number := v.(float64)
			s.want(k == "timeout" && number && ms > 0 && ms < 1<<31 || k != "timeout" && v == true, "the flag %s is %v", k, v)
		}
	}
}

func (s *strict) sockets(v any) {
	list, ok := v.([]any)
	s.want(ok, "sockets is %T", v)
	for _, e := range list {
		if _, ok := e.(string); ok {
			continue
		}
		m := s.object(e, "a socket", "id", "handshake", "rooms", "data")
		s.texts(m["rooms"], "the rooms of a socket")
		_, ok := m["id"].(string)
		s.want(ok, "the id %v", m["id"])
	}
}

func (s *strict) count(v any) {
	n, ok := v.(float64)
	s.want(ok && n >= 0, "clientCount is %v", v)
}

var reservedByNode = []string{"connect", "connection", "new_namespace", "error"}

// nodeTakesClassic is what Node's classic adapter does with a message of a channel.
func nodeTakesClassic(b []byte, c Channel) error {
	s := &strict{}
	v := s.decode(b, false)
	switch c.Use {
	case Broadcasts:
		list, ok := v.([]any)
		if !s.want(ok && len(list) == 3, "a broadcast is %T", v) {
			break
		}
		s.text(list[0], "uid")
		s.packet(list[1], c.Namespace)
		s.opts(list[2], true)
	case Requests:
		s.classicRequest(v, c)
	default:
		s.classicResponse(v)
	}
	return errors.Join(s.errs...)
}

func (s *strict) classicRequest(v any, c Channel) {
	m, _ := v.(map[string]any)
	switch m["type"] {
	case 0.0:
		s.object(v, "0", "uid", "requestId", "type", "rooms")
		s.texts(m["rooms"], "rooms")
	case 1.0:
		s.object(v, "1", "uid", "requestId", "type")
	case 2.0, 3.0:
		s.object(v, "2", "?uid", "type", "opts", "rooms")
		s.opts(m["opts"], false)
		s.texts(m["rooms"], "rooms")
	case 4.0:
		s.object(v, "4", "?uid", "type", "opts", "close")
		s.opts(m["opts"], false)
		_, ok := m["close"].(bool)
		s.want(ok, "close is %v", m["close"])
	case 5.0:
		s.object(v, "5", "uid", "requestId", "type", "opts")
		s.opts(m["opts"], false)
	case 6.0:
		s.object(v, "6", "uid", "?requestId", "type", "data")
		s.event(m["data"], reservedByNode...)
	case 7.0:
		s.object(v, "7", "uid", "requestId", "type", "packet", "opts")
		s.packet(m["packet"], c.Namespace)
		s.opts(m["opts"], true)
	default:
		s.want(false, "the type %v", m["type"])
	}
	for _, k := range []string{"uid", "requestId"} {
		if id, there := m[k]; there {
			s.text(id, k)
		}
	}
}

func (s *strict) classicResponse(v any) {
	m, _ := v.(map[string]any)
	s.text(m["requestId"], "requestId")
	switch m["type"] {
	case nil:
		if _, ok := m["rooms"]; ok {
			s.object(v, "a response", "requestId", "rooms")
			s.texts(m["rooms"], "rooms")
		} else {
			s.object(v, "a response", "requestId", "sockets")
			s.sockets(m["sockets"])
		}
	case 6.0:
		s.object(v, "6", "type", "requestId", "data")
	case 8.0:
		s.object(v, "8", "type", "requestId", "clientCount")
		s.count(m["clientCount"])
	case 9.0:
		s.object(v, "9", "type", "requestId", "packet")
	default:
		s.want(false, "the type %v", m["type"])
	}
}

// nodeTakesAdapter is what ClusterAdapter does with a message of a channel; streams read
// msgpack only.
func nodeTakesAdapter(b []byte, c Channel, streams bool) error {
	s := &strict{}
	s.want(!streams || b[0] != '{', "JSON beside streams")
	v := s.decode(b, streams)
	m := s.object(v, "a message", "type", "data", "uid", "nsp")
	s.text(m["uid"], "uid")
	s.want(m["nsp"] == c.Namespace, "nsp is %v", m["nsp"])
	s.data(m["type"], m["data"], c)
	return errors.Join(s.errs...)
}

// nodeTakesEntry is the same for an entry of a stream.
func nodeTakesEntry(e Entry) error {
	s := &strict{}
	b := e.Data
	if !s.want(len(b) > 0, "no data") {
		return errors.Join(s.errs...)
	}
	if b[0] != '{' {
		var err error
		b, err = base64.StdEncoding.DecodeString(string(b))
		s.want(err == nil && len(b) > 0 && b[0] != '{', "base64: %v", err)
	}
	s.text(e.Node, "uid")
	s.text(e.Namespace, "nsp")
	types := map[string]float64{"3": 3, "4": 4, "5": 5, "6": 6}
	s.data(types[e.Type], s.decode(b, true), Channel{})
	return errors.Join(s.errs...)
}

func (s *strict) data(typ, v any, c Channel) {
	m, _ := v.(map[string]any)
	want := Broadcasts
	switch typ {
	case 3.0:
		s.object(v, "3", "packet", "?requestId", "opts")
		s.packet(m["packet"], "")
		s.opts(m["opts"], true)
	case 4.0, 5.0:
		s.object(v, "4", "opts", "rooms")
		s.opts(m["opts"], true)
		s.texts(m["rooms"], "rooms")
	case 6.0:
		s.object(v, "6", "opts", "close")
		s.opts(m["opts"], true)
	case 7.0:
		s.object(v, "7", "opts", "requestId")
		s.opts(m["opts"], true)
	case 8.0:
		want = Responses
		s.object(v, "8", "requestId", "sockets")
		s.sockets(m["sockets"])
	case 9.0:
		s.object(v, "9", "?requestId", "packet")
		s.event(m["packet"], reservedByNode...)
	case 10.0, 12.0:
		want = Responses
		s.object(v, "10", "requestId", "packet")
	case 11.0:
		want = Responses
		s.object(v, "11", "requestId", "clientCount")
		s.count(m["clientCount"])
	default:
		s.want(false, "the type %v", typ)
	}
	s.want(c.Use == want, "the type %v in a channel for %v", typ, c.Use)
	if id, there := m["requestId"]; there {
		s.text(id, "requestId")
	}
}
