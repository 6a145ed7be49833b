package sio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

type player struct {
	s     *Socket
	score int
}

func (p *player) Add(_ context.Context, n int) error {
	if n < 0 {
		return errors.New("negative")
	}
	p.score += n
	return nil
}

func (p *player) Score(context.Context, None) (int, error) { return p.score, nil }

// TestStateful: one value for each socket, made once.
func TestStateful(t *testing.T) {
	srv := NewServer(nil)
	made := &record{}
	players := Stateful(func(s *Socket) *player {
		made.add("%d", len(s.Rooms())) // the socket may be used
		s.Set("x", 1)
		return &player{s: s}
	})
	n := srv.Of("/")
	n.On("add", Method(players, (*player).Add))
	n.On("score", MethodReply(players, (*player).Score))
	c := serve(t, srv)
	a, b := c.Join(""), c.Join("")
	a.Send(`421["add",2]`, `422["add",3]`, `423["score"]`)
	b.Send(`421["score"]`)
	for _, want := range []string{"431[]", "432[]", "433[5]"} {
		if m := a.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	if m := b.Next(); m != "431[0]" {
		t.Error(m)
	}
	if g := made.take(); g != "0; 0" {
		t.Error(g)
	}
	for s := range n.All().Sockets(context.Background()) {
		if players.Of(s.(*Socket)).s != s {
			t.Error("the value of another socket")
		}
	}
}

// TestDeclared: declared events are sent as any other.
func TestDeclared(t *testing.T) {
	srv, _, w, s := asker(t, nil)
	n := srv.Of("/")
	said := DeclareEvent[Args2[string, int]](n, "said")
	tick := DeclareEvent[None](n, "tick")
	sure := DeclareCall[string, bool](n, "sure")
	_ = said.Emit(s, Args2[string, int]{"a", 1})
	_ = tick.Emit(n.All(), None{})
	for _, want := range []string{`42["said","a",1]`, `42["tick"]`} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	answered := make(chan string, 1)
	go func() {
		ok, err := sure.Call(context.Background(), s, "x")
		all, err2 := sure.CallAll(context.Background(), n.All(), "y")
		answered <- fmt.Sprint(ok, err, len(all), all[0].Value, err2)
	}()
	for _, want := range []string{`420["sure","x"]`, `421["sure","y"]`} {
		m := w.Next()
		if m != want {
			t.Errorf("%s instead of %s", m, want)
		}
		w.Send("43" + want[2:3] + "[true]")
	}
	if got := <-answered; got != "true <nil> 1 true <nil>" {
		t.Error(got)
	}
}

type custom struct{}

func (*custom) UnmarshalArgs(Args) error { return nil }

// TestContract: the contract is what the handlers' types say.
func TestContract(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/chat")
	pass := func(next Handler) Handler { return next }
	n.On("none", Handle(func(context.Context, *Socket, None) error { return nil }), pass)
	n.On("one", Reply(func(context.Context, *Socket, string) (None, error) { return None{}, nil }))
	n.On("two", Reply(func(context.Context, *Socket, Args2[string, []byte]) (Args2[int, bool], error) {
		return Args2[int, bool]{}, nil
	}))
	n.On("raw", HandlerFunc(func(context.Context, *Event) error { return nil }))
	n.On("args", Handle(func(context.Context, *Socket, Args) error { return nil }))
	n.On("custom", Handle(func(context.Context, *Socket, custom) error { return nil }))
	n.OnMessage(Handle(func(context.Context, *Socket, string) error { return nil }))
	DeclareEvent[float64](n, "rate")
	DeclareCall[None, any](n, "why")
	srv.OfPattern("/p/{x}").On("e", Handle(func(context.Context, *Socket, int) error { return nil }))
	srv.Of("/p/1")
	var got []string
	for _, ns := range srv.Contract().Namespaces {
		for what, list := range map[string][]EventContract{"receives": ns.Receives, "emits": ns.Emits} {
			for _, e := range list {
				got = append(got, fmt.Sprintf("%s %s %s %v %t %v", ns.Path, what, e.Name, e.Args, e.Acks, e.Ack))
			}
		}
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"/chat receives none {[] false} false {[] false}",
		"/chat receives one {[string] false} true {[] false}",
		"/chat receives two {[string []uint8] false} true {[int bool] false}",
		"/chat receives raw {[] true} false {[] false}",
		"/chat receives args {[] true} false {[] false}",
		"/chat receives custom {[] true} false {[] false}",
		"/chat receives message {[string] false} false {[] false}",
		"/chat emits rate {[float64] false} false {[] false}",
		"/chat emits why {[] false} true {[interface {}] false}",
		"/p/{x} receives e {[int] false} false {[] false}",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s", want)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d events:\n%s", len(got), all)
	}
}

// TestWrongPrograms do not compile, and the compiler says what is wrong.
func TestWrongPrograms(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.go")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command("go", "vet", file).CombinedOutput()
			want, found := wantedError(t, file)
			if err == nil {
				t.Fatal("it compiles")
			}
			if !found || !strings.Contains(string(out), want) {
				t.Errorf("got:\n%s\nwant: %s", out, want)
			}
		})
	}
}

// wantedError is what the first line of a wrong program says about it.
func wantedError(t *testing.T, file string) (string, bool) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(src), "\n")
	return strings.CutPrefix(first, "// want: ")
}
