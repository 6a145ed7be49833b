package siotest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/siotest"
)

var generations = []string{"eio4", "eio3", "sio1"}

// everywhere runs a test with a client of each generation, by the clock of the machine and by
// that of a bubble.
func everywhere(t *testing.T, test func(t *testing.T, o *siotest.Options)) {
	for _, dialect := range generations {
		t.Run(dialect, func(t *testing.T) { test(t, &siotest.Options{Dialect: dialect, Patience: time.Minute}) })
		t.Run(dialect+"/synctest", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, &siotest.Options{Dialect: dialect}) })
		})
	}
}

func quiet() *sio.Options { return &sio.Options{Logger: slog.New(slog.DiscardHandler)} }

type shape struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// TestEvents: events in both directions, with binary and several arguments, in two namespaces
// of one connection and in the rooms of two clients.
func TestEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		for _, path := range []string{"/", "/chat"} {
			n := io.Of(path)
			n.OnConnect(func(_ context.Context, s *sio.Socket) error { s.Join("all"); return s.Emit("welcome", path) })
			n.On("say", sio.Handle(func(_ context.Context, s *sio.Socket, text string) error {
				return s.To("all").Emit("said", text, len(text))
			}))
			n.On("shape", sio.Reply(func(_ context.Context, s *sio.Socket, in sio.Args2[shape, []byte]) (sio.Args2[[]byte, shape], error) {
				return sio.Args2[[]byte, shape]{A: in.B, B: in.A}, s.Emit("shaped", in.A, in.B, nil)
			}))
		}
		v := siotest.New(t, io, o)
		for _, path := range []string{"/", "chat"} {
			ann, ben := v.Connect(path, nil), v.Connect(path, nil)
			ann.Expect("welcome", "/"+strings.Trim(path, "/"))
			ben.Next("welcome")
			ann.Emit("say", "é€😀")
			ben.Expect("said", "é€😀", 9)
			in := shape{"x", []byte{0, 1, 0xff}}
			if o.Dialect == "sio1" { // which has base64 strings, and a server that reads them so
				a := ann.Ask("shape", in, []byte("two"))
				if string(a.Raw(0)) != `"dHdv"` {
					t.Errorf("%v", a)
				}
			} else {
				out := siotest.Call[sio.Args2[[]byte, shape]](ann, "shape", in, []byte("two"))
				if string(out.A) != "two" || out.B.Name != "x" || !bytes.Equal(out.B.Data, in.Data) {
					t.Errorf("%v", out)
				}
			}
			ann.Expect("shaped", in, []byte("two"), nil)
			ann.Quiet()
			ben.Quiet()
		}
		one := v.Connect("/", nil)
		two := one.Join("/chat", nil)
		one.Expect("welcome", "/")
		two.Expect("welcome", "/chat")
		two.Disconnect()
		if why := two.End(); why != "io client disconnect" {
			t.Error(why)
		}
		siotest.Call[sio.Args](one, "shape", shape{}, []byte{}) // the connection lives
	})
}

// TestAcks: the server asks in the middle of a handler, and errors come as what they are.
func TestAcks(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		n := io.Of("/")
		n.On("delete", sio.Reply(func(ctx context.Context, s *sio.Socket, id int) (string, error) {
			sure, err := sio.Call[bool](ctx, s, "sure?", id)
			switch {
			case err != nil:
				return "", err
			case !sure:
				return "", sio.Errorf("kept", "not sure about %d", id)
			}
			return "deleted", nil
		}))
		c := siotest.New(t, io, o).Connect("/", nil)
		a := c.Start("delete", 7)
		c.Expect("sure?", 7).Ack(true)
		if got := a.Args(); got.Len() != 1 || string(got.Raw(0)) != `"deleted"` {
			t.Error(got)
		}
		a = c.Start("delete", 8)
		ev := c.Next("sure?")
		if ev.String() != `"sure?" with 8` {
			t.Error(ev)
		}
		ev.Ack(false)
		if got := a.Args().String(); !strings.Contains(got, `"kept"`) {
			t.Error(got)
		}
		if e := c.Refused("delete", "seven"); e.Code != sio.CodeBadArgument {
			t.Error(e)
		}
		if e := c.Refused("no such event"); e.Code != sio.CodeRefused {
			t.Error(e)
		}
		c.Emit("delete", "without an ack")
		c.Next("error")
		c.Quiet()
	})
}

