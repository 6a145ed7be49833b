package mixin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// serve starts a server with bundles on its default namespace.
func serve(t *testing.T, ms ...sio.Mixin) (*sio.Namespace, *wire.Client) {
	srv := sio.NewServer(nil)
	srv.Of("/").Mix(ms...)
	hs := httptest.NewServer(srv)
	c := wire.New(t, hs.URL, "/socket.io/")
	t.Cleanup(func() {
		c.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		hs.Close()
	})
	return srv.Of("/"), c
}

func want(t *testing.T, w *wire.WS, list ...string) {
	t.Helper()
	for _, m := range list {
		if got := w.Next(); got != m {
			t.Errorf("%s instead of %s", got, m)
		}
	}
}

// join opens a client and returns its id too.
func join(t *testing.T, c *wire.Client) (*wire.WS, string) {
	t.Helper()
	w, _ := c.WebSocket()
	w.Send("40")
	return w, strings.TrimSuffix(strings.TrimPrefix(w.Next(), `40{"sid":"`), `"}`)
}

func TestRooms(t *testing.T) {
	n, c := serve(t, &mixin.Rooms{Policy: acl.Not(acl.RoomPrefix("staff:")), Max: 3, MaxName: 20})
	n.Guard(acl.Any(acl.RoomPrefix("room:", "staff:", "\x00", strings.Repeat("x", 5)), acl.PolicyFunc(func(_ context.Context, _ acl.Subject, a acl.Action) error {
		if a.Kind == acl.Join {
			return acl.ErrDenied
		}
		return nil
	})))
	w, _ := join(t, c)
	_, other := join(t, c)
	refused := func(text string) string {
		return `43%d[{"error":{"code":"refused","message":"` + text + `"}}]`
	}
	const may, many = "you may not enter this room", "you are in 3 rooms already"
	for i, row := range []struct{ send, want string }{
		{`["join","room:1"]`, `43%d["room:1"]`},
		{`["join","room:1"]`, `43%d["room:1"]`},
		{`["join","staff:1"]`, refused(may)},                         // the bundle's policy
		{`["join","lobby"]`, refused(may)},                           // the namespace's
		{`["join","` + strings.Repeat("x", 21) + `"]`, refused(may)}, // too long
		{`["join","` + other + `"]`, refused(may)},                   // somebody's own
		{`["join","\u0000presence"]`, refused(may)},                  // the server's own
		{`["join","room:2"]`, `43%d["room:2"]`},
		{`["join","room:3"]`, `43%d["room:3"]`},
		{`["join","room:4"]`, refused(many)},
		{`["join","room:3"]`, `43%d["room:3"]`}, // is in it
		{`["leave","room:3"]`, `43%d["room:3"]`},
		{`["leave","never"]`, `43%d["never"]`},
		{`["join","room:4"]`, `43%d["room:4"]`},
		{`["join",4]`, `43%d[{"error":{"code":"bad_argument","message":"argument 1: wrong JSON type"}}]`},
	} {
		w.Send(fmt.Sprintf("42%d%s", i, row.send))
		want(t, w, fmt.Sprintf(row.want, i))
	}
	_ = n.To("room:2").Emit("x")
	_ = n.To("room:3").Emit("y")
	_ = n.To("room:4").Emit("z")
	want(t, w, `42["x"]`, `42["z"]`)
}

func TestBroadcast(t *testing.T) {
	_, c := serve(t, &mixin.Broadcast{Events: []string{"draw", "erase"}}, &mixin.Broadcast{Events: []string{"all"}, ToSelf: true},
		&mixin.Broadcast{Events: []string{"near"}, Rooms: true, Volatile: true}, &mixin.Rooms{JoinEvent: "in", LeaveEvent: "out"})
	a, _ := join(t, c)
	b, _ := join(t, c)
	far, _ := join(t, c)
	for _, w := range []*wire.WS{a, b} {
		w.Send(`421["in","r"]`)
		want(t, w, `431["r"]`)
	}
	// A volatile event may always be lost, so it is sent until one has come.
	for came, i := false, 0; !came; i++ {
		if i == 100 {
			t.Fatal("100 volatile events, and none has come")
		}
		all := fmt.Sprintf(`42["all",%d]`, i)
		a.Send(`42["near",1]`, all)
		want(t, a, all)
		want(t, far, all)
		got := b.Next()
		if came = got == `42["near",1]`; came {
			got = b.Next()
		}
		if got != all {
			t.Fatalf("%q, want %q", got, all)
		}
	}
	a.Send(`42["draw",1,{"x":[2]}]`, `42["erase"]`, `42["all",true]`)
	want(t, b, `42["draw",1,{"x":[2]}]`, `42["erase"]`, `42["all",true]`)
	want(t, far, `42["draw",1,{"x":[2]}]`, `42["erase"]`, `42["all",true]`)
	want(t, a, `42["all",true]`)
}

