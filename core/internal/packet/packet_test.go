package packet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// TestClone: a copy shares no memory with the decoder that made the packet, not
// even room behind an empty list: what is appended to one would appear in the other.
func TestClone(t *testing.T) {
	p := Packet{Args: make([]json.RawMessage, 0, 4), Name: []byte("n"), Data: json.RawMessage("[]")}
	c := p.Clone()
	c.Args = append(c.Args, json.RawMessage("1"))
	if got := p.Args[:1][0]; got != nil {
		t.Errorf("the copy's argument %s is in the original", got)
	}
	p.Args = append(p.Args, json.RawMessage("2"))
	d := p.Clone()
	p.Args[0], p.Name[0] = json.RawMessage("3"), 'x'
	if string(d.Args[0]) != "2" || string(d.Name) != "n" || cap(d.Args) != 1 {
		t.Errorf("%s %s", d.Args, d.Name)
	}
}

// TestCloneSize: a clone costs what its original was said to cost, and holds one
// copy of the data.
func TestCloneSize(t *testing.T) {
	data := json.RawMessage(`["name",{"a":1},"two"]`)
	args, err := jsontext.Split(data, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Packet{
		{Type: Event, Data: data, Name: args[0][1:5], Args: args[1:], Attachments: [][]byte{{1, 2}}},
		{Type: Connect, Data: json.RawMessage(`{"token":"x"}`)},
		{},
	} {
		c := p.Clone()
		if c.Size() != p.Size() || p.Size() == 0 {
			t.Errorf("%d bytes, its clone %d", p.Size(), c.Size())
		}
		if len(c.Args) > 0 && c.Data != nil {
			t.Errorf("the clone holds %s beside %s", c.Data, c.Args)
		}
		if p.Type == Connect && string(c.Data) != string(p.Data) {
			t.Errorf("data %s", c.Data)
		}
	}
}

// TestCloneIsText: a clone of many arguments costs what their text does, and has them
// again when it is handled.
func TestCloneIsText(t *testing.T) {
	text := `["name"` + strings.Repeat(`, 1,[2 ],"x"`, 5000) + `]`
	for _, kind := range []Type{Event, Ack} {
		data := []byte(text)
		args, err := jsontext.Split(data, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := &Packet{Type: kind, Namespace: "/x", ID: 7, HasID: true, Data: data, Args: args, Attachments: [][]byte{{1, 2}}}
		if kind == Event {
			p.Name, p.Args = args[0][1:5], args[1:]
		}
		want, name := fmt.Sprintf("%s", p.Args), string(p.Name)
		size := p.Size()
		first := p.Clone()
		clear(data)
		clear(args)
		for what, c := range map[string]*Packet{"clone": first, "clone of the clone": first.Clone()} {
			if kept := len(c.Name) + cap(c.Data) + partBytes*cap(c.Args); kept > len(text) {
				t.Errorf("%s of %v: %d bytes are kept of %d", what, kind, kept, len(text))
			}
			if c.Size() != size || size > packetBytes+len(text)+partBytes+2 {
				t.Errorf("%s of %v: counts as %d bytes, the original as %d, of %d", what, kind, c.Size(), size, len(text))
			}
			c.Restore()
			for range 2 {
				if got := fmt.Sprintf("%s", c.Args); got != want || string(c.Name) != name || c.Data != nil || c.Size() != size {
					t.Fatalf("%s of %v: %q %.80s, %d bytes", what, kind, c.Name, got, c.Size())
				}
				c.Restore() // nothing is left to do
			}
			if cap(c.Args) != len(c.Args) || cap(c.Name) != len(c.Name) || cap(c.Args[0]) != len(c.Args[0]) {
				t.Errorf("%s of %v: there is room for what is appended", what, kind)
			}
			if c.Namespace != "/x" || c.ID != 7 || !c.HasID || fmt.Sprint(c.Attachments) != "[[1 2]]" {
				t.Errorf("%s of %v: %+v", what, kind, c)
			}
		}
	}
}

// TestRestoreOfLess: a clone whose text is not what Clone has written costs arguments
// and nothing else.
func TestRestoreOfLess(t *testing.T) {
	p := &Packet{Data: []byte("[1"), packed: 100}
	if p.Restore(); len(p.Args) != 1 {
		t.Errorf("%s", p.Args)
	}
}

// TestForget: a small list is kept empty, a large one is not kept.
func TestForget(t *testing.T) {
	for n, kept := range map[int]bool{3: true, MaxKept + 1: false} {
		p := Packet{Type: Event, Args: make([]json.RawMessage, n)}
		for i := range p.Args {
			p.Args[i] = json.RawMessage("1")
		}
		all := p.Args
		p.Forget()
		if (cap(p.Args) > 0) != kept || len(p.Args) != 0 {
			t.Errorf("%d arguments: room for %d is kept", n, cap(p.Args))
		}
		if kept && all[0] != nil {
			t.Error("the list holds an argument")
		}
	}
}

// TestBuffers: a message that is used again has no buffer that is much larger than what it counts
// in a queue, however large the one before was.
func TestBuffers(t *testing.T) {
	for range 3 {
		for _, size := range []int{10, 70_000, 60_000, 4000, 4096 - Headroom, 4097, 9000, 16 << 10, 40_000, 64<<10 - Headroom} {
			for range 4 { // a pool may have dropped one
				m := NewMessage(size, true, func(b []byte) []byte { return append(b, make([]byte, size)...) })
				if len(m.Data()) != size || m.Size() < size {
					t.Fatalf("%d bytes: %d, and %d count", size, len(m.Data()), m.Size())
				}
				if c := cap(m.buf); c > 2*(Headroom+size) && c > smallBuffer {
					t.Errorf("%d bytes have a buffer of %d", size, c)
				}
				m.Release()
			}
		}
	}
	m := NewMessage(10, true, func(b []byte) []byte { return append(b, make([]byte, 5000)...) })
	m.Release()
	if m = NewMessage(10, true, func(b []byte) []byte { return b }); cap(m.buf) > smallBuffer {
		t.Errorf("10 bytes have a buffer of %d", cap(m.buf))
	}
}
