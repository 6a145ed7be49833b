package conformance

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// aclApp is a namespace behind a gate, and what its error hook was told.
type aclApp struct {
	gate *acl.Gate
	mu   sync.Mutex
	told []string
}

// withGate gives the case a gate, whose refusals the server's error hook hears of.
func withGate(c *env) {
	c.acl = &aclApp{}
	c.opts.OnError = c.acl.onError
}

func (a *aclApp) onError(in sio.Failure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, in.Name+" "+in.Namespace+" "+in.Where)
}

func (a *aclApp) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.told) == 0 {
		return ""
	}
	return a.told[len(a.told)-1]
}

// set brings a socket's gate into a state for some names.
func (a *aclApp) set(s acl.Subject, state string, names ...string) {
	switch state {
	case "locked":
	case "allowed":
		a.gate.Allow(s, names...)
	case "denied":
		a.gate.Lift(s)
		a.gate.Deny(s, names...)
	case "lifted":
		a.gate.Lift(s)
	case "reset":
		a.gate.Lift(s)
		a.gate.Reset(s)
	}
}

// guarded registers the namespaces. In /in only what is allowed by "set" gets
// through; /door lets sockets in by a state in the payload of their CONNECT.
func (a *aclApp) guarded(c *env) {
	a.gate = acl.NewGate(acl.RecvConnect, "set", "still")
	in := c.of("/in")
	in.Guard(acl.Any(a.gate, acl.PolicyFunc(func(_ context.Context, s acl.Subject, act acl.Action) error {
		if a.gate.Allowed(s, act.Name) { // a policy that goes by names alone
			return nil
		}
		return acl.ErrDenied
	})))
	in.On("set", sio.Handle(func(_ context.Context, s *sio.Socket, state string) error {
		a.set(s, state, "ev", "message")
		return nil
	}))
	in.On("still", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }))
	in.On("ev", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		if ev.WantsAck() {
			return ev.Ack(ev.Args)
		}
		return ev.Socket.Emit("ev", ev.Args)
	}))
	in.OnUnhandled(sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		if slices.Contains([]string{acl.RecvConnect, acl.RecvMessage, acl.RecvJSON}, ev.Name) {
			c.T.Errorf("the event %q passed the gate", ev.Name)
		}
		return sio.Errorf(sio.CodeRefused, "event refused") // as those that do not exist
	}))
	in.OnMessage(sio.Handle(func(_ context.Context, s *sio.Socket, text string) error { return s.Send(text) }))
	in.OnJSON(sio.Handle(func(_ context.Context, s *sio.Socket, v any) error { return s.Send(v) }))

	door := &aclApp{gate: acl.NewGate()}
	n := c.of("/door")
	n.Guard(acl.PolicyFunc(func(_ context.Context, s acl.Subject, _ acl.Action) error {
		var auth struct{ State string }
		_ = s.(*sio.Socket).Auth(&auth)
		door.set(s, auth.State, acl.RecvConnect)
		return nil
	}), door.gate)
	n.OnConnect(func(_ context.Context, s *sio.Socket) error {
		if auth := (struct{ State string }{}); s.Auth(&auth) != nil || auth.State != "allowed" && auth.State != "lifted" {
			c.T.Errorf("OnConnect of one who may not come in: %q", auth.State)
		}
		return nil
	})
}

// aclWire is how one generation says things.
type aclWire struct {
	name string
	open func(c *env) *wire.WS
	// event, with an ack id or without; message; json
	event, acked, message, json string
	said, answer                string // what comes back
	saidMessage, saidJSON       string
	refused                     string // the ack of a refusal
	binary, saidBinary          string // the text of a binary event, and its echo; "" where there is none
	prefix                      string // of the binary message
	set                         func(state string) string
	still, stillHere            string
	door                        func(state string) string
	welcome, away               string // of /door
}

