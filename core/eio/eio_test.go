package eio_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/eio"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// serve starts a server.
func serve(t *testing.T, o eio.Options) (url string, srv *eio.Server) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	srv = eio.NewServer(&o)
	hs := httptest.NewServer(srv)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		hs.Close()
	})
	return hs.URL, srv
}

func echo(s *eio.Socket) {
	s.OnMessage(func(m eio.Message) {
		if m.Binary {
			_ = s.SendBinary(m.Data)
			return
		}
		_ = s.Send(string(m.Data))
	})
}

// TestEcho: messages of both kinds come back, over both transports of both
// protocols. The bytes are those of the protocols' texts.
func TestEcho(t *testing.T) {
	url, srv := serve(t, eio.Options{OnConnection: echo})
	c := wire.New(t, url, "/engine.io/")
	t.Run("polling 4", func(t *testing.T) {
		s := c.Polling()
		s.Post("4hello \u20ac\x1ebAQID")
		if got := s.Packets(2); got[0] != "4hello \u20ac" || got[1] != "bAQID" {
			t.Errorf("came back as %q", got)
		}
	})
	t.Run("polling 3", func(t *testing.T) {
		s := c.Polling3("b64=1")
		s.Post("4hello \u20ac", "b4AQID")
		if got := []string{s.Next(), s.Next()}; got[0] != "4hello \u20ac" || got[1] != "b4AQID" {
			t.Errorf("came back as %q", got)
		}
	})
	t.Run("websocket 4", func(t *testing.T) {
		w, _ := c.WebSocket()
		w.Send("4hello")
		w.SendBinary([]byte{1, 2, 3})
		if got := []string{w.Next(), w.Next()}; got[0] != "4hello" || got[1] != "bAQID" {
			t.Errorf("came back as %q", got)
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		s := c.Polling()
		w := s.Probe()
		w.Send("5", "4over the websocket")
		if got := w.Next(); got != "4over the websocket" {
			t.Errorf("came back as %q", got)
		}
	})
	if srv.Clients() == 0 {
		t.Error("nobody is counted")
	}
}

// TestOrder: the functions of one socket run one at a time, OnClose behind what was
// sent before, though OnMessage takes its time and more waits than the inbox holds.
func TestOrder(t *testing.T) {
	got := make(chan string, 1000)
	release := make(chan struct{})
	url, _ := serve(t, eio.Options{OnConnection: func(s *eio.Socket) {
		got <- "open"
		s.OnMessage(func(m eio.Message) {
			<-release
			got <- string(m.Data)
		})
		s.OnClose(func(r string) { got <- "close: " + r })
	}})
	w, _ := wire.New(t, url, "/engine.io/").WebSocket()
	for i := range 200 { // what does not fit waits in the connection
		w.Send(fmt.Sprintf("4%d", i))
	}
	_ = w.Raw(wire.Frame(0x88, []byte{0x03, 0xe8}))
	close(release)
	want := []string{"open"}
	for i := range 200 {
		want = append(want, strconv.Itoa(i))
	}
	for _, want := range append(want, "close: transport close") {
		if got := <-got; got != want {
			t.Fatalf("%q instead of %q", got, want)
		}
	}
}

// TestEndInPost: a POST that holds more than the inbox is handled whole, and answered as
// accepted, when the session ends meanwhile.
func TestEndInPost(t *testing.T) {
	const n = 200
	got := make(chan string, n+1)
	held, release := make(chan bool, n), make(chan struct{})
	url, srv := serve(t, eio.Options{OnConnection: func(s *eio.Socket) {
		s.OnMessage(func(m eio.Message) {
			held <- true
			<-release
			got <- string(m.Data)
		})
		s.OnClose(func(string) { got <- "close" })
	}})
	c := wire.New(t, url, "/engine.io/").Polling()
	status := make(chan int, 1)
	go func() {
		a, _ := c.Do(context.Background(), "POST", c.Query(), strings.Repeat("4x\x1e", n-1)+"4x")
		status <- a.Status
	}()
	<-held
	for range 2 { // a second poll beside the first one ends the session
		c.Hold()
	}
	for srv.Clients() > 0 { // the session ends while the handler is held
		runtime.Gosched()
	}
	close(release)
	if code := <-status; code != 200 {
		t.Errorf("status %d", code)
	}
	for i := range n {
		if g := <-got; g != "x" {
			t.Fatalf("%s behind %d of %d", g, i, n)
		}
	}
	<-got
}

// lines is a log: what was written, in the order.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// until waits for a line that has both of two words. Who logs may do so behind what the
// test has seen: a function that has panicked ends before its panic is logged.
func (l lines) until(t *testing.T, a, b string) {
	t.Helper()
	var all strings.Builder
	for late := time.After(wire.Patience); ; {
		select {
		case line := <-l:
			if strings.Contains(line, a) && strings.Contains(line, b) {
				return
			}
			all.WriteString(line)
		case <-late:
			t.Fatalf("no line of the log has %q and %q:\n%s", a, b, all.String())
		}
	}
}

// TestFaults: application code that panics or ends its goroutine ends its own
// connection and nothing else.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]func(){"panic": func() { panic("fault") }, "exit": runtime.Goexit} {
		for _, where := range []string{"OnConnection", "OnMessage", "OnClose", "AllowRequest", "AllowOrigin"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				log := make(lines, 100)
				var first sync.Once
				at := func(here string) {
					if here == where {
						first.Do(fault)
					}
				}
				closed := make(chan string, 2)
				url, _ := serve(t, eio.Options{
					Logger:       slog.New(slog.NewTextHandler(log, nil)),
					AllowRequest: func(host.Exchange) (any, error) { at("AllowRequest"); return 7, nil },
					AllowOrigin:  func(string) bool { at("AllowOrigin"); return true },
					OnConnection: func(s *eio.Socket) {
						s.OnClose(func(r string) {
							defer func() { closed <- r }()
							at("OnClose")
						})
						at("OnConnection")
						s.OnMessage(func(m eio.Message) { at("OnMessage"); _ = s.Send(fmt.Sprint(s.Data(), string(m.Data))) })
					},
				})
				c := wire.New(t, url, "/engine.io/")
				a := c.Must("GET", "EIO=4&transport=polling", "", "Origin", "https://elsewhere.example")
				if refuses := strings.HasPrefix(where, "Allow"); refuses != (a.Status == http.StatusForbidden) {
					t.Fatalf("the handshake: %v", a)
				} else if !refuses {
					sid := a.Body[9:36]
					c.Must("POST", "EIO=4&transport=polling&sid="+sid, "4x\x1e1")
					<-closed
				}
				w, _ := c.WebSocket()
				w.Send("4y")
				if got := w.Next(); got != "47y" {
					t.Errorf("the next client gets %q", got)
				}
				_ = w.Conn.Close()
				<-closed
				log.until(t, "panic", where)
			})
		}
	}
}

