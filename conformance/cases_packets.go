package conformance

import (
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/sio"
)

// The tables of Socket.IO packets: each row is a case of its own.

// packetsAcceptedRow is a packet and its answer; "" means none.
type packetsAcceptedRow struct{ id, in, want string }

var packetsAcceptedRows = []packetsAcceptedRow{
	{"event", `42["echo","a"]`, `42["echo","a"]`},
	{"ack id 0", `420["echo","a"]`, `430["a"]`},
	{"number as a name", `42[1,2]`, ""},
	{"default namespace named", `42/,["echo",1]`, `42["echo",1]`},
	{"no payload", `42`, ""},
	{"error as a name", `42["error"]`, ""},
	{"connection as a name", `42["connection"]`, ""},
	{"new_namespace as a name", `42["new_namespace"]`, ""},
	{"ack of nothing", `43`, ""},
	{"ack without id", `43["a"]`, ""},
	{"unknown ack", `4399["x"]`, ""},
	{"leading zeros", `42007["echo",1]`, `437[1]`},
	{"largest id", `429007199254740991["echo",1]`, `439007199254740991[1]`},
	{"space before the payload", `42 ["echo",1]`, `42["echo",1]`}, // Node reads it as id 0
	{"placeholder in a plain event", `42["echo",{"_placeholder":true,"num":0}]`, `42["echo",{"_placeholder":true,"num":0}]`},
	{"escapes", `42["echo","\u00e9\n\"\ud83d\ude00"]`, `42["echo","\u00e9\n\"\ud83d\ude00"]`},
	{"escaped name", `42["e\u0063ho",1]`, `42["echo",1]`},
	{"lone surrogate", `42["echo","\ud800"]`, `42["echo","\ud800"]`},
	{"NUL", `42["echo","\u0000"]`, `42["echo","\u0000"]`},
	{"U+2028", "42[\"echo\",\"\u2028\"]", "42[\"echo\",\"\u2028\"]"},
	{"own key __proto__", `42["echo",{"__proto__":1}]`, `42["echo",{"__proto__":1}]`},
	{"large number", `42["echo",123456789012345678901234567890]`, `42["echo",123456789012345678901234567890]`},
}

func packetsAcceptedCases() (cases []testCase) {
	for _, row := range packetsAcceptedRows {
		cases = append(cases, testCase{
			name: caseName("packets/accepted", row.id),
			rule: "a form that the reference accepts is accepted, and the next packet handled",
			spec: "docs/protocol.md 5.1",
			run:  func(c *env) { packetsAccepted(c, row) },
		})
	}
	return cases
}

func packetsAccepted(c *env, row packetsAcceptedRow) {
	w := c.Join("")
	w.Send(row.in)
	if row.want != "" {
		c.Want("answer", w.Next(), row.want)
	}
	w.Send(`42["echo","end"]`)
	c.Want("then", w.Next(), `42["echo","end"]`)
}

// packetsRefusedRow is a packet that ends the connection.
type packetsRefusedRow struct {
	id     string
	in     []string // "b" and text: a binary message
	reason sio.Reason
}

