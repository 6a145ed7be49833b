package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/internal/testkit"
)

// TestRecoveryReports: what users report of connection state recovery elsewhere, each under its
// number, and the rule that answers the report. Some reports have tests of their own:
// TestRecoveryTakeover has socket.io-4880, a socket that still lives while its client is back;
// TestRecoveryAsksAgain a client that may not connect any more; TestRecoveryBound a secret that was
// stolen. Reports about other nodes and about restarts are not here.
func TestRecoveryReports(t *testing.T) {
	for _, row := range []struct {
		reports string // or a name, where a report has no number
		run     func(t *testing.T)
	}{
		// A client has an offset as soon as it is connected: the first event is the server's own.
		{"socket.io-4888 socket.io-5538 socket.io-4968 website-464 website-465", reportedNoEventYet},
		// Offsets are compared: who has had everything is recovered, however old the last event is.
		{"socket.io-5282 socket.io-4733 streams-48", reportedQuietForLong},
		// Missed events have offsets like all others, so none of them comes again.
		{"socket.io-5419", reportedAgainAndAgain},
		// The official client, with auth of the application, gets back its id, rooms, values and events.
		{"python-socketio-1258 socketioxide-729 socket.io-server-java-13", reportedNotThere},
		// A pid is 20 random characters, and is not logged.
		{"logged-pid", reportedSecrets},
		// The log of a namespace is bounded by bytes; a recovery is complete, or there is none.
		{"memory", reportedMemory},
		// A volatile event with a text at its end takes no offset away from its client.
		{"volatile", reportedVolatile},
	} {
		t.Run(row.reports, row.run)
	}
}

func reportedNoEventYet(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	_ = srv.Of("/").Emit("missed")
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("missed")

	srv = NewServer(&Options{Recovery: &Recovery{FirstEvent: "hello"}})
	srv.Of("/")
	r = &returning{t: t, c: serve(t, srv)}
	r.connect("")
	if m := r.next(); m != `["hello"]` {
		t.Errorf("the first event is %s", m)
	}

	// Without that event it is as elsewhere.
	srv = NewServer(&Options{Recovery: &Recovery{NoFirstEvent: true}})
	srv.Of("/")
	r = &returning{t: t, c: serve(t, srv)}
	r.connect("")
	r.away(srv)
	if r.connect("") {
		t.Error("recovered without an offset")
	}
	_ = srv.Of("/").Emit("first")
	r.expect("first")
}

// pollingReturning is a client that polls without a network, so that the clock may be a virtual
// one, and that can be recovered.
type pollingReturning struct {
	inMemory
	returning
	query string
	over  chan struct{} // closed when the session has ended

	mu      sync.Mutex
	packets []string
}

// connect joins the default namespace in a new session, and polls until the session ends. It returns
// the events that come at once.
func (p *pollingReturning) connect() (recovered bool, events []string) {
	p.inMemory.t.Helper()
	p.ask()
	return p.answer()
}