func TestPresence(t *testing.T) {
	p := &mixin.Presence{Who: func(s *sio.Socket) mixin.Member {
		var auth struct{ User string }
		_ = s.Auth(&auth)
		return mixin.Member{ID: auth.User, Info: strings.ToUpper(auth.User)}
	}}
	n, c := serve(t, p)
	as := func(user string) *wire.WS {
		w, _ := c.WebSocket()
		w.Send(`40{"user":"` + user + `"}`)
		w.Next()
		return w
	}
	ann := as("ann")
	want(t, ann, `42["presence",[{"id":"ann","info":"ANN"}]]`)
	bob := as("bob")
	want(t, bob, `42["presence",[{"id":"ann","info":"ANN"},{"id":"bob","info":"BOB"}]]`)
	bob2 := as("bob") // another tab
	want(t, bob2, `42["presence",[{"id":"ann","info":"ANN"},{"id":"bob","info":"BOB"}]]`)
	bob.Send("41") // the other tab is still there
	want(t, ann, `42["presence-join",{"id":"bob","info":"BOB"}]`)
	if got := fmt.Sprint(p.Members(n)); got != "[{ann ANN} {bob BOB}]" {
		t.Error(got)
	}
	bob2.Reset()
	want(t, ann, `42["presence-leave","bob"]`)
	cy := as("cy")
	want(t, cy, `42["presence",[{"id":"ann","info":"ANN"},{"id":"cy","info":"CY"}]]`)
}

// TestPresenceOrder: whoever joins sees everybody once, in the list or as one
// who comes, however many come at the same time.
func TestPresenceOrder(t *testing.T) {
	_, c := serve(t, &mixin.Presence{})
	const count = 12
	all := make(chan string, count)
	for range count {
		w, _ := c.WebSocket()
		w.Send("40")
		go func() {
			seen := 0
			for seen < count {
				m, err := w.Read()
				switch {
				case err != nil:
					all <- err.Error()
					return
				case strings.HasPrefix(m, `42["presence",`):
					seen += strings.Count(m, `"id"`)
				case strings.HasPrefix(m, `42["presence-join",`):
					seen++
				}
			}
			all <- fmt.Sprint(seen)
		}()
	}
	for range count {
		if got := <-all; got != fmt.Sprint(count) {
			t.Error(got)
		}
	}
}

func TestHistory(t *testing.T) {
	h := &mixin.History{Events: []string{"say"}, Last: 3, MaxRooms: 2}
	n, c := serve(t, h, &mixin.Rooms{Enter: h.Join})
	a, _ := join(t, c)
	a.Send(`421["say","r","early"]`, `422["join","r"]`)
	want(t, a, `431[{"error":{"code":"refused","message":"you are not in this room"}}]`, `432["r"]`)
	for i := range 5 {
		a.Send(fmt.Sprintf(`42["say","r",%d]`, i))
		want(t, a, fmt.Sprintf(`42["say","r",%d]`, i))
	}
	b, _ := join(t, c)
	b.Send(`421["join","r"]`, `422["join","r"]`)
	want(t, b, `42["say","r",2]`, `42["say","r",3]`, `42["say","r",4]`, `431["r"]`, `432["r"]`)
	_ = h.Emit(n, "q", "news", "x") // a second room, and a third
	_ = h.Emit(n, "p", "news", "y")
	d, _ := join(t, c)
	d.Send(`421["join","r"]`, `422["join","q"]`, `423["join","p"]`)
	want(t, d, `431["r"]`, `42["news","x"]`, `432["q"]`, `42["news","y"]`, `433["p"]`)
	if err := h.Emit(n, "p", "news", make(chan int)); err == nil {
		t.Error("what cannot be encoded was kept")
	}
	a.Send(`424["join","p"]`)
	want(t, a, `42["news","y"]`, `434["p"]`)
}

