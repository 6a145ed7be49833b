package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

func recovering(o *sio.Options) { o.Recovery = &sio.Recovery{} }

// A client that stays has the application say what these cases are about: a server behind Remote
// does nothing else.
var recoveryCases = []testCase{
	recoveryCase("wire", "the answer to CONNECT has a secret, and each event without an ack id an offset of its own as its "+
		"last argument; one with an ack id has none", "docs/protocol.md 14.1", recoveryWire),
	recoveryCase("first-event", "an event with an offset comes at once behind the answer to CONNECT, so that a client comes "+
		"back that has had no other", "docs/protocol.md 14.1", recoveryFirstEvent),
	recoveryCase("older-clients", "clients of Engine.IO 3 get neither a secret nor offsets", "docs/protocol.md 14.1", recoveryOlder),
	{
		name: "recovery/volatile", local: true, opts: recovering, need: []string{comesBack}, run: recoveryVolatile,
		rule: "a volatile event has the offset of the last event that is not",
		spec: "docs/protocol.md 14.1",
	},
	recoveryCase("missed", "a client that comes back has the same id and secret, and gets what it has missed, in order, with "+
		"offsets, over any transport, as often as it comes back", "docs/protocol.md 14.2", recoveryMissed),
	recoveryCase("answer-first", "what was missed comes behind the answer to CONNECT", "docs/protocol.md 14.3", recoveryAnswerFirst),
	recoveryCase("new", "a client whose secret or offset is unknown, or that has left, is a new one without an error",
		"docs/protocol.md 14.2", recoveryNew),
	recoveryCase("asked-again", "whether a client may connect is asked again when it comes back, and a refusal ends the session",
		"docs/protocol.md 14.2", recoveryAskedAgain),
}

// recoveryCase is a case that a server behind Remote can have.
func recoveryCase(name, rule, spec string, run func(c *env)) testCase {
	return testCase{
		name: "recovery/" + name, rule: rule, spec: spec, run: run,
		opts: recovering, at: recoveryMount, need: []string{comesBack},
	}
}

// recoverable is what a client knows of its session.
type recoverable struct{ Sid, Pid, offset string }

// welcomed reads the answer to CONNECT, in the default namespace or in another one.
func (c *env) welcomed(packet, ns string) (r recoverable) {
	c.T.Helper()
	text, ok := strings.CutPrefix(packet, "40"+ns)
	if err := json.Unmarshal([]byte(text), &r); !ok || err != nil || r.Sid == "" || r.Pid == "" {
		c.T.Fatalf("the answer to CONNECT: %s", packet)
	}
	return r
}

// event checks an event with an offset, which the client keeps.
func (r *recoverable) event(c *env, packet, want string) {
	c.T.Helper()
	var args []any
	_, text, _ := strings.Cut(packet, "[")
	if err := json.Unmarshal([]byte("["+text), &args); err != nil || len(args) < 2 {
		c.T.Fatalf("got %s, want %s with an offset", packet, want)
	}
	offset, _ := args[len(args)-1].(string)
	got, _ := json.Marshal(args[:len(args)-1])
	c.Want("event", string(got), want)
	if offset == "" || offset == r.offset {
		c.T.Errorf("the offset of %s is %q, that of the event before %q", packet, offset, r.offset)
	}
	r.offset = offset
}

// next is the next packet other than the first event, which not every server sends.
func (r *recoverable) next(c *env, w *wire.WS) string {
	c.T.Helper()
	for {
		m := w.Next()
		if _, event, _ := strings.Cut(m, "["); !strings.HasPrefix(event, `"recovery",`) {
			return m
		}
		r.event(c, m, `["recovery"]`)
	}
}

// auth is what a client sends that comes back, beside what the application wants.
func (r recoverable) auth(more string) string {
	return fmt.Sprintf(`{"pid":%q,"offset":%q%s}`, r.Pid, r.offset, more)
}

// recoverable joins the default namespace and has an offset.
func (c *env) recoverable() (*wire.WS, recoverable) {
	c.T.Helper()
	w, _ := c.WebSocket()
	w.Send("40")
	r := c.welcomed(w.Next(), "")
	w.Send(`42["echo","here"]`)
	r.event(c, r.next(c, w), `["echo","here"]`)
	return w, r
}

