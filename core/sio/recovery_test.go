package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// returning is a client that can be recovered.
type returning struct {
	t                *testing.T
	c                *wire.Client
	ns               string
	w                *wire.WS
	sid, pid, offset string
}

// newReturning connects a client for the first time.
func newReturning(t *testing.T, c *wire.Client, ns string) *returning {
	t.Helper()
	r := &returning{t: t, c: c, ns: ns}
	r.connect("")
	if m := r.next(); m != `["recovery"]` || r.offset == "" {
		t.Fatalf("the first event is %s", m)
	}
	return r
}

// connect joins the namespace over a new connection, and reports whether the session is the old
// one.
func (r *returning) connect(auth string) (recovered bool) {
	r.t.Helper()
	r.w, _ = r.c.WebSocket()
	if r.pid != "" {
		auth = fmt.Sprintf(`{"pid":%q,"offset":%q}`, r.pid, r.offset)
	}
	prefix := "40"
	if r.ns != "" {
		prefix += r.ns + ","
	}
	r.w.Send(prefix + auth)
	m := r.w.Next()
	var answer struct{ Sid, Pid string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(m, prefix)), &answer); err != nil || len(answer.Pid) != 20 {
		r.t.Fatalf("the answer is %s", m)
	}
	recovered = answer.Pid == r.pid
	if recovered != (answer.Sid == r.sid) {
		r.t.Errorf("the id was %s, and is %s", r.sid, answer.Sid)
	}
	r.sid, r.pid = answer.Sid, answer.Pid
	return recovered
}

// next is the next event without its offset, which the client keeps.
func (r *returning) next() string {
	r.t.Helper()
	return r.event(r.w.Next())
}

func (r *returning) event(m string) string {
	r.t.Helper()
	_, m, _ = strings.Cut(m, "[")
	var args []any
	if err := json.Unmarshal([]byte("["+m), &args); err != nil {
		r.t.Fatalf("%s: %v", m, err)
	}
	offset, ok := args[len(args)-1].(string)
	if !ok || len(args) < 2 {
		r.t.Fatalf("no offset: %s", m)
	}
	r.offset = offset
	text, _ := json.Marshal(args[:len(args)-1])
	return string(text)
}

func (r *returning) expect(events ...string) {
	r.t.Helper()
	for _, e := range events {
		if m := r.next(); m != `["`+e+`"]` {
			r.t.Fatalf("%s instead of %s", m, e)
		}
	}
}

// away ends the connection, and waits until the server has noticed.
func (r *returning) away(srv *Server) {
	r.t.Helper()
	s := srv.Of(r.ns).Socket(r.sid)
	r.w.Reset()
	if s != nil {
		waitOver(r.t, s)
	}
}

// waitOver waits until the session of a socket is away.
func waitOver(t *testing.T, s *Socket) {
	t.Helper()
	select {
	case <-s.recovery.ended:
	case <-time.After(wire.Patience):
		t.Fatal("the socket does not end")
	}
}

