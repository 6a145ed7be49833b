package cluster

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// full has every field set.
var full = Message{
	Node: "node1", To: "node2", Namespace: "/chat", ID: "r1",
	Rooms: []string{"a", "", "é"}, Except: []string{"b"}, Volatile: true, Single: true, Timeout: 3 * time.Second,
	Names: []string{"n1", "n2"}, Data: []byte(`["bin",{"_placeholder":true,"num":0},1]`), Attachments: [][]byte{{1, 2}, {}},
	Sockets: []Socket{{ID: "s1", Rooms: []string{"s1", "a"}, Data: []byte(`{"a":1}`), Handshake: []byte(`{}`)}, {ID: "s2"}},
	OnlyIDs: true, Number: 7, Info: "10.0.0.1:80",
}

// only is m with no fields but those of its kind.
func only(m Message) Message {
	has := kinds[m.Kind].parts
	w := Message{Kind: m.Kind, Node: m.Node, To: m.To, Namespace: m.Namespace, ID: m.ID}
	if has&hasTarget != 0 {
		w.Rooms, w.Except = m.Rooms, m.Except
	}
	if has&hasEmit != 0 {
		w.Volatile, w.Single, w.Timeout = m.Volatile, m.Single, m.Timeout
	}
	if has&hasOnly != 0 {
		w.OnlyIDs = m.OnlyIDs
	}
	if has&hasNames != 0 {
		w.Names = m.Names
	}
	if has&hasData != 0 {
		w.Data, w.Attachments = m.Data, m.Attachments
	}
	if has&hasSockets != 0 {
		w.Sockets = m.Sockets
	}
	if has&hasNumber != 0 || has&hasWhole != 0 && m.Number > len(m.Sockets) {
		w.Number = m.Number
	}
	if has&hasInfo != 0 {
		w.Info = m.Info
	}
	return w
}

// same compares messages: an empty list is none.
func same(a, b Message) bool {
	return reflect.DeepEqual(simple(reflect.ValueOf(a)), simple(reflect.ValueOf(b)))
}

func show(m Message) string { return fmt.Sprintf("%q", fmt.Sprintf("%#v", simple(reflect.ValueOf(m)))) }

func simple(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		var s []any
		for i := range v.NumField() {
			s = append(s, simple(v.Field(i)))
		}
		return s
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes())
		}
		var s []any
		for i := range v.Len() {
			s = append(s, simple(v.Index(i)))
		}
		return s
	}
	return v.Interface()
}

// TestNative: each kind comes back with its fields and no others, also into a message
// that had others.
func TestNative(t *testing.T) {
	var reused Message
	for k := Emit; k <= Gap; k++ {
		m := full
		m.Kind = k
		b, err := Append([]byte("front"), &m)
		if err != nil || !strings.HasPrefix(string(b), "front") {
			t.Fatalf("%v: %v", k, err)
		}
		b = b[5:]
		for _, into := range []*Message{{}, &reused} {
			if err := Parse(b, into); err != nil {
				t.Fatalf("%v: %v", k, err)
			}
			if !same(*into, only(m)) {
				t.Errorf("%v:\n%s\ninstead of\n%s", k, show(*into), show(only(m)))
			}
			again, err := Append(nil, into)
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%v: %x, %v instead of %x", k, again, err, b)
			}
		}
		for i := range b {
			if err := Parse(b[:i], new(Message)); err == nil {
				t.Errorf("%v: the first %d bytes of %d are a message", k, i, len(b))
			}
		}
		if err := Parse(append(b[:len(b):len(b)], 0), new(Message)); err == nil {
			t.Errorf("%v: a trailing byte", k)
		}
		empty := Message{Kind: k, Data: []byte(`["a"]`)}
		if b, err = Append(nil, &empty); err != nil {
			t.Errorf("%v: %v", k, err)
		} else if err = Parse(b, &reused); err != nil || !same(reused, only(empty)) {
			t.Errorf("%v: %s, %v", k, show(reused), err)
		}
	}
}

// TestNativeAcks: who was asked and who has answered is said, and that a client has left.
func TestNativeAcks(t *testing.T) {
	for _, m := range []Message{
		{Kind: Asked, ID: "r", Number: 2, Names: []string{"a", "b"}},
		{Kind: Acked, ID: "r", Names: []string{"a"}, Data: []byte(`["yes"]`), Attachments: [][]byte{{1}}},
		{Kind: Acked, ID: "r", Names: []string{"b"}},
	} {
		var got Message
		b, err := Append(nil, &m)
		if err == nil {
			err = Parse(b, &got)
		}
		if err != nil || !same(got, m) {
			t.Errorf("%s, %v instead of %s", show(got), err, show(m))
		}
	}
	for _, k := range []Kind{Emit, ServerEvent, Answer} {
		if _, err := Append(nil, &Message{Kind: k}); err == nil {
			t.Errorf("%v without Data", k)
		}
	}
}

