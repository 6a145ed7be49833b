// Package strictmsgpack reads msgpack as the packages of Node do, into values, and refuses
// what a careful writer does not send. It was written apart from core/internal/msgpack and
// shares no code with it: tests hold the writers of siokit against it.
package strictmsgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Decode returns the value that data is: nil, bool, float64, string, []byte, []any or
// map[string]any. With modern it reads as @msgpack/msgpack 2, which refuses the key
// "__proto__"; else as notepack.io, which makes a prototype of its value.
func Decode(data []byte, modern bool) (any, error) {
	d := decoder{rest: data, modern: modern}
	v, err := d.value(0)
	if err == nil && len(d.rest) > 0 {
		err = errors.New("trailing bytes")
	}
	return v, err
}

type decoder struct {
	rest   []byte
	modern bool
}

func (d *decoder) bytes(n int) ([]byte, error) {
	if n > len(d.rest) {
		return nil, errors.New("truncated")
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

func (d *decoder) number(n int) (uint64, error) {
	b, err := d.bytes(n)
	if err != nil {
		return 0, err
	}
	var full [8]byte
	copy(full[8-n:], b)
	return binary.BigEndian.Uint64(full[:]), nil
}

func (d *decoder) value(depth int) (any, error) {
	if depth > 1000 {
		return nil, errors.New("the stack of Node ends")
	}
	b, err := d.bytes(1)
	if err != nil {
		return nil, err
	}
	c := b[0]
	switch {
	case c <= 0x7f:
		return float64(c), nil
	case c <= 0x8f:
		return d.object(int(c&15), depth)
	case c <= 0x9f:
		return d.array(int(c&15), depth)
	case c <= 0xbf:
		return d.text(int(c & 31))
	case c >= 0xe0:
		return float64(int8(c)), nil
	}
	switch c {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return c == 0xc3, nil
	case 0xc4, 0xc5, 0xc6:
		n, err := d.length(1<<(c-0xc4), []int{0, 1 << 8, 1 << 16}[c-0xc4])
		if err != nil {
			return nil, err
		}
		return d.bytes(n)
	case 0xcb:
		v, err := d.number(8)
		f := math.Float64frombits(v)
		if math.IsNaN(f) || math.IsInf(f, 0) || f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return nil, fmt.Errorf("the float %v", f)
		}
		return f, err
	case 0xcc, 0xcd, 0xce, 0xcf:
		v, err := d.number(1 << (c - 0xcc))
		if c == 0xcc && v < 0x80 || c > 0xcc && v>>(4<<(c-0xcc)) == 0 {
			return nil, fmt.Errorf("%d is not in its smallest form", v)
		}
		return float64(v), err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		v, err := d.number(1 << (c - 0xd0))
		bits := 8 << (c - 0xd0)
		i := int64(v) << (64 - bits) >> (64 - bits)
		if i >= -32 || c > 0xd0 && i >= -1<<(bits/2-1) {
			return nil, fmt.Errorf("%d is not in its smallest form", i)
		}
		return float64(i), err
	case 0xd9, 0xda, 0xdb:
		n, err := d.length(1<<(c-0xd9), []int{32, 1 << 8, 1 << 16}[c-0xd9])
		if err != nil {
			return nil, err
		}
		return d.text(n)
	case 0xdc, 0xdd:
		n, err := d.length(2<<(c-0xdc), []int{16, 1 << 16}[c-0xdc])
		if err != nil {
			return nil, err
		}
		return d.array(n, depth)
	case 0xde, 0xdf:
		n, err := d.length(2<<(c-0xde), []int{16, 1 << 16}[c-0xde])
		if err != nil {
			return nil, err
		}
		return d.object(n, depth)
	}
	return nil, fmt.Errorf("the code %#x", c) // extensions and 32 bit floats among them
}

// length reads a length of so many bytes, which is least at least.
func (d *decoder) length(bytes, least int) (int, error) {
	n, err := d.number(bytes)
	if err == nil && n < uint64(least) {
		err = fmt.Errorf("the length %d in %d bytes", n, bytes)
	}
	return int(n), err
}

func (d *decoder) text(n int) (string, error) {
	b, err := d.bytes(n)
	if err == nil && !utf8.Valid(b) {
		err = fmt.Errorf("%q is not UTF-8", b)
	}
	return string(b), err
}

func (d *decoder) array(n, depth int) (any, error) {
	list := []any{}
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (d *decoder) object(n, depth int) (any, error) {
	m := map[string]any{}
	for range n {
		k, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("the key %v", k)
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if key != "__proto__" {
			m[key] = v
			continue
		}
		if d.modern {
			return nil, errors.New("the key __proto__")
		}
		switch v := v.(type) {
		case []byte:
			return nil, errors.New("binary as a prototype: toJSON throws")
		case map[string]any, []any:
			if binaryBelow(v) {
				return nil, errors.New("binary below a prototype")
			}
		}
	}
	return m, nil
}

func binaryBelow(v any) bool {
	switch v := v.(type) {
	case []byte:
		return true
	case []any:
		for _, e := range v {
			if binaryBelow(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if binaryBelow(e) {
				return true
			}
		}
	}
	return false
}
