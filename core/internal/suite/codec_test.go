package suite_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/suite"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// newer are packets that revisions 4 and 5 write alike.
func newer() []suite.CodecVector {
	return []suite.CodecVector{
		{Wire: `42["say","x",1]`, Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: json.RawMessage(`["say","x",1]`)}},
		{Wire: `42/chat,7["say",{"a":"b"}]`, Packet: packet.Packet{Type: packet.Event, Namespace: "/chat", ID: 7, HasID: true, Data: json.RawMessage(`["say",{"a":"b"}]`)}},
		{Wire: `430["x"]`, Packet: packet.Packet{Type: packet.Ack, Namespace: "/", HasID: true, Data: json.RawMessage(`["x"]`)}},
		{Wire: `41/chat,`, Packet: packet.Packet{Type: packet.Disconnect, Namespace: "/chat"}},
		{Wire: `451-["say",{"_placeholder":true,"num":0}]`, Attachments: [][]byte{{1, 2, 3}},
			Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: json.RawMessage(`["say",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}}}},
	}
}

var malformed = []string{"", "4", "49", `42["x"`, `42[]`, `42{"a":1}`, `42["x"]y`, `42["connect"]`, "4299999999999999999999[\"x\"]", `451-["x"]`, "x", "42" + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)}

func TestRunCodec(t *testing.T) {
	t.Run("eio4", func(t *testing.T) {
		suite.RunCodec(t, suite.CodecUnderTest{Dialect: eio4.New(packet.DefaultLimits), Malformed: append(malformed, "40/chat,[1]"), Packets: append(newer(),
			suite.CodecVector{Wire: `40/chat,{"token":"x"}`, In: true, Packet: packet.Packet{Type: packet.Connect, Namespace: "/chat", Data: json.RawMessage(`{"token":"x"}`)}},
			suite.CodecVector{Wire: `40{"sid":"x"}`, Out: true, Packet: packet.Packet{Type: packet.Connect, Namespace: "/", Data: json.RawMessage(`{"sid":"x"}`)}},
			suite.CodecVector{Wire: `44/chat,{"message":"no"}`, Out: true, Packet: packet.Packet{Type: packet.ConnectError, Namespace: "/chat", Data: json.RawMessage(`{"message":"no"}`)}})})
	})
	t.Run("eio3", func(t *testing.T) {
		suite.RunCodec(t, suite.CodecUnderTest{Dialect: eio3.New(packet.DefaultLimits, eio3.RepairNever), Malformed: malformed, Packets: append(newer(),
			suite.CodecVector{Wire: `40/chat?a=b`, In: true, Packet: packet.Packet{Type: packet.Connect, Namespace: "/chat", Query: "a=b", Data: json.RawMessage(`{"a":"b"}`)}},
			suite.CodecVector{Wire: `40/chat,`, Out: true, Packet: packet.Packet{Type: packet.Connect, Namespace: "/chat"}})})
	})
	t.Run("sio1", func(t *testing.T) {
		suite.RunCodec(t, suite.CodecUnderTest{Dialect: sio1.New(packet.DefaultLimits), Malformed: []string{"", "9:::", "5:::", `5:::{"name":1}`, "5:x::{}", ":::", `5:::{"args":[]}`, "4:::{"},
			Packets: []suite.CodecVector{
				{Wire: `5:::{"name":"say","args":["x",1]}`, Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: json.RawMessage(`["say","x",1]`)}},
				{Wire: `5:7+:/chat:{"name":"say","args":["x"]}`, Packet: packet.Packet{Type: packet.Event, Namespace: "/chat", ID: 7, HasID: true, Data: json.RawMessage(`["say","x"]`)}},
				{Wire: `5:7:/chat:{"name":"say","args":["x"]}`, In: true, Packet: packet.Packet{Type: packet.Event, Namespace: "/chat", ID: 7, HasID: true, Bare: true, Data: json.RawMessage(`["say","x"]`)}},
				{Wire: `6:::7+["x"]`, Packet: packet.Packet{Type: packet.Ack, Namespace: "/", ID: 7, HasID: true, Data: json.RawMessage(`["x"]`)}},
				{Wire: `1::/chat`, Packet: packet.Packet{Type: packet.Connect, Namespace: "/chat"}},
				{Wire: `0::/chat`, Packet: packet.Packet{Type: packet.Disconnect, Namespace: "/chat"}},
			}})
	})
}
