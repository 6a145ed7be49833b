package sio

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

const testSecret = "a secret of tests, 32 bytes long"

// spread is a cluster of servers behind a load balancer that gives each request to the next.
type spread struct {
	*nodes
	turn atomic.Int64
	c    *wire.Client
	log  *testkit.Log
}

func spreadOver(t *testing.T, n int, opts func(i int, o *Options), set func(srv *Server)) *spread {
	sp := &spread{nodes: &nodes{t: t, bus: cluster.NewBus()}, log: new(testkit.Log)}
	for i := range n {
		o := &Options{Cluster: sp.bus.Backend(), Forward: &Forward{Listen: "127.0.0.1:0", Secret: []byte(testSecret)}, Logger: sp.log.Logger(),
			Transports: []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart"}}
		if opts != nil {
			opts(i, o)
		}
		srv := NewServer(o)
		if set != nil {
			set(srv)
		}
		sp.all = append(sp.all, srv)
	}
	sp.settle()
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sp.all[int(sp.turn.Add(1))%len(sp.all)].ServeHTTP(w, r)
	}))
	sp.c = wire.New(t, hs.URL, "/socket.io/")
	t.Cleanup(func() {
		sp.c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
		defer cancel()
		for _, srv := range sp.all {
			if err := srv.Shutdown(ctx); err != nil && err != ErrServerClosed {
				t.Error(err)
			}
		}
		hs.Close()
	})
	return sp
}

// echoes has text and bytes come back.
func echoes(srv *Server) {
	srv.Of("/").On("echo", Handle(func(_ context.Context, s *Socket, in string) error { return s.Emit("echoed", in) }))
	srv.Of("/").On("bytes", Handle(func(_ context.Context, s *Socket, in []byte) error { return s.Emit("echoed", len(in), in) }))
}

// owner is the server that has a session.
func (sp *spread) owner(sid string) *Server {
	for _, srv := range sp.all {
		if strings.HasPrefix(sid, srv.node.Name()) {
			return srv
		}
	}
	sp.t.Fatalf("nobody has %q", sid)
	return nil
}

// TestForward: clients of every generation work behind a load balancer that is not sticky.
func TestForward(t *testing.T) {
	sp := spreadOver(t, 3, nil, echoes)
	big := strings.Repeat("x", 900_000)
	for range 4 { // each round begins at another server
		s := sp.c.Polling()
		s.Join("")
		for i := range 4 {
			if a := s.Post(fmt.Sprintf(`42["echo","%d"]`, i)); a.String() != "200 ok" {
				t.Fatal(a)
			}
			if got, want := s.Packets(1)[0], fmt.Sprintf(`42["echoed","%d"]`, i); got != want {
				t.Fatal(got)
			}
		}
		s.Post(`42["echo","` + big + `"]`)
		if got := s.Packets(1)[0]; got != `42["echoed","`+big+`"]` {
			t.Fatalf("%d bytes", len(got))
		}
		w := s.Probe()
		w.Send("2probe")
		if got := w.Next(); got != "3probe" {
			t.Fatal(got)
		}
		w.Send("5", `42["echo","upgraded"]`)
		if got := w.Next(); got != `42["echoed","upgraded"]` {
			t.Fatal(got)
		}
		w.Send(`451-["bytes",{"_placeholder":true,"num":0}]`)
		w.SendBinary([]byte(big))
		if got := w.Next(); got != `451-["echoed",900000,{"_placeholder":true,"num":0}]` {
			t.Fatal(got)
		}
		if _, p, err := w.ReadFrame(); err != nil || string(p) != big {
			t.Fatal(len(p), err)
		}
		sp.c.Join("").Send(`42["echo","x"]`)

		s3 := sp.c.Polling3()
		if got := s3.Next(); got != "40" {
			t.Fatal(got)
		}
		s3.Post(`42["echo","é"]`)
		if got := s3.Next(); got != `42["echoed","é"]` && got != `42["echoed","\u00e9"]` {
			t.Fatal(got)
		}

		nine := sp.c.Polling1()
		nine.Send(`5:::{"name":"echo","args":["nine"]}`)
		if got := nine.Next(); got != `5:::{"name":"echoed","args":["nine"]}` {
			t.Fatal(got)
		}
		sid := sp.c.Handshake1("")
		w9, a := sp.c.At("/socket.io/1/websocket/"+sid).Upgrade("", "")
		if w9 == nil {
			t.Fatal(a)
		}
		if got := w9.Next(); got != "1::" {
			t.Fatal(got)
		}
		w9.Send(`5:::{"name":"echo","args":["nine"]}`)
		if got := w9.Next(); got != `5:::{"name":"echoed","args":["nine"]}` {
			t.Fatal(got)
		}
		if a := sp.c.At("/socket.io/1/websocket/"+sid).Must("GET", "disconnect=1", ""); a.Status != 200 {
			t.Fatal(a)
		}
		_ = w9.End()
	}
	if got := sp.log.String(); strings.Contains(got, "passed on") || strings.Contains(got, "unknown session") {
		t.Error(got)
	}
}

