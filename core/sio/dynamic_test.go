package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/internal/wire"
)

func TestPatterns(t *testing.T) {
	for _, row := range []struct{ pattern, path, want string }{
		{"/project/{id}", "/project/7", "map[id:7]"},
		{"/project/{id}", "/project/", "no"},
		{"/project/{id}", "/project/7/x", "no"},
		{"/project/{id}", "/project", "no"},
		{"/project/{id}", "/projects/7", "no"},
		{"project/{id}/board", "/project/7/board", "map[id:7]"},
		{"/{a}/{b}", "/x/y", "map[a:x b:y]"},
		{"/{a}", "/", "no"},
		{"/files/{path...}", "/files/a/b", "map[path:a/b]"},
		{"/files/{path...}", "/files/", "no"},
	} {
		got := "no"
		if m, ok := matchPattern(parsePattern(cleanPath(row.pattern)), row.path); ok {
			got = fmt.Sprint(m)
		}
		if got != row.want {
			t.Errorf("%s on %s: %s instead of %s", row.pattern, row.path, got, row.want)
		}
	}
	for pattern, want := range map[string]string{
		"/a{b}":         "a whole segment",
		"/{b":           "a whole segment",
		"/b}":           "a whole segment",
		"/{}":           "needs a name",
		"/{...}":        "needs a name",
		"/{a}/{a}":      "two wildcards are named a",
		"/{a...}/b":     "not at the end",
		"/plain":        "no wildcard",
		"/{a{b}}/{c}/d": "needs a name",
	} {
		if got := panics(func() { NewServer(nil).OfPattern(pattern) }); !strings.Contains(got, want) || !strings.Contains(got, pattern) {
			t.Errorf("%s: %q", pattern, got)
		}
	}
}

// gone waits until a namespace does not exist any more.
func gone(t *testing.T, srv *Server, path string) {
	t.Helper()
	for deadline := time.Now().Add(wire.Patience); srv.Lookup(path) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", path)
		}
	}
}

// TestDynamic: namespaces of a pattern share handlers, not sockets, and go away
// with the last one.
func TestDynamic(t *testing.T) {
	srv := NewServer(nil)
	srv.Of("/project/special").On("say", Reply(func(context.Context, *Socket, string) (string, error) { return "special", nil }))
	p := srv.OfPattern("/project/{id}")
	if srv.OfPattern("/project/{id}") != p {
		t.Error("the same pattern gives another namespace")
	}
	p.OnConnect(func(_ context.Context, s *Socket) error {
		var auth struct{ No bool }
		if _ = s.Auth(&auth); auth.No {
			return &Error{Message: "no"}
		}
		s.Join("all")
		return nil
	})
	p.On("say", Reply(func(_ context.Context, s *Socket, text string) (string, error) {
		n := s.Namespace()
		n.Set("said", text)
		return n.Path() + " " + n.Param("id"), s.To("all").Emit("said", text)
	}))
	c := serve(t, srv)

	a, b, other := c.Join("/project/7,"), c.Join("/project/7,"), c.Join("/project/8,")
	a.Send(`42/project/7,1["say","x"]`)
	if got := a.Next(); got != `43/project/7,1["/project/7 7"]` {
		t.Error(got)
	}
	if got := b.Next(); got != `42/project/7,["said","x"]` {
		t.Error(got)
	}
	if n := p.Len(); n != 3 {
		t.Errorf("%d sockets", n)
	}
	_ = p.Emit("all", 1) // everybody, each in their own namespace
	for ns, w := range map[string]*wire.WS{"/project/7": a, "/project/8": other} {
		if got := w.Next(); got != `42`+ns+`,["all",1]` {
			t.Error(got)
		}
	}
	answered := make(chan string, 1)
	go func() {
		answers, err := CallAll[string](context.Background(), p.To("all"), "who")
		answered <- fmt.Sprint(len(answers), err)
	}()
	if got := b.Next(); got != `42/project/7,["all",1]` {
		t.Error(got)
	}
	for ns, list := range map[string][]*wire.WS{"/project/7": {a, b}, "/project/8": {other}} {
		for _, w := range list {
			q := w.Next()
			id := strings.TrimSuffix(strings.TrimPrefix(q, "42"+ns+","), `["who"]`)
			w.Send("43" + ns + "," + id + `["me"]`)
		}
	}
	if got := <-answered; got != "3<nil>" && got != "3 <nil>" {
		t.Error(got)
	}

	w := c.Join("/project/special,")
	w.Send(`42/project/special,1["say","x"]`)
	if got := w.Next(); got != `43/project/special,1["special"]` {
		t.Error(got)
	}
	w.Send(`40/project/9,{"no":true}`)
	if got := w.Next(); got != `44/project/9,{"message":"no"}` {
		t.Error(got)
	}
	gone(t, srv, "/project/9")
	w.Send("40/project/")
	if got := w.Next(); got != `44/project/,{"message":"Invalid namespace"}` {
		t.Error(got)
	}

	a.Send("41/project/7,")
	b.Reset()
	gone(t, srv, "/project/7")
	if srv.Lookup("/project/8") == nil || srv.Lookup("project/8").Param("id") != "8" {
		t.Error("a namespace with sockets is gone")
	}
	again := c.Join("/project/7,")
	if v := srv.Lookup("/project/7").Get("said"); v != nil {
		t.Errorf("the values of a namespace that is gone: %v", v)
	}
	again.Send("41/project/7,")
	gone(t, srv, "/project/7")

	byName := srv.Of("/project/10")
	if got := panics(func() { byName.On("x", Handle(func(context.Context, *Socket, None) error { return nil })) }); !strings.Contains(got, "register there") {
		t.Errorf("%q", got)
	}
}

