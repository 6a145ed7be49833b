package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// version is the first byte of a message. A change of the form gets the next number.
const version = 1

// The bounds of a message, for Append and for Parse.
const (
	maxMessage     = 64 << 20 // bytes
	maxText        = 64 << 10 // bytes of a room, a namespace, an id, a name
	maxListed      = 1 << 20  // rooms or sockets of one list
	maxAttachments = 65_535
	maxDepth       = 512 // the nesting of JSON
)

// parts are the fields of a kind.
type parts uint16

const (
	hasTarget parts = 1 << iota // Rooms, Except
	hasEmit                     // Volatile, Single, Timeout
	hasOnly                     // OnlyIDs
	hasNames
	hasData // Data, Attachments
	hasName // Data begins with the name of an event
	mayData // Data may be missing
	hasSockets
	hasNumber
	hasInfo
	hasWhole // Number, in a part of an answer
)

// kinds are the names and the fields of the kinds; ID, Node, To and Namespace all have.
var kinds = [...]struct {
	name  string
	parts parts
}{
	Emit:           {"Emit", hasTarget | hasEmit | hasData | hasName},
	Join:           {"Join", hasTarget | hasNames},
	Leave:          {"Leave", hasTarget | hasNames},
	LeaveAll:       {"LeaveAll", hasTarget},
	Disconnect:     {"Disconnect", hasTarget},
	Close:          {"Close", hasTarget},
	CloseTransport: {"CloseTransport", hasTarget},
	Fetch:          {"Fetch", hasTarget | hasOnly},
	Count:          {"Count", hasTarget},
	ListRooms:      {"ListRooms", 0},
	ServerEvent:    {"ServerEvent", hasData | hasName},
	Sockets:        {"Sockets", hasOnly | hasSockets | hasWhole},
	Counted:        {"Counted", hasNumber},
	Rooms:          {"Rooms", hasNames},
	Answer:         {"Answer", hasData},
	Asked:          {"Asked", hasNumber | hasNames},
	Acked:          {"Acked", hasNames | hasData | mayData},
	Hello:          {"Hello", hasInfo},
	Heartbeat:      {"Heartbeat", hasInfo},
	Bye:            {"Bye", 0},
	Gap:            {"Gap", hasNames},
}

// String is the name of the kind, for logs and errors.
func (k Kind) String() string {
	if int(k) < len(kinds) && k > 0 {
		return kinds[k].name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// The bits of the byte behind the texts.
const (
	flagVolatile = 1 << iota
	flagSingle
	flagOnly
	flagPart // Number follows
)

var errMalformed = errors.New("cluster: malformed message")

// Append appends m in siokit's own form: what travels on buses that processes of siokit
// have for themselves, and what no process of Node would understand. It takes the fields
// that the kind uses. An error leaves b as it was: m has an unknown kind, is beyond a
// bound, or has Data that is not what its kind says.
//
// The form is a byte for the version, one for the kind, one for flags, and the fields: texts
// and bytes behind their length, lists behind their count, as varints.
func Append(b []byte, m *Message) ([]byte, error) {
	if m.Kind == 0 || int(m.Kind) >= len(kinds) {
		return b, fmt.Errorf("cluster: a message of unknown %v", m.Kind)
	}
	w := writer{b: b, start: len(b)}
	w.message(m, kinds[m.Kind].parts)
	if w.err == nil && len(w.b)-w.start > maxMessage {
		w.fail("more than %d bytes", maxMessage)
	}
	if w.err != nil {
		return b, fmt.Errorf("%w of kind %v: %w", errMalformed, m.Kind, w.err)
	}
	return w.b, nil
}

type writer struct {
	b     []byte
	start int
	err   error
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *writer) message(m *Message, has parts) {
	flags := byte(0)
	if has&hasEmit != 0 && m.Volatile {
		flags |= flagVolatile
	}
	if has&hasEmit != 0 && m.Single {
		flags |= flagSingle
	}
	if has&hasOnly != 0 && m.OnlyIDs {
		flags |= flagOnly
	}
	part := has&hasWhole != 0 && m.Number > len(m.Sockets)
	if part {
		flags |= flagPart
	}
	w.b = append(w.b, version, byte(m.Kind), flags)
	w.text(m.Node)
	w.text(m.To)
	w.text(m.Namespace)
	w.text(m.ID)
	if has&hasTarget != 0 {
		w.texts(m.Rooms)
		w.texts(m.Except)
	}
	if has&hasEmit != 0 {
		w.count(int64(m.Timeout), math.MaxInt64, "Timeout")
	}
	if has&hasNames != 0 {
		w.texts(m.Names)
	}
	if has&hasData != 0 {
		if err := checkData(m.Data, has); err != nil {
			w.fail("%w", err)
		}
		w.bytes(m.Data)
		w.count(int64(len(m.Attachments)), maxAttachments, "attachments")
		for _, a := range m.Attachments {
			w.bytes(a)
		}
	}
	if has&hasSockets != 0 {
		w.sockets(m.Sockets)
	}
	if has&hasNumber != 0 || part {
		w.count(int64(m.Number), math.MaxInt64, "Number")
	}
	if has&hasInfo != 0 {
		w.text(m.Info)
	}
}

func (w *writer) sockets(list []Socket) {
	w.count(int64(len(list)), maxListed, "sockets")
	for i := range list {
		s := &list[i]
		w.text(s.ID)
		w.texts(s.Rooms)
		for _, text := range [...][]byte{s.Data, s.Handshake} {
			if len(text) > 0 {
				if err := checkJSON(text); err != nil {
					w.fail("a socket: %w", err)
				}
			}
			w.bytes(text)
		}
	}
}

func (w *writer) count(n, most int64, what string) {
	if n < 0 || n > most {
		w.fail("%s: %d", what, n)
		return
	}
	w.b = binary.AppendUvarint(w.b, uint64(n))
}

func (w *writer) text(s string) {
	w.count(int64(len(s)), maxText, "bytes of a text")
	w.b = append(w.b, s...)
}

func (w *writer) texts(list []string) {
	w.count(int64(len(list)), maxListed, "texts")
	for _, s := range list {
		w.text(s)
	}
}

func (w *writer) bytes(b []byte) {
	w.count(int64(len(b)), maxMessage, "bytes")
	w.b = append(w.b, b...)
}

// checkData demands the Data of a kind.
func checkData(data []byte, has parts) error {
	if has&mayData != 0 && len(data) == 0 {
		return nil
	}
	return checkArguments(data, has&hasName != 0)
}

// checkArguments demands an array of JSON, with the name of an event in front.
func checkArguments(data []byte, name bool) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	c := jsontext.Cursor{Data: data}
	if c.Kind() != '[' {
		return errors.New("data is not an array")
	}
	c.At++
	if name && c.Kind() != '"' {
		return errors.New("data does not begin with the name of an event")
	}
	return nil
}

func checkJSON(data []byte) error {
	if !utf8.Valid(data) || !jsontext.Valid(data, maxDepth) {
		return errors.New("not valid JSON, not UTF-8, or nested too deep")
	}
	return nil
}