// TestForwardStream: an answer in pieces is passed on piece by piece.
func TestForwardStream(t *testing.T) {
	sp := spreadOver(t, 2, nil, echoes)
	for range 2 {
		sid := sp.c.Handshake1("")
		st := sp.c.At("/socket.io/1/htmlfile/" + sid).Stream("")
		st.Until("1::")
		if a := sp.c.At("/socket.io/1/htmlfile/"+sid).Must("POST", "", `5:::{"name":"echo","args":["piece"]}`); a.Status != 200 {
			t.Fatal(a)
		}
		st.Until("piece")
		st.Close()
	}
}

// TestForwardRequest: the server that has the session sees the client's own address, and the
// request as it was sent.
func TestForwardRequest(t *testing.T) {
	var seen atomic.Pointer[Request]
	sp := spreadOver(t, 2, nil, func(srv *Server) {
		srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
			s.Conn().OnExchange(func(x host.Exchange) error {
				if x.Native() == nil {
					seen.Store(NewRequest(x))
				}
				return nil
			})
			return nil
		})
	})
	s := sp.c.Polling()
	s.Join("")
	sp.c.Head.Set("X-Test", "caf\xe9")
	sp.c.Head.Set("Cookie", "a=b")
	for range 2 {
		if a := s.Post("3"); a.Status != 200 {
			t.Fatal(a)
		}
	}
	r := seen.Load()
	if r == nil {
		t.Fatal("nothing was passed on")
	}
	if c, err := r.Cookie("a"); err != nil || c.Value != "b" || r.Header.Get("X-Test") != "caf\xe9" || r.ClientIP != "127.0.0.1" || !strings.HasPrefix(r.URL().Path, "/socket.io/") {
		t.Errorf("%+v", r)
	}
	for _, srv := range sp.all { // nobody of the cluster has this address
		if r.RemoteAddr == srv.forward.Addr().String() || r.RemoteAddr == "" {
			t.Error(r.RemoteAddr)
		}
	}
}

// TestForwardOwnerGone: a client whose server has ended is told that its session is unknown,
// also when it waits.
func TestForwardOwnerGone(t *testing.T) {
	sp := spreadOver(t, 2, nil, echoes)
	s := sp.c.Polling()
	s.Join("")
	o := sp.owner(s.Open.SID)
	// As the connections of a process that was killed.
	ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
	defer cancel()
	if err := o.forward.Close(ctx); err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for range 4 {
		if a := s.Must("POST", s.Query(), "3"); a.Status == 400 && strings.Contains(a.Body, "Session ID unknown") {
			unknown++
		} else if a.Status != 200 {
			t.Error(a)
		}
	}
	if unknown != 2 {
		t.Errorf("%d of 4 requests were of an unknown session", unknown)
	}
	failures := int64(0)
	for _, srv := range sp.all {
		failures += srv.Stats().Failures[FailureForward]
	}
	if failures != 2 || !strings.Contains(sp.log.String(), "could not be passed on") {
		t.Errorf("%d failures; %s", failures, sp.log)
	}
}

