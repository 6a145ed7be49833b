package nodewire

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
)

// fuzzWrite holds the writer of a wire against the strict reader: whatever a message holds,
// an error comes, or what Node takes, and that is read and written again as it was.
func fuzzWrite(f *testing.F, w wire) {
	for k := cluster.Emit; k <= cluster.Bye; k++ {
		f.Add(uint8(k), uint8(0), "node1", "r1", "/chat", "room", full.Data, []byte{1, 2}, 800)
		f.Add(uint8(k), uint8(0), "n", "r", "/", "a", []byte(`null`), []byte(nil), 0)
		f.Add(uint8(k), uint8(15), "", "", "/", "\xff", []byte(`["e",{"__proto__":{"a":1}},"\ud800",1e999,1.0,{"type":"Buffer","data":[1]}]`), []byte(nil), 0)
		f.Add(uint8(k), uint8(1), "n", "r", "/", "a", []byte(`["e",{"__proto__":{"_placeholder":true,"num":0}},{"num":1,"_placeholder":true}]`), []byte("x"), -1)
		f.Add(uint8(k), uint8(17), "n", "r", "/", "a", []byte(`["e",{"a":{"_placeholder":true,"num":0}},{"num":1,"_placeholder":true}]`), []byte("x"), 1)
	}
	f.Fuzz(func(t *testing.T, kind, bits uint8, node, id, nsp, room string, data, part []byte, number int) {
		m := message{Kind: cluster.Kind(kind), Node: node, To: id, Namespace: nsp, ID: id, Data: data, Number: number,
			Volatile: bits&2 != 0, Single: bits&4 != 0, OnlyIDs: bits&8 != 0, Timeout: time.Duration(number) * time.Microsecond}
		for range min(bytes.Count(data, []byte("_placeholder")), 3) * int(bits&1) {
			m.Attachments = append(m.Attachments, part)
		}
		if room != "" {
			m.Rooms, m.Names = []string{room}, []string{room, id}
			m.Sockets = []cluster.Socket{{ID: room, Rooms: m.Rooms, Data: data}, {ID: "s", Handshake: data}}
		}
		if bits&16 != 0 {
			m.Except = []string{id, room}
		}
		b, c, err := w.write([]byte("x"), &m)
		if err != nil {
			if string(b) != "x" || !errors.Is(err, ErrNotOnWire) && !errors.Is(err, errMalformed) {
				t.Fatalf("%q, %v", b, err)
			}
			return
		}
		if w.name == "stream" && strings.Contains(node+nsp, "\x00") {
			return // what stands between the fields here
		}
		if err := w.node(b[1:], c); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var back message
		if err := w.read(b[1:], c, &back); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		again, _, err := w.write([]byte("x"), &back)
		if err != nil || !bytes.Equal(again, b) && !reshaped(data) && len(back.Attachments) == len(m.Attachments) {
			t.Fatalf("%q, %v\ninstead of\n%q", again, err, b)
		}
	})
}

// reshaped reports whether JSON holds what is written and read again as something else with
// the same meaning: the JSON of a Buffer, or a number with an exponent or of many digits. That is an
// integer afterwards, or an infinity, for which JSON has null.
func reshaped(data []byte) bool {
	return bytes.Contains(data, []byte(`Buffer`)) || bytes.Contains(data, []byte(`\u`)) || large.Match(data)
}

// large matches at least the numbers of 2^53 and more.
var large = regexp.MustCompile(`[0-9][eE][-+0-9]|[0-9]{16}`)

func FuzzAppendClassic(f *testing.F) { fuzzWrite(f, wires[0]) }
func FuzzAppendSharded(f *testing.F) { fuzzWrite(f, wires[1]) }
func FuzzAppendStreams(f *testing.F) { fuzzWrite(f, wires[2]) }
func FuzzAppendEntry(f *testing.F)   { fuzzWrite(f, wires[3]) }

