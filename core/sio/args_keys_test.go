package sio_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// TestSeenAndHandled: where policies or middleware may have looked at the arguments,
// whatever handles them gets nothing that can be read in two ways.
func TestSeenAndHandled(t *testing.T) {
	type pay struct{ To string }
	got := make(chan string, 16)
	handlers := func(n *sio.Namespace, mw ...sio.Middleware) {
		n.On("typed", sio.Handle(func(_ context.Context, _ *sio.Socket, p pay) error { got <- p.To; return nil }), mw...)
		n.On("raw", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { got <- string(ev.Args.Raw(0)); return ev.Ack() }), mw...)
		n.OnJSON(sio.Handle(func(_ context.Context, _ *sio.Socket, p pay) error { got <- p.To; return nil }), mw...)
	}
	loop := func(n *sio.Namespace) {
		n.Loop(func(ctx context.Context, s *sio.Socket) error {
			for ev := range s.Events(ctx) {
				got <- string(ev.Args.Raw(0))
				_ = ev.Ack()
			}
			return nil
		})
	}
	admits := func(raw json.RawMessage) bool {
		var m map[string]any
		return json.Unmarshal(raw, &m) == nil && m["To"] == "me"
	}
	watch := func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if !admits(ev.Args.Raw(0)) {
				return sio.Errorf("no", "no")
			}
			return next.ServeEvent(ctx, ev)
		})
	}
	srv := sio.NewServer(nil)
	handlers(srv.Of("/own"), watch)
	handlers(srv.Of("/used"))
	srv.Of("/used").Use(watch)
	for _, path := range []string{"/guard", "/late"} {
		n := srv.Of(path)
		if path == "/guard" {
			handlers(n)
			loop(n)
		}
		n.Guard(acl.PolicyFunc(func(_ context.Context, _ acl.Subject, a acl.Action) error {
			if a.Kind != acl.Connect && !admits(a.Args[0]) {
				return acl.ErrDenied
			}
			return nil
		}))
		if path == "/late" {
			handlers(n)
			loop(n)
		}
	}
	handlers(srv.Of("/open"))
	c := sio.Serve(t, srv)
	const bomb, sound = `{"To":"me","TO":"admin"}`, `{"To":"me","x":{"To":1},"y":[{"TO":1}]}`
	for _, path := range []string{"/own", "/used", "/guard", "/late"} {
		w := c.Join(path)
		events := []string{"typed", "raw", "message"}
		if path == "/guard" || path == "/late" {
			events = append(events, "loop")
		}
		for _, event := range events {
			w.Send(`42` + path + `,1["` + event + `",` + bomb + `]`)
			if m := w.Next(); !strings.HasPrefix(m, `43`+path+`,1[{"error":{"code":"bad_argument","message":"argument 1: \"TO\" is there twice"`) {
				t.Errorf("%s %s: %s", path, event, m)
			}
			w.Send(`42` + path + `,2["` + event + `",` + sound + `]`)
			if m := w.Next(); m != `43`+path+`,2[]` {
				t.Errorf("%s %s: %s", path, event, m)
			}
			if v := <-got; v != "me" && v != sound {
				t.Errorf("%s %s: the handler was given %s", path, event, v)
			}
		}
	}
	w := c.Join("/open") // nobody has looked: it is the handler's to read
	w.Send(`42/open,1["typed",`+bomb+`]`, `42/open,2["raw",`+bomb+`]`)
	for _, want := range []string{"admin", bomb} {
		if v := <-got; v != want {
			t.Errorf("%s instead of %s", v, want)
		}
		_ = w.Next()
	}
}

// half has its list from what it embeds, and keeps what it is given.
type half struct {
	sio.Args2[struct{ Text string }, string]
	all sio.Args
}

func (h *half) UnmarshalArgs(a sio.Args) error {
	h.all = a
	return a.Bind(&h.A, &h.B)
}

// TestOwnList: a type with a list that is not its own is the application's.
func TestOwnList(t *testing.T) {
	srv := sio.NewServer(nil)
	srv.Of("/").On("say", sio.Reply(func(_ context.Context, _ *sio.Socket, h half) (sio.Args, error) { return h.all, nil }))
	w := sio.Serve(t, srv).Join("")
	w.Send(`421["say",{"Text":"<script>","TEXT":"harmless"},"x"]`)
	if m := w.Next(); !strings.Contains(m, "bad_argument") {
		t.Error(m)
	}
}

// TestNamespaceEncode: Args of Encode are what Emit would have sent, and stay so.
func TestNamespaceEncode(t *testing.T) {
	srv := sio.NewServer(nil)
	n := srv.Of("/")
	text, part := json.RawMessage(`"raw"`), []byte{1, 2}
	kept, err := n.Encode("a", map[string]any{"r": text, "b": part}, sio.Args2[int, []byte]{A: 1, B: part})
	if err != nil || kept.Len() != 4 {
		t.Fatal(kept, err)
	}
	copy(text, `"new"`)
	part[0] = 9
	if none, err := n.Encode(); err != nil || none.Len() != 0 {
		t.Error(none, err)
	}
	if _, err := n.Encode(make(chan int)); err == nil {
		t.Error("a channel has JSON")
	}
	n.On("go", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		return s.Emit("kept", 0, kept, kept.Slice(3))
	}))
	w := sio.Serve(t, srv).Join("")
	w.Send(`42["go"]`)
	const want = `453-["kept",0,"a",{"b":{"_placeholder":true,"num":0},"r":"raw"},1,{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`
	if m := w.Next(); m != want {
		t.Error(m)
	}
	for range 3 {
		if m := w.Next(); m != "bAQI=" {
			t.Errorf("%q", m)
		}
	}
}
