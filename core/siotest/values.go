package siotest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/sio"
)

// codec encodes arguments as a server does: a []byte at any depth is an attachment. It
// belongs to no bubble, because it is made before any test runs, and has no connections.
var codec = sio.NewServer(&sio.Options{Logger: slog.New(slog.DiscardHandler)}).Of("/")

// form is the first byte of what Args.MarshalBinary writes. Behind it stands the array of
// the arguments, and then each attachment, all behind their lengths.
var form = func() byte {
	data, err := sio.Args{}.MarshalBinary()
	if err != nil {
		panic("siotest: " + err.Error())
	}
	return data[0]
}()

// encode returns the JSON array of args, with placeholders for the attachments.
func encode(args []any) (array []byte, attachments [][]byte, err error) {
	a, err := codec.Encode(args...)
	if err != nil {
		return nil, nil, err
	}
	return pieces(a)
}

// pieces takes arguments apart.
func pieces(a sio.Args) (array []byte, attachments [][]byte, err error) {
	data, err := a.MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	var all [][]byte
	for data = data[1:]; len(data) > 0; {
		n, size := binary.Uvarint(data)
		end := size + int(n)
		all, data = append(all, data[size:end:end]), data[end:]
	}
	return all[0], all[1:], nil
}

// join makes arguments of the array and the attachments, both of which it copies.
func join(array []byte, attachments [][]byte) (sio.Args, error) {
	data := []byte{form}
	for _, p := range append([][]byte{array}, attachments...) {
		data = append(binary.AppendUvarint(data, uint64(len(p))), p...)
	}
	var a sio.Args
	err := a.UnmarshalBinary(data)
	return a, err
}

// list is the JSON array of the elements.
func list(elements []json.RawMessage) []byte {
	b := []byte{'['}
	for i, e := range elements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return append(b, ']')
}

// named is the array of an event: the name, and behind it the elements of array.
func named(event string, array []byte) []byte {
	b := jsontext.AppendString([]byte{'['}, event)
	if inner := array[1 : len(array)-1]; len(inner) > 0 {
		b = append(append(b, ','), inner...)
	}
	return append(b, ']')
}

// decode decodes arguments as a handler of In does.
func decode[In any](a sio.Args) (in In, err error) {
	h := sio.Reply(func(_ context.Context, _ *sio.Socket, v In) (sio.None, error) {
		in = v
		return sio.None{}, nil
	})
	err = h.ServeEvent(context.Background(), &sio.Event{Args: a})
	return in, err
}

// same reports whether two lists of arguments mean the same: numbers by their values,
// objects without regard to the order of their keys, attachments by their bytes.
func same(a, b sio.Args) bool {
	x, err1 := meaning(a)
	y, err2 := meaning(b)
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// meaning decodes arguments into what reflect.DeepEqual compares.
func meaning(a sio.Args) (any, error) {
	array, attachments, err := pieces(a)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(array))
	d.UseNumber() // a float64 has not all digits
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return resolved(v, attachments), nil
}

// resolved is v with the attachments in the place of their placeholders, and with numbers that
// are equal when their texts are.
func resolved(v any, attachments [][]byte) any {
	switch v := v.(type) {
	case json.Number:
		return json.Number(decimal(v.String()))
	case []any:
		for i, e := range v {
			v[i] = resolved(e, attachments)
		}
	case map[string]any:
		if num, ok := v["num"].(json.Number); ok && len(v) == 2 && v["_placeholder"] == true {
			if i, err := strconv.Atoi(num.String()); err == nil && i >= 0 && i < len(attachments) {
				return append([]byte{}, attachments[i]...)
			}
		}
		for key, e := range v {
			v[key] = resolved(e, attachments)
		}
	}
	return v
}

// decimal is the one form of all the texts of a JSON number: its digits without zeros at the
// ends, and the power of ten. It makes no number of them, whose exponent may be anything.
func decimal(text string) string {
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	exponent := 0
	if power != "" {
		n, err := strconv.Atoi(power)
		if err != nil { // too large: it is compared as it is written
			return text
		}
		exponent = n
	}
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	switch {
	case short == "":
		return "0"
	case negative:
		short = "-" + short
	}
	return short + "e" + strconv.Itoa(exponent)
}

// show writes arguments for a failure: JSON, and the bytes in the place of placeholders.
func show(a sio.Args) string {
	if a.Len() == 0 {
		return "no arguments"
	}
	var s []string
	for i := range a.Len() {
		if b, ok := a.Bytes(i); ok {
			s = append(s, fmt.Sprintf("%d bytes %s", len(b), clip(fmt.Sprintf("%x", b))))
			continue
		}
		s = append(s, clip(string(a.Raw(i))))
	}
	return strings.Join(s, ", ")
}

// clip shortens what is shown.
func clip(s string) string {
	const most = 400
	if len(s) > most {
		return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(s[:most], ""), len(s))
	}
	return s
}

// errorOf returns the error that an ack of Options.ErrorAck's usual form holds, or nil.
func errorOf(a sio.Args) *sio.Error {
	var body map[string]json.RawMessage
	if a.Len() != 1 || json.Unmarshal(a.Raw(0), &body) != nil || len(body) != 1 {
		return nil
	}
	var e *sio.Error
	if json.Unmarshal(body["error"], &e) != nil || e == nil || e.Code == "" && e.Message == "" {
		return nil
	}
	return e
}

// parameters are the fields of an auth payload as a query, which is what clients before 3.0
// have in its place: strings as they are, all else as JSON.
func parameters(auth any) (url.Values, error) {
	q := url.Values{}
	if auth == nil {
		return q, nil
	}
	array, attachments, err := encode([]any{auth})
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if len(attachments) > 0 || json.Unmarshal(array[1:len(array)-1], &fields) != nil {
		return nil, errAuth
	}
	for name, value := range fields {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		q.Set(name, text)
	}
	return q, nil
}

// inlined is array with base64 strings in the place of the attachments, as 0.9 has them.
func inlined(array []byte, attachments [][]byte) []byte {
	if len(attachments) == 0 {
		return array
	}
	return jsontext.Inline(array, attachments)
}
