package siotest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/siotest"
)

// told is a test that may fail. Its cleanups run when run returns.
type told struct {
	testing.TB
	text     string
	cleanups []func()
}

func (f *told) Helper() {}

func (f *told) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

func (f *told) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) + "\n" }

func (f *told) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *told) Fatal(args ...any) {
	f.text += fmt.Sprint(args...)
	runtime.Goexit()
}

// failure runs a test with its cleanups, and returns how it has failed; "" when it has not.
func failure(t *testing.T, test func(t testing.TB)) string {
	f := &told{TB: t}
	run := func(fn func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			fn()
		}()
		<-done
	}
	run(func() { test(f) })
	for len(f.cleanups) > 0 {
		last := len(f.cleanups) - 1
		fn := f.cleanups[last]
		f.cleanups = f.cleanups[:last]
		run(fn)
	}
	return f.text
}

// fake is a handler that takes over the connection and says what a row of TestFailures has in
// the place of a server: frames of text behind the answer of a websocket.
func fake(texts ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		out := bufio.NewWriter(nc)
		_, _ = out.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for _, text := range texts {
			_, _ = out.Write(append([]byte{0x81, byte(len(text))}, text...))
		}
		_ = out.Flush()
	})
}

// opened is the open packet of a fake.
const opened = `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}`

type failing struct {
	name string
	test func(t testing.TB, io *sio.Server)
	want []string
}

func connect(t testing.TB, io *sio.Server) *siotest.Client {
	return siotest.New(t, io, nil).Connect("/", nil)
}

// named is a test with another name.
type named struct {
	testing.TB
	name string
}

func (n named) Name() string { return n.name }

func behind(t testing.TB, io *sio.Server, h http.Handler) *siotest.Visitor {
	return siotest.New(t, io, &siotest.Options{Handler: h})
}

func of(t testing.TB, io *sio.Server, dialect string) *siotest.Visitor {
	return siotest.New(t, io, &siotest.Options{Dialect: dialect})
}

