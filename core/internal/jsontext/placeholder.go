package jsontext

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
)

// A placeholder stands in JSON where an attachment belongs:
// {"_placeholder":true,"num":0} (Socket.IO protocol 5, "Binary events").
//
// Clients look for placeholders in what JSON.parse has returned: at any depth,
// with the keys in any spelling, with the last of two equal keys, and beside other
// keys. Several end the connection over a num that they do not have. So the text
// of a packet with attachments, in both directions, must hold no object that a
// client could take for a placeholder and this package does not. placeholders is
// the one place that decides. A packet without attachments may hold anything:
// clients do not look.

const placeholderKey = "_placeholder"

// AppendPlaceholder appends the placeholder of attachment num.
func AppendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(dst, int64(num), 10), '}')
}

// Place is a placeholder in a text: the bytes from From to To, and its num.
type Place struct{ From, To, Num int }

// Places returns the placeholders of an argument with these attachments, in order.
func Places(data []byte, attachments [][]byte) []Place {
	if len(attachments) == 0 {
		return nil
	}
	list, _ := placeholders(data)
	return slices.DeleteFunc(list, func(p Place) bool { return p.Num >= len(attachments) })
}

// placeholders returns the placeholders in valid JSON, in order, and false when
// there is an object that may be one to some client and is not in order: its
// _placeholder is neither true nor one of the values that no client takes for
// true, its num is no plain number, or one of the two keys occurs twice. What lies
// inside a placeholder is part of it.
func placeholders(data []byte) (list []Place, ok bool) {
	if !mentions(data) {
		return nil, true
	}
	f := finder{c: Cursor{Data: data}}
	f.value()
	return f.list, !f.bad
}

// mentions reports whether a key of data may be "_placeholder".
func mentions(data []byte) bool {
	return bytes.Contains(data, []byte(placeholderKey)) || bytes.Contains(data, []byte(`\u`))
}

type finder struct {
	c    Cursor
	list []Place
	bad  bool
}

func (f *finder) value() {
	switch f.c.Kind() {
	case '{':
		f.object()
	case '[':
		f.c.Array(func(int) { f.value() })
	default:
		f.c.Skip()
	}
}

func (f *finder) object() {
	from, inside := f.c.At, len(f.list)
	var mark, num []byte
	marks, nums := 0, 0
	f.c.Object(func(key []byte) {
		f.c.Space()
		at := f.c.At
		f.value()
		switch string(Unquote(key)) {
		case placeholderKey:
			mark = f.c.Data[at:f.c.At]
			marks++
		case "num":
			num = f.c.Data[at:f.c.At]
			nums++
		}
	})
	switch {
	case marks == 0:
		return
	case marks > 1:
		f.bad = true
		return
	}
	switch string(mark) {
	case "true":
	case "false", "null":
		return // an object like any other
	default:
		f.bad = true // older clients take anything but 0 and "" for true
		return
	}
	n, err := strconv.ParseUint(string(num), 10, 16)
	if nums != 1 || err != nil || len(num) > 1 && num[0] == '0' {
		f.bad = true
		return
	}
	f.list = append(f.list[:inside], Place{from, f.c.At, int(n)})
}

// EachPlaced reports whether data, the text of an incoming packet, uses each of count
// attachments exactly once, and has nothing else that can be taken for a placeholder.
func EachPlaced(data []byte, count int) bool {
	list, ok := placeholders(data)
	if !ok || len(list) != count {
		return false
	}
	seen := make([]bool, count)
	for _, p := range list {
		if p.Num >= count || seen[p.Num] {
			return false
		}
		seen[p.Num] = true
	}
	return true
}

// Placed reports whether data, the text of an outgoing packet whose count
// attachments were placed by this package, has no other placeholders to any
// client: not one that came in a text from elsewhere.
func Placed(data []byte, count int) bool {
	if count == 0 {
		return true
	}
	if bytes.Count(data, []byte(placeholderKey)) == count && !bytes.Contains(data, []byte(`\u`)) {
		return true // our own alone
	}
	return PlacedFrom(data, 0, count)
}

// PlacedFrom reports whether data has placeholders for count attachments, which are numbered
// from first on as they are written, and no others to any client.
func PlacedFrom(data []byte, first, count int) bool {
	list, ok := placeholders(data)
	if !ok || len(list) != count {
		return false
	}
	for i, p := range list {
		if p.Num != first+i {
			return false
		}
	}
	return true
}

// AppendRenumbered appends JSON to dst with its placeholders numbered anew from
// next on, and appends the attachments they meant to parts.
func AppendRenumbered(dst, data []byte, attachments [][]byte, parts [][]byte) ([]byte, [][]byte) {
	at := 0
	for _, p := range Places(data, attachments) {
		dst = append(dst, data[at:p.From]...)
		dst = AppendPlaceholder(dst, len(parts))
		parts = append(parts, attachments[p.Num])
		at = p.To
	}
	return append(dst, data[at:]...), parts
}

// Inline replaces placeholders by base64 strings, the form in which
// encoding/json reads a []byte.
func Inline(data []byte, attachments [][]byte) []byte {
	list := Places(data, attachments)
	if len(list) == 0 {
		return data
	}
	size := len(data)
	for _, p := range list {
		size += 2 + base64.StdEncoding.EncodedLen(len(attachments[p.Num]))
	}
	dst := make([]byte, 0, size)
	at := 0
	for _, p := range list {
		dst = append(append(dst, data[at:p.From]...), '"')
		dst = base64.StdEncoding.AppendEncode(dst, attachments[p.Num])
		dst = append(dst, '"')
		at = p.To
	}
	return append(dst, data[at:]...)
}

// Attachment returns the attachment that data, one argument, consists of.
func Attachment(data []byte, attachments [][]byte) ([]byte, bool) {
	if len(data) == 0 || data[0] != '{' {
		return nil, false
	}
	list := Places(data, attachments)
	if len(list) == 1 && list[0].From == 0 {
		return attachments[list[0].Num], true
	}
	return nil, false
}