// TestRecovery: a client comes back, and has everything that was for it, once and in order; nothing
// else.
func TestRecovery(t *testing.T) {
	for _, ns := range []string{"", "/chat"} {
		t.Run(ns, func(t *testing.T) {
			srv := NewServer(&Options{Recovery: &Recovery{}})
			n := srv.Of(ns)
			values := RestoredKey[string]("name")
			other := NewKey[int]("other")
			sockets := connected(n)
			c := serve(t, srv)
			r := newReturning(t, c, ns)
			s := <-sockets
			if s.Recovered() {
				t.Error("a new client is recovered")
			}
			values.Set(s, "ann")
			other.Set(s, 1)
			s.Join("room", "left", "except")
			_ = n.Emit("one")
			_ = s.Emit("two")
			_ = n.To("room").Emit("three")
			r.expect("one", "two", "three")
			_ = n.To("left").Emit("four") // it does not read this
			s.Leave("left")
			r.away(srv)
			_ = n.To("left").Emit("not this")
			_ = n.Emit("five")
			_ = n.To("room").Except("except").Emit("nor this")
			_ = n.To("room", "none").Except("none").Emit("six")
			_ = n.To(r.sid).Emit("seven")
			_ = n.Except(r.sid).Emit("nor this")
			_ = n.All().Volatile().Emit("nor this")
			_ = n.To().Emit("nor this")
			if _, err := CallAll[string](t.Context(), n.All(), "nor this"); err != nil {
				t.Error(err)
			}
			if !r.connect("") {
				t.Fatal("not recovered")
			}
			r.expect("four", "five", "six", "seven")
			s2 := <-sockets
			if !s2.Recovered() || s2.ID() != r.sid || !s2.In("room") || s2.In("left") {
				t.Errorf("recovered %v, rooms %v", s2.Recovered(), s2.Rooms())
			}
			if v, _ := values.Get(s2); v != "ann" {
				t.Errorf("the value is %q", v)
			}
			if _, ok := other.Get(s2); ok {
				t.Error("a value of the connection is there again")
			}
			_ = n.To("room").Emit("eight")
			r.expect("eight")
			r.away(srv)
			if !r.connect("") {
				t.Fatal("not recovered for the second time")
			}
			_ = n.Emit("nine")
			r.expect("nine")
			if st := srv.Stats(); st.Recovered != 2 || st.NotRecovered != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestRecoveryWire: the forms of events with attachments, of volatile ones, and of those that ask for an ack.
func TestRecoveryWire(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{NoFirstEvent: true}})
	n := srv.Of("/")
	sockets := connected(n)
	r := &returning{t: t, c: serve(t, srv)}
	r.connect("")
	s := <-sockets
	_ = n.Emit("all", 1, []byte{1, 2})
	if m := r.w.Next(); !strings.HasPrefix(m, `451-["all",1,{"_placeholder":true,"num":0},"`) || !strings.HasSuffix(m, `"]`) {
		t.Error(m)
	} else {
		r.event(m)
	}
	if _, p, err := r.w.ReadFrame(); err != nil || string(p) != "\x01\x02" {
		t.Error(p, err)
	}
	before := r.offset
	_ = s.Send("text")
	if m := r.next(); m != `["message","text"]` || r.offset == before {
		t.Error(m)
	}
	before = r.offset
	dropped := srv.Stats().DroppedVolatile
	for { // the event before may still be written
		_ = s.Volatile().Emit("vol", "text") // the text must not be taken for an offset
		now := srv.Stats().DroppedVolatile
		if now == dropped {
			break
		}
		dropped = now
	}
	if m := r.next(); m != `["vol","text"]` || r.offset != before {
		t.Error(m, r.offset, before)
	}
	go func() { _, _ = Call[None](context.Background(), s, "ask", "q") }()
	if m := r.w.Next(); m != `420["ask","q"]` {
		t.Error(m)
	}
	_ = s.Emit("binary", []byte("x"))
	r.away(srv)
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	if m := r.w.Next(); !strings.HasPrefix(m, `451-["binary",{"_placeholder":true,"num":0},"`) {
		t.Error(m)
	}
	if _, p, err := r.w.ReadFrame(); err != nil || string(p) != "x" {
		t.Error(p, err)
	}
}

// TestRecoveryTakeover: the old connection still lives when the client is back.
func TestRecoveryTakeover(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	var mu sync.Mutex
	var log []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, what)
	}
	sockets := make(chan *Socket, 9)
	n.OnConnect(func(_ context.Context, s *Socket) error { note("connect"); sockets <- s; return nil })
	n.OnDisconnect(func(_ context.Context, s *Socket, r Reason) { note(r.String()) })
	r := newReturning(t, serve(t, srv), "")
	s := <-sockets
	s.Join("room")
	_ = s.Emit("lost in the network")
	old := r.w
	for i := range 3 {
		if !r.connect("") {
			t.Fatal("not recovered", i)
		}
		r.expect("lost in the network")
		<-sockets
		_ = n.To("room").Emit("live")
		r.expect("live")
		_ = n.To("room").Emit("lost in the network")
	}
	for {
		if _, err := old.Read(); err != nil {
			break // the old connection is ended
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "connect,transport close,connect,transport close,connect,transport close,connect"; strings.Join(log, ",") != want {
		t.Error(log)
	}
	if n.Len() != 1 || n.Rooms()["room"] != 1 {
		t.Error(n.Len(), n.Rooms())
	}
}

// TestRecoveryRefused: what is not complete, or not the client's, is a new session.
func TestRecoveryRefused(t *testing.T) {
	for name, row := range map[string]struct {
		opts Recovery
		do   func(srv *Server, s *Socket, r *returning)
	}{
		"unknown pid":       {Recovery{}, func(_ *Server, _ *Socket, r *returning) { r.pid = strings.Repeat("x", 20) }},
		"no offset":         {Recovery{}, func(_ *Server, _ *Socket, r *returning) { r.offset = "" }},
		"unknown offset":    {Recovery{}, func(_ *Server, _ *Socket, r *returning) { r.offset = "Q8Ki8vE" }},
		"later offset":      {Recovery{}, func(_ *Server, _ *Socket, r *returning) { r.offset = r.offset[:6] + "zz" }},
		"other spelling":    {Recovery{}, func(_ *Server, _ *Socket, r *returning) { r.offset = r.offset[:6] + "0" + r.offset[6:] }},
		"offset before":     {Recovery{}, func(_ *Server, _ *Socket, r *returning) { r.offset = r.offset[:6] + "0" }},
		"too many":          {Recovery{MaxEvents: 3}, func(srv *Server, _ *Socket, _ *returning) { emitMany(srv, 4, 1) }},
		"too large":         {Recovery{MaxBytes: 1000}, func(srv *Server, _ *Socket, _ *returning) { emitMany(srv, 1, 1000) }},
		"more than a queue": {Recovery{}, func(srv *Server, _ *Socket, _ *returning) { emitMany(srv, 1000, 1) }},
		"client left": {Recovery{}, func(_ *Server, s *Socket, r *returning) {
			r.w, _ = r.c.WebSocket()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := NewServer(&Options{Recovery: &row.opts})
			n := srv.Of("/")
			sockets := connected(n)
			c := serve(t, srv)
			newReturning(t, c, "")
			<-sockets
			_ = n.Emit("zero")
			r := newReturning(t, c, "")
			_ = n.Emit("one")
			r.expect("one")
			s := <-sockets
			if name == "client left" {
				r.w.Send("41")
				waitOver(t, s)
			} else {
				r.away(srv)
				row.do(srv, s, r)
			}
			if r.connect("") {
				t.Fatal("recovered")
			}
			if s := <-sockets; s.Recovered() {
				t.Error("Recovered is true")
			}
			if m := r.next(); m != `["recovery"]` {
				t.Error(m)
			}
			if st := srv.Stats(); st.Recovered != 0 || st.NotRecovered != 1 {
				t.Errorf("%+v", st)
			}
			r.away(srv)
			if !r.connect("") {
				t.Error("the new session is not recovered")
			}
		})
	}
}

func emitMany(srv *Server, n, size int) {
	for range n {
		_ = srv.Of("/").Emit("many", strings.Repeat("x", size))
	}
}

// TestRecoveryQuiet: whoever has had everything is recovered, however much was dropped since.
func TestRecoveryQuiet(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{MaxEvents: 3}})
	n := srv.Of("/")
	sockets := connected(n)
	r := newReturning(t, serve(t, srv), "")
	<-sockets
	for range 10 {
		_ = n.To("others").Emit("x")
	}
	r.away(srv)
	if !r.connect("") {
		t.Error("not recovered")
	}
	s := <-sockets
	_ = s.Emit("not read")
	for range 10 {
		_ = n.To("others").Emit("x")
	}
	r.away(srv)
	if r.connect("") {
		t.Error("recovered, and an event is not there any more")
	}
}
