package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// What travels: that other clients are sent what the server has understood, and
// nothing that ends their connections.

var wireCases = []testCase{
	{
		name: "wire/placeholders",
		rule: "an object that only some client takes for a placeholder ends its sender's connection, " +
			"and nobody else gets it",
		spec: "docs/protocol.md 5.4",
		run:  wirePlaceholders,
	},
	{
		name: "wire/placeholders-beside",
		rule: "what came without binary is not passed on beside binary when clients would take it for " +
			"a placeholder",
		spec: "docs/protocol.md 5.4",
		run:  wireBeside,
	},
	{
		name: "wire/utf8",
		rule: "no text that is not UTF-8 is sent, whatever the application passes on",
		spec: "RFC 6455 8.1; docs/protocol.md 5.4",
		run:  wireUTF8,
	},
	{
		name: "wire/one-meaning",
		rule: "arguments that were checked, by decoding them or by a policy, are neither handled nor passed on " +
			"when they have two meanings",
		spec: "RFC 8259 4; docs/protocol.md 5.4",
		run:  wireOneMeaning,
	},
	{
		name: "wire/nested-binary",
		rule: "an attachment is bytes at any depth of a map or a list",
		spec: "docs/protocol.md 5.3",
		run:  wireNested,
	},
	{
		name: "wire/attachments-in-time",
		rule: "a client that does not send all attachments of a packet in time is disconnected, " +
			"whatever else it sends",
		spec: "docs/protocol.md 5.3",
		slow: true,
		opts: func(o *sio.Options) { o.AttachmentTimeout = 150 * time.Millisecond },
		run:  wireAttachments,
	},
	{
		name: "wire/words",
		rule: "a client whose arguments do not fit is told the key and the kinds of JSON, and nothing " +
			"of the server's types",
		spec: "RFC 8259 3; docs/protocol.md 5.5",
		run:  wireWords,
	},
	{
		name: "wire/base64",
		rule: "base64 is read with and without padding, in both alphabets, with line ends",
		spec: "RFC 4648 3.2",
		run:  wireBase64,
	},
	{
		name: "wire/message-acks",
		rule: "a message may ask for an ack, in every generation",
		spec: "Socket.IO 0.9: Messages; docs/protocol.md 10.6",
		run:  wireMessageAcks,
	},
}

const placeholder = `{"_placeholder":true,"num":0}`

// theOne passes on what comes as the event shouted until it is the event end.
func (c *env) theOne(what string, victims ...*wire.WS) {
	c.T.Helper()
	w := c.Join("")
	w.Send(`42["shout","end"]`)
	for i, v := range victims {
		got := v.Next()
		if got != `42["shouted","end"]` && got != `5:::{"name":"shouted","args":["end"]}` {
			c.T.Errorf("%s: client %d is sent %q", what, i, got)
		}
	}
	_ = w.Conn.Close()
}

func wirePlaceholders(c *env) {
	victims := []*wire.WS{c.Join(""), c.ws3(), c.ws1(c.Handshake1(""))}
	c.settle()
	for _, bomb := range []string{
		`{"_placeholder":true,"num":7,"x":{}}`, `{"_placeholder":true,"num":[0]}`, `{"_placeholder":false,"_placeholder":true,"num":7}`,
		`{"_pl\u0061ceholder":true,"num":7,"x":[{}]}`, `[{"a":{"_placeholder":true,"num":0,"num":7}}]`, `{"_placeholder":1,"num":7}`,
	} {
		for _, attacker := range []struct {
			w      *wire.WS
			binary []byte
		}{{c.Join(""), []byte{1}}, {c.ws3(), []byte{4, 1}}} {
			attacker.w.Send(`451-["shout-others",` + placeholder + `,` + bomb + `]`)
			attacker.w.SendBinary(attacker.binary)
			c.Closed(attacker.w, 1002)
		}
		c.theOne(bomb, victims...)
	}
	sound := c.Join("")
	sound.Send(`451-["shout-others",` + placeholder + `,{"_placeholder":false}]`)
	sound.SendBinary([]byte{1})
	c.Want("what no client takes for one", victims[0].Next(), `451-["shouted",`+placeholder+`,{"_placeholder":false}]`)
}