// bomb is a logger's handler that panics.
type bomb struct{ slog.Handler }

func (bomb) Enabled(context.Context, slog.Level) bool  { return true }
func (bomb) Handle(context.Context, slog.Record) error { panic("Handle") }

// TestLogger: a logger that panics loses its lines and nothing else.
func TestLogger(t *testing.T) {
	closed := make(chan string, 2)
	url, _ := serve(t, eio.Options{Logger: slog.New(bomb{slog.DiscardHandler}), OnConnection: func(s *eio.Socket) {
		s.OnClose(func(r string) { closed <- r })
		s.OnMessage(func(eio.Message) { panic("fault") })
	}})
	w, _ := wire.New(t, url, "/engine.io/").WebSocket()
	w.Send("4x")
	w.End()
	<-closed
}

// counting is a listener whose connections panic in Write, once they are armed.
type counting struct {
	net.Listener
	armed atomic.Bool
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return counted{c, l}, nil
}

type counted struct {
	net.Conn
	l *counting
}

func (c counted) Write(p []byte) (int, error) {
	if c.l.armed.Swap(false) {
		panic("Write")
	}
	return c.Conn.Write(p)
}

// TestListenersConnection: a connection of the application's own type that panics ends
// itself and its session.
func TestListenersConnection(t *testing.T) {
	log := make(lines, 100)
	closed := make(chan string, 2)
	srv := eio.NewServer(&eio.Options{Logger: slog.New(slog.NewTextHandler(log, nil)), OnConnection: func(s *eio.Socket) {
		s.OnClose(func(r string) { closed <- r })
		echo(s)
	}})
	hs := httptest.NewUnstartedServer(srv)
	l := &counting{Listener: hs.Listener}
	hs.Listener = l
	hs.Start()
	defer hs.Close()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	c := wire.New(t, hs.URL, "/engine.io/")
	w, _ := c.WebSocket()
	l.armed.Store(true)
	w.Send("4x")
	w.End()
	if r := <-closed; r != "transport error" {
		t.Errorf("closed with %v", r)
	}
	log.until(t, "in=net.Conn", "panic=Write")
	w, _ = c.WebSocket()
	w.Send("4y")
	if got := w.Next(); got != "4y" {
		t.Errorf("the next client gets %q", got)
	}
}

// TestShutdown: clients are told, OnClose has returned when Shutdown returns, and
// new ones are refused.
func TestShutdown(t *testing.T) {
	reasons := make(chan string, 1)
	srv := eio.NewServer(&eio.Options{OnConnection: func(s *eio.Socket) {
		s.OnClose(func(r string) {
			<-s.Context().Done()
			if err := s.Send("late"); err != eio.ErrClosed {
				t.Errorf("Send after the end: %v", err)
			}
			reasons <- r
		})
		_ = s.Send("ready")
	}})
	hs := httptest.NewServer(srv)
	defer hs.Close()
	c := wire.New(t, hs.URL, "/engine.io/")
	w, _ := c.WebSocket()
	w.Next()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	select {
	case r := <-reasons:
		if r != "server shutting down" {
			t.Errorf("the reason is %q", r)
		}
	default:
		t.Error("OnClose has not returned")
	}
	if a := c.Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a handshake afterwards: %v", a)
	}
	if err := srv.Shutdown(context.Background()); err != eio.ErrServerClosed {
		t.Errorf("a second Shutdown: %v", err)
	}
}

// TestOptions: what makes no sense is seen at start-up.
func TestOptions(t *testing.T) {
	none := func(*eio.Socket) {}
	for want, o := range map[string]*eio.Options{
		"OnConnection":    {},
		"protocol 2":      {OnConnection: none, Protocols: []int{2}},
		`"carrier pigeon`: {OnConnection: none, Transports: []string{"carrier pigeon"}},
		"PingTimeout":     {OnConnection: none, PingTimeout: -1},
		"Origins":         {OnConnection: none, Origins: []string{"https://a.example/path"}},
		"every page":      {OnConnection: none, Origins: []string{"*"}, AllowOrigin: func(string) bool { return true }},
	} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("%q instead of a word of %q", p, want)
				}
			}()
			eio.NewServer(o)
		}()
	}
}