func acls() []aclWire {
	const refused = `{"error":{"code":"refused","message":"event refused"}}`
	modern := aclWire{
		event: `42/in,["ev",1]`, acked: `42/in,5["ev",1]`, message: `42/in,["message","hi"]`, json: `42/in,["message",{"a":1}]`,
		said: `42/in,["ev",1]`, answer: `43/in,5[1]`, saidMessage: `42/in,["message","hi"]`, saidJSON: `42/in,["message",{"a":1}]`,
		refused: `43/in,5[` + refused + `]`,
		binary:  `451-/in,["ev",{"_placeholder":true,"num":0}]`, saidBinary: `451-/in,["ev",{"_placeholder":true,"num":0}]`,
		set:   func(state string) string { return `42/in,["set","` + state + `"]` },
		still: `42/in,9["still"]`, stillHere: `43/in,9[]`,
		away: `44/door,{"message":"Invalid namespace"}`,
	}
	four, two := modern, modern
	four.name, four.open = "4.x", func(c *env) *wire.WS { w, _ := c.WebSocket(); return w }
	four.door = func(state string) string { return `40/door,{"state":"` + state + `"}` }
	four.welcome = `40/door,{"sid"`
	two.name, two.open = "2.x", (*env).ws3
	two.prefix = "\x04"
	two.door = func(state string) string { return `40/door?state=` + state }
	two.welcome = `40/door,`
	nine := aclWire{
		name: "0.9", open: func(c *env) *wire.WS { return c.ws1(c.Handshake1("")) },
		event: `5::/in:{"name":"ev","args":[1]}`, acked: `5:5+:/in:{"name":"ev","args":[1]}`, message: `3::/in:hi`, json: `4::/in:{"a":1}`,
		said: `5::/in:{"name":"ev","args":[1]}`, answer: `6::/in:5+[1]`, saidMessage: `3::/in:hi`, saidJSON: `4::/in:{"a":1}`,
		refused: `6::/in:5+[` + refused + `]`,
		set:     func(state string) string { return `5::/in:{"name":"set","args":["` + state + `"]}` },
		still:   `5:9+:/in:{"name":"still"}`, stillHere: `6::/in:9`,
		door:    func(state string) string { return `1::/door:?state=` + state },
		welcome: `1::/door`, away: `7::/door:2`,
	}
	return []aclWire{four, two, nine}
}

// aclCases are about gates and policies.
var aclCases = []testCase{
	{
		name: "acl/table",
		rule: "every kind of packet passes the same gate, in every generation; a refused event looks " +
			"like one that does not exist",
		spec:    "docs/protocol.md 9.3",
		local:   true,
		prepare: withGate,
		run:     aclTable,
	},
	{
		name:    "acl/at-once",
		rule:    "rights that another goroutine changes count from the next packet on",
		spec:    "docs/protocol.md 9.3",
		local:   true,
		prepare: withGate,
		run:     aclAtOnce,
	},
	{
		name:    "acl/closed",
		rule:    "a gate without a list lets nobody in, and a policy that panics refuses",
		spec:    "docs/protocol.md 9.3",
		local:   true,
		prepare: withGate,
		run:     aclClosed,
	},
	{
		name: "acl/talkative",
		rule: "with Options.ExplainRefusals clients learn why",
		spec: "docs/protocol.md 6.4; docs/protocol.md 9.3",
		opts: aclTalkativeOptions,
		run:  aclTalkative,
	},
}

func aclTable(c *env) {
	c.acl.guarded(c)
	for _, g := range acls() {
		for _, state := range []string{"locked", "allowed", "denied", "lifted", "reset"} {
			allowed := state == "allowed" || state == "lifted"
			c.aclRow(g, state, allowed)
		}
	}
	c.Alive()
}

func aclAtOnce(c *env) {
	c.acl.guarded(c)
	joined := make(chan *sio.Socket, 1)
	c.of("/in").OnConnect(func(_ context.Context, s *sio.Socket) error { joined <- s; return nil })
	w := c.Join("/in,")
	socket := <-joined
	for range 20 {
		c.acl.gate.Allow(socket, "ev")
		w.Send(`42/in,5["ev",1]`)
		c.Want("allowed", w.Next(), `43/in,5[1]`)
		c.acl.gate.Deny(socket, "ev")
		w.Send(`42/in,5["ev",1]`)
		c.Want("denied", w.Next(), `43/in,5[{"error":{"code":"refused","message":"event refused"}}]`)
	}
}

func aclClosed(c *env) {
	c.of("/closed").Guard(acl.NewGate())
	c.of("/broken").Guard(acl.PolicyFunc(func(context.Context, acl.Subject, acl.Action) error { panic("policy") }))
	w, _ := c.WebSocket()
	for _, ns := range []string{"/closed", "/broken", "/nowhere"} {
		w.Send("40" + ns)
		c.Want(ns, w.Next(), `44`+ns+`,{"message":"Invalid namespace"}`)
	}
	w.Send("40")
	c.Want("the connection goes on", strings.HasPrefix(w.Next(), "40{"), true)
	w.Send("41") // leaving is never refused
	c.Alive()
}