// eventFailures are those of clients that are connected.
var eventFailures = []failing{
	{"nothing comes", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Emit("two"); c.Next("none") },
		[]string{`siotest: #1 /: the event "none" has not come within 10s.`, `come and were not taken:`, `"one" with 1`, `"two" with "x", 2 bytes 0102`, "this is #1", `#1 > 42["two"]`, `#1 < 42["one",1]`, `< 2 bytes 0102`}},
	{"nothing comes at all", func(t testing.TB, io *sio.Server) { connect(t, io).Next("") },
		[]string{"an event has not come within 10s", "No other event waits."}},
	{"nothing comes any more", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Emit("kick"); c.Next("none") },
		[]string{`the event "none" has not come: the client was disconnected (io server disconnect)`}},
	{"nothing is sent any more", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("kick")
		c.End()
		synctest.Wait()
		c.Ask("two")
	},
		[]string{`"two" was not answered: the client was disconnected (io server disconnect)`, "> close 1001", `not sent, the client is disconnected (io server disconnect): 421["two"]`}},
	{"sends after Close", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Close(); c.Emit("two") },
		[]string{"#1 /: the client sends nothing after its Close", "> close 1001"}},
	{"sends a message after Disconnect", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Join("/chat", nil)
		c.Disconnect()
		c.Send("x")
	}, []string{"the client sends nothing after its Disconnect"}},
	{"sends a message of 0.9 after Close", func(t testing.TB, io *sio.Server) { c := of(t, io, "sio1").Connect("/", nil); c.Close(); c.Send("x") },
		[]string{"the client sends nothing after its Close"}},
	{"asks after Freeze", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Freeze(); c.Ask("two") },
		[]string{"the client sends nothing after its Freeze"}},
	{"answers after Close", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("ask")
		ev := c.Next("sure?")
		c.Close()
		ev.Ack(true)
	}, []string{"the client sends nothing after its Close"}},
	{"quiet and kicked", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("kick")
		synctest.Wait()
		c.Quiet()
	}, []string{"nothing can come: the client was disconnected (io server disconnect)", "> close 1001"}},
	{"quiet, kicked and closed", func(t testing.TB, io *sio.Server) {
		c := of(t, io, "eio3").Connect("/", nil)
		c.Emit("kick")
		c.End()
		synctest.Wait()
		c.Close()
		c.Quiet()
	}, []string{"nothing can come: the client was disconnected (io server disconnect)", "> close 1001"}},
	{"the ack of Ask is an error", func(t testing.TB, io *sio.Server) { connect(t, io).Ask("none") },
		[]string{`"none" was refused: refused`}},
	{"another large number", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("large")
		c.Expect("large", int64(9007199254740992))
	},
		[]string{"got:  9007199254740993", "want: 9007199254740992"}},
	{"other arguments", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Emit("two"); c.Expect("one", 2) },
		[]string{`"one" has other arguments.`, "got:  1", "want: 2"}},
	{"too few arguments", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Emit("two"); c.Expect("one") },
		[]string{"got:  1", "want: no arguments"}},
	{"other bytes", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("two")
		c.Expect("two", "x", []byte{1, 3})
	}, []string{`got:  "x", 2 bytes 0102`, `want: "x", 2 bytes 0103`}},
	{"arguments that cannot be expected", func(t testing.TB, io *sio.Server) { connect(t, io).Expect("one", func() {}) },
		[]string{"the arguments: sio: argument 1"}},
	{"another type", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("two")
		siotest.Receive[string](c, "one")
	}, []string{`"one" with 1 does not fit a string`}},
	{"something comes", func(t testing.TB, io *sio.Server) { c := connect(t, io); c.Ask("two"); c.Quiet() },
		[]string{"no event was to come", `"one" with 1`}},
	{"no answer", func(t testing.TB, io *sio.Server) { connect(t, io).Ask("silent") },
		[]string{`"silent" was not answered within 10s`, "No other event waits"}},
	{"disconnected", func(t testing.TB, io *sio.Server) { connect(t, io).Ask("kick") },
		[]string{`"kick" was not answered: the client was disconnected (io server disconnect)`, "#1 < 41"}},
	{"refused", func(t testing.TB, io *sio.Server) { siotest.Call[int](connect(t, io), "none") },
		[]string{`"none" was refused: refused`}},
	{"another answer", func(t testing.TB, io *sio.Server) { siotest.Call[int](connect(t, io), "text") },
		[]string{`the answer to "text" is "x", and no int`}},
	{"not refused", func(t testing.TB, io *sio.Server) { connect(t, io).Refused("two") },
		[]string{`"two" was answered with no arguments, and was to be refused`}},
	{"no ack is asked for", func(t testing.TB, io *sio.Server) {
		c := connect(t, io)
		c.Emit("two")
		c.Next("one").Ack()
	}, []string{`the server asks for no ack of "one" with 1`}},
	{"still connected", func(t testing.TB, io *sio.Server) { connect(t, io).End() },
		[]string{"the client is still connected after 10s"}},
	{"an argument that cannot travel", func(t testing.TB, io *sio.Server) { connect(t, io).Emit("x", make(chan int)) },
		[]string{"the arguments: sio: argument 1"}},
	{"several clients", func(t testing.TB, io *sio.Server) {
		ann, ben := connect(t, io), of(t, io, "sio1").Connect("/", nil)
		ann.Emit("two")
		ben.Next("one")
	}, []string{`siotest: #2 /: the event "one"`, "this is #2", "#2 > GET /socket.io/1/", `#1 > 42["two"]`}},
}

