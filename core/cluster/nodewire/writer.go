package nodewire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/msgpack"
	"github.com/siokit/siokit/core/internal/packet"
)

// writer writes values as JSON or as msgpack.
type writer struct {
	b       []byte
	start   int
	json    bool
	buffers bool // in JSON, binary is written as JSON.stringify writes a Buffer
	dialect msgpack.Dialect
	err     error
}

// done returns what was written behind b, or b as it was.
func (w *writer) done(b []byte) ([]byte, error) {
	if w.err == nil && len(w.b)-w.start > maxMessage {
		w.malformed("more than %d bytes", maxMessage)
	}
	if w.err != nil {
		return b, w.err
	}
	return w.b, nil
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) malformed(format string, args ...any) {
	w.fail(fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...)))
}

// next writes the comma in front of a value, or a key, of JSON.
func (w *writer) next() {
	if !w.json || len(w.b) == w.start {
		return
	}
	switch w.b[len(w.b)-1] { // a text ends with its quote
	case '{', '[', ':':
	default:
		w.b = append(w.b, ',')
	}
}

// object begins an object of n members.
func (w *writer) object(n int) {
	if w.next(); w.json {
		w.b = append(w.b, '{')
	} else {
		w.b = msgpack.AppendMap(w.b, n)
	}
}

// array begins an array of n elements.
func (w *writer) array(n int) {
	if w.next(); w.json {
		w.b = append(w.b, '[')
	} else {
		w.b = msgpack.AppendArray(w.b, n)
	}
}

// end ends an object or an array.
func (w *writer) end(bracket byte) {
	if w.json {
		w.b = append(w.b, bracket)
	}
}

func (w *writer) key(name string) {
	if w.text(name); w.json {
		w.b = append(w.b, ':')
	}
}

func (w *writer) text(s string) {
	if len(s) > maxText {
		w.malformed("a text of %d bytes", len(s))
		return
	}
	if w.next(); w.json {
		w.b = jsontext.AppendString(w.b, s)
	} else {
		w.b = msgpack.AppendString(w.b, s)
	}
}

func (w *writer) uint(v uint64) {
	if w.next(); w.json {
		w.b = strconv.AppendUint(w.b, v, 10)
	} else {
		w.b = msgpack.AppendUint(w.b, v)
	}
}

func (w *writer) bool(v bool) {
	if w.next(); w.json {
		w.b = strconv.AppendBool(w.b, v)
	} else {
		w.b = msgpack.AppendBool(w.b, v)
	}
}

func (w *writer) texts(list []string) {
	w.array(len(list))
	for _, s := range list {
		w.text(s)
	}
	w.end(']')
}

// value writes JSON of the application. Where JSON is written without buffers, none of the
// attachments is meant: see binary.
func (w *writer) value(text []byte, attachments [][]byte) {
	w.next()
	if w.json && (len(attachments) == 0 || !w.buffers) {
		if !jsontext.Valid(text, msgpack.MaxDepth) {
			w.malformed("invalid JSON, or nested too deep")
			return
		}
		if !utf8.Valid(text) {
			text = packet.ApplicationText(text)
		}
		w.b = append(w.b, text...)
		return
	}
	at := len(w.b)
	b, err := msgpack.AppendJSON(w.b, text, attachments, w.dialect)
	switch {
	case errors.Is(err, msgpack.ErrProto):
		w.fail(fmt.Errorf("%w: %w", ErrNotOnWire, err))
		return
	case err != nil:
		w.fail(fmt.Errorf("%w: %w", errMalformed, err))
		return
	case w.json:
		// What Node would parse and then stringify.
		r := msgpack.NewReader(b[at:])
		text := r.AppendJSON(b, nil)
		w.fail(r.End())
		b = append(b[:at], text[len(b):]...)
	}
	w.b = b
}

// event writes an array of an event's name and its arguments.
func (w *writer) event(m *cluster.Message) {
	if !utf8.Valid(m.Data) { // as in siokit's own form
		w.malformed("an event that is not UTF-8")
		return
	}
	if w.value(m.Data, m.Attachments); w.err != nil {
		return
	}
	c := jsontext.Cursor{Data: m.Data}
	if c.Kind() != '[' {
		w.malformed("an event that is not an array")
		return
	}
	c.At++
	if c.Kind() != '"' {
		w.malformed("an event without a name")
		return
	}
	name := jsontext.Unquote(c.Skip())
	switch {
	case len(m.Data) > maxArguments && arguments(m.Data) > maxArguments:
		w.fail(fmt.Errorf("%w: an event of more than %d arguments", ErrNotOnWire, maxArguments))
	case m.Kind == cluster.Emit && reservedEvent(name):
		w.malformed("the event %q cuts clients off", name)
	case m.Kind == cluster.ServerEvent && reservedServerEvent(name):
		w.fail(fmt.Errorf("%w: the event %q", ErrNotOnWire, name))
	}
}

// arguments is the number of arguments of an event, its name included.
func arguments(data []byte) (n int) {
	c := jsontext.Cursor{Data: data}
	c.Array(func(int) {
		c.Skip()
		n++
	})
	return n
}