// TestHistoryKeepsItsOwn: what was said by one client is not overwritten by what
// another one sends, however it came into the history.
func TestHistoryKeepsItsOwn(t *testing.T) {
	type message struct{ Text json.RawMessage }
	h := &mixin.History{}
	n, c := serve(t, h, &mixin.Rooms{Enter: h.Join})
	const said = `"` + "0123456789abcdefghijklmnopq" + `"`
	ways := []struct {
		name, kept string
		args       func(a sio.Args) []any
	}{
		{"raw", said, func(a sio.Args) []any { return []any{a.Raw(0)} }},
		{"ptr", said, func(a sio.Args) []any { r := a.Raw(0); return []any{&r} }},
		{"lst", `[[` + said + `]]`, func(a sio.Args) []any { return []any{[]any{a}} }},
		{"map", `{"a":` + said + `}`, func(a sio.Args) []any { return []any{map[string]any{"a": a.Raw(0)}} }},
		{"two", `1,[` + said + `]`, func(a sio.Args) []any { return []any{sio.Args2[int, sio.Args]{A: 1, B: a}} }},
		{"fld", `{"Text":` + said + `}`, func(a sio.Args) []any { return []any{message{a.Raw(0)}} }},
		{"all", said, func(a sio.Args) []any { return []any{a} }},
	}
	for _, way := range ways {
		n.On(way.name, sio.Handle(func(_ context.Context, s *sio.Socket, a sio.Args) error {
			if err := h.Emit(s.Namespace(), "r", way.name, way.args(a)...); err != nil {
				return err
			}
			for i := range a.Raw(0) { // as the next packet does
				a.Raw(0)[i] = '!'
			}
			return s.Emit("done")
		}))
	}
	parts := []byte{1, 2, 3}
	if err := h.Emit(n, "r", "bin", map[string]any{"b": parts}, parts); err != nil {
		t.Fatal(err)
	}
	parts[0] = 9
	w, _ := join(t, c)
	for _, way := range ways {
		w.Send(`42["` + way.name + `",` + said + `]`)
		want(t, w, `42["done"]`)
	}
	w.Send(`42["join","r"]`)
	want(t, w, `452-["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`)
	for range 2 {
		if got := w.Next(); got != "bAQID" {
			t.Errorf("bytes %q", got)
		}
	}
	for _, way := range ways {
		want(t, w, `42["`+way.name+`",`+way.kept+`]`)
	}
}

// TestRelaysBehindPolicies: what a policy has seen is what others get.
func TestRelaysBehindPolicies(t *testing.T) {
	h := &mixin.History{Events: []string{"say"}}
	n, c := serve(t, &mixin.Broadcast{Events: []string{"draw"}, ToSelf: true}, h, &mixin.Rooms{Enter: h.Join})
	n.Guard(acl.PolicyFunc(func(_ context.Context, _ acl.Subject, a acl.Action) error {
		if a.Name != "draw" && a.Name != "say" {
			return acl.ErrAbstain
		}
		var m struct{ Text string }
		if err := json.Unmarshal(a.Args[len(a.Args)-1], &m); err != nil || m.Text != "ok" {
			return acl.ErrDenied
		}
		return nil
	}))
	w, _ := join(t, c)
	w.Send(`421["join","r"]`)
	want(t, w, `431["r"]`)
	w.Send(`422["draw",{"Text":"<script>","TEXT":"ok"}]`, `423["say","r",{"Text":"<script>","TEXT":"ok"}]`, `42["draw",{"Text":"ok"}]`)
	want(t, w, `432[{"error":{"code":"bad_argument","message":"argument 1: \"TEXT\" is there twice"}}]`,
		`433[{"error":{"code":"bad_argument","message":"argument 2: \"TEXT\" is there twice"}}]`, `42["draw",{"Text":"ok"}]`)
}

// TestHistoryOrder: who enters while others speak misses nothing and gets nothing twice.
func TestHistoryOrder(t *testing.T) {
	h := &mixin.History{Last: 1000}
	n, c := serve(t, &mixin.Rooms{Enter: h.Join})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 500 {
			_ = h.Emit(n, "r", "n", i)
		}
	}()
	w, _ := join(t, c)
	w.Send(`42["join","r"]`)
	for i := range 500 {
		want(t, w, fmt.Sprintf(`42["n",%d]`, i))
	}
	<-done
}
