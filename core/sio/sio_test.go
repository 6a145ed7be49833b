package sio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/wire"
)

type inner struct {
	Data []byte `json:"data,omitempty"`
	Name string
}

type outer struct {
	inner
	Files map[string][]byte `json:"files"`
	Any   any               `json:"any"`
	Skip  []byte            `json:"-"`
	//lint:ignore SA5008 the tag is what is tested
	Dash []byte   `json:"-,"`
	Ptr  *inner   `json:"ptr"`
	List [][]byte `json:"list"`
}

// TestEncode: the forms that JSON.stringify gives, with attachments in
// depth-first order.
func TestEncode(t *testing.T) {
	for _, row := range []struct {
		args  []any
		want  string
		parts int
	}{
		{nil, `["e"]`, 0},
		{[]any{nil, true, 1, int64(-2), uint64(3), "x"}, `["e",null,true,1,-2,3,"x"]`, 0},
		{[]any{1.5, 1e21, float32(0.25)}, `["e",1.5,1e+21,0.25]`, 0},
		{[]any{"é€😀\u2028<>&\"\\\n\r\t\x00\x7f"}, `["e","é€😀` + "\u2028" + `<>&\"\\\n\r\t\u0000` + "\x7f" + `"]`, 0},
		{[]any{"bad \xff byte"}, "[\"e\",\"bad \ufffd byte\"]", 0},
		{[]any{json.RawMessage(`{"a":[1]}`)}, `["e",{"a":[1]}]`, 0},
		{[]any{[]byte{1}, []byte{}, []byte(nil)}, `["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},null]`, 2},
		{[]any{[]any{1, []byte{2}}, map[string]any{"b": []byte{3}}}, `["e",[1,{"_placeholder":true,"num":0}],{"b":{"_placeholder":true,"num":1}}]`, 2},
		{[]any{struct{ A, B int }{1, 2}, []string{"<a>"}}, `["e",{"A":1,"B":2},["<a>"]]`, 0},
		{[]any{outer{inner: inner{Data: []byte{1}, Name: "n"}, Files: map[string][]byte{"f": {2}}, Any: []byte{3}, Skip: []byte{4}, List: [][]byte{{5}}}},
			`["e",{"data":{"_placeholder":true,"num":0},"Name":"n","files":{"f":{"_placeholder":true,"num":1}},"any":{"_placeholder":true,"num":2},"-":null,"ptr":null,"list":[{"_placeholder":true,"num":3}]}]`, 4},
		{[]any{Args{raw: []json.RawMessage{[]byte("1"), []byte(`"two"`)}}, 3}, `["e",1,"two",3]`, 0},
		{[]any{[]byte{9}, Args{raw: []json.RawMessage{[]byte(`{"_placeholder":true,"num":1}`)}, attachments: [][]byte{{0}, {1}}}},
			`["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, 2},
		{[]any{Errorf("c", "m %d", 1)}, `["e",{"code":"c","message":"m 1"}]`, 0},
	} {
		e := newEncoder(stdJSON{})
		if err := e.array("e", true, row.args); err != nil {
			t.Errorf("%v: %v", row.args, err)
		}
		if string(e.buf) != row.want || len(e.parts) != row.parts {
			t.Errorf("%v\n got  %s, %d parts\n want %s, %d parts", row.args, e.buf, len(e.parts), row.want, row.parts)
		}
		e.free()
	}
}

func TestEncodeErrors(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	for _, bad := range []any{make(chan int), func() {}, json.RawMessage(`{`), cycle, map[string]any{"deep": make(chan int)}} {
		e := newEncoder(stdJSON{})
		if err := e.array("ev", true, []any{1, bad}); err == nil || !strings.Contains(err.Error(), `argument 2 of "ev"`) {
			t.Errorf("%T: %v", bad, err)
		}
		e.free()
	}
}

func args(attachments [][]byte, raw ...string) Args {
	a := Args{attachments: attachments, json: stdJSON{}}
	for _, r := range raw {
		a.raw = append(a.raw, json.RawMessage(r))
	}
	return a
}

type whole struct{ n int }

func (w *whole) UnmarshalArgs(a Args) error {
	if a.Len() == 0 {
		return errors.New("nothing")
	}
	w.n = a.Len()
	return nil
}

func decode[T any](a Args) string {
	v, err := decoderOf[T]()(a)
	if err != nil {
		return "error " + err.Error()
	}
	return fmt.Sprintf("%v", v)
}

// TestDecode: what each kind of In takes, and what it says when it cannot.
func TestDecode(t *testing.T) {
	ph := `{"_placeholder":true,"num":0}`
	bin := [][]byte{{7}}
	for _, row := range []struct{ what, got, want string }{
		{"string", decode[string](args(nil, `"a\u00e9"`, `2`)), "aé"},
		{"string of number", decode[string](args(nil, `1`)), "error bad_argument: argument 1: wrong JSON type"},
		{"nothing for a string", decode[string](args(nil)), "error bad_argument: 0 arguments instead of 1"},
		{"int", decode[int](args(nil, `-5`)), "-5"},
		{"int of fraction", decode[int](args(nil, `1.5`)), "error bad_argument: argument 1: wrong JSON type"},
		{"int keeps its precision", decode[int](args(nil, `9007199254740993`)), "9007199254740993"},
		{"bool", decode[bool](args(nil, `true`)), "true"},
		{"float", decode[float64](args(nil, `1.5`)), "1.5"},
		{"struct", decode[struct{ A int }](args(nil, `{"a":3}`)), "{3}"},
		{"pointer", decode[*int](args(nil, `null`)), "<nil>"},
		{"none", decode[None](args(nil, `1`)), "{}"},
		{"two", decode[Args2[string, int]](args(nil, `"x"`, `2`, `3`)), "{x 2}"},
		{"two of one", decode[Args2[string, int]](args(nil, `"x"`)), "error bad_argument: 1 arguments instead of 2"},
		{"two, second wrong", decode[Args2[string, int]](args(nil, `"x"`, `"y"`)), "error bad_argument: argument 2: wrong JSON type"},
		{"four", decode[Args4[int, int, int, int]](args(nil, `1`, `2`, `3`, `4`)), "{1 2 3 4}"},
		{"whole list", decode[whole](args(nil, `1`, `2`)), "{2}"},
		{"whole list refuses", decode[whole](args(nil)), "error bad_argument: the arguments do not fit"},
		{"raw", decode[json.RawMessage](args(nil, `{"a": 1}`)), fmt.Sprint(json.RawMessage(`{"a": 1}`))},
		{"binary", decode[[]byte](args(bin, ph)), "[7]"},
		{"binary in a struct", decode[struct{ B []byte }](args(bin, `{"b":`+ph+`}`)), "{[7]}"},
		{"binary in any", decode[any](args(bin, `{"b":[`+ph+`]}`)), "map[b:[[7]]]"},
		{"placeholder without attachments", decode[any](args(nil, `{"_placeholder":true,"num":0}`)), "map[_placeholder:true num:0]"},
	} {
		if row.got != row.want {
			t.Errorf("%s: %s instead of %s", row.what, row.got, row.want)
		}
	}
}

func panics(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// TestStartup: mistakes of registration are seen at once, and name what they are about.
func TestStartup(t *testing.T) {
	h := Handle(func(context.Context, *Socket, None) error { return nil })
	for want, f := range map[string]func(){
		`"say" of namespace /chat has a handler`: func() {
			n := NewServer(nil).Of("chat")
			n.On("say", h)
			n.On("say", h)
		},
		`nil for event "x" of namespace /`:        func() { NewServer(nil).Of("/").On("x", nil) },
		`"disconnect" of namespace / is reserved`: func() { NewServer(nil).Of("/").On("disconnect", h) },
		`Handle with a nil function`:              func() { Handle[int](nil) },
		`nil for OnConnect of namespace /`:        func() { NewServer(nil).Of("/").OnConnect(nil) },
		`unknown transport "carrier"`:             func() { NewServer(&Options{Transports: []string{"carrier"}}) },
		`"*" cannot be combined`:                  func() { NewServer(&Options{Origins: []string{"*", "http://a"}}) },
		`"*" cannot be combined with other`:       func() { NewServer(&Options{Origins: []string{"*"}, AllowOrigin: func(string) bool { return true }}) },
	} {
		if got := panics(f); !strings.Contains(got, want) {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}

// serve starts a server over net/http for a test.
func serve(t testing.TB, srv *Server) *wire.Client {
	t.Helper()
	hs := httptest.NewServer(srv)
	c := wire.New(t, hs.URL, "/socket.io/")
	t.Cleanup(func() {
		c.Close()
		// A test that has failed may leave a handler behind that waits for it.
		ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil && err != ErrServerClosed {
			t.Error(err)
		}
		hs.Close()
	})
	return c
}

// TestBroadcastEncodesOnce: however many receive it.
func TestBroadcastEncodesOnce(t *testing.T) {
	srv := NewServer(nil)
	c := serve(t, srv)
	var all []*wire.WS
	for range 50 {
		all = append(all, c.Join(""))
	}
	before := srv.encodes.Load()
	for i := range 10 {
		if err := srv.Of("/").Emit("x", i); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range all {
		for i := range 10 {
			if got, want := w.Next(), fmt.Sprintf(`42["x",%d]`, i); got != want {
				t.Fatalf("%s instead of %s", got, want)
			}
		}
	}
	if n := srv.encodes.Load() - before; n != 10 {
		t.Errorf("10 broadcasts to 50 sockets were encoded %d times", n)
	}
}

// TestConcurrent lets events of one socket overlap.
func TestConcurrent(t *testing.T) {
	srv := NewServer(nil)
	release := make(chan struct{})
	srv.Of("/").On("wait", Reply(func(_ context.Context, s *Socket, n int) (int, error) {
		<-release
		return n, nil
	}), Concurrent(2))
	srv.Of("/").On("go", Handle(func(context.Context, *Socket, None) error { close(release); return nil }))
	c := serve(t, srv)
	w := c.Join("")
	w.Send(`421["wait",1]`, `422["wait",2]`, `423["go"]`)
	got := map[string]bool{w.Next(): true, w.Next(): true, w.Next(): true}
	if !got["431[1]"] || !got["432[2]"] || !got["433[]"] {
		t.Errorf("%v", got)
	}
}

// TestServeMux: the mount point comes from the pattern.
func TestServeMux(t *testing.T) {
	var got *Request
	srv := NewServer(nil)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { got = s.Request(); return nil })
	mux := http.NewServeMux()
	mux.Handle("/t/{tenant}/socket.io/", srv)
	hs := httptest.NewServer(mux)
	defer hs.Close()
	c := wire.New(t, hs.URL, "/t/acme/socket.io/")
	c.Join("")
	if got.Params["tenant"] != "acme" || got.RoutePattern != "/t/{tenant}/socket.io/" {
		t.Errorf("%v %q", got.Params, got.RoutePattern)
	}
	c.Close()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	path := ""
	srv = NewServer(nil)
	srv.UseExchange(func(host.Handler) host.Handler { return host.HandlerFunc(func(x host.Exchange) { path = x.Path() }) })
	for _, row := range []struct{ pattern, path, want string }{
		{"/socket.io/", "/socket.io/1/x", "1/x"},
		{"GET example.com/a/socket.io/", "/a/socket.io/1", "1"},
		{"/t/{id}/socket.io/{rest...}", "/t/7/socket.io/1/", "1"},
		{"", "/socket.io/1", "1"},
	} {
		r := httptest.NewRequest("GET", row.path, nil)
		r.Pattern = row.pattern
		if srv.ServeHTTP(httptest.NewRecorder(), r); path != row.want {
			t.Errorf("%s on %s: %q", row.path, row.pattern, path)
		}
	}
}

// BenchmarkEmit is the path of an event to one socket, up to its queue.
func BenchmarkEmit(b *testing.B) {
	s := offline()
	raw := Args{raw: []json.RawMessage{json.RawMessage(`"0123456789abcdef"`)}}
	b.Run("string", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Emit("echo", "0123456789abcdef")
		}
	})
	b.Run("args", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Emit("echo", raw)
		}
	})
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		v := struct {
			Room, Text string
			At         int
		}{"lobby", "hello everyone in the room", 1732147200}
		for b.Loop() {
			_ = s.Emit("say", v)
		}
	})
}

// offline returns a socket whose session has ended: sends are encoded and dropped.
func offline() *Socket {
	srv := NewServer(nil)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	sockets := make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	c := wire.New(discardTB{}, hs.URL, "/socket.io/")
	c.Join("")
	s := <-sockets
	c.Close()
	_ = srv.Shutdown(context.Background())
	s.state.Store(stateConnected) // everything up to the queue is done
	return s
}

// discardTB is a testing.TB for a client outside of a test.
type discardTB struct{ testing.TB }

func (discardTB) Helper()                   {}
func (discardTB) Cleanup(func())            {}
func (discardTB) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (discardTB) Fatal(a ...any)            { panic(fmt.Sprint(a...)) }