func wireBeside(c *env) {
	ns := c.of("/")
	ns.On("beside", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		return ev.Socket.Broadcast().Emit("shouted", ev.Args, []byte{1})
	}))
	ns.On("ack-beside", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { return ev.Ack(ev.Args, []byte{1}) }))
	victims := []*wire.WS{c.Join(""), c.ws3()}
	c.settle()
	w := c.Join("")
	for _, bomb := range []string{placeholder, `{"_placeholder":true,"num":7,"x":{}}`, `[{"\u005fplaceholder":true,"num":0}]`} {
		w.Send(`427["beside",` + bomb + `]`)
		if got := w.Next(); !strings.HasPrefix(got, `437[{"error":{"code":"bad_argument"`) {
			c.T.Errorf("%s: the sender is told %s", bomb, got)
		}
		c.theOne(bomb, victims...)
		_ = w.Next() // the end
	}
	w.Send(`428["ack-beside",` + placeholder + `]`)
	if got := w.Next(); strings.HasPrefix(got, "46") {
		c.T.Errorf("ack: %s", got)
	}
	w.Send(`429["beside",{"a":1}]`)
	c.Want("anything else", victims[0].Next(), `451-["shouted",{"a":1},`+placeholder+`]`)
}

func wireUTF8(c *env) {
	ns := c.of("/")
	ns.On("raw", sio.Handle(func(_ context.Context, s *sio.Socket, b []byte) error {
		return s.Broadcast().Emit("shouted", json.RawMessage(b))
	}))
	ns.On("field", sio.Handle(func(_ context.Context, s *sio.Socket, b []byte) error {
		return s.Broadcast().Emit("shouted", map[string]any{"r": struct{ R json.RawMessage }{b}})
	}))
	ns.On("text", sio.Handle(func(_ context.Context, s *sio.Socket, b []byte) error {
		return s.Broadcast().Emit(string(b), string(b), map[string]string{string(b): string(b)})
	}))
	ns.On("message", sio.Handle(func(_ context.Context, s *sio.Socket, b []byte) error { return s.Broadcast().Send(string(b)) }))
	ns.On("error-text", sio.Handle(func(_ context.Context, s *sio.Socket, b []byte) error {
		return sio.Errorf(string(b), "%s", b)
	}))
	victims := []*wire.WS{c.Join(""), c.ws3(), c.ws1(c.Handshake1(""))}
	c.settle()
	w := c.Join("")
	send := func(event string, data string) {
		w.Send(`451-["` + event + `",` + placeholder + `]`)
		w.SendBinary([]byte(data))
	}
	for _, event := range []string{"raw", "field"} {
		send(event, "\"\xff\xfe\"")
		if got := w.Next(); !utf8.ValidString(got) {
			c.T.Errorf("%s: the sender is sent %q", event, got)
		}
		c.theOne(event, victims...)
		_ = w.Next()
	}
	for _, event := range []string{"text", "message"} {
		send(event, "a\xff\xfe")
		for i, v := range victims {
			if got := v.Next(); !utf8.ValidString(got) {
				c.T.Errorf("%s: client %d is sent %q", event, i, got)
			}
		}
	}
	send("error-text", "\xff")
	if got := w.Next(); !utf8.ValidString(got) {
		c.T.Errorf("error: %q", got)
	}
}