// TestMessages: messages are those of the generation.
func TestMessages(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		back := sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { return ev.Socket.Send("got " + ev.Args.String()) })
		io.Of("/").OnMessage(back)
		io.Of("/").OnJSON(back)
		c := siotest.New(t, io, o).Connect("/", nil)
		c.Send("text")
		c.Expect("message", `got ["text"]`)
		c.Send(map[string]int{"a": 1})
		c.Expect("message", `got [{"a":1}]`)
	})
}

// TestEnds: what the application and the client are told about each end.
func TestEnds(t *testing.T) {
	for _, row := range []struct {
		name   string
		end    func(c *siotest.Client, s *sio.Socket)
		reason sio.Reason
		why    string
	}{
		{"Disconnect", func(c *siotest.Client, _ *sio.Socket) { c.Disconnect() }, sio.ClientNamespace, "io client disconnect"},
		{"Close", func(c *siotest.Client, _ *sio.Socket) { c.Close() }, sio.TransportClose, "transport close"},
		{"Freeze", func(c *siotest.Client, _ *sio.Socket) { c.Freeze(); time.Sleep(time.Minute) }, sio.PingTimeout, "transport close"},
		{"Socket.Disconnect", func(_ *siotest.Client, s *sio.Socket) { s.Disconnect() }, sio.ServerNamespace, "io server disconnect"},
		{"CloseTransport", func(_ *siotest.Client, s *sio.Socket) { s.CloseTransport() }, sio.ServerTransportClose, "transport close"},
		{"Shutdown", func(_ *siotest.Client, s *sio.Socket) {
			_ = s.Namespace().Server().Shutdown(context.Background())
		}, sio.ServerShutdown, "transport close"},
	} {
		for _, dialect := range generations {
			t.Run(row.name+"/"+dialect, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					io := sio.NewServer(quiet())
					sockets, reasons := make(chan *sio.Socket, 1), make(chan sio.Reason, 1)
					io.Of("/chat").OnConnect(func(_ context.Context, s *sio.Socket) error { sockets <- s; return nil })
					io.Of("/chat").OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) { reasons <- r })
					c := siotest.New(t, io, &siotest.Options{Dialect: dialect}).Connect("/chat", nil)
					row.end(c, <-sockets)
					if why := c.End(); why != row.why {
						t.Errorf("the client: %s", why)
					}
					if r := <-reasons; r != row.reason {
						t.Errorf("the application: %v", r)
					}
				})
			})
		}
	}
}

// TestHeartbeats: a client that is idle for hours stays.
func TestHeartbeats(t *testing.T) {
	for _, dialect := range generations {
		t.Run(dialect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := sio.NewServer(quiet())
				c := siotest.New(t, io, &siotest.Options{Dialect: dialect}).Connect("/", nil)
				time.Sleep(3 * time.Hour)
				if err := io.Of("/").Emit("still here"); err != nil {
					t.Error(err)
				}
				c.Expect("still here")
				c.Quiet()
			})
		})
	}
}