var packetsRefusedRows = []packetsRefusedRow{
	{"S01 empty", []string{"4"}, sio.MalformedPacket},
	{"S01 type 7", []string{"47"}, sio.MalformedPacket},
	{"S01 type 9", []string{`49["a"]`}, sio.MalformedPacket},
	{"S01 letter", []string{"4abc"}, sio.MalformedPacket},
	{"S02 empty array", []string{`42[]`}, sio.MalformedPacket},
	{"S02 object", []string{`42{"a":1}`}, sio.MalformedPacket},
	{"S02 null name", []string{`42[null]`}, sio.MalformedPacket},
	{"S02 boolean name", []string{`42[true]`}, sio.MalformedPacket},
	{"S03 object name", []string{`42[{"toString":"foo"}]`}, sio.MalformedPacket},
	{"S04 connect", []string{`42["connect"]`}, sio.MalformedPacket},
	{"S04 connect_error", []string{`42["connect_error"]`}, sio.MalformedPacket},
	{"S04 disconnect", []string{`42["disconnect"]`}, sio.MalformedPacket},
	{"S04 disconnecting", []string{`42["disconnecting"]`}, sio.MalformedPacket},
	{"S04 newListener", []string{`42["newListener"]`}, sio.MalformedPacket},
	{"S04 removeListener", []string{`42["removeListener"]`}, sio.MalformedPacket},
	{"S04 escaped", []string{`42["dis\u0063onnect"]`}, sio.MalformedPacket},
	{"S06 long name", []string{`42["` + strings.Repeat("n", 300) + `"]`}, sio.MalformedPacket},
	{"S08 truncated", []string{`42["a"`}, sio.MalformedPacket},
	{"S08 trailing", []string{`42["echo",1]xyz`}, sio.MalformedPacket},
	{"S08 two arrays", []string{`42["echo"]["x"]`}, sio.MalformedPacket},
	{"S09 depth", []string{`42["echo",` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `]`}, sio.MalformedPacket},
	{"S12 number", []string{`42["echo",01]`}, sio.MalformedPacket},
	{"S13 id fraction", []string{`421.5["echo",1]`}, sio.MalformedPacket},
	{"S13 id negative", []string{`42-1["echo",1]`}, sio.MalformedPacket},
	{"S13 id letters", []string{`42abc["echo",1]`}, sio.MalformedPacket},
	{"(g) S13 id beyond 2^53", []string{`4299999999999999999999["echo",1]`}, sio.MalformedPacket},
	{"S15 ack object", []string{`431{}`}, sio.MalformedPacket},
	{"S19 connect twice", []string{"40"}, sio.ProtocolViolation},
	{"S22 auth array", []string{"40/chat,[1]"}, sio.MalformedPacket},
	{"S22 auth string", []string{`40/chat,"x"`}, sio.MalformedPacket},
	{"S22 auth null", []string{"40/chat,null"}, sio.MalformedPacket},
	{"S22 auth size", []string{`40/chat,{"a":"` + strings.Repeat("x", 20_000) + `"}`}, sio.MalformedPacket},
	{"S23 event elsewhere", []string{`42/chat,["echo",1]`}, sio.ProtocolViolation},
	{"S23 disconnect elsewhere", []string{"41/chat,"}, sio.ProtocolViolation},
	{"S23 ack elsewhere", []string{"43/chat,0[]"}, sio.ProtocolViolation},
	{"S24 connect error", []string{`44{"message":"x"}`}, sio.ProtocolViolation},
	{"S25 disconnect with payload", []string{"41{}"}, sio.MalformedPacket},
	{"S33 long namespace", []string{"40/" + strings.Repeat("x", 300) + ","}, sio.MalformedPacket},
	{"B01 none", []string{`45-["echo"]`}, sio.MalformedPacket},
	{"B01 no dash", []string{`451["echo",1]`}, sio.MalformedPacket},
	{"B01 double dash", []string{`45-1-["echo"]`}, sio.MalformedPacket},
	{"B01 fraction", []string{`451.5-["echo"]`}, sio.MalformedPacket},
	{"B02 huge", []string{`45999999999-["echo"]`}, sio.MalformedPacket},
	{"B03 eleven", []string{`4511-["echo"]`}, sio.MalformedPacket},
	{"B03 eleven that are named", []string{`4511-["echo"` + elevenPlaceholders() + `]`}, sio.MalformedPacket},
	{"B05 stranger", []string{`451-/chat,["echo",` + placeholder + `]`}, sio.ProtocolViolation},
	{"B06 text while due", []string{`451-["echo",` + placeholder + `]`, `42["echo",1]`}, sio.MalformedPacket},
	{"B07 unasked", []string{"b1234"}, sio.MalformedPacket},
	{"B07 unasked, base64 in a text frame", []string{"text bAQIDBA=="}, sio.MalformedPacket},
	{"B08 num out of range", []string{`451-["echo",{"_placeholder":true,"num":5}]`}, sio.MalformedPacket},
	{"B08 num text", []string{`451-["echo",{"_placeholder":true,"num":"0"}]`}, sio.MalformedPacket},
	{"(g) B08 num fraction", []string{`451-["echo",{"_placeholder":true,"num":0.5}]`}, sio.MalformedPacket},
	{"(g) B09 num twice", []string{`452-["echo",` + placeholder + `,` + placeholder + `]`}, sio.MalformedPacket},
	{"B09 unused", []string{`451-["echo",1]`}, sio.MalformedPacket},
	{"B14 zero", []string{`450-["echo"]`}, sio.MalformedPacket},
}

func packetsRefusedCases() (cases []testCase) {
	for _, row := range packetsRefusedRows {
		cases = append(cases, testCase{
			name: caseName("packets/refused", row.id),
			rule: "a form that is refused ends the connection with its reason, and nobody else notices",
			spec: "Socket.IO 5: Packet encoding; docs/protocol.md 5.2",
			run:  func(c *env) { packetsRefused(c, row) },
		})
	}
	return cases
}

func packetsRefused(c *env, row packetsRefusedRow) {
	w := c.Join("")
	for _, in := range row.in {
		if text, ok := strings.CutPrefix(in, "text "); ok {
			w.Send(text)
		} else if strings.HasPrefix(in, "b") {
			w.SendBinary([]byte(in[1:]))
		} else {
			w.Send(in)
		}
	}
	c.Closed(w, 1002, 1008)
	c.reason(row.reason)
	c.Alive()
}

// elevenPlaceholders is one more than a packet may have, each behind a comma.
func elevenPlaceholders() string {
	var b strings.Builder
	for i := range 11 {
		fmt.Fprintf(&b, `,{"_placeholder":true,"num":%d}`, i)
	}
	return b.String()
}
