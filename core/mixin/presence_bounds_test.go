package mixin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// presence reads until the answer to an event of one's own and returns what came
// before about who is here.
func presence(w *wire.WS) (list []string) {
	w.Send(`429["still"]`)
	for {
		m := w.Next()
		if strings.HasPrefix(m, "439") {
			return list
		}
		list = append(list, m)
	}
}

func serveHere(t *testing.T, p *mixin.Presence) (*sio.Namespace, *wire.Client) {
	n, c := serve(t, p)
	n.On("still", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }))
	return n, c
}

// TestPresenceLoop: who joins and leaves again and again before changes are told
// costs nobody a message.
func TestPresenceLoop(t *testing.T) {
	p := &mixin.Presence{Every: time.Hour}
	n, c := serveHere(t, p)
	a, id := join(t, c)
	want(t, a, fmt.Sprintf(`42["presence",[{"id":%q}]]`, id)) // the first change is told at once
	loop, _ := join(t, c)
	for range 50 {
		loop.Send("41", "40")
		if m := loop.Next(); !strings.HasPrefix(m, "40{") {
			t.Fatal(m)
		}
	}
	if got := presence(a); got != nil {
		t.Errorf("in the loop: %q", got)
	}
	if got := presence(loop); got != nil {
		t.Errorf("the client of the loop: %q", got)
	}
	if got := p.Members(n); len(got) != 2 {
		t.Errorf("members: %v", got)
	}
	a.Send("41") // the last but one leaves, then the last: nobody is waited for
	loop.Send("41")
}

// TestPresenceTogether: changes that come close together are told together, with what
// they come to.
func TestPresenceTogether(t *testing.T) {
	n, c := serveHere(t, &mixin.Presence{Every: 2 * time.Second, Who: func(s *sio.Socket) mixin.Member {
		var auth struct{ Name string }
		_ = s.Auth(&auth)
		return mixin.Member{ID: auth.Name}
	}})
	enter := func(name string) *wire.WS {
		w, _ := c.WebSocket()
		w.Send(`40{"name":"` + name + `"}`)
		if m := w.Next(); !strings.HasPrefix(m, "40{") {
			t.Fatal(m)
		}
		return w
	}
	a := enter("ann")
	want(t, a, `42["presence",[{"id":"ann"}]]`)
	b, gone := enter("bob"), enter("cy")
	gone.Send("41")
	d := enter("dan")
	for _, w := range []*wire.WS{b, d} {
		want(t, w, `42["presence",[{"id":"ann"},{"id":"bob"},{"id":"dan"}]]`)
	}
	want(t, a, `42["presence-join",{"id":"bob"}]`, `42["presence-join",{"id":"dan"}]`)
	b.Send("41")
	back := enter("bob") // before it is told that bob has gone
	d.Send("41")
	want(t, back, `42["presence",[{"id":"ann"},{"id":"bob"}]]`)
	want(t, a, `42["presence-leave","dan"]`)
	if n.Len() != 2 {
		t.Error(n.Len())
	}
}

// TestPresenceMax: who comes when the list is full is told of the others, and of no
// interest to them.
func TestPresenceMax(t *testing.T) {
	p := &mixin.Presence{Every: time.Nanosecond, MaxMembers: 2}
	n, c := serveHere(t, p)
	a, ida := join(t, c)
	want(t, a, fmt.Sprintf(`42["presence",[{"id":%q}]]`, ida))
	b, idb := join(t, c)
	b.Next()
	want(t, a, fmt.Sprintf(`42["presence-join",{"id":%q}]`, idb))
	over, _ := join(t, c)
	if m := over.Next(); strings.Count(m, `"id"`) != 2 {
		t.Error(m)
	}
	if got := presence(a); got != nil || len(p.Members(n)) != 2 {
		t.Errorf("%q, %v", got, p.Members(n))
	}
	over.Send("41")
	b.Send("41")
	want(t, a, fmt.Sprintf(`42["presence-leave",%q]`, idb))
	again, idc := join(t, c)
	again.Next()
	want(t, a, fmt.Sprintf(`42["presence-join",{"id":%q}]`, idc))
}