// TestRefused: who is refused, and what the client is told.
func TestRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		opts := quiet()
		opts.OnHandshake = func(_ context.Context, r *sio.Request, _ host.Exchange) error {
			if r.Query().Get("token") == "bad" {
				return sio.Errorf("token", "bad token")
			}
			return nil
		}
		opts.Origins = []string{"https://app.example.com"}
		io := sio.NewServer(opts)
		for _, path := range []string{"/", "/members"} {
			io.Of(path).OnConnect(func(_ context.Context, s *sio.Socket) error {
				var auth struct{ Key string }
				if err := s.Auth(&auth); err != nil {
					return err
				}
				if path == "/" && s.Request().Query().Get("key") != "" { // of clients before 3.0
					auth.Key = s.Request().Query().Get("key")
				}
				switch auth.Key {
				case "wrong":
					return &sio.Error{Message: "wrong key"}
				case "old":
					return &sio.Error{Message: "old key", Data: map[string]string{"code": "expired"}}
				}
				return nil
			})
		}
		v := siotest.New(t, io, o)
		type m = map[string]string
		for _, path := range []string{"/", "/members"} {
			wrong, old := v.Refused(path, m{"key": "wrong"}), v.Refused(path, m{"key": "old"})
			want := map[string][2]string{
				"eio4": {"wrong key", `old key {"code":"expired"}`}, "eio3": {"wrong key", `{"code":"expired"}`}, "sio1": {"unauthorized", "unauthorized"},
			}[o.Dialect]
			if wrong.String() != want[0] || old.String() != want[1] || wrong.Status != 0 {
				t.Errorf("%s: %v, %v", path, wrong, old)
			}
			v.Connect(path, m{"key": "right"})
		}
		if ref := v.Refused("/nowhere", nil); o.Dialect == "eio4" && ref.Message != "Invalid namespace" {
			t.Error(ref)
		}
		bad := *o
		bad.Query = url.Values{"token": {"bad"}}
		if ref := siotest.New(t, io, &bad).Refused("/", nil); ref.Status != http.StatusForbidden || !strings.Contains(ref.Message, "bad token") {
			t.Error(ref)
		}
		bad = *o
		bad.Header = http.Header{"Origin": {"https://evil.example"}}
		if ref := siotest.New(t, io, &bad).Refused("/", nil); ref.Status != http.StatusForbidden {
			t.Error(ref)
		}
		good := *o
		good.Header = http.Header{"Origin": {"https://app.example.com"}}
		siotest.New(t, io, &good).Connect("/", nil)
	})
}

// TestRequest: the handshake has the query, the headers, the address and the cookies of the
// visitor, those of a login included.
func TestRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		io.Of("/").On("request", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (map[string]string, error) {
			r := s.Request()
			session, theme := "", ""
			if c, err := r.Cookie("session"); err == nil {
				session = c.Value
			}
			if c, err := r.Cookie("theme"); err == nil {
				theme = c.Value
			}
			return map[string]string{
				"session": session, "theme": theme, "q": r.Query().Get("q"), "ua": r.Header.Get("User-Agent"),
				"host": r.Host, "remote": r.RemoteAddr, "tenant": r.Params["tenant"], "dialect": s.Dialect(),
			}, nil
		}))
		mux := http.NewServeMux()
		io.Mount(mux, "/t/{tenant}/socket.io")
		mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: r.FormValue("user"), Path: "/", Secure: true, HttpOnly: true})
			w.WriteHeader(http.StatusNoContent)
		})
		o.Handler, o.Path, o.Query, o.RemoteAddr = mux, "/t/acme/socket.io/", url.Values{"q": {"a b"}}, "198.51.100.7:4000"
		o.Header = http.Header{"user-agent": {"test"}, "Host": {"chat.example.com"}}
		o.Cookies = []*http.Cookie{{Name: "theme", Value: "dark"}}
		v := siotest.New(t, io, o)
		if res := v.PostForm("/login", url.Values{"user": {"ann"}}); res.StatusCode != http.StatusNoContent {
			t.Fatal(res.Status)
		}
		got := siotest.Call[map[string]string](v.Connect("/", nil), "request")
		want := map[string]string{
			"session": "ann", "theme": "dark", "q": "a b", "ua": "test", "host": "chat.example.com",
			"remote": "198.51.100.7:4000", "tenant": "acme", "dialect": o.Dialect,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("\n got  %v\n want %v", got, want)
		}
	})
}

// TestIDs: the id that a client knows is one by which the server reaches it.
func TestIDs(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		io.Of("/chat")
		root := siotest.New(t, io, o).Connect("/", nil)
		chat := root.Join("/chat", nil)
		for path, c := range map[string]*siotest.Client{"/": root, "/chat": chat} {
			if c.ID() == "" {
				t.Errorf("%s: no id", path)
			}
			if err := io.Of(path).To(c.ID()).Emit("you", path); err != nil {
				t.Error(err)
			}
			c.Expect("you", path)
		}
	})
}

