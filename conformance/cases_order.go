package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// What a client has sent before its goodbye is handled, whatever an earlier handler
// takes; what it had sent before it was kicked is not.

// farewell is an application whose first handler lasts until the client has gone.
type farewell struct {
	c       *env
	entered chan struct{}

	mu    sync.Mutex
	saved []int
	ended []string
}

func newFarewell(c *env) *farewell {
	f := &farewell{c: c, entered: make(chan struct{}, 1)}
	n := c.of("/")
	n.On("slow", sio.Handle(func(ctx context.Context, s *sio.Socket, kick string) error {
		f.entered <- struct{}{}
		switch kick {
		case "kick":
			c.holds() // until the events behind this one have been read
			s.Disconnect()
		case "drop":
			c.holds()
			s.Conn().CloseTransport()
		}
		<-ctx.Done()
		return nil
	}))
	save := func(ctx context.Context, s *sio.Socket, i int) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if ctx.Err() == nil { // else a database would not have taken it
			f.saved = append(f.saved, i)
		}
		return nil
	}
	n.On("save", sio.Handle(save))
	n.On("save-beside", sio.Handle(func(ctx context.Context, s *sio.Socket, i int) error {
		c.holds() // OnDisconnect waits for it
		return save(ctx, s, i)
	}), sio.Concurrent(4))
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, r sio.Reason) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = append(f.ended, fmt.Sprint(f.saved, r, s.Connected(), len(s.Rooms())))
	})
	n.OnConnect(func(ctx context.Context, s *sio.Socket) error {
		s.Join("room")
		if s.Request().Header.Get("X-Slow") != "" {
			<-ctx.Done()
		}
		return nil
	})
	return f
}

// runs waits until the first handler runs.
func (f *farewell) runs() {
	f.c.T.Helper()
	select {
	case <-f.entered:
	case <-time.After(f.c.run.patience):
		f.c.T.Fatal("the first handler does not run")
	}
}

// want waits for the end of the one socket, and compares what was saved before it.
func (f *farewell) want(saved []int, reasons ...sio.Reason) {
	f.c.T.Helper()
	f.c.Eventually("the disconnect", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.ended) > 0
	})
	f.c.holds()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range reasons {
		if fmt.Sprint(f.ended) == fmt.Sprint([]string{fmt.Sprint(saved, r, false, 1)}) {
			return
		}
	}
	f.c.T.Errorf("what was saved, the reason, connected and rooms\n got  %v\n want %v %v false 1", f.ended, saved, reasons)
}

// What the clients send before their goodbye: an event whose handler lasts, and three to
// be saved behind it; first for Socket.IO 1 and newer, then for 0.9.
var (
	slowThenSave = []string{
		`42["slow",""]`,
		`42["save",1]`,
		`42["save",2]`,
		`42["save",3]`,
	}
	slowThenSave09 = []string{
		`5:::{"name":"slow","args":[""]}`,
		`5:::{"name":"save","args":[1]}`,
		`5:::{"name":"save","args":[2]}`,
		`5:::{"name":"save","args":[3]}`,
	}
	allThree = []int{1, 2, 3}
)

// goodbyeRow is a way in which a client or the server ends a connection.
type goodbyeRow struct {
	name, rule string
	need       string
	run        func(c *env, f *farewell)
}

var goodbyeRows = []goodbyeRow{
	{"websocket", "a close frame", eio4, goodbyeWebsocket},
	{"disconnect", "a disconnect packet, then a close frame", eio4, goodbyeDisconnect},
	{"polling", "a disconnect packet and the close packet", eio4, goodbyePolling},
	{"overlap", "events that overlap", eio4, goodbyeOverlap},
	{"malformed", "a packet that ends the connection", eio4, goodbyeMalformed},
	{"shutdown", "the server is shut down", eio4, goodbyeShutdown},
	{"eio3", "2.x: the close packet", eio3, goodbyeEio3},
	{"sio1", "0.9: the disconnect packet", sio1, goodbyeSio1},
	{"sio1-request", "0.9: the request that ends the session", sio1, goodbyeSio1Request},
	{
		"sio1-connecting",
		"0.9: while OnConnect runs, which its clients do not know of",
		sio1,
		goodbyeSio1Connecting,
	},
	{"kicked", "not behind Disconnect", eio4, goodbyeKicked},
	{"dropped", "nor behind CloseTransport, a logout for example", eio4, goodbyeDropped},
}

func goodbyeCases() (cases []testCase) {
	for _, row := range goodbyeRows {
		cases = append(cases, testCase{
			name: "goodbye/" + row.name,
			rule: "what was received before the end is handled before OnDisconnect, though an earlier handler still runs: " + row.rule,
			spec: "docs/protocol.md 6.6",
			slow: slices.Contains([]string{"overlap", "websocket", "disconnect", "shutdown"}, row.name), local: true, need: []string{row.need},
			run: func(c *env) { row.run(c, newFarewell(c)) },
		})
	}
	return cases
}

func goodbyeWebsocket(c *env, f *farewell) {
	w := c.Join("")
	w.Send(slowThenSave...)
	_ = w.Raw(wire.Frame(0x88, []byte{3, 232}))
	f.want(allThree, sio.TransportClose)
}

