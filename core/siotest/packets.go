package siotest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/internal/codec/socketio"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/sio"
)

// The generations, by the names of sio.Options.Dialects.
const (
	eio4 = "eio4"
	eio3 = "eio3"
	sio1 = "sio1"
)

var dialects = []string{eio4, eio3, sio1}

// limits are those of a client: none.
var limits packet.Limits

// newDecoder returns the decoder of what a server sends. The codecs are those of the
// server, which reads and writes the same packets.
func newDecoder(dialect string) packet.Decoder {
	if dialect == sio1 {
		return socketio.NewRev1Decoder(&limits)
	}
	return socketio.NewRev5Decoder(&limits) // what servers send looks so in revision 4, too
}

// encodePacket returns the text of a packet as it travels on a websocket.
func encodePacket(dialect string, p *packet.Packet) []byte {
	switch dialect {
	case sio1:
		return socketio.AppendRev1(nil, p)
	case eio3:
		return socketio.AppendRev4([]byte{'4'}, p)
	}
	return socketio.AppendRev5([]byte{'4'}, p)
}

// text takes in a text message.
func (c *conn) text(data []byte) {
	if c.isFrozen() || len(data) == 0 {
		return
	}
	if c.dialect == sio1 {
		c.text1(data)
		return
	}
	switch data[0] {
	case '0':
		c.opened(data[1:])
	case '2':
		c.say("3" + string(data[1:]))
	case '4':
		c.packet(c.decoder.Text(data[1:]))
	}
}

// text1 is text for a client of 0.9. Its server's decoder knows no error packets: clients
// send none.
func (c *conn) text1(data []byte) {
	switch data[0] {
	case '2':
		c.say("2::")
	case '7':
		c.error1(string(data))
	case '8':
	default:
		c.packet(c.decoder.Text(data))
	}
}

// reasons1 are the texts of the reasons of an error packet in 0.9.
var reasons1 = map[string]string{"0": "transport not supported", "1": "client not handshaken", "2": "unauthorized"}

// error1 takes in an error packet of 0.9: 7::endpoint:reason+advice.
func (c *conn) error1(text string) {
	parts := strings.SplitN(text, ":", 4)
	if len(parts) < 3 {
		return
	}
	namespace, reason := parts[2], ""
	if namespace == "" {
		namespace = "/"
	}
	if len(parts) == 4 {
		reason, _, _ = strings.Cut(parts[3], "+")
	}
	message := reasons1[reason]
	if message == "" {
		message = reason
	}
	c.change(func() {
		cl := c.clients[namespace]
		if cl == nil {
			return
		}
		cl.refused = &Refusal{Message: message}
		cl.end("refused: " + message) // it may take itself for connected
	})
}

// binary takes in a binary message.
func (c *conn) binary(data []byte) {
	if c.isFrozen() {
		return
	}
	if c.dialect == eio3 {
		if len(data) == 0 || data[0] != 4 {
			c.malformed(packet.Malformed("binary that is no message"))
			return
		}
		data = data[1:]
	}
	c.packet(c.decoder.Binary(data))
}

func (c *conn) isFrozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}

// malformed ends the connection, as clients do.
func (c *conn) malformed(err error) {
	c.note("! what the server sends cannot be read: %v", err)
	c.over("parse error")
	_ = c.nc.Close()
}

// opened takes in the open packet. A client of Engine.IO 3 sends the heartbeats.
func (c *conn) opened(data []byte) {
	var o struct {
		SID          string
		PingInterval int64 // ms
	}
	if err := json.Unmarshal(data, &o); err != nil {
		c.malformed(err)
		return
	}
	c.change(func() {
		c.sid = o.SID
		if c.dialect == eio3 && o.PingInterval > 0 && c.ended == "" {
			every := time.Duration(o.PingInterval) * time.Millisecond
			c.beat = time.AfterFunc(every, func() { c.ping(every) })
		}
	})
}

// ping sends a heartbeat, and sets the time of the next.
func (c *conn) ping(every time.Duration) {
	c.mu.Lock()
	quiet := c.frozen || c.ended != ""
	if !quiet {
		c.beat.Reset(every)
	}
	c.mu.Unlock()
	if !quiet {
		c.say("2")
	}
}

// packet takes in a packet. It points into what was read, and all that is kept is copied.
func (c *conn) packet(p *packet.Packet, err error) {
	if err != nil {
		c.malformed(err)
		return
	}
	if p == nil { // attachments follow
		return
	}
	args, err := arguments(p)
	if err != nil {
		c.malformed(fmt.Errorf("the arguments of a packet: %w", err))
		return
	}
	last := false // the official clients close a connection that has no socket any more
	c.change(func() {
		cl := c.clients[p.Namespace]
		if cl == nil {
			return
		}
		switch p.Type {
		case packet.Connect:
			cl.joined, cl.id = true, c.idOf(p)
		case packet.ConnectError:
			if cl.joined { // how the server says to 1.x and 2.x that an event has failed
				cl.receive(&Event{Name: "error", Args: args, client: cl})
				return
			}
			cl.refused = refused(p.Data)
			if c.dialect == eio4 { // 1.x and 2.x stay
				cl.end("refused: " + cl.refused.Message)
				last = c.deserted()
			}
		case packet.Disconnect:
			cl.end("io server disconnect")
			last = c.dialect != sio1 && c.deserted()
			if c.dialect == sio1 && p.Namespace == "/" {
				for _, other := range c.clients {
					other.end("io server disconnect")
				}
			}
		case packet.Ack:
			if a := cl.asked[p.ID]; a != nil && p.HasID {
				delete(cl.asked, p.ID)
				a.args, a.come = args, true
			}
		case packet.Event, packet.Text, packet.JSON:
			cl.receive(&Event{Name: string(p.Name), Args: args, client: cl, id: p.ID, asks: p.HasID})
		}
	})
	if last {
		c.leave("io server disconnect")
	}
}

// arguments are those of an event or ack; of an error packet, what it says.
func arguments(p *packet.Packet) (sio.Args, error) {
	switch p.Type {
	case packet.Connect, packet.Disconnect:
		return sio.Args{}, nil
	case packet.ConnectError:
		if len(p.Data) == 0 {
			return sio.Args{}, nil
		}
		return join(list([]json.RawMessage{p.Data}), nil)
	}
	return join(list(p.Args), p.Attachments)
}

// idOf is what a client takes for its id in a namespace. c.mu is held.
func (c *conn) idOf(p *packet.Packet) string {
	var o struct{ SID string }
	switch {
	case c.dialect == eio4:
		_ = json.Unmarshal(p.Data, &o) // without it there is none
		return o.SID
	case c.dialect == eio3 && p.Namespace != "/":
		return p.Namespace + "#" + c.sid
	}
	return c.sid
}

// refused is the refusal of a namespace. In revision 4 it is the data, or a text.
func refused(data []byte) *Refusal {
	r := new(Refusal)
	var e struct {
		Message *string
		Data    json.RawMessage
	}
	switch {
	case json.Unmarshal(data, &r.Message) == nil:
	case json.Unmarshal(data, &e) == nil && e.Message != nil:
		r.Message, r.Data = *e.Message, e.Data
	default:
		r.Data = append(json.RawMessage(nil), data...)
	}
	return r
}
