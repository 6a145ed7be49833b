// Package suite has the checks for contributors to the core: RunCodec for a client
// generation, RunTransport for a transport that keeps a connection of its own, PlayOrders
// for any transport.
package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
)

// CodecUnderTest is a client generation, whose codec RunCodec verifies.
type CodecUnderTest struct {
	Dialect dialect.Dialect
	// Packets are packets as the generation's clients send them and as its server
	// does, from captures and not from the codec itself.
	Packets []CodecVector
	// Malformed are messages that must be refused.
	Malformed []string
}

// CodecVector is one packet on the wire.
type CodecVector struct {
	// Wire is the message of a duplex transport, and behind it the packet's
	// attachments.
	Wire        string
	Attachments [][]byte
	Packet      packet.Packet // as it is decoded; Args and Name are not compared
	// In and Out leave the other direction out: clients say it otherwise than servers.
	In, Out bool
}

// RunCodec verifies the codec of a client generation: that it reads and writes the
// vectors, that what it writes it reads, that payloads keep their order, that
// nothing which is malformed or cut off panics or is taken for something else, and
// that it does not write into, or keep, what it was given.
func RunCodec(t *testing.T, u CodecUnderTest) {
	t.Run("decode", u.decode)
	t.Run("encode", u.encode)
	t.Run("payload", u.payload)
	t.Run("malformed", u.malformed)
	t.Run("memory", u.memory)
}

func (v CodecVector) decodes() bool { return v.In || !v.Out }
func (v CodecVector) encodes() bool { return v.Out || !v.In }

// read decodes a message and its attachments with a decoder of its own.
func (u CodecUnderTest) read(wire string, attachments [][]byte) (*packet.Packet, error) {
	dec := u.Dialect.NewDecoder()
	units, err := u.units([]byte(wire))
	if err != nil {
		return nil, err
	}
	var p *packet.Packet
	for _, unit := range units {
		if unit.Kind != packet.MessageUnit {
			return nil, fmt.Errorf("a unit of kind %d", unit.Kind)
		}
		if p, err = dec.Text(unit.Data); err != nil {
			return nil, err
		}
	}
	for _, a := range attachments {
		if p != nil {
			return nil, errors.New("a packet before its attachments have come")
		}
		if p, err = dec.Binary(a); err != nil {
			return nil, err
		}
	}
	if p == nil {
		return nil, errors.New("no packet")
	}
	return p, nil
}

// units are those of one message of a duplex transport.
func (u CodecUnderTest) units(wire []byte) (list []packet.Unit, err error) {
	if !u.Dialect.Rules().FramePayloads {
		unit, err := u.Dialect.Decode(packet.Frame{Data: wire})
		return []packet.Unit{unit}, err
	}
	err = u.Dialect.Payloads(dialect.Request{Transport: dialect.WebSocket}).DecodePayload(wire, "", func(unit packet.Unit) bool {
		unit.Data = bytes.Clone(unit.Data)
		list = append(list, unit)
		return true
	})
	return list, err
}

func (u CodecUnderTest) decode(t *testing.T) {
	n := 0
	for _, v := range u.Packets {
		if !v.decodes() {
			continue
		}
		n++
		p, err := u.read(v.Wire, v.Attachments)
		if err != nil {
			t.Errorf("%q: %v", v.Wire, err)
			continue
		}
		if got, want := describe(p), describe(&v.Packet); got != want {
			t.Errorf("%q\n got  %s\n want %s", v.Wire, got, want)
		}
	}
	if n == 0 {
		t.Error("no vector is to be decoded")
	}
}

// describe is a packet in a form that can be compared and read.
func describe(p *packet.Packet) string {
	id := ""
	if p.HasID {
		id = fmt.Sprint(p.ID)
	}
	data := string(p.Data)
	switch p.Type {
	case packet.Event, packet.Ack: // some revisions have the name elsewhere
		list := p.Args
		if len(list) == 0 {
			_ = json.Unmarshal(p.Data, &list)
		} else if p.Type == packet.Event {
			name, _ := json.Marshal(string(p.Name))
			list = append([]json.RawMessage{name}, list...)
		}
		data = fmt.Sprintf("%s", list)
	}
	return fmt.Sprintf("%v %q query %q id %q bare %t data %s attachments %q", p.Type, p.Namespace, p.Query, id, p.Bare, data, p.Attachments)
}

