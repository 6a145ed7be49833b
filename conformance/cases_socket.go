package conformance

import (
	"errors"
	"strconv"
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// socketCases are about joining, leaving, attachments and acks.
var socketCases = []testCase{
	{
		name: "packets/attachments",
		rule: "placeholders in any order, attachments as base64 in a text frame",
		spec: "Socket.IO 5: Packet encoding; docs/protocol.md 5.3",
		run:  packetsAttachments,
	},
	{
		name: "connect/without-comma",
		rule: "a CONNECT without the comma behind the namespace is one",
		spec: "docs/protocol.md 5.1",
		run:  connectWithoutComma,
	},
	{
		name: "connect/event-before",
		rule: "an event before CONNECT ends the connection",
		spec: "Socket.IO 5: Connection to a namespace",
		run:  connectEventBefore,
	},
	{
		name: "connect/answers",
		rule: "CONNECT is answered with an id or CONNECT_ERROR, and the connection stays",
		spec: "Socket.IO 5: Connection to a namespace; docs/protocol.md 6.1",
		run:  connectAnswers,
	},
	{
		name: "connect/answer-first",
		rule: "what OnConnect emits arrives behind the answer",
		spec: "docs/protocol.md 6.1",
		run:  connectAnswerFirst,
	},
	{
		name: "connect/too-many",
		rule: "one client joins a bounded number of namespaces",
		spec: "docs/protocol.md 6.2",
		opts: func(o *sio.Options) { o.MaxNamespaces = 2 },
		run:  connectTooMany,
	},
	{
		name: "disconnect/one-namespace",
		rule: "leaving one namespace leaves the others alive",
		spec: "Socket.IO 5: Disconnection from a namespace; docs/protocol.md 6.3",
		run:  disconnectOneNamespace,
	},
	{
		name: "disconnect/drop",
		rule: "CloseTransport ends the transport without a disconnect packet",
		spec: "docs/protocol.md 6.3",
		run:  disconnectDrop,
	},
	{
		name: "acks/both-ways",
		rule: "the server acks with the arguments, a client's ack reaches the handler",
		spec: "Socket.IO 5: Acknowledgement",
		run:  acksBothWays,
	},
	{
		name: "acks/binary",
		rule: "binary acks both ways",
		spec: "Socket.IO 5: Acknowledgement",
		run:  acksBinary,
	},
}

func packetsAttachments(c *env) {
	w := c.Join("")
	w.Send(`452-["echo",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte{0})
	w.SendBinary([]byte{1})
	w.Next()
	c.Want("placeholders in reverse", []string{w.Next(), w.Next()}, []string{"bAQ==", "bAA=="})
	w.Send(`451-["echo",{"_placeholder":true,"num":0}]`, "bAQIDBA==")
	w.Next()
	c.Want("base64 in a text frame", w.Next(), "bAQIDBA==")
}

func connectWithoutComma(c *env) {
	w := c.Join("")
	w.Send("40/chat")
	c.Want("answer", w.Next()[:8], "40/chat,")
}

func connectEventBefore(c *env) {
	w, _ := c.WebSocket()
	w.Send(`42["echo",1]`)
	c.Closed(w, 1008)
	c.Alive()
}

func connectAnswerFirst(c *env) {
	w, _ := c.WebSocket()
	w.Send(`40/secret,{"token":"letmein"}`)
	if got := w.Next(); !strings.HasPrefix(got, `40/secret,{"sid":`) {
		c.T.Errorf("first %s", got)
	}
	if got := w.Next(); !strings.HasPrefix(got, `42/secret,["welcome",`) {
		c.T.Errorf("second %s", got)
	}
}

func connectTooMany(c *env) {
	w := c.Join("")
	w.Send("40/chat", `40/secret,{"token":"letmein"}`)
	w.Next()
	c.Want("third", w.Next(), `44/secret,{"message":"Too many namespaces"}`)
}

func disconnectOneNamespace(c *env) {
	w := c.Join("")
	w.Send("40/chat,")
	w.Next()
	w.Send("41/chat,", `42["echo",1]`)
	c.Want("the other", w.Next(), `42["echo",1]`)
	c.reason(sio.ClientNamespace)
	w.Send("40/chat,")
	if got := w.Next(); !strings.HasPrefix(got, "40/chat,") {
		c.T.Errorf("again: %s", got)
	}
	w.Send(`42/chat,["kick",false]`)
	c.Want("kick", w.Next(), "41/chat,")
	w.Send(`42/chat,["echo","late"]`, `42["echo",2]`)
	c.Want("a packet that crossed the kick is ignored", w.Next(), `42["echo",2]`)
	c.reason(sio.ServerNamespace)
}

func disconnectDrop(c *env) {
	w := c.Join("")
	w.Send(`42["drop"]`)
	s, err := w.Read()
	if ended := new(wire.CloseError); !errors.As(err, &ended) {
		c.T.Errorf("got %q, %v", s, err)
	}
	c.reason(sio.ServerTransportClose)
}

func acksBothWays(c *env) {
	w := c.Join("")
	w.Send(`427["echo",1,{"a":"é"}]`)
	c.Want("ack", w.Next(), `437[1,{"a":"é"}]`)
	w.Send(`42["ask","x"]`)
	id := c.question(w)
	w.Send(`4399999["unknown"]`, `43`+id+`["y",2]`, `43`+id+`["again"]`)
	c.Want("answer", w.Next(), `42["answer","y",2]`)
}

func acksBinary(c *env) {
	w := c.Join("")
	w.Send(`451-3["echo",{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte{9})
	c.Want("ack", w.Next(), `461-3[{"_placeholder":true,"num":0}]`)
	c.Want("attachment", w.Next(), "bCQ==")
	w.Send(`42["ask","x"]`)
	w.Send(`461-` + c.question(w) + `[{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte{1, 2})
	c.Want("answer", w.Next(), `451-["answer",{"_placeholder":true,"num":0}]`)
	c.Want("attachment", w.Next(), "bAQI=")
}

func connectAnswers(c *env) {
	w := c.Join("")
	for _, row := range []struct{ in, want string }{
		{"40/nope,", `44/nope,{"message":"Invalid namespace"}`},
		{"40/nope", `44/nope,{"message":"Invalid namespace"}`},
		{"40/chat?token=1,", `44/chat?token=1,{"message":"Invalid namespace"}`},
		{"40/../chat,", `44/../chat,{"message":"Invalid namespace"}`},
		{"40/secret,", `44/secret,{"message":"unauthorized","data":{"code":401}}`},
		{`40/secret,{"token":"wrong"}`, `44/secret,{"message":"unauthorized","data":{"code":401}}`},
		{`40/secret,{"token":7}`, `44/secret,{"message":"internal error"}`},
		{`40/chat,{"t":1}`, `40/chat,{"sid":`},
	} {
		w.Send(row.in)
		if got := w.Next(); !strings.HasPrefix(got, row.want) {
			c.T.Errorf("%s\n got  %s\n want %s", row.in, got, row.want)
		}
	}
	w.Send(`42["echo","still here"]`)
	c.Want("the connection", w.Next(), `42["echo","still here"]`)
}

// question reads the question that the event "ask" with "x" leads to, and returns
// its id. Ids count in a namespace, which may have seen other cases.
func (c *env) question(w *wire.WS) (id string) {
	c.T.Helper()
	got := w.Next()
	id = strings.TrimSuffix(strings.TrimPrefix(got, "42"), `["question","x"]`)
	if _, err := strconv.Atoi(id); err != nil {
		c.T.Fatalf("the question\n got  %s\n want 42ID[\"question\",\"x\"]", got)
	}
	return id
}
