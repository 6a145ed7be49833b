package natsbus

import (
	"strings"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// TestSubjects: nodes of different versions of this package must agree.
func TestSubjects(t *testing.T) {
	s := subjects{app: "sio.chat"}
	long := strings.Repeat("x", 65)
	const hashed = "~lTfF_fEgSC99WNJentWD9SwCtOME6oFNsWM61WWu1-k" // SHA-256
	for _, c := range []struct {
		m    cluster.Message
		want string
	}{
		{cluster.Message{Kind: cluster.Hello}, "sio.chat.nodes"},
		{cluster.Message{Kind: cluster.Fetch, Namespace: "/"}, "sio.chat.nodes"},
		{cluster.Message{Kind: cluster.ServerEvent, Namespace: "/"}, "sio.chat.nodes"},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/", ID: "1", Rooms: []string{"a"}}, "sio.chat.nodes"},
		{cluster.Message{Kind: cluster.Answer, Namespace: "/", To: "a-_9Z"}, "sio.chat.node.a-_9Z"},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/", To: "a.b", Rooms: []string{"id"}}, "sio.chat.node.~" + hash("a.b")[1:]},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/"}, "sio.chat.Lw.all"},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/chat", Rooms: []string{"a", "b"}}, "sio.chat.L2NoYXQ.all"},
		{cluster.Message{Kind: cluster.CloseTransport, Namespace: "/", Rooms: []string{"a.b *>"}}, "sio.chat.Lw.r.YS5iICo-"},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{""}}, "sio.chat.Lw.all"},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{long}}, "sio.chat.Lw.r." + hashed},
		{cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{long[:64]}}, "sio.chat.Lw.r." + strings.Repeat("eHh4", 21) + "eA"},
	} {
		if got := string(s.appendOf(nil, &c.m)); got != c.want {
			t.Errorf("%v to %q for %q of %q: %s, want %s", c.m.Kind, c.m.To, c.m.Rooms, c.m.Namespace, got, c.want)
		}
	}
	if got := s.watched(cluster.Interest{Namespace: "/chat", Room: "a"}); got != "sio.chat.L2NoYXQ.r.YQ" {
		t.Errorf("watched: %s", got)
	}
}

// FuzzSubjects: no text makes a subject that means another one, or that NATS refuses.
func FuzzSubjects(f *testing.F) {
	f.Add("/", "", "/a", "b")
	f.Add("/a.b", "*", "/>", "a b")
	f.Add("/"+strings.Repeat("x", 70), strings.Repeat("y", 70), "/\x00", "\r\n")
	f.Fuzz(func(t *testing.T, ns1, room1, ns2, room2 string) {
		s := subjects{app: "sio.x"}
		a, b := s.room(ns1, room1), s.room(ns2, room2)
		if (a == b) != (ns1 == ns2 && room1 == room2) {
			t.Errorf("%q %q has %s, %q %q has %s", ns1, room1, a, ns2, room2, b)
		}
		if ns1 != "" && ns1[0] == '/' && (strings.HasPrefix(a, "sio.x.node.") || a == s.nodes()) {
			t.Errorf("%q %q has %s", ns1, room1, a)
		}
		parts := strings.Split(a, ".")
		if len(parts) != 4 && len(parts) != 5 || len(a) > 250 {
			t.Errorf("%s", a)
		}
		for _, p := range parts {
			if !plain(strings.TrimPrefix(p, "~")) && len(p) <= maxPlain {
				t.Errorf("%s", a)
			}
		}
	})
}
