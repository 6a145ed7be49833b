package conformance

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

func recovering(o *sio.Options) { o.Recovery = &sio.Recovery{} }

var recoveryCases = []testCase{
	{
		name: "recovery/wire",
		rule: "the answer to CONNECT has a secret, events have offsets, and the first one comes at once; " +
			"older clients notice nothing",
		spec: "docs/protocol.md 14.1",
		opts: recovering,
		run:  recoveryWire,
	},
	{
		name: "recovery/missed",
		rule: "a client that comes back has the same id, and gets behind the answer what it has missed, in " +
			"order, over any transport",
		spec: "docs/protocol.md 14.2; docs/protocol.md 14.3",
		opts: recovering,
		run:  recoveryMissed,
	},
	{
		name: "recovery/new",
		rule: "a client whose secret or offset is unknown, or that has left, is a new one without an error",
		spec: "docs/protocol.md 14.2",
		opts: recovering,
		run:  recoveryNew,
	},
}

// recoverable is what a client knows of its session.
type recoverable struct{ Sid, Pid, offset string }

// welcomed reads the answer to CONNECT.
func (c *env) welcomed(packet string) (r recoverable) {
	c.T.Helper()
	text, ok := strings.CutPrefix(packet, "40")
	if err := json.Unmarshal([]byte(text), &r); !ok || err != nil || r.Sid == "" || r.Pid == "" {
		c.T.Fatalf("the answer to CONNECT: %s", packet)
	}
	return r
}

// event checks an event with an offset, which the client keeps.
func (r *recoverable) event(c *env, packet, want string) {
	c.T.Helper()
	var args []any
	text, ok := strings.CutPrefix(packet, "42")
	if err := json.Unmarshal([]byte(text), &args); !ok || err != nil || len(args) < 2 {
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

func (r recoverable) connect() string {
	return fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.Pid, r.offset)
}

func (c *env) recoverable() (*wire.WS, recoverable) {
	c.T.Helper()
	w, _ := c.WebSocket()
	w.Send("40")
	r := c.welcomed(w.Next())
	r.event(c, w.Next(), `["recovery"]`)
	return w, r
}

// away cuts the connection of the only client, and waits until the server has noticed.
func (c *env) away(w *wire.WS) {
	w.Reset()
	c.Eventually("the end of the socket", func() bool { return c.stats().Sockets == 0 })
}

func recoveryWire(c *env) {
	w, r := c.recoverable()
	old := c.ws3()
	_ = c.of("/").Emit("all", 1)
	r.event(c, w.Next(), `["all",1]`)
	c.Want("a client of Engine.IO 3", old.Next(), `42["all",1]`)
	for i := 0; ; i++ { // a volatile event is dropped while the one before is being written
		offset := r.offset
		_ = c.of("/").All().Volatile().Emit("volatile")
		_ = c.of("/").Emit("behind", i)
		got := w.Next()
		if strings.Contains(got, "volatile") {
			c.Want("a volatile event", got, fmt.Sprintf(`42["volatile",%q]`, offset))
			r.event(c, w.Next(), fmt.Sprintf(`["behind",%d]`, i))
			break
		}
		if r.event(c, got, fmt.Sprintf(`["behind",%d]`, i)); i == 100 {
			c.T.Fatal("no volatile event has come")
		}
	}
	w.Send(`42["ask","x"]`)
	c.Want("an event that asks for an ack", strings.HasSuffix(w.Next(), `["question","x"]`), true)
}

func recoveryMissed(c *env) {
	w, r := c.recoverable()
	n := c.of("/")
	n.To(r.Sid).Join("room")
	c.away(w)
	emit := func(i int) {
		_ = n.Emit("all", i)
		_ = n.To("room").Emit("room", i)
		_ = n.To("elsewhere").Emit("elsewhere", i)
		_ = n.All().Volatile().Emit("volatile", i)
		_ = n.To(r.Sid).Emit("one", i)
	}
	missed := func(packets []string, i int) {
		c.T.Helper()
		again := c.welcomed(packets[0])
		c.Want("the id", again.Sid, r.Sid)
		c.Want("the secret", again.Pid, r.Pid)
		for k, name := range []string{"all", "room", "one"} {
			r.event(c, packets[k+1], fmt.Sprintf(`[%q,%d]`, name, i))
		}
	}
	emit(1)
	w, _ = c.WebSocket()
	w.Send(r.connect())
	missed([]string{w.Next(), w.Next(), w.Next(), w.Next()}, 1)
	c.away(w)
	emit(2)
	s := c.Polling()
	c.Want("the CONNECT by polling", s.Post(r.connect()).Status, 200)
	missed(s.Packets(4), 2)
	_ = n.To("room").Emit("live")
	r.event(c, s.Packets(1)[0], `["live"]`)
}

func recoveryNew(c *env) {
	w, r := c.recoverable()
	c.away(w)
	for _, other := range []recoverable{
		{Pid: "unknown", offset: r.offset}, {Pid: r.Pid, offset: "unknown"}, {Pid: r.Pid},
	} {
		w, _ := c.WebSocket()
		w.Send(other.connect())
		got := c.welcomed(w.Next())
		if got.Sid == r.Sid || got.Pid == r.Pid {
			c.T.Errorf("recovered by %s", other.connect())
		}
	}
	w, r = c.recoverable()
	w.Send("41")
	w.Send("40")
	if got := c.welcomed(w.Next()); got.Sid == r.Sid || got.Pid == r.Pid {
		c.T.Error("a client that has left has its session again")
	}
	w, _ = c.WebSocket()
	w.Send(r.connect())
	if got := c.welcomed(w.Next()); got.Sid == r.Sid || got.Pid == r.Pid {
		c.T.Error("recovered after it has left")
	}
}