// connectFailures are those of connecting, and of requests.
var connectFailures = []failing{
	{"not admitted", func(t testing.TB, io *sio.Server) { siotest.New(t, io, nil).Connect("/none", nil) },
		[]string{"the client may not connect to /none: Invalid namespace", "< 44/none,"}},
	{"may not join", func(t testing.TB, io *sio.Server) { connect(t, io).Join("none", nil) },
		[]string{"the client may not join /none: Invalid namespace"}},
	{"joins twice", func(t testing.TB, io *sio.Server) { connect(t, io).Join("/", nil) },
		[]string{"#1 is in / already"}},
	{"admitted", func(t testing.TB, io *sio.Server) { siotest.New(t, io, nil).Refused("/", nil) },
		[]string{"the client is connected to /, and was to be refused"}},
	{"admitted with 0.9", func(t testing.TB, io *sio.Server) { of(t, io, "sio1").Refused("/", nil) },
		[]string{"the client is connected to /, and was to be refused"}},
	{"refused and gone", func(t testing.TB, io *sio.Server) {
		siotest.New(t, io, nil).Refused("/none", nil)
		synctest.Wait()
		connect(t, io).Next("x")
	}, []string{`the event "x" has not come`, "#1 > close 1001"}},
	{"refused where nothing is", func(t testing.TB, io *sio.Server) { behind(t, io, http.NotFoundHandler()).Refused("/", nil) },
		[]string{"was to be refused at /, and the handshake has failed: 404", "Options.Path?"}},
	{"refused by a panic", func(t testing.TB, io *sio.Server) {
		behind(t, io, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })).Refused("/", nil)
	}, []string{"the handshake has failed: 500"}},
	{"refused by an end", func(t testing.TB, io *sio.Server) { behind(t, io, fake(opened, "4x")).Refused("/", nil) },
		[]string{"no refusal has come: the client was disconnected: parse error"}},
	{"refused by an end with 0.9", func(t testing.TB, io *sio.Server) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/websocket/") {
				_, _ = w.Write([]byte("id:60:60:websocket"))
				return
			}
			nc, _, _ := w.(http.Hijacker).Hijack()
			go func() {
				_, _ = nc.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x031::"))
				time.Sleep(time.Second) // the client takes itself for connected
				_, _ = nc.Write([]byte("\x81\x030::"))
			}()
		})
		siotest.New(t, io, &siotest.Options{Handler: h, Dialect: "sio1"}).Refused("/", nil)
	}, []string{"no refusal has come: the client was disconnected: io server disconnect"}},
	{"a Server of another test", func(t testing.TB, io *sio.Server) { connect(named{t, "TestOther"}, io) },
		[]string{"siotest.New: the Server is shut down with TestFailures/", "and this is TestOther"}},
	{"an auth payload that is no object", func(t testing.TB, io *sio.Server) { siotest.New(t, io, nil).Connect("/", "token") },
		[]string{"the auth payload: it is no object"}},
	{"a parameter that is no object", func(t testing.TB, io *sio.Server) { of(t, io, "eio3").Connect("/", 7) },
		[]string{"the auth payload: it is no object"}},
	{"no such dialect", func(t testing.TB, io *sio.Server) { of(t, io, "4.x") },
		[]string{`Options.Dialect is "4.x"; there are ["eio4" "eio3" "sio1"]`}},
	{"no Server", func(t testing.TB, _ *sio.Server) { siotest.New(t, nil, nil) },
		[]string{"siotest.New: the Server is nil"}},
	{"a Server that is shut down", func(t testing.TB, io *sio.Server) {
		_ = io.Shutdown(context.Background())
		siotest.New(t, io, nil)
	}, []string{"siotest.New: the Server is shut down", "siotest.Cleanup"}},
	{"mounted elsewhere", func(t testing.TB, io *sio.Server) { behind(t, io, http.NotFoundHandler()).Connect("/", nil) },
		[]string{"the client may not connect to /: 404 404 page not found. Is the Server mounted at /socket.io, Options.Path?"}},
	{"a page of a Server", func(t testing.TB, io *sio.Server) { siotest.New(t, io, nil).PostForm("/login", nil) },
		[]string{"POST /login: the Server itself has no such page. Is Options.Handler, the router, missing?", "Nothing was sent."}},
	{"a path that is none", func(t testing.TB, io *sio.Server) {
		siotest.New(t, io, &siotest.Options{Path: "/%zz"}).Connect("/", nil)
	}, []string{"siotest: parse"}},
	{"a panic of the handler", func(t testing.TB, io *sio.Server) {
		behind(t, io, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })).Connect("/", nil)
	}, []string{"GET /socket.io/: the handler has panicked: boom", "failures_test.go"}},
	{"a handler that ends its goroutine", func(t testing.TB, io *sio.Server) {
		behind(t, io, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() })).Connect("/", nil)
	}, []string{"the handler has ended its goroutine"}},
	{"a handler that does not return", func(t testing.TB, io *sio.Server) {
		behind(t, io, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })).Do(httptest.NewRequest("GET", "/events", nil))
	}, []string{"GET /events: no answer within 10s"}},
	{"a handler that takes over a request", func(t testing.TB, io *sio.Server) { behind(t, io, fake()).Do(httptest.NewRequest("GET", "/x", nil)) },
		[]string{"GET /x: the handler has taken over the connection"}},
	{"a handler that says nothing", func(t testing.TB, io *sio.Server) {
		behind(t, io, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _, _ = w.(http.Hijacker).Hijack() })).Connect("/", nil)
	}, []string{"the handler has taken over the connection, and what it has written is no answer"}},
	{"an answer without an end", func(t testing.TB, io *sio.Server) {
		behind(t, io, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			nc, _, _ := w.(http.Hijacker).Hijack()
			_, _ = nc.Write([]byte("HTTP/1.1 200 OK\r\n\r\nx"))
		})).Connect("/", nil)
	}, []string{"GET /socket.io/: the answer: i/o timeout"}},
	{"a server without an open packet", func(t testing.TB, io *sio.Server) { behind(t, io, fake()).Connect("/", nil) },
		[]string{"the server does not send the open packet within 10s"}},
	{"a server that does not connect", func(t testing.TB, io *sio.Server) { behind(t, io, fake(opened)).Connect("/chat", nil) },
		[]string{"the server does not answer the CONNECT to /chat within 10s", "#1 > 40/chat,"}},
	{"a server without the default namespace", func(t testing.TB, io *sio.Server) {
		siotest.New(t, io, &siotest.Options{Handler: fake(opened), Dialect: "eio3"}).Connect("/chat", nil)
	}, []string{"the server does not join the client to the default namespace within 10s"}},
	{"a server without pongs", func(t testing.TB, io *sio.Server) {
		siotest.New(t, io, &siotest.Options{Handler: fake(opened, "40"), Dialect: "eio3"}).Connect("/", nil).Quiet()
	}, []string{"the server does not answer a ping of the websocket within 10s"}},
	{"a packet that cannot be read", func(t testing.TB, io *sio.Server) { behind(t, io, fake(opened, "4x")).Connect("/", nil) },
		[]string{"the client was disconnected: parse error", "! what the server sends cannot be read"}},
	{"no cluster", func(t testing.TB, io *sio.Server) { siotest.Together(t, io) },
		[]string{"siotest.Together: server 1 has no Options.Cluster"}},
	{"two buses", func(t testing.TB, _ *sio.Server) {
		var two []*sio.Server
		for range 2 {
			o := quiet()
			o.Cluster = cluster.NewBus().Backend()
			two = append(two, sio.NewServer(o))
		}
		siotest.Together(t, two...)
	}, []string{"does not know the node", "Are they on one bus?"}},
}