// TestForwardHeldPollEnds: a poll that is held for a client, and a websocket, end when the
// server that has the session has left the cluster.
func TestForwardHeldPollEnds(t *testing.T) {
	sp := spreadOver(t, 2, nil, echoes)
	s := sp.c.Polling()
	s.Join("")
	o := sp.owner(s.Open.SID)
	other := sp.all[0]
	if other == o {
		other = sp.all[1]
	}
	hs := httptest.NewServer(other)
	defer hs.Close()
	other.forward.Left(o.node.Name()) // connections of before
	held := (&wire.Session{Client: wire.New(t, hs.URL, "/socket.io/"), Open: s.Open}).Hold()
	until(t, "the poll is passed on", func() bool { return other.forward.Conns() > 0 && other.forward.Passing() > 0 })
	other.forward.Left(o.node.Name())
	if a := <-held; a.Status != 400 {
		t.Error(a)
	}
	for s = sp.c.Polling(); sp.owner(s.Open.SID) != o; s = sp.c.Polling() {
	}
	w := (&wire.Session{Client: wire.New(t, hs.URL, "/socket.io/"), Open: s.Open}).Probe()
	w.Send("2probe")
	if got := w.Next(); got != "3probe" {
		t.Fatal(got)
	}
	other.forward.Left(o.node.Name())
	if end := w.End(); end.Code != 1006 {
		t.Error(end)
	}
}

// TestForwardSecret: a server with another secret gets nothing, and strangers get a 403.
func TestForwardSecret(t *testing.T) {
	sp := spreadOver(t, 2, func(i int, o *Options) {
		if i == 1 {
			o.Forward.Secret = []byte("another secret, also long enough")
		}
	}, echoes)
	s := sp.c.Polling()
	unknown := 0
	for range 4 {
		if a := s.Post("3"); a.Status == 400 {
			unknown++
		}
	}
	if unknown != 2 {
		t.Errorf("%d of 4 requests were of an unknown session", unknown)
	}
	if !strings.Contains(sp.log.String(), "same secret") {
		t.Error(sp.log)
	}
	for _, said := range []string{"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaa",
		"siokit-forward1\n" + strings.Repeat("n", 32) + strings.Repeat("p", 32)} {
		nc, err := net.Dial("tcp", sp.all[0].forward.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(nc, said)
		_ = nc.SetReadDeadline(time.Now().Add(wire.Patience))
		got, err := io.ReadAll(nc)
		if i := strings.Index(string(got), "HTTP/1.1 403 "); err != nil || i < 0 || i > 32 || !strings.HasSuffix(string(got), "\r\n\r\n") {
			t.Errorf("%q: %q %v", said, got, err)
		}
		_ = nc.Close()
	}
	if n := sp.all[0].Stats().Failures[FailureForward]; n < 3 {
		t.Errorf("%d failures", n)
	}
}

// TestForwardOff: without Options.Forward the log says once what is missing.
func TestForwardOff(t *testing.T) {
	sp := spreadOver(t, 2, func(_ int, o *Options) { o.Forward = nil }, echoes)
	s := sp.c.Polling()
	for range 4 {
		s.Post("3")
	}
	if n := strings.Count(sp.log.String(), "the load balancer needs sticky sessions"); n != 1 {
		t.Errorf("%d times: %s", n, sp.log)
	}
}

// TestForwardSlowReader: a client that reads nothing ends as it would without forwarding,
// and the others go on.
func TestForwardSlowReader(t *testing.T) {
	ended := make(chan Reason, 8)
	sp := spreadOver(t, 2, nil, func(srv *Server) {
		echoes(srv)
		srv.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { ended <- r })
	})
	s := sp.c.Polling()
	s.Join("")
	sp.turn.Add(1)
	w := s.Probe()
	w.Send("2probe")
	_ = w.Next()
	w.Send("5", `42["echo","there"]`)
	if got := w.Next(); got != `42["echoed","there"]` {
		t.Fatal(got)
	}
	o := sp.owner(s.Open.SID)
	for p := strings.Repeat("y", 100_000); ; {
		select {
		case r := <-ended:
			if r != SlowClient {
				t.Error(r)
			}
			return
		default:
			_ = o.Of("/").All().Local().Emit("much", p)
		}
	}
}

// TestForwardOptions: what cannot work panics.
func TestForwardOptions(t *testing.T) {
	for want, f := range map[string]*Forward{
		"less than 16 bytes": {Listen: "127.0.0.1:0", Secret: []byte("short")},
		"set Advertise":      {Listen: ":7000", Secret: []byte(testSecret)},
		"Listen:":            {Listen: "nonsense", Secret: []byte(testSecret)},
		"not a host":         {Listen: ":0", Advertise: "0.0.0.0:7", Secret: []byte(testSecret)},
	} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("%q instead of %q", p, want)
				}
			}()
			NewServer(&Options{Cluster: cluster.NewBus().Backend(), Forward: f})
		}()
	}
}