func wireOneMeaning(c *env) {
	type message struct {
		Text string
		More []struct{ Name string }
	}
	c.of("/").On("checked", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		var m message
		if err := ev.Args.Bind(&m); err != nil {
			return err
		}
		return ev.Socket.Broadcast().Emit("shouted", ev.Args)
	}))
	victims := []*wire.WS{c.Join(""), c.ws3(), c.ws1(c.Handshake1(""))}
	c.settle()
	w := c.Join("")
	for _, arg := range []string{
		`{"Text":"<script>","TEXT":"harmless"}`, `{"text":"<script>","text":"harmless"}`, `{"text":"<script>","te\u0078t":"harmless"}`,
		`{"more":[{"name":"<script>","Name":"harmless"}]}`,
	} {
		w.Send(`420["checked",` + arg + `]`)
		if got := w.Next(); !strings.HasPrefix(got, `430[{"error":{"code":"bad_argument"`) {
			c.T.Errorf("%s: %s", arg, got)
		}
		c.theOne(arg, victims...)
		_ = w.Next()
	}
	// A policy reads the text as it likes, so here any two keys of one object count.
	guarded := c.of("/guarded")
	guarded.Guard(acl.PolicyFunc(func(context.Context, acl.Subject, acl.Action) error { return nil }))
	handled := make(chan string, 8)
	guarded.On("typed", sio.Handle(func(_ context.Context, _ *sio.Socket, m message) error { handled <- m.Text; return nil }))
	guarded.On("relay", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		handled <- ""
		return ev.Socket.Namespace().Emit("relayed", ev.Args)
	}))
	g := c.Join("/guarded")
	for _, event := range []string{"typed", "relay"} {
		for _, arg := range []string{`{"Text":"a","TEXT":"b"}`, `[{"x":{"y":1,"Y":2}}]`, `{"z":1,"\u007a":2}`} {
			g.Send(`42/guarded,0["` + event + `",` + arg + `]`)
			if got := g.Next(); !strings.HasPrefix(got, `43/guarded,0[{"error":{"code":"bad_argument"`) || len(handled) > 0 {
				c.T.Errorf("%s %s behind a policy: %s", event, arg, got)
			}
		}
	}
	w.Send(`42["checked",{"text":"a","other":1,"OTHER":2}]`)
	c.Want("keys that the handler does not know", victims[0].Next(), `42["shouted",{"text":"a","other":1,"OTHER":2}]`)
}

func wireNested(c *env) {
	type tree struct {
		Any  any
		List []map[string]any
	}
	ns := c.of("/")
	ns.On("map", sio.Reply(func(_ context.Context, _ *sio.Socket, m map[string]any) (string, error) {
		return fmt.Sprintf("%T %T", m["a"], m["b"].([]any)[0]), nil
	}))
	ns.On("list", sio.Reply(func(_ context.Context, _ *sio.Socket, l []any) (string, error) {
		return fmt.Sprintf("%T %T", l[0], l[1].(map[string]any)["a"]), nil
	}))
	ns.On("struct", sio.Reply(func(_ context.Context, _ *sio.Socket, t sio.Args2[tree, any]) (string, error) {
		return fmt.Sprintf("%T %T", t.A.Any, t.A.List[0]["a"]), nil
	}))
	second := `{"_placeholder":true,"num":1}`
	for _, client := range []struct {
		w    *wire.WS
		kind string
	}{{c.Join(""), ""}, {c.ws3(), "\x04"}} {
		for _, row := range []struct{ event, args string }{
			{"map", `{"a":` + placeholder + `,"b":[` + second + `]}`},
			{"list", `[` + placeholder + `,{"a":` + second + `}]`},
			{"struct", `{"any":` + placeholder + `,"list":[{"a":` + second + `}]},1`},
		} {
			client.w.Send(`452-1["` + row.event + `",` + row.args + `]`)
			client.w.SendBinary([]byte(client.kind + "a"))
			client.w.SendBinary([]byte(client.kind + "b"))
			c.Want(row.event, client.w.Next(), `431["[]uint8 []uint8"]`)
		}
	}
}

func wireAttachments(c *env) {
	c.server()
	for _, w := range []*wire.WS{c.Join(""), c.ws3()} {
		w.Send(`452-["echo",` + placeholder + `,{"_placeholder":true,"num":1}]`)
		w.SendBinary([]byte{4})
		c.Closed(w, 1002)
		c.reason(sio.MalformedPacket)
	}
	w := c.Join("") // small attachments do not put off the end
	text := `4510-["echo",` + placeholder
	for i := 1; i < 10; i++ {
		text += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, i)
	}
	w.Send(text + "]")
	for range 10 {
		c.holds()
		w.SendBinary([]byte{4})
	}
	c.Closed(w, 1002)
	c.reason(sio.MalformedPacket)
	w = c.Join("")
	both := append(wire.Frame(0x81, []byte(`451-["echo",`+placeholder+`]`)), wire.Frame(0x82, []byte{1})...)
	_ = w.Raw(both) // at once: a busy machine may be late for the second
	c.Want("in time", w.Next(), `451-["echo",`+placeholder+`]`)
	c.Want("attachment", w.Next(), "bAQ==")
	for range 5 { // nothing tells that a deadline has passed without effect
		c.holds()
	}
	w.Send(`42["echo","still here"]`)
	c.Want("afterwards", w.Next(), `42["echo","still here"]`)
}

