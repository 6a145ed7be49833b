package packet

import (
	"encoding/json"
	"testing"
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
	args := []json.RawMessage{data[1:7], data[8:15], data[16:21]}
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
