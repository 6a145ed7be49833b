package sio

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// Args are the arguments of an event or ack, not yet decoded, with their binary
// attachments. The Args of an Event point into the connection's buffer and are valid
// until its handler returns. After that the buffer holds the next packet, which may be
// another client's. Clone makes a copy that can be kept.
//
// Passed to Emit or Ack, Args stand for their elements, binary included, and travel on
// without being decoded.
type Args struct {
	raw         []json.RawMessage
	attachments [][]byte
	json        JSON // an unshared when nobody but a decoder sees these Args
}

// unshared is the codec of Args that only the decoder of a typed handler sees, so
// that they cannot be passed on. A field of Args would make each event that is
// passed on larger.
type unshared struct{ JSON }

// alone reports whether nobody but a decoder sees these Args.
func (a Args) alone() bool {
	_, alone := a.json.(unshared)
	return alone
}

// shared returns Args for others to see.
func (a Args) shared() Args {
	if u, alone := a.json.(unshared); alone {
		a.json = u.JSON
	}
	return a
}

// Len is the number of arguments.
func (a Args) Len() int { return len(a.raw) }

// Raw returns the JSON of argument i, or nil when there is no such argument. Binary
// parts appear as the protocol's placeholders. The JSON is valid as long as a;
// bytes.Clone keeps it. Code that decodes it by other means than Bind may understand
// something else than other clients do.
func (a Args) Raw(i int) json.RawMessage {
	if i < 0 || i >= len(a.raw) {
		return nil
	}
	return a.raw[i]
}

// Bytes returns argument i when it is binary; ok is false for any other argument. The
// bytes are valid as long as a.
func (a Args) Bytes(i int) ([]byte, bool) {
	return jsontext.Attachment(a.Raw(i), a.attachments)
}

// Slice returns the arguments from index i on, without copying them.
func (a Args) Slice(i int) Args {
	if i > len(a.raw) {
		i = len(a.raw)
	}
	a.raw = a.raw[i:]
	return a
}

// Bind decodes the arguments into the values that the pointers in dst point to, in
// order. Too few arguments are an error; extra ones are ignored. A *[]byte takes a
// binary argument. Binary parts become []byte at any depth, also where the type is any.
// In a json.RawMessage, and for a type that has its own UnmarshalJSON, binary parts are
// base64 strings.
//
// A decoded value must mean the same as the raw arguments, since an application may
// check one and pass the other on. So Bind refuses an object in which two keys name the
// same field ("Text" and "TEXT") or are the same key of a map. In a json.RawMessage,
// and for a type that has its own UnmarshalJSON, Bind refuses two keys of an object
// that differ only in case, because it cannot know how the text will be read.
//
// Fields are found without regard to case, as by encoding/json. Args that are passed on
// keep the spelling of the client: {"TEXT":1} fills Text, and other clients get
// {"TEXT":1}. To send one spelling only, pass the decoded value on.
//
// The error is an *Error with the code CodeBadArgument that names the argument and the
// key. It does not mention Go types; its cause does, for the log.
func (a Args) Bind(dst ...any) error {
	if len(a.raw) < len(dst) {
		return tooFew(len(a.raw), len(dst))
	}
	for i, d := range dst {
		if err := a.decode(i, d); err != nil {
			return badArgument(i, err)
		}
	}
	return nil
}

// Clone returns a copy that stays valid after the handler has returned.
func (a Args) Clone() Args {
	n := 0
	for _, r := range a.raw {
		n += len(r)
	}
	buf := make([]byte, 0, n)
	raw := make([]json.RawMessage, len(a.raw))
	for i, r := range a.raw {
		at := len(buf)
		buf = append(buf, r...)
		raw[i] = buf[at:len(buf):len(buf)]
	}
	a.raw = raw
	return a.shared()
}

func tooFew(have, want int) *Error {
	return Errorf(CodeBadArgument, "%d arguments instead of %d", have, want)
}

func badArgument(i int, err error) *Error {
	return &Error{Code: CodeBadArgument, Message: "argument " + strconv.Itoa(i+1) + ": " + misfit(err), cause: err}
}

// ArgsUnmarshaler is an argument type of a handler that decodes the whole list of
// arguments itself. When UnmarshalArgs returns an *Error, such as one of Bind, the
// client gets that. For any other error the client gets CodeBadArgument, and the error
// is for the log.
type ArgsUnmarshaler interface {
	UnmarshalArgs(a Args) error
}

// argList is an argument that stands for several arguments (Args2 to Args4) or for none
// (None).
type argList interface{ list() []any }

// listUnmarshaler is an ArgsUnmarshaler of this package, or a type of the application's
// that has one inside.
type listUnmarshaler interface{ unmarshalArgs(a Args) error }

// None is no argument: the argument type of a handler of an event without arguments,
// and the result type of a handler that acknowledges with nothing.
type None struct{}

// unmarshalArgs ignores arguments: a client may send more than a handler wants.
func (*None) unmarshalArgs(Args) error { return nil }

func (None) list() []any { return nil }

// Args2 is two arguments: as the argument type of a handler it takes two, and passed to
// Emit or returned as an ack it stands for two. Args3 and Args4 are the same for three
// and four.
type Args2[A, B any] struct {
	A A
	B B
}

func (t *Args2[A, B]) unmarshalArgs(a Args) error { return a.Bind(&t.A, &t.B) }

func (t Args2[A, B]) list() []any { return []any{t.A, t.B} }

// Args3 is three arguments; see Args2.
type Args3[A, B, C any] struct {
	A A
	B B
	C C
}

func (t *Args3[A, B, C]) unmarshalArgs(a Args) error { return a.Bind(&t.A, &t.B, &t.C) }

func (t Args3[A, B, C]) list() []any { return []any{t.A, t.B, t.C} }

// Args4 is four arguments; see Args2.
type Args4[A, B, C, D any] struct {
	A A
	B B
	C C
	D D
}

func (t *Args4[A, B, C, D]) unmarshalArgs(a Args) error { return a.Bind(&t.A, &t.B, &t.C, &t.D) }

func (t Args4[A, B, C, D]) list() []any { return []any{t.A, t.B, t.C, t.D} }

// unmarshalArgs has a handler take Args themselves.
func (a *Args) unmarshalArgs(all Args) error {
	*a = all.shared()
	return nil
}

// String returns the arguments for a log, shortened when they are long.
func (a Args) String() string {
	s := fmt.Sprintf("%s", a.raw)
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return s
}