// TestFailures: a failure says what was waited for, what came instead, and what was sent, in
// this order; in a bubble, so that waiting takes no time.
func TestFailures(t *testing.T) {
	for _, row := range append(eventFailures, connectFailures...) {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := sio.NewServer(quiet())
				io.Of("/").On("two", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
					return errors.Join(s.Emit("one", 1), s.Emit("two", "x", []byte{1, 2}))
				}))
				io.Of("/chat")
				io.Of("/").On("ask", sio.Handle(func(ctx context.Context, s *sio.Socket, _ sio.None) error {
					_, err := sio.Call[bool](ctx, s, "sure?")
					return err
				}))
				io.Of("/").On("large", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
					return s.Emit("large", int64(9007199254740993))
				}))
				io.Of("/").On("text", sio.Reply(func(context.Context, *sio.Socket, sio.None) (string, error) { return "x", nil }))
				io.Of("/").On("silent", sio.HandlerFunc(func(context.Context, *sio.Event) error { return nil }))
				io.Of("/").On("kick", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { ev.Socket.Disconnect(); return nil }))
				siotest.Cleanup(t, io)
				got := failure(t, func(t testing.TB) { row.test(t, io) })
				if strings.Count(got, "siotest") == 0 {
					t.Errorf("the test does not fail as one of siotest: %q", got)
				}
				rest := got
				for _, want := range row.want {
					_, behind, ok := strings.Cut(rest, want)
					if !ok {
						t.Errorf("no %s, or not behind those before it, in\n%s", want, got)
						break
					}
					rest = behind
				}
			})
		})
	}
}