// TestOfFunc: a function sees name and request; a panic in it refuses.
func TestOfFunc(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	n := srv.OfFunc(func(path string, r *Request) bool {
		if path == "/panic" {
			panic("match")
		}
		return r.Query().Get("ok") == "1" && strings.HasPrefix(path, "/dyn-")
	})
	n.Guard(acl.PolicyFunc(func(_ context.Context, s acl.Subject, _ acl.Action) error {
		if s.(*Socket).Namespace().Path() == "/dyn-closed" {
			return errors.New("closed")
		}
		return nil
	}))
	c := serve(t, srv)
	w, _ := c.WebSocket("ok=1")
	for _, row := range []struct{ ns, want string }{
		{"/dyn-1", `40/dyn-1,{`}, {"/dyn-closed", `44/dyn-closed,{"message":"Invalid namespace"}`}, {"/other", `44/other,`}, {"/panic", `44/panic,`},
	} {
		w.Send("40" + row.ns)
		if got := w.Next(); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: %s", row.ns, got)
		}
	}
	if srv.Lookup("/dyn-closed") != nil {
		t.Error("a namespace that nobody got into is kept")
	}
	if srv.Of("/dyn-1") == nil || srv.Of("/dyn-2").parent != nil {
		t.Error("a function was asked about a name without a request")
	}
}

// TestDynamicConcurrently: clients that come and go while the namespace is
// emitted to never end up in two of the same name.
func TestDynamicConcurrently(t *testing.T) {
	const most = 1 << 19 // emitted as fast as can be; a client that is given no processor meanwhile has room for all
	srv := NewServer(&Options{MaxQueueMessages: 2 * most, MaxQueueBytes: 1 << 30})
	n := srv.OfPattern("/r/{id}")
	n.On("count", Reply(func(_ context.Context, s *Socket, _ None) (bool, error) {
		return srv.Lookup(s.Namespace().Path()) == s.Namespace(), nil
	}))
	c := serve(t, srv)
	done := make(chan string)
	for range 8 {
		w, _ := c.WebSocket()
		go func() {
			bad := ""
			for i := range 50 {
				w.Send("40/r/1,", fmt.Sprintf(`42/r/1,%d["count"]`, i))
				for _, want := range []string{"40/r/1,{", fmt.Sprintf(`43/r/1,%d[true]`, i)} {
					m, err := w.Read()
					for err == nil && m == `42/r/1,["x"]` {
						m, err = w.Read()
					}
					if err != nil || !strings.HasPrefix(m, want) {
						bad = fmt.Sprint(m, err)
					}
				}
				w.Send("41/r/1,")
				if bad != "" {
					break
				}
			}
			done <- bad
		}()
	}
	all := make(chan struct{})
	go func() {
		defer close(all)
		for range 8 {
			if bad := <-done; bad != "" {
				t.Error(bad)
			}
		}
	}()
	open := true
	for emitted := 0; open && emitted < most; emitted++ {
		select {
		case <-all:
			open = false
		default:
			_ = n.Emit("x")
		}
	}
	<-all
	gone(t, srv, "/r/1")
}