// fuzzRead: whatever comes, the reader ends with an error, or with a message that can be
// written, and that is read again as the same.
func fuzzRead(f *testing.F, w wire, seeds [][]byte) {
	for _, s := range seeds {
		for use := range uint8(3) {
			f.Add(s, use)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, use uint8) {
		c := Channel{Use: Use(use % 3), Namespace: "/", Node: "n"}
		var m message
		kept := bytes.Clone(b)
		err := w.read(b, c, &m)
		if !bytes.Equal(b, kept) {
			t.Fatal("the input was written to")
		}
		if err != nil {
			return
		}
		if len(m.Data) > 0 && (!jsontext.Valid(m.Data, 0) || !utf8.Valid(m.Data) || bytes.TrimSpace(m.Data)[0] != '[') {
			t.Fatalf("%q", m.Data)
		}
		out, c, err := w.write(nil, &m)
		if err != nil {
			if !errors.Is(err, ErrNotOnWire) && !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		if err := w.node(out, c); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
	})
}

func FuzzParseClassic(f *testing.F) {
	var seeds [][]byte
	for _, v := range classicVectors {
		seeds = append(seeds, []byte(v.bytes))
	}
	for _, k := range killers {
		seeds = append(seeds, []byte(k.text))
	}
	fuzzRead(f, wires[0], seeds)
}

func FuzzParseAdapter(f *testing.F) {
	var seeds [][]byte
	for _, v := range append(shardedVectors, streamsVectors...) {
		seeds = append(seeds, []byte(v.bytes))
	}
	for _, k := range adapterKillers {
		seeds = append(seeds, []byte(k))
	}
	fuzzRead(f, wires[1], seeds)
}

func FuzzParseEntry(f *testing.F) {
	var seeds [][]byte
	for _, v := range entryVectors {
		seeds = append(seeds, bytes.Join([][]byte{[]byte(v.e.Node), []byte(v.e.Namespace), []byte(v.e.Type), v.e.Data}, []byte{0}))
	}
	fuzzRead(f, wires[3], seeds)
}

var event = message{Kind: cluster.Emit, Node: "node1", Namespace: "/chat", Rooms: []string{"room"}, Except: []string{"0123456789abcdefghij"},
	Data: data(`["hello",1,-5,300,70000,1.5,true,null,"é€",{"a":[1]},"line\nline"]`)}

// TestAllocs: writing an event costs nothing but the buffer, reading one a handful of
// allocations, however many arguments there are.
func TestAllocs(t *testing.T) {
	binary := event
	binary.Data, binary.Attachments = data(`["hello",{"_placeholder":true,"num":0}]`), [][]byte{{1, 2}}
	many := event
	many.Data = append(append(data(`["hello"`), bytes.Repeat([]byte(`,1,"x",{"a":[null]}`), 300)...), ']')
	for _, w := range wires[:2] {
		for name, m := range map[string]*message{"event": &event, "binary": &binary, "many": &many} {
			dst := make([]byte, 0, 1<<14)
			b, c, err := w.write(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() { w.write(dst, m) }); n != 0 {
				t.Errorf("%s, %s: writing: %v allocations", w.name, name, n)
			}
			var into message
			if n := testing.AllocsPerRun(100, func() { w.read(b, c, &into) }); n > 4 {
				t.Errorf("%s, %s: reading into a used message: %v allocations", w.name, name, n)
			}
			if n := testing.AllocsPerRun(100, func() { w.read(b, c, new(message)) }); n > 10 {
				t.Errorf("%s, %s: reading: %v allocations", w.name, name, n)
			}
		}
	}
	dst := make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { event2 := AdapterChannel(&event, Dynamic); event2.AppendAdapter(dst, "socket.io") }); n != 0 {
		t.Errorf("the channel: %v allocations", n)
	}
}

func benchmark(b *testing.B, write bool, w wire) {
	in, c, err := w.write(nil, &event)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 1024)
	var m message
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if write {
			w.write(dst, &event)
		} else {
			w.read(in, c, &m)
		}
	}
}

func BenchmarkAppendClassic(b *testing.B) { benchmark(b, true, wires[0]) }
func BenchmarkParseClassic(b *testing.B)  { benchmark(b, false, wires[0]) }
func BenchmarkAppendSharded(b *testing.B) { benchmark(b, true, wires[1]) }
func BenchmarkParseSharded(b *testing.B)  { benchmark(b, false, wires[1]) }

func BenchmarkAppendEntry(b *testing.B) {
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendEntry(dst, &event); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEntry(b *testing.B) {
	e, err := AppendEntry(nil, &event)
	if err != nil {
		b.Fatal(err)
	}
	var m message
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseEntry(&e, &m); err != nil {
			b.Fatal(err)
		}
	}
}