// TestExchange: the whole text of a failure, as a reader gets it; without the ids, which are
// random.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := sio.NewServer(quiet())
		io.Of("/chat").On("say", sio.Handle(func(_ context.Context, s *sio.Socket, text string) error {
			return s.Broadcast().Emit("said", text)
		}))
		got := failure(t, func(t testing.TB) {
			ann := siotest.New(t, io, nil).Connect("/chat", nil)
			ben := of(t, io, "sio1").Connect("/chat", nil)
			time.Sleep(30 * time.Second) // heartbeats are not shown
			ann.Emit("say", "hallo")
			ben.Expect("said", "hello")
		})
		got = regexp.MustCompile(`[\w-]{20,}`).ReplaceAllString(got, "ID")
		const want = `siotest: #2 /chat: "said" has other arguments.
  got:  "hallo"
  want: "hello"
The exchange, > sent and < received; this is #2:
    0.000s #1 > GET /socket.io/?EIO=4&transport=websocket
    0.000s #1 < 101 Switching Protocols
    0.000s #1 < 0{"sid":"ID","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
    0.000s #1 > 40/chat,
    0.000s #1 < 40/chat,{"sid":"ID"}
    0.000s #2 > GET /socket.io/1/
    0.000s #2 < 200 OK
    0.000s #2 < ID:45:60:websocket,xhr-polling
    0.000s #2 > GET /socket.io/1/websocket/ID
    0.000s #2 < 101 Switching Protocols
    0.000s #2 < 1::
    0.000s #2 > 1::/chat
    0.000s #2 < 1::/chat
   30.000s #1 > 42/chat,["say","hallo"]
   30.000s #2 < 5::/chat:{"name":"said","args":["hallo"]}
`
		if got != want {
			t.Errorf("the failure is\n%s", got)
		}
	})
}

// TestLongExchange: of a long exchange the latest lines are shown, and of the connection that
// has failed too when others have said much since.
func TestLongExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := sio.NewServer(quiet())
		io.Of("/").On("n", sio.Handle(func(context.Context, *sio.Socket, int) error { return nil }))
		got := failure(t, func(t testing.TB) {
			v := siotest.New(t, io, nil)
			ann, ben := v.Connect("/", nil), v.Connect("/", nil)
			for n := range 2000 {
				ann.Ask("n", n)
			}
			ben.Ask("n", -1)
			for n := range 300 {
				ann.Ask("n", n)
			}
			ben.Next("x")
		})
		for _, want := range []string{`["n",299]`, `["n",-1]`, `lines are left out`} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		if n := strings.Count(got, "\n"); n > 100 {
			t.Errorf("%d lines", n)
		}
	})
}

