package msgpack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// AppendJSON reads a value of any kind and appends it as the text that JSON.stringify makes
// of it. Binary goes to attachments, which is appended to, with a placeholder in its place;
// when attachments is nil it becomes what JSON.stringify makes of a Buffer. Times become ISO
// texts, what a number cannot be becomes null, and so does the undefined of older writers.
// Keys may be numbers; any other extension is an error.
//
// Attachments point into the input. An error leaves dst as it was.
func (r *Reader) AppendJSON(dst []byte, attachments *[][]byte) []byte {
	j := toJSON{Reader: *r, dst: dst, attachments: attachments} // a copy: r need not be on the heap
	from, start := 0, len(dst)
	if attachments != nil {
		from = len(*attachments)
	}
	j.value(MaxDepth)
	r.at, r.err = j.at, j.err
	if attachments != nil && j.marked && len(*attachments) > from && r.err == nil &&
		!jsontext.PlacedFrom(j.dst[start:], from, len(*attachments)-from) {
		r.err = ErrPlaceholder
	}
	if r.err != nil {
		return dst
	}
	return j.dst
}

type toJSON struct {
	Reader
	dst         []byte
	attachments *[][]byte
	marked      bool // there is a key "_placeholder"
}

func (j *toJSON) value(depth int) {
	at := j.at
	switch h := j.head(); h.kind {
	case Nil:
		j.dst = append(j.dst, "null"...)
	case Bool:
		j.dst = strconv.AppendBool(j.dst, h.n == 1)
	case Uint:
		j.dst = strconv.AppendUint(j.dst, h.n, 10)
	case Int:
		j.dst = strconv.AppendInt(j.dst, int64(h.n), 10)
	case Float:
		j.dst = appendFloat(j.dst, math.Float64frombits(h.n))
	case String:
		j.dst = jsontext.AppendString(j.dst, j.take(h.n))
	case Bytes:
		j.binary(j.take(h.n))
	case Ext:
		j.extension(h.ext, j.take(h.n), j.data[at])
	case Array, Map:
		if depth == 0 {
			j.err = errDeep
		} else if h.kind == Array {
			j.array(h.n, depth-1)
		} else {
			j.object(h.n, depth-1)
		}
	}
}

func (j *toJSON) array(n uint64, depth int) {
	j.dst = append(j.dst, '[')
	for i := range n {
		if i > 0 {
			j.dst = append(j.dst, ',')
		}
		if j.value(depth); j.err != nil {
			return
		}
	}
	j.dst = append(j.dst, ']')
}

func (j *toJSON) object(n uint64, depth int) {
	j.dst = append(j.dst, '{')
	for i := range n {
		if i > 0 {
			j.dst = append(j.dst, ',')
		}
		key := j.Text()
		j.marked = j.marked || string(key) == "_placeholder"
		j.dst = append(jsontext.AppendString(j.dst, key), ':')
		if j.value(depth); j.err != nil {
			return
		}
	}
	j.dst = append(j.dst, '}')
}

func (j *toJSON) binary(data []byte) {
	if j.attachments == nil {
		j.dst = AppendBuffer(j.dst, data)
		return
	}
	n := len(*j.attachments)
	if n == MaxAttachments {
		j.err = errCount
		return
	}
	j.dst = AppendPlaceholder(j.dst, n)
	*j.attachments = append(*j.attachments, data)
}

// AppendPlaceholder appends what stands in JSON for an attachment.
func AppendPlaceholder(dst []byte, num int) []byte {
	return append(strconv.AppendInt(append(dst, placeholder...), int64(num), 10), '}')
}

// Buffer is how JSON.stringify writes a Buffer, up to its bytes.
const Buffer = `{"type":"Buffer","data":[`

// AppendBuffer appends the JSON of a Buffer.
func AppendBuffer(dst, data []byte) []byte {
	dst = append(dst, Buffer...)
	for i, c := range data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(c), 10)
	}
	return append(dst, ']', '}')
}

// ReadBuffer reads the JSON of a Buffer at the start of text, as AppendBuffer writes it. It
// returns the bytes, in memory of their own, and how long the text is; 0 when there is none.
func ReadBuffer(text []byte) (data []byte, n int) {
	rest, ok := bytes.CutPrefix(text, []byte(Buffer))
	if !ok {
		return nil, 0
	}
	end := bytes.IndexByte(rest, ']')
	if end < 0 || end+1 >= len(rest) || rest[end+1] != '}' {
		return nil, 0
	}
	n = len(Buffer) + end + 2
	rest = rest[:end]
	data = make([]byte, 0, min(len(rest), 1+bytes.Count(rest, []byte{','})))
	for len(rest) > 0 {
		digits, more, found := bytes.Cut(rest, []byte{','})
		v, err := strconv.ParseUint(string(digits), 10, 8)
		if err != nil || found && len(more) == 0 {
			return nil, 0
		}
		data = append(data, byte(v))
		rest = more
	}
	return data, n
}

// The extensions that Node knows, and the codes of those with a length of their own.
const (
	extLegacy    = 0  // notepack.io 2: undefined, a time, an ArrayBuffer
	extTimestamp = -1 // of the specification of msgpack
	fixExt1      = 0xd4
	fixExt8      = 0xd7
)

func (j *toJSON) extension(kind int8, data []byte, code byte) {
	switch {
	case kind == extLegacy && code == fixExt1:
		j.dst = append(j.dst, "null"...)
	case kind == extLegacy && code == fixExt8:
		j.dst = appendTime(j.dst, float64(int64(binary.BigEndian.Uint64(data))))
	case kind == extLegacy:
		j.binary(data)
	case kind == extTimestamp && len(data) == 4:
		j.dst = appendTime(j.dst, float64(binary.BigEndian.Uint32(data))*1e3)
	case kind == extTimestamp && len(data) == 8:
		v := binary.BigEndian.Uint64(data)
		j.dst = appendTime(j.dst, float64(v&(1<<34-1))*1e3+float64(v>>34)/1e6)
	case kind == extTimestamp && len(data) == 12:
		s, ns := int64(binary.BigEndian.Uint64(data[4:])), binary.BigEndian.Uint32(data)
		j.dst = appendTime(j.dst, float64(s)*1e3+float64(ns)/1e6)
	default:
		j.err = fmt.Errorf("msgpack: an extension of type %d with %d bytes", kind, len(data))
	}
}

// maxDate is the last millisecond of a Date, to both sides of 1970.
const maxDate = 8.64e15

// appendTime appends the JSON of a Date of JavaScript.
func appendTime(dst []byte, ms float64) []byte {
	if !(math.Abs(ms) <= maxDate) {
		return append(dst, "null"...)
	}
	t := time.UnixMilli(int64(ms)).UTC()
	dst = append(dst, '"')
	if y := t.Year(); y < 0 || y > 9999 {
		sign := byte('+')
		if y < 0 {
			sign, y = '-', -y
		}
		dst = fmt.Appendf(append(dst, sign), "%06d", y)
	} else {
		dst = t.AppendFormat(dst, "2006")
	}
	return t.AppendFormat(dst, `-01-02T15:04:05.000Z"`)
}

// appendFloat appends a number as JSON.stringify writes it.
func appendFloat(dst []byte, f float64) []byte {
	switch a := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case f == 0:
		return append(dst, '0') // minus zero too
	case a >= 1e-6 && a < 1e21:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// e-09 is e-9 in JavaScript.
	if n := len(dst); n-at >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