func goodbyeDisconnect(c *env, f *farewell) {
	w := c.Join("")
	w.Send(append(slowThenSave, "41", `42["save",4]`)...)
	_ = w.Raw(wire.Frame(0x88, []byte{3, 232}))
	f.want(allThree, sio.ClientNamespace)
}

func goodbyePolling(c *env, f *farewell) {
	s := c.Polling()
	s.Join("")
	for _, p := range slowThenSave {
		c.Want("post", s.Post(p), "200 ok")
	}
	f.runs()
	s.Post("41\x1e1")
	f.want(allThree, sio.ClientNamespace)
}

func goodbyeOverlap(c *env, f *farewell) {
	w := c.Join("")
	w.Send(slowThenSave[0], `42["save-beside",1]`)
	_ = w.Raw(wire.Frame(0x88, []byte{3, 232}))
	f.want([]int{1}, sio.TransportClose)
}

func goodbyeMalformed(c *env, f *farewell) {
	w := c.Join("")
	w.Send(append(slowThenSave, "4nonsense")...)
	f.want(allThree, sio.MalformedPacket)
}

func goodbyeShutdown(c *env, f *farewell) {
	s := c.Polling()
	s.Join("")
	for _, p := range slowThenSave {
		c.Want("post", s.Post(p), "200 ok")
	}
	f.runs()
	// The handler lasts until its context ends, which is with this one.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.shutdown(ctx)
	f.want(allThree, sio.ServerShutdown)
}

func goodbyeEio3(c *env, f *farewell) {
	s := c.Polling3()
	s.Next()
	c.Want("post", s.Post(slowThenSave...), "200 ok")
	f.runs()
	s.Post("1")
	f.want(allThree, sio.TransportClose)
}

func goodbyeSio1(c *env, f *farewell) {
	s := c.Polling1()
	s.Send(slowThenSave09...)
	f.runs() // its "1::" comes before OnConnect has returned
	s.Send("0::")
	s.Must("GET", "disconnect=1", "")
	f.want(allThree, sio.ClientNamespace)
}

func goodbyeSio1Request(c *env, f *farewell) {
	s := c.Polling1()
	s.Send(slowThenSave09...)
	f.runs() // its "1::" comes before OnConnect has returned
	s.Must("GET", "disconnect=1", "")
	f.want(allThree, sio.ClientNamespace)
}

func goodbyeSio1Connecting(c *env, f *farewell) {
	c.Head.Set("X-Slow", "1")
	s := c.Polling1()
	s.Send(slowThenSave09[1:]...) // the handler that lasts is OnConnect
	s.Must("GET", "disconnect=1", "")
	f.want(allThree, sio.ClientNamespace)
}

func goodbyeKicked(c *env, f *farewell) {
	w := c.Join("")
	w.Send(append([]string{`42["slow","kick"]`}, slowThenSave[1:]...)...)
	c.Want("kicked", w.Next(), "41")
	f.want(nil, sio.ServerNamespace)
}

func goodbyeDropped(c *env, f *farewell) {
	s := c.Polling()
	s.Join("")
	for _, p := range append([]string{`42["slow","drop"]`}, slowThenSave[1:]...) {
		s.Post(p)
	}
	f.want(nil, sio.ServerTransportClose)
}

// orderCases are about events behind a handler that takes its time.
var orderCases = []testCase{
	{
		name: "acks/behind-uploads",
		rule: "a handler may wait for its own client's ack behind several of the largest messages",
		spec: "docs/protocol.md 6.5",
		// What is uploaded takes seconds on a slow machine with the race detector.
		opts: func(o *sio.Options) { o.MaxPayload, o.AckTimeout = 300_000, time.Minute },
		run:  acksBehindUploads,
	},
	{
		name: "limits/inbox",
		rule: "behind a handler that takes its time so many packets wait, then reading stops, and goes " +
			"on behind it",
		spec: "docs/protocol.md 8.4",
		slow: true,
		opts: func(o *sio.Options) { o.MaxInbox = 4 },
		run:  limitsInbox,
	},
}

func acksBehindUploads(c *env) {
	w := c.Join("")
	w.Send(`42["ask","x"]`)
	id := c.question(w)
	for range 10 {
		w.Send(`42["echo","` + strings.Repeat("x", 290_000) + `"]`)
	}
	w.Send("43" + id + `["y"]`)
	c.Want("answer", w.Next(), `42["answer","y"]`)
}

func limitsInbox(c *env) {
	w := c.Join("")
	w.Send(`42["block"]`)
	w.Next()
	for i := range 4 {
		w.Send(fmt.Sprintf(`42["n",%d]`, i))
	}
	ping := wire.Frame(0x89, []byte("p"))
	_ = w.Raw(ping)
	c.Want("ping within the bound", w.Next()[:10], "control 8a")
	w.Send(`42["n",4]`)
	_ = w.Raw(ping)
	stopped := async(w.Next)
	select {
	case got := <-stopped:
		c.T.Errorf("beyond the bound: %s", got)
	case <-time.After(300 * time.Millisecond):
	}
	close(c.own().release)
	if got := <-stopped; !strings.HasPrefix(got, "control 8a") {
		c.T.Errorf("after it: %s", got)
	}
	c.Eventually("all events", func() bool { return len(c.handled()) == 5 })
}