// away ends the connection of a client, which was in a namespace, and waits until the server has
// noticed. left is how many sockets there are then.
func (c *env) away(w *wire.WS, ns string, left int) {
	c.T.Helper()
	if c.Server == nil { // nothing tells from outside: the server itself ends the connection
		w.Send("42" + ns + `["drop"]`)
		w.End()
		return
	}
	w.Reset()
	c.Eventually("the end of the socket", func() bool { return c.stats().Sockets == left })
}

// speaker is a client that stays.
type speaker struct {
	c *env
	w *wire.WS
	n int
}

func (c *env) speaker() *speaker {
	c.T.Helper()
	return &speaker{c: c, w: c.Join("")}
}

// says has the application do what events ask for, and waits until it is done.
func (o *speaker) says(events ...string) {
	o.c.T.Helper()
	o.n++
	o.w.Send(append(events, fmt.Sprintf(`42%d["echo"]`, o.n))...)
	for want := fmt.Sprintf("43%d[]", o.n); o.w.Next() != want; { // before it comes what goes to all
	}
}

func recoveryWire(c *env) {
	w, _ := c.WebSocket()
	w.Send("40")
	r := c.welcomed(w.Next(), "")
	w.Send(`42["shout","all",1]`)
	r.event(c, r.next(c, w), `["shouted","all",1]`)
	w.Send(`451-["shout",{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte("x"))
	r.event(c, w.Next(), `["shouted",{"_placeholder":true,"num":0}]`)
	c.Want("the attachment", w.Next(), "beA==")
	w.Send(`42["join","room"]`, `42["say","room","x"]`)
	r.event(c, w.Next(), `["said","room","x"]`)
	w.Send(`421["echo","x"]`)
	c.Want("an ack", w.Next(), `431["x"]`)
	w.Send(`42["ask","x"]`)
	c.Want("an event that asks for an ack", strings.HasSuffix(w.Next(), `["question","x"]`), true)
}

func recoveryFirstEvent(c *env) {
	w, _ := c.WebSocket()
	w.Send("40")
	r := c.welcomed(w.Next(), "")
	r.event(c, w.Next(), `["recovery"]`)
	c.away(w, "", 0)
	w, _ = c.WebSocket()
	w.Send("40" + r.auth(""))
	c.Want("the id", c.welcomed(w.Next(), "").Sid, r.Sid)
}

func recoveryOlder(c *env) {
	old := c.ws3()
	w, r := c.recoverable()
	w.Send(`42["shout",1]`)
	r.event(c, w.Next(), `["shouted",1]`)
	c.Want("a client of Engine.IO 3", old.Next(), `42["shouted",1]`)
}

func recoveryVolatile(c *env) {
	w, r := c.recoverable()
	end := time.Now().Add(c.run.patience)
	for i := 0; ; i++ { // a volatile event is dropped while the one before is being written
		offset := r.offset
		_ = c.of("/").All().Volatile().Emit("volatile")
		_ = c.of("/").Emit("behind", i)
		got := w.Next()
		if strings.Contains(got, "volatile") {
			c.Want("a volatile event", got, fmt.Sprintf(`42["volatile",%q]`, offset))
			r.event(c, w.Next(), fmt.Sprintf(`["behind",%d]`, i))
			return
		}
		if r.event(c, got, fmt.Sprintf(`["behind",%d]`, i)); time.Now().After(end) {
			c.T.Fatal("no volatile event has come")
		}
	}
}

// back checks what comes to a client that comes back: the answer, in whichever place, and three
// events that it has missed.
func (r *recoverable) back(c *env, packets []string, i int) {
	c.T.Helper()
	answer := slices.IndexFunc(packets, func(p string) bool { return strings.HasPrefix(p, "40") })
	if answer < 0 {
		c.T.Fatalf("no answer to CONNECT: %q", packets)
	}
	again := c.welcomed(packets[answer], "")
	c.Want("the id", again.Sid, r.Sid)
	c.Want("the secret", again.Pid, r.Pid)
	packets = slices.Delete(packets, answer, answer+1)
	for k, event := range []string{`"shouted"`, `"said","room"`, fmt.Sprintf(`"said",%q`, r.Sid)} {
		r.event(c, packets[k], fmt.Sprintf("[%s,%d]", event, i))
	}
}

func recoveryMissed(c *env) {
	o := c.speaker()
	w, r := c.recoverable()
	w.Send(`42["join","room"]`, `421["echo"]`)
	c.Want("the join", w.Next(), "431[]")
	emit := func(i int) {
		o.says(fmt.Sprintf(`42["shout",%d]`, i), fmt.Sprintf(`42["say","room",%d]`, i), fmt.Sprintf(`42["say","elsewhere",%d]`, i),
			fmt.Sprintf(`42["say",%q,%d]`, r.Sid, i))
	}
	for i := range 2 {
		c.away(w, "", 1)
		emit(i)
		w, _ = c.WebSocket()
		w.Send("40" + r.auth(""))
		r.back(c, []string{w.Next(), w.Next(), w.Next(), w.Next()}, i)
		o.says(`42["say","room","live"]`)
		r.event(c, w.Next(), `["said","room","live"]`)
	}
	c.away(w, "", 1)
	emit(2)
	s := c.Polling()
	c.Want("the CONNECT by polling", s.Post("40"+r.auth("")).Status, 200)
	r.back(c, s.Packets(4), 2)
	o.says(`42["shout","live"]`)
	r.event(c, s.Packets(1)[0], `["shouted","live"]`)
}

func recoveryAnswerFirst(c *env) {
	o := c.speaker()
	w, r := c.recoverable()
	c.away(w, "", 1)
	o.says(`42["shout",1]`)
	w, _ = c.WebSocket()
	w.Send("40" + r.auth(""))
	c.Want("the id", c.welcomed(w.Next(), "").Sid, r.Sid)
	r.event(c, w.Next(), `["shouted",1]`)
}

func recoveryNew(c *env) {
	w, r := c.recoverable()
	c.away(w, "", 0)
	for _, other := range []recoverable{
		{Pid: "unknown", offset: r.offset}, {Pid: r.Pid, offset: "unknown"}, {Pid: r.Pid},
	} {
		w, _ := c.WebSocket()
		w.Send("40" + other.auth(""))
		got := c.welcomed(w.Next(), "")
		if got.Sid == r.Sid || got.Pid == r.Pid {
			c.T.Errorf("recovered by %s", other.auth(""))
		}
	}
	w, r = c.recoverable()
	w.Send("40/chat,")
	chat := c.welcomed(w.Next(), "/chat,")
	w.Send("41", `42/chat,1["echo"]`)
	c.Want("an ack behind the goodbye", chat.next(c, w), "43/chat,1[]") // Node ends a connection whose CONNECT comes in the moment of the goodbye
	w.Send("40")
	if got := c.welcomed(w.Next(), ""); got.Sid == r.Sid || got.Pid == r.Pid {
		c.T.Error("a client that has left has its session again")
	}
	w, _ = c.WebSocket()
	w.Send("40" + r.auth(""))
	if got := c.welcomed(w.Next(), ""); got.Sid == r.Sid || got.Pid == r.Pid {
		c.T.Error("recovered after it has left")
	}
}

func recoveryAskedAgain(c *env) {
	const ns = "/secret,"
	w, _ := c.WebSocket()
	w.Send("40" + ns + `{"token":"letmein"}`)
	r := c.welcomed(w.Next(), ns)
	r.event(c, r.next(c, w), fmt.Sprintf(`["welcome",%q]`, r.Sid))
	c.away(w, ns, 0)
	for _, token := range []string{"letmein", "wrong"} {
		w, _ = c.WebSocket()
		w.Send("40" + ns + r.auth(`,"token":"`+token+`"`))
		if token == "wrong" {
			c.Want("without the right token", w.Next(), `44/secret,{"message":"unauthorized","data":{"code":401}}`)
			break
		}
		c.Want("with the right token", c.welcomed(w.Next(), ns).Sid, r.Sid)
		c.away(w, ns, 0)
	}
	w, _ = c.WebSocket()
	w.Send("40" + ns + r.auth(`,"token":"letmein"`))
	if got := c.welcomed(w.Next(), ns); got.Sid == r.Sid || got.Pid == r.Pid {
		c.T.Error("recovered after a refusal")
	}
}