// TestNativeForm: the bytes, which must stay as they are while the version does.
func TestNativeForm(t *testing.T) {
	m := Message{Kind: Emit, Node: "n", Namespace: "/", Rooms: []string{"r"}, Volatile: true, Data: []byte(`["a"]`), Attachments: [][]byte{{9}}}
	b, err := Append(nil, &m)
	if want := "\x01\x01\x01\x01n\x00\x01/\x00\x01\x01r\x00\x00\x05[\"a\"]\x01\x01\x09"; err != nil || string(b) != want {
		t.Errorf("%q, %v instead of %q", b, err, want)
	}
}

func TestNativeRefused(t *testing.T) {
	for want, m := range map[string]Message{
		"unknown kind 0":            {},
		"unknown kind 22":           {Kind: Gap + 1},
		"unknown kind 255":          {Kind: 255},
		"not valid JSON":            {Kind: Emit, Data: []byte(`["a"`)},
		"UTF-8":                     {Kind: Emit, Data: []byte("[\"\xff\"]")},
		"too deep":                  {Kind: Emit, Data: []byte(`["a",` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `]`)},
		"not an array":              {Kind: Answer, Data: []byte(`{}`)},
		"name of an event":          {Kind: ServerEvent, Data: []byte(`[1]`)},
		"kind Emit: data does not":  {Kind: Emit, Data: []byte(` [ ] `)},
		"Number: -1":                {Kind: Counted, Number: -1},
		"Timeout: -1":               {Kind: Emit, Timeout: -1, Data: []byte(`["a"]`)},
		"bytes of a text: 65537":    {Kind: Bye, Node: strings.Repeat("x", maxText+1)},
		"a socket: not valid":       {Kind: Sockets, Sockets: []Socket{{Data: []byte("x")}}},
		"kind Sockets: a socket: n": {Kind: Sockets, Sockets: []Socket{{Handshake: []byte("{]")}}},
		"attachments: 65536":        {Kind: Acked, Data: []byte(`[]`), Attachments: make([][]byte, maxAttachments+1)},
		"texts: 1048577":            {Kind: Rooms, Names: make([]string, maxListed+1)},
		"than 67108864 bytes":       {Kind: Acked, Data: []byte(`[]`), Attachments: [][]byte{make([]byte, maxMessage)}},
	} {
		b, err := Append([]byte("x"), &m)
		if err == nil || !strings.Contains(err.Error(), want) || string(b) != "x" {
			t.Errorf("%s: %v", want, err)
		}
	}
	for in, want := range map[string]string{
		"":                         "0 bytes",
		"\x01\x01":                 "2 bytes",
		"\x02\x01\x00\x00\x00\x00": "version 2; version 1 is known",
		"\x01\x00\x00\x00\x00\x00": "unknown kind 0",
		"\x01\x16\x00\x00\x00\x00": "unknown kind 22",
		"\x01\x14\x01\x00\x00\x00": "the flags 0x1",
		"\x01\x01\x80\x00\x00\x00": "the flags 0x80",
		"\x01\x14\x00\x00\x00\x00": "truncated",
		"\x01\x0d\x00\x00\x00\x00\x00\x80\xff\xff\xff\xff\xff\xff\xff\xff\x01":     "a number",
		"\x01\x0d\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": "a number",
		"\x01\x0e\x00\x00\x00\x00\x00\x02\x00":                                     "a list of 2 in 1 bytes",
		"\x01\x0e\x00\x00\x00\x00\x00\x01\x05ab":                                   "truncated",
		"\x01\x0c\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00":             "a list of 2 in 7 bytes",
		"\x01\x0f\x00\x00\x00\x00\x00\x02[1\x00":                                   "not valid JSON",
		"\x01\x0f\x00\x00\x00\x00\x00\x02{}\x00":                                   "not an array",
		"\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02[]\x00":                       "name of an event",
		"\x01\x0c\x00\x00\x00\x00\x00\x01\x00\x00\x01x\x00":                        "a socket: not valid JSON",
	} {
		if err := Parse([]byte(in), new(Message)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v instead of %s", in, err, want)
		}
	}
	if err := Parse(make([]byte, maxMessage+1), new(Message)); err == nil {
		t.Error("a large message")
	}
}

