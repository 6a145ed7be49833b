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