// ask is connect without the answer.
func (p *pollingReturning) ask() {
	_, sid, _ := strings.Cut(p.do("GET", "", "").Body.String(), `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	auth := ""
	if p.pid != "" {
		auth = fmt.Sprintf(`{"pid":%q,"offset":%q}`, p.pid, p.offset)
	}
	p.query, p.over = "sid="+sid, make(chan struct{})
	p.do("POST", p.query, "40"+auth)
	query, over := p.query, p.over
	m := p.inMemory
	go func() {
		defer close(over)
		m.until(time.Now(), query, func(packet string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.packets = append(p.packets, packet)
		})
	}()
}

// answer is what has come since ask.
func (p *pollingReturning) answer() (recovered bool, events []string) {
	p.inMemory.t.Helper()
	packets := p.take()
	var answer struct{ Sid, Pid string }
	if len(packets) == 0 || json.Unmarshal([]byte(strings.TrimPrefix(packets[0], "40")), &answer) != nil || answer.Pid == "" {
		p.inMemory.t.Fatalf("the answer is %q", packets)
	}
	for _, m := range packets[1:] {
		events = append(events, p.event(m))
	}
	recovered = answer.Pid == p.pid && answer.Sid == p.sid
	p.sid, p.pid = answer.Sid, answer.Pid
	return recovered, events
}

// take returns what has come.
func (p *pollingReturning) take() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.packets
	p.packets = nil
	return list
}

// leave ends the connection, and not the part in the namespace.
func (p *pollingReturning) leave() {
	p.do("POST", p.query, "1")
	<-p.over
	synctest.Wait()
}

func reportedQuietForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(&Options{Recovery: &Recovery{}, Logger: slog.New(slog.DiscardHandler)})
		n := srv.Of("/")
		p := &pollingReturning{inMemory: inMemory{t, srv}, returning: returning{t: t}}
		if _, events := p.connect(); !slices.Equal(events, []string{`["recovery"]`}) {
			t.Fatalf("the first events are %q", events)
		}
		for range 60 {
			time.Sleep(time.Minute)
			_ = n.To("others").Emit("x")
		}
		log := n.recovery.Load()
		log.mu.Lock()
		position, ok := log.parse(p.offset)
		if !ok || log.lost <= position {
			t.Error("what is behind the offset is kept still: this shows nothing")
		}
		if dropped := srv.Stats().RecoveryDropped; dropped != 0 {
			t.Errorf("%d events that are too old count as pushed out", dropped)
		}
		log.mu.Unlock()
		p.leave()
		time.Sleep(time.Minute)
		_ = n.Emit("missed")
		if recovered, events := p.connect(); !recovered || !slices.Equal(events, []string{`["missed"]`}) {
			t.Errorf("recovered %v, with %q", recovered, events)
		}
		p.leave()
		time.Sleep(2*time.Minute + time.Second)
		if recovered, _ := p.connect(); recovered {
			t.Error("recovered after MaxDisconnection")
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-p.over
		time.Sleep(time.Hour) // the timers of the server end by themselves
	})
}

func reportedAgainAndAgain(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	r := newReturning(t, serve(t, srv), "")
	r.away(srv)
	for _, e := range []string{"one", "two", "three"} {
		_ = n.Emit(e)
	}
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("one", "two") // the third does not reach it
	r.away(srv)
	_ = n.Emit("four")
	if !r.connect("") {
		t.Fatal("not recovered for the second time")
	}
	r.expect("three", "four")
	r.away(srv)
	if !r.connect("") {
		t.Fatal("not recovered for the third time")
	}
	_ = n.Emit("five")
	r.expect("five")
}

func reportedNotThere(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	name := RestoredKey[string]("name")
	var tokens []string
	n.OnConnect(func(_ context.Context, s *Socket) error {
		var auth struct{ Token string }
		err := s.Auth(&auth)
		tokens = append(tokens, auth.Token)
		if !s.Recovered() {
			name.Set(s, "ann")
			s.Join("room")
		}
		return err
	})
	sockets := connected(n)
	r := &returning{t: t, c: serve(t, srv)}
	r.connect(`{"token":"t"}`)
	r.expect("recovery")
	<-sockets
	r.away(srv)
	_ = n.To("room").Emit("missed")
	r.w, _ = r.c.WebSocket()
	r.w.Send(fmt.Sprintf(`40{"pid":%q,"offset":%q,"token":"t"}`, r.pid, r.offset))
	if m, want := r.w.Next(), fmt.Sprintf(`40{"sid":%q,"pid":%q}`, r.sid, r.pid); m != want {
		t.Errorf("the answer is %s instead of %s", m, want)
	}
	r.expect("missed")
	s := <-sockets
	if v, _ := name.Get(s); v != "ann" || s.ID() != r.sid || !s.In("room") {
		t.Errorf("the socket is %s of %q, in %q", s.ID(), v, s.Rooms())
	}
	if !slices.Equal(tokens, []string{"t", "t"}) {
		t.Errorf("the application's auth: %q", tokens)
	}
}

func reportedSecrets(t *testing.T) {
	log := new(testkit.Log)
	srv := NewServer(&Options{
		Recovery: &Recovery{},
		Logger:   slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	n := srv.Of("/")
	n.OnConnect(func(_ context.Context, s *Socket) error {
		if s.Recovered() {
			panic("on purpose")
		}
		return nil
	})
	c := serve(t, srv)
	begins := map[string]bool{}
	var pids []string
	for range 50 {
		r := newReturning(t, c, "")
		pids, begins[r.pid[:6]] = append(pids, r.pid), true
		r.away(srv)
		if m := r.again().Next(); m != `44{"message":"internal error"}` {
			t.Error(m)
		}
	}
	if len(begins) != len(pids) {
		t.Errorf("%d of %d secrets have a beginning of their own", len(begins), len(pids))
	}
	text := log.String()
	if !strings.Contains(text, "on purpose") {
		t.Error("nothing is logged: this shows nothing")
	}
	for _, pid := range pids {
		if strings.Contains(text, pid) {
			t.Fatalf("a secret is logged: %s", text)
		}
	}
}

func reportedMemory(t *testing.T) {
	const most = 20_000
	srv := NewServer(&Options{Recovery: &Recovery{MaxBytes: most}})
	n := srv.Of("/")
	c := serve(t, srv)
	early := newReturning(t, c, "")
	early.away(srv)
	for range 100 {
		_ = n.Emit("large", make([]byte, 1000))
	}
	log := n.recovery.Load()
	log.mu.Lock()
	bytes := 0
	for _, e := range log.events {
		bytes += len(e.packet.Data) + len(e.packet.Attachments[0])
	}
	if bytes > most || bytes < most/2 || bytes > log.bytes {
		t.Errorf("%d bytes are kept in %d events, and %d count", bytes, len(log.events), log.bytes)
	}
	log.mu.Unlock()
	late := newReturning(t, c, "")
	if dropped := srv.Stats().RecoveryDropped; dropped != int64(100-len(log.events)) {
		t.Errorf("%d events of 100 are kept, and %d were pushed out", len(log.events), dropped)
	}
	late.away(srv)
	_ = n.Emit("one")
	_ = n.Emit("two")
	if !late.connect("") {
		t.Error("what it has missed is kept, and it is not recovered")
	}
	late.expect("one", "two")
	if early.connect("") {
		t.Error("recovered without what a bound has pushed out")
	}
	_ = n.Emit("live")
	early.expect("recovery", "live") // nothing of the rest
	if st := srv.Stats(); st.Recovered != 1 || st.NotRecovered != 1 {
		t.Errorf("%+v", st)
	}
}

func reportedVolatile(t *testing.T) {
	srv := NewServer(&Options{Recovery: &Recovery{}})
	n := srv.Of("/")
	r := newReturning(t, serve(t, srv), "")
	before := r.offset
	for dropped := int64(-1); dropped != srv.Stats().DroppedVolatile; { // until one has not been
		dropped = srv.Stats().DroppedVolatile
		_ = n.All().Volatile().Emit("volatile", "text")
	}
	if m := r.next(); m != `["volatile","text"]` || r.offset != before {
		t.Errorf("%s with %s behind %s", m, r.offset, before)
	}
	r.away(srv)
	_ = n.Emit("missed")
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("missed")
}