func wireWords(c *env) {
	type internalRecord struct {
		Limit int `json:"limit"`
		List  []struct {
			On bool `json:"on"`
		} `json:"list"`
	}
	c.of("/").On("set", sio.Handle(func(context.Context, *sio.Socket, internalRecord) error { return nil }))
	w := c.Join("")
	for args, want := range map[string]string{
		`{"limit":"x"}`:        `argument 1: \"limit\" is a string instead of an integer`,
		`{"list":[{"on":{}}]}`: `argument 1: \"list[0].on\" is an object instead of a boolean`,
		`"x"`:                  `argument 1: a string instead of an object`,
	} {
		w.Send(`421["set",` + args + `]`)
		c.Want(args, w.Next(), `431[{"error":{"code":"bad_argument","message":"`+want+`"}}]`)
	}
}

func wireBase64(c *env) {
	for _, text := range []string{"-_8BAg==", "+/8BAg==", "-_8BAg", "+/8BAg", "+/8B\nAg==\n", "-_8\r\nBAg", "+/8B Ag==", "- _8\tBAg\v\f"} {
		s := c.Polling()
		s.Join("")
		c.Want("EIO 4: "+text, s.Post(`451-["echo",`+placeholder+"]\x1eb"+text), "200 ok")
		c.Want("EIO 4: "+text, s.Packets(2), []string{`451-["echo",` + placeholder + `]`, "b+/8BAg=="})
		p := c.Polling3("b64=1")
		event := `451-["echo",` + placeholder + `]`
		c.Want("EIO 3: "+text, p.Post(event, "b4"+text), "200 ok")
		c.Want("EIO 3: "+text, p.Get().Body, wire.Frame3(event, "b4+/8BAg=="))
		w := c.Join("")
		w.Send(event, "b"+text)
		c.Want("a text on a websocket: "+text, w.Next(), event)
	}
}

func wireMessageAcks(c *env) {
	ns := c.of("/")
	ns.On("ask-message", sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
		answer, err := sio.CallMessage[string](ctx, ev.Socket, "how are you?")
		if err != nil {
			return err
		}
		more, err := sio.CallJSON[int](ctx, ev.Socket, "7")
		if err != nil {
			return err
		}
		return ev.Socket.Emit("answers", answer, more)
	}))
	old := c.ws1(c.Handshake1(""))
	old.Send(`5:::{"name":"ask-message"}`)
	for i, ask := range []struct{ head, tail, answer string }{{"3:", "+::how are you?", `["well"]`}, {"4:", `+::"7"`, "[7]"}} {
		got := old.Next()
		id, ok := strings.CutPrefix(got, ask.head)
		id, ok2 := strings.CutSuffix(id, ask.tail)
		if !ok || !ok2 {
			c.T.Fatalf("question %d: %s", i, got)
		}
		old.Send("6:::" + id + "+" + ask.answer)
	}
	c.Want("0.9", old.Next(), `5:::{"name":"answers","args":["well",7]}`)
	for _, w := range []*wire.WS{c.Join(""), c.ws3()} {
		w.Send(`42["ask-message"]`)
		for i, ask := range []struct{ tail, answer string }{{`["message","how are you?"]`, `["well"]`}, {`["message","7"]`, "[7]"}} {
			got := w.Next()
			id, ok := strings.CutSuffix(strings.TrimPrefix(got, "42"), ask.tail)
			if !ok {
				c.T.Fatalf("question %d: %s", i, got)
			}
			w.Send("43" + id + ask.answer)
		}
		c.Want("newer", w.Next(), `42["answers","well",7]`)
	}
}