func aclTalkativeOptions(o *sio.Options) {
	o.ExplainRefusals = true
}

func aclTalkative(c *env) {
	n := c.of("/")
	n.Guard(acl.PolicyFunc(func(_ context.Context, _ acl.Subject, a acl.Action) error {
		if a.Name == "echo" {
			return errors.New("no")
		}
		return nil
	}))
	w := c.Join("")
	w.Send(`421["echo"]`, `422["none"]`, `42["none"]`, "40/nowhere")
	c.Want("denied", w.Next(), `431[{"error":{"code":"method_access_denied","message":"you may not use it: echo"}}]`)
	c.Want("unknown", w.Next(), `432[{"error":{"code":"no_such_method","message":"there is no such event: none"}}]`)
	c.Want("without an ack", w.Next(), `42["error",{"code":"no_such_method","message":"there is no such event: none"}]`)
	c.Want("namespace", w.Next(), `44/nowhere,{"message":"there is no such namespace: /nowhere"}`)
	w1 := c.ws1(c.Handshake1(""))
	w1.Send(`5::/nowhere:{"name":"x"}`, `5:::{"name":"echo"}`)
	c.Want("0.9, namespace", w1.Next(),
		`5::/nowhere:{"name":"error","args":["no_such_namespace","there is no such namespace: /nowhere"]}`)
	c.Want("0.9, denied", w1.Next(), `5:::{"name":"error","args":["method_access_denied","you may not use it: echo"]}`)
}

// aclRow sends one packet of every kind in one state of the gate.
func (c *env) aclRow(g aclWire, state string, allowed bool) {
	what := func(kind string) string { return g.name + ", " + state + ": " + kind }
	w := g.open(c)
	w.Send(g.door(state))
	got := w.Next()
	if allowed {
		c.Want(what("connect"), strings.HasPrefix(got, g.welcome), true)
	} else {
		c.Want(what("connect"), got, g.away)
		c.Want(what("the hook is told"), c.acl.last(), "method_access_denied /door recv_connect")
	}
	join := "40/in"
	if g.name == "0.9" {
		join = "1::/in"
	}
	w.Send(join)
	w.Next()
	w.Send(g.set(state))
	check := func(kind, hook string, send func(), want ...string) {
		send()
		w.Send(g.still)
		if !allowed {
			want = nil
		}
		for _, m := range append(want, g.stillHere) {
			c.Want(what(kind), w.Next(), m)
		}
		if !allowed {
			c.Want(what("the hook is told"), c.acl.last(), "method_access_denied /in "+hook)
		}
	}
	check("message", "recv_message", func() { w.Send(g.message) }, g.saidMessage)
	check("json", "recv_json", func() { w.Send(g.json) }, g.saidJSON)
	check("event", "ev", func() { w.Send(g.event) }, g.said)
	if g.binary != "" { // 0.9 has none
		data := []byte(g.prefix + "\x01\x02")
		check("binary event", "ev", func() {
			w.Send(g.binary)
			w.SendBinary(data)
		}, g.saidBinary, "b"+base64.StdEncoding.EncodeToString(data))
	}
	w.Send(g.acked)
	if allowed {
		c.Want(what("event with ack"), w.Next(), g.answer)
	} else {
		c.Want(what("event with ack"), w.Next(), g.refused)
		w.Send(strings.Replace(g.acked, `"ev"`, `"nosuch"`, 1))
		c.Want(what("an event that does not exist"), w.Next(), g.refused)
	}
	// Names of packets are no names of events, whatever the gate lists.
	for _, name := range []string{acl.RecvConnect, acl.RecvMessage, acl.RecvJSON} {
		w.Send(strings.Replace(g.event, `"ev"`, `"`+name+`"`, 1), strings.Replace(g.acked, `"ev"`, `"`+name+`"`, 1))
		c.Want(what("the event "+name), w.Next(), g.refused)
		c.Want(what("the hook is told"), c.acl.last(), "method_access_denied /in "+name)
	}
	_ = w.Conn.Close()
}
