package sio

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
)

var (
	_ encoding.BinaryMarshaler   = Args{}
	_ encoding.BinaryUnmarshaler = (*Args)(nil)
)

// argsForm is the first byte of Args that MarshalBinary has written: a version.
const argsForm = 1

var errArgsForm = errors.New("sio: these are no Args of MarshalBinary")

// MarshalBinary returns the arguments as bytes for a store, their binary included, from which
// UnmarshalBinary makes them again. The bytes are a copy.
func (a Args) MarshalBinary() ([]byte, error) {
	e := newEncoder(a.json)
	defer e.free()
	if err := e.array("", false, []any{a}); err != nil {
		return nil, err
	}
	n := 1 + (1+len(e.parts))*binary.MaxVarintLen64 + len(e.buf)
	for _, p := range e.parts {
		n += len(p)
	}
	data := append(make([]byte, 0, n), argsForm)
	for _, p := range append([][]byte{e.buf}, e.parts...) {
		data = append(binary.AppendUvarint(data, uint64(len(p))), p...)
	}
	return data, nil
}

// UnmarshalBinary makes the arguments of the bytes that MarshalBinary has returned, of which
// nothing is kept. Whatever else the bytes are is an error: what comes out may be emitted.
// Bind of these Args uses encoding/json, not Options.JSON.
func (a *Args) UnmarshalBinary(data []byte) error {
	if len(data) == 0 || data[0] != argsForm {
		return errArgsForm
	}
	data = append([]byte(nil), data[1:]...)
	var parts [][]byte
	for len(data) > 0 {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)-size) {
			return errArgsForm
		}
		end := size + int(n)
		parts, data = append(parts, data[size:end:end]), data[end:]
	}
	if len(parts) == 0 {
		return errArgsForm
	}
	text, parts := parts[0], parts[1:]
	if !utf8.Valid(text) {
		return errArgsForm
	}
	raw, err := jsontext.Split(text, nil, maxEncodeDepth+2)
	if err != nil {
		return fmt.Errorf("%w: %w", errArgsForm, err)
	}
	if len(parts) > 0 && !jsontext.EachPlaced(text, len(parts)) {
		return fmt.Errorf("%w: %w", errArgsForm, errPlaceholder)
	}
	*a = Args{raw: raw, attachments: parts, json: checkedJSON{stdJSON{}, true}}
	return nil
}