func (u CodecUnderTest) encode(t *testing.T) {
	n := 0
	for _, v := range u.Packets {
		if !v.encodes() {
			continue
		}
		n++
		for _, reuse := range []bool{false, true} {
			m := u.Dialect.Encode(&v.Packet, reuse)
			if m == nil {
				t.Errorf("%s: no message", describe(&v.Packet))
				continue
			}
			if string(m.Data()) != v.Wire || len(m.Attachments()) != len(v.Attachments) {
				t.Errorf("reuse %t\n got  %q and %d attachments\n want %q and %d", reuse, m.Data(), len(m.Attachments()), v.Wire, len(v.Attachments))
			}
			if m.Size() < len(v.Wire) {
				t.Errorf("%q counts as %d bytes", v.Wire, m.Size())
			}
			m.Release()
		}
	}
	if n == 0 {
		t.Error("no vector is to be encoded")
	}
}

// payload sends all messages in one body and expects them back in their order.
func (u CodecUnderTest) payload(t *testing.T) {
	var ms []*packet.Message
	var want []string
	for _, v := range u.Packets {
		if len(v.Attachments) > 0 || !v.encodes() {
			continue
		}
		ms = append(ms, u.Dialect.Encode(&v.Packet, false))
		units, err := u.units([]byte(v.Wire))
		if err != nil {
			t.Fatalf("%q: %v", v.Wire, err)
		}
		for _, unit := range units {
			want = append(want, string(unit.Data))
		}
	}
	codec := u.Dialect.Payloads(dialect.Request{Transport: dialect.Polling, Base64: true})
	prefix := []byte("in front ")
	body, _ := codec.AppendPayload(bytes.Clone(prefix), ms)
	rest, ok := bytes.CutPrefix(body, prefix)
	if !ok {
		t.Fatalf("AppendPayload has not appended: %q", body)
	}
	rest, err := codec.Unwrap(rest)
	if err != nil {
		t.Fatalf("%q: %v", rest, err)
	}
	var got []string
	stopped := 0
	err = codec.DecodePayload(rest, "text/plain; charset=UTF-8", func(unit packet.Unit) bool {
		got = append(got, string(unit.Data))
		return true
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %v\n got  %q\n want %q", rest, err, got, want)
	}
	_ = codec.DecodePayload(rest, "text/plain; charset=UTF-8", func(packet.Unit) bool { stopped++; return false })
	if stopped != 1 {
		t.Errorf("DecodePayload goes on though yield has returned false: %d units", stopped)
	}
}

// malformed reads what is wrong, and every vector cut off at each byte and with
// each byte changed: an error is as good as a packet, a panic is not.
func (u CodecUnderTest) malformed(t *testing.T) {
	for _, wire := range u.Malformed {
		if p, err := u.read(wire, nil); err == nil {
			t.Errorf("%.80q is taken for %s", wire, describe(p))
		} else if strings.Contains(err.Error(), wire) && len(wire) > 100 {
			t.Errorf("the error repeats the whole message: %.80s", err)
		}
	}
	for _, v := range u.Packets {
		for i := range len(v.Wire) {
			_, _ = u.read(v.Wire[:i], nil)
			for _, c := range []byte{0, '"', '[', ',', '9', 0xff} {
				_, _ = u.read(v.Wire[:i]+string(c)+v.Wire[i+1:], nil)
			}
		}
	}
	dec := u.Dialect.NewDecoder()
	if p, err := dec.Binary([]byte("unasked")); err == nil {
		t.Errorf("an attachment that nobody has announced is taken for %v", p)
	}
}

// memory: what was given stays as it was, and what was decoded can be kept after Clone.
func (u CodecUnderTest) memory(t *testing.T) {
	for _, v := range u.Packets {
		if v.decodes() && len(v.Attachments) == 0 {
			dec := u.Dialect.NewDecoder()
			wire := []byte(v.Wire)
			units, err := u.units(wire)
			if err != nil {
				t.Fatal(err)
			}
			if string(wire) != v.Wire {
				t.Errorf("reading %q has changed it to %q", v.Wire, wire)
			}
			p, err := dec.Text(units[0].Data)
			if err != nil || p == nil {
				t.Fatalf("%q: %v", v.Wire, err)
			}
			kept := p.Clone()
			before := describe(kept)
			for i := range wire { // the buffer serves the next read
				wire[i] = 'x'
			}
			for i := range units[0].Data {
				units[0].Data[i] = 'x'
			}
			if describe(kept) != before {
				t.Errorf("%q: a clone has changed with the buffer: %s", v.Wire, describe(kept))
			}
		}
		if v.encodes() {
			p := v.Packet.Clone()
			m := u.Dialect.Encode(p, false)
			data := string(m.Data())
			for i := range p.Data {
				p.Data[i] = 'x'
			}
			if string(m.Data()) != data {
				t.Errorf("%q: the message changes with the packet", v.Wire)
			}
		}
	}
}