// TestNativeAlias: nothing that Parse returns can be appended to over b, and a second
// Parse leaves the texts of the first alone.
func TestNativeAlias(t *testing.T) {
	m := full
	m.Kind = Emit
	b, _ := Append(nil, &m)
	kept := bytes.Clone(b)
	var got Message
	if err := Parse(b, &got); err != nil {
		t.Fatal(err)
	}
	node, room := got.Node, got.Rooms[0]
	_ = append(got.Data, 'x')
	_ = append(got.Attachments[0], 'x')
	other := Message{Kind: Emit, Node: "other", Rooms: []string{"z"}, Data: []byte(`["b"]`)}
	c, _ := Append(nil, &other)
	if err := Parse(c, &got); err != nil || !bytes.Equal(b, kept) || node != "node1" || room != "a" {
		t.Errorf("%q %q %v", node, room, err)
	}
}

func TestKindString(t *testing.T) {
	if Emit != 1 || ServerEvent != 11 || Acked != 17 || Bye != 20 || Gap != 21 {
		t.Error("the numbers of the kinds are part of the form: a new one goes to the end, or the version changes")
	}
	if Emit.String() != "Emit" || Bye.String() != "Bye" || Gap.String() != "Gap" || Kind(0).String() != "kind 0" || Kind(200).String() != "kind 200" {
		t.Error(Emit, Bye, Gap, Kind(0), Kind(200))
	}
}

// FuzzParse: no input panics or takes much memory, and what is a message is written again
// as it was read.
func FuzzParse(f *testing.F) {
	for k := Emit; k <= Gap; k++ {
		m := full
		m.Kind = k
		b, err := Append(nil, &m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if Parse(b, &m) != nil {
			return
		}
		again, err := Append(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		var back Message
		if err := Parse(again, &back); err != nil || !same(m, back) {
			t.Fatalf("%s, %v instead of %s", show(back), err, show(m))
		}
	})
}

// TestNativeMemory: counts that lie cost no more than the bytes that stand behind them.
func TestNativeMemory(t *testing.T) {
	zeros := make([]byte, 1<<20)
	for _, head := range []string{
		"\x01\x0e\x00\x00\x00\x00\x00\xff\xff\x3f",                     // Rooms
		"\x01\x0c\x00\x00\x00\x00\x00\xff\xff\x0f",                     // Sockets
		"\x01\x0f\x00\x00\x00\x00\x00\x02[]\xff\xff\x03",               // attachments
		"\x01\x0c\x00\x00\x00\x00\x00\xff\xff\x0f\x00\xff\xff\x3f",     // rooms of a socket
		"\x01\x02\x00\x00\x00\x00\x00\xff\xff\x1f\x00\xff\xff\x3f\x00", // target
	} {
		b := append([]byte(head), zeros...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Parse(b, new(Message))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 45*uint64(len(b)) {
			t.Errorf("%q: %d bytes for %d (%v)", head, n, len(b), err)
		}
	}
}

var event = Message{Kind: Emit, Node: "node1", Namespace: "/chat", Rooms: []string{"room"}, Except: []string{"0123456789abcdefghij"},
	Data: []byte(`["hello",1,-5,300,70000,1.5,true,null,"é€",{"a":[1]},"line\nline"]`)}

func TestNativeAllocs(t *testing.T) {
	dst := make([]byte, 0, 512)
	b, err := Append(nil, &event)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { Append(dst, &event) }); n != 0 {
		t.Errorf("Append: %v allocations", n)
	}
	var m Message
	if n := testing.AllocsPerRun(100, func() { Parse(b, &m) }); n != 0 {
		t.Errorf("Parse of the same again: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { Parse(b, new(Message)) }); n > 7 {
		t.Errorf("Parse: %v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		Append(dst, &event)
	}
}

func BenchmarkParse(b *testing.B) {
	in, _ := Append(nil, &event)
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		Parse(in, &m)
	}
}

// TestNativePart: a part of an answer says how large the whole is.
func TestNativePart(t *testing.T) {
	for _, m := range []Message{
		{Kind: Sockets, ID: "r", Number: 3, Sockets: []Socket{{ID: "a"}, {ID: "b"}}},
		{Kind: Asked, ID: "r", Number: 3, Names: []string{"a", "b"}},
	} {
		var got Message
		b, err := Append(nil, &m)
		if err == nil {
			err = Parse(b, &got)
		}
		if err != nil || !same(got, m) {
			t.Errorf("%s, %v instead of %s", show(got), err, show(m))
		}
	}
	whole, err := Append(nil, &Message{Kind: Sockets, Number: 1, Sockets: []Socket{{ID: "a"}}})
	if err != nil || whole[2] != 0 {
		t.Errorf("%x, %v", whole, err)
	}
	whole[2] = flagPart
	if err := Parse(append(whole, 1), new(Message)); err == nil || !strings.Contains(err.Error(), "1 sockets are a part of 1") {
		t.Error(err)
	}
}