// TestNothingIsClosed: a test that closes nothing leaves nothing behind, whether it passes or
// fails; a handler that goes on is said. TestMain looks for goroutines, and a bubble does.
func TestNothingIsClosed(t *testing.T) {
	forgetful := func(t testing.TB, io *sio.Server) {
		mux := http.NewServeMux()
		io.Mount(mux, "/socket.io")
		for _, dialect := range generations {
			siotest.New(t, io, &siotest.Options{Handler: mux, Dialect: dialect, Patience: time.Minute}).Connect("/chat", nil)
		}
		siotest.New(t, io, &siotest.Options{Patience: time.Minute}).Connect("/", nil).Freeze()
	}
	serve := func() (io *sio.Server, gone chan sio.Reason) {
		io, gone = sio.NewServer(quiet()), make(chan sio.Reason, 3)
		io.Of("/chat").OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) { gone <- r })
		return io, gone
	}
	check := func(t *testing.T) {
		io, gone := serve()
		if got := failure(t, func(t testing.TB) { forgetful(t, io) }); got != "" {
			t.Error(got)
		}
		if io.Ready() || len(gone) != 3 {
			t.Errorf("Ready is %v, and %d clients are gone", io.Ready(), len(gone))
		}
	}
	t.Run("clock", check)
	t.Run("synctest", func(t *testing.T) { synctest.Test(t, check) })
	t.Run("a handler goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io, stop := sio.NewServer(quiet()), make(chan struct{})
			io.Of("/").On("work", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { <-stop; return nil }))
			got := failure(t, func(t testing.TB) { connect(t, io).Emit("work"); synctest.Wait() })
			if want := "the Server does not shut down within 30s (context deadline exceeded)"; !strings.Contains(got, want) {
				t.Errorf("no %s in %q", want, got)
			}
			close(stop)
			time.Sleep(time.Minute) // the goroutines of the Server end
		})
	})
}

// TestSubtests: a Server that Cleanup was called with before outlives the tests of its
// visitors.
func TestSubtests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := sio.NewServer(quiet())
		siotest.Cleanup(t, io)
		for range 2 {
			if got := failure(t, func(t testing.TB) { connect(t, io).Quiet() }); got != "" {
				t.Error(got)
			}
		}
		if !io.Ready() {
			t.Error("the Server is shut down with the first of them")
		}
	})
}

// TestWrapped: a t of the application's own making will do, also one that is no key of a map.
func TestWrapped(t *testing.T) {
	type wrapped struct {
		testing.TB
		_ []int
	}
	synctest.Test(t, func(t *testing.T) {
		got := failure(t, func(t testing.TB) { connect(wrapped{TB: t}, sio.NewServer(quiet())).Next("x") })
		if !strings.Contains(got, "this is #1") {
			t.Errorf("the failure is %q", got)
		}
	})
}

// TestBubbles: a Server that was made outside of a bubble serves inside, with the bubble's
// clock; a t from outside is refused, for its cleanups would end the process.
func TestBubbles(t *testing.T) {
	io, outer := sio.NewServer(quiet()), t
	synctest.Test(t, func(t *testing.T) {
		c := siotest.New(t, io, nil).Connect("/", nil)
		time.Sleep(time.Hour)
		if err := io.Of("/").Emit("still here"); err != nil {
			t.Error(err)
		}
		c.Expect("still here")
		c.Freeze()
		time.Sleep(time.Minute)
		c.End()
	})
	synctest.Test(t, func(t *testing.T) {
		got := failure(t, func(t testing.TB) { siotest.New(deadlined{t, outer.Deadline}, sio.NewServer(quiet()), nil) })
		if want := "siotest: t is of the test outside of the bubble"; !strings.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	})
}

// TestBubbleOfOwner: a Server that is shut down outside of a bubble has no visitors inside.
func TestBubbleOfOwner(t *testing.T) {
	io := sio.NewServer(quiet())
	siotest.Cleanup(t, io)
	synctest.Test(t, func(t *testing.T) {
		got := failure(t, func(t testing.TB) { siotest.New(t, io, nil) })
		if want := "siotest.New: the Server is shut down by TestBubbleOfOwner in another bubble"; !strings.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	})
}

// deadlined has the deadline of another test, by which a t of a bubble is known.
type deadlined struct {
	testing.TB
	deadline func() (time.Time, bool)
}

func (d deadlined) Deadline() (time.Time, bool) { return d.deadline() }
