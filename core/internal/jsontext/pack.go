package jsontext

import (
	"encoding/json"
	"math"
)

// Pack returns the text of args, a JSON array, in memory of its own.
func Pack(args []json.RawMessage) []byte {
	return AppendPacked(make([]byte, 0, PackedLen(args)), args)
}

// AppendPacked appends what Pack returns.
func AppendPacked(dst []byte, args []json.RawMessage) []byte {
	dst = append(dst, '[')
	for i, a := range args {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, a...)
	}
	return append(dst, ']')
}

// PackedLen is the length of what Pack returns for arguments, of which there are some.
func PackedLen(args []json.RawMessage) int {
	n := 1 + len(args) // brackets, and commas between them
	for _, a := range args {
		n += len(a)
	}
	return n
}

// Unpack returns the n arguments whose text Pack has written. They point into text.
func Unpack(text []byte, n int) []json.RawMessage {
	// A decoder has checked them, by a bound of its own for the depth: there is no
	// error, and if there were one it would cost arguments and nothing else.
	args, _ := Split(text, make([]json.RawMessage, 0, n), math.MaxInt)
	return args
}

// AppendArray appends a JSON array of the elements.
func AppendArray(dst []byte, elements []json.RawMessage) []byte {
	dst = append(dst, '[')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e...)
	}
	return append(dst, ']')
}

// FirstString is the first element of a valid JSON array, unquoted, when it is a string.
func FirstString(array []byte) ([]byte, bool) {
	c := Cursor{Data: array}
	if c.Kind() != '[' {
		return nil, false
	}
	c.At++
	if c.Kind() != '"' {
		return nil, false
	}
	return Unquote(c.Skip()), true
}