// first writes the first of the arguments, all that Node knows of an answer; null when there
// is none.
func (w *writer) first(m *cluster.Message) {
	arg, ok := firstArgument(m.Data)
	if !ok {
		w.malformed("arguments that are not an array")
		return
	}
	w.value(arg, m.Attachments)
}

func firstArgument(data []byte) (json.RawMessage, bool) {
	c := jsontext.Cursor{Data: data}
	if !jsontext.Valid(data, msgpack.MaxDepth) || c.Kind() != '[' {
		return nil, false
	}
	c.At++
	if c.Kind() == ']' {
		return json.RawMessage("null"), true
	}
	return c.Skip(), true
}

// target writes the opts of a message. An emitter has its own order of keys.
func (w *writer) target(m *cluster.Message, flags, emitter bool) {
	if flags {
		w.object(3)
	} else {
		w.object(2)
	}
	w.key("rooms")
	w.texts(m.Rooms)
	if flags && emitter {
		w.flags(m)
	}
	w.key("except")
	w.texts(m.Except)
	if flags && !emitter {
		w.flags(m)
	}
	w.end('}')
}

func (w *writer) flags(m *cluster.Message) {
	emit := m.Kind == cluster.Emit
	single, volatile := emit && m.Single, emit && m.Volatile
	timeout := m.Timeout > 0 && (emit && m.ID != "" || m.Kind == cluster.Fetch)
	n := 0
	for _, set := range [...]bool{single, volatile, timeout} {
		if set {
			n++
		}
	}
	w.key("flags")
	w.object(n)
	if single {
		w.key("expectSingleResponse")
		w.bool(true)
	}
	if volatile {
		w.key("volatile")
		w.bool(true)
	}
	if timeout {
		w.key("timeout")
		w.uint(min(uint64((m.Timeout+time.Millisecond-1)/time.Millisecond), maxTimeout))
	}
	w.end('}')
}

// maxTimeout is what Node's timers can hold, in milliseconds. A longer one would be none.
const maxTimeout = 1<<31 - 1

// packet writes the packet of an Emit. Its type is that of an event, also with binary.
func (w *writer) packet(m *cluster.Message, namespace bool) {
	if namespace {
		w.object(3)
	} else {
		w.object(2)
	}
	w.key("type")
	w.uint(packetEvent)
	w.key("data")
	w.event(m)
	if namespace {
		w.key("nsp")
		w.text(m.Namespace)
	}
	w.end('}')
}

// packetEvent is the type of packets that are events. All other types harm Node's clients.
const packetEvent = 2

// sockets writes the answer to a Fetch. Node needs all of the four members.
func (w *writer) sockets(m *cluster.Message, only bool) {
	w.key("sockets")
	w.array(len(m.Sockets))
	for i := range m.Sockets {
		s := &m.Sockets[i]
		if only {
			w.text(s.ID)
			continue
		}
		w.object(4)
		w.key("id")
		w.text(s.ID)
		w.key("handshake")
		w.declared(s.Handshake)
		w.key("rooms")
		w.texts(s.Rooms)
		w.key("data")
		w.declared(s.Data)
		w.end('}')
	}
	w.end(']')
}

// declared writes JSON that may be missing, or null: an empty object is what Node has then, and
// its applications read members of it. The same stands for what Node would refuse: a client must
// not keep answers back by what it has sent in its handshake.
func (w *writer) declared(text []byte) {
	b := w.b
	if text = bytes.Trim(text, " \t\r\n"); len(text) > 0 && string(text) != "null" {
		if w.value(text, nil); !errors.Is(w.err, ErrNotOnWire) {
			return
		}
		w.b, w.err = b, nil
	}
	w.value([]byte("{}"), nil)
}

// clientCount writes how many clients were asked.
func (w *writer) clientCount(m *cluster.Message) {
	if m.Number < 0 {
		w.malformed("%d clients", m.Number)
		return
	}
	w.key("clientCount")
	w.uint(uint64(m.Number))
}

// check looks at what all wires need of a message.
func (w *writer) check(m *cluster.Message) {
	asks := m.Kind == cluster.Fetch || m.Kind == cluster.ListRooms
	switch {
	case m.Kind < cluster.Emit || m.Kind > cluster.Acked,
		m.Kind == cluster.LeaveAll, m.Kind == cluster.CloseTransport, m.Kind == cluster.Count, m.Kind == cluster.Counted:
		w.fail(fmt.Errorf("%w: a message of kind %v", ErrNotOnWire, m.Kind))
	case !validName(m.Node) || !validName(m.To) || !validName(m.ID):
		w.malformed("Node, To or ID is too long, or not UTF-8")
	case !validNamespace(m.Namespace):
		w.malformed("the namespace %.100q", m.Namespace)
	case m.ID == "" && (asks || response(m.Kind)):
		w.malformed("%v without an ID", m.Kind)
	case m.ID != "" && !response(m.Kind) && (asks || m.Kind == cluster.Emit || m.Kind == cluster.ServerEvent) && emits(m):
		w.fail(fmt.Errorf("%w: %v of a node without a name", ErrNotOnWire, m.Kind))
	}
}