// TestTogether: clients of two servers on one bus hear each other.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		server := func() *sio.Server {
			o := quiet()
			o.Cluster = bus.Backend()
			io := sio.NewServer(o)
			io.Of("/").On("join", sio.Handle(func(_ context.Context, s *sio.Socket, room string) error { s.Join(room); return nil }))
			io.Of("/").On("say", sio.Handle(func(_ context.Context, s *sio.Socket, in sio.Args2[string, string]) error {
				return s.To(in.A).Emit("said", in.B)
			}))
			return io
		}
		a, b := server(), server()
		siotest.Together(t, a, b)
		ann, ben, cy := siotest.New(t, a, nil).Connect("/", nil), siotest.New(t, b, nil).Connect("/", nil), siotest.New(t, b, nil).Connect("/", nil)
		ben.Ask("join", "tea")
		synctest.Wait() // until the bus knows
		ann.Ask("say", "tea", "hello")
		ben.Expect("said", "hello")
		synctest.Wait()
		cy.Quiet()
		ann.Quiet()
	})
}

// TestQuiet: what was emitted before Quiet has come, however much that is.
func TestQuiet(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		siotest.Cleanup(t, io)
		var c *siotest.Client
		got := failure(t, func(t testing.TB) {
			c = siotest.New(t, io, o).Connect("/", nil)
			c.Quiet()
			for i := range 500 {
				if err := io.Of("/").Emit("n", i, strings.Repeat("x", 200)); err != nil {
					t.Errorf("%v", err)
				}
			}
			c.Quiet()
		})
		for i := range 500 {
			if want := fmt.Sprintf("\n  \"n\" with %d, ", i); !strings.Contains(got, want) {
				t.Fatalf("no event %d in\n%.400s", i, got)
			}
		}
	})
}

// TestLarge: packets that need the longer headers of a websocket, in both directions.
func TestLarge(t *testing.T) {
	everywhere(t, func(t *testing.T, o *siotest.Options) {
		io := sio.NewServer(quiet())
		io.Of("/").On("echo", sio.Reply(func(_ context.Context, _ *sio.Socket, in sio.Args) (sio.Args, error) { return in, nil }))
		c := siotest.New(t, io, o).Connect("/", nil)
		for _, n := range []int{0, 100, 126, 65535, 65536, 200_000} {
			text := strings.Repeat("x", n)
			if got := siotest.Call[string](c, "echo", text); got != text {
				t.Errorf("%d characters come back as %d", n, len(got))
			}
			if o.Dialect == "sio1" {
				continue // binary is text there
			}
			if got := siotest.Call[[]byte](c, "echo", []byte(text)); string(got) != text {
				t.Errorf("%d bytes come back as %d", n, len(got))
			}
		}
	})
}

// TestTogetherByTheClock: outside of a bubble, servers that know each other reach the clients of
// each other. The bus learns of the first client of a node a moment after Connect, so each server
// emits until the last client has it.
func TestTogetherByTheClock(t *testing.T) {
	bus := cluster.NewBus()
	var servers []*sio.Server
	var clients []*siotest.Client
	for range 3 {
		o := quiet()
		o.Cluster = bus.Backend()
		servers = append(servers, sio.NewServer(o))
	}
	siotest.Together(t, servers...)
	for _, s := range servers {
		clients = append(clients, siotest.New(t, s, &siotest.Options{Patience: time.Minute}).Connect("/", nil))
	}
	for i, s := range servers {
		name := fmt.Sprint("hello ", i)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				if err := s.Of("/").Emit(name, i); err != nil {
					t.Error(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}()
		for _, c := range clients {
			c.Expect(name, i)
		}
		stop()
		<-done
	}
}

// TestNumbers: numbers are compared by their values, exactly.
func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := sio.NewServer(quiet())
		io.Of("/").On("number", sio.Handle(func(_ context.Context, s *sio.Socket, text string) error {
			return s.Emit("number", json.RawMessage(text))
		}))
		c := siotest.New(t, io, nil).Connect("/", nil)
		for text, want := range map[string]any{
			"1.0": 1, "1e2": 100, "0.5E1": 5, "-0": 0, "-12.50": -12.5, "1e-2": 0.01,
			"9007199254740993.0": int64(9007199254740993), `{"a":[1.0]}`: map[string][]int{"a": {1}},
			"1e999999999999": json.RawMessage("10e999999999998"), "1e99999999999999999999": json.RawMessage("1e99999999999999999999"),
		} {
			c.Emit("number", text)
			c.Expect("number", want)
		}
	})
}
