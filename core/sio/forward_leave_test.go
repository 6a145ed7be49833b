package sio

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/siokit/siokit/internal/wire"
)

// TestForwardOtherLeaves: a server that shuts down has the polls that it has passed on answered,
// and the sessions of other servers go on.
func TestForwardOtherLeaves(t *testing.T) {
	for _, row := range []struct {
		name, noop string
		open       func(c *wire.Client) (hold func(at *wire.Client) <-chan wire.Answer, post func(c *wire.Client) wire.Answer, sid string)
	}{
		{"4.x", "6", func(c *wire.Client) (func(*wire.Client) <-chan wire.Answer, func(*wire.Client) wire.Answer, string) {
			s := c.Polling()
			s.Join("")
			return func(at *wire.Client) <-chan wire.Answer { return (&wire.Session{Client: at, Open: s.Open}).Hold() },
				func(c *wire.Client) wire.Answer { return (&wire.Session{Client: c, Open: s.Open}).Post("3") }, s.Open.SID
		}},
		{"0.9", "8::", func(c *wire.Client) (func(*wire.Client) <-chan wire.Answer, func(*wire.Client) wire.Answer, string) {
			sid := c.Handshake1("")
			x := "/socket.io/1/xhr-polling/" + sid
			c.At(x).Must("GET", "", "")
			return func(at *wire.Client) <-chan wire.Answer {
					held := make(chan wire.Answer, 1)
					go func() { held <- at.At(x).Must("GET", "", "") }()
					return held
				},
				func(c *wire.Client) wire.Answer { return c.At(x).Must("POST", "", "2::") }, sid
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			sp := spreadOver(t, 2, nil, echoes)
			hold, post, sid := row.open(sp.c)
			o := sp.owner(sid)
			other := sp.all[0]
			if other == o {
				other = sp.all[1]
			}
			hs := httptest.NewServer(other)
			defer hs.Close()
			other.forward.Left(o.node.Name()) // connections of before
			held := hold(wire.New(t, hs.URL, "/socket.io/"))
			until(t, "the poll is passed on", func() bool { return other.forward.Conns() > 0 })
			ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
			defer cancel()
			if err := other.Shutdown(ctx); err != nil {
				t.Fatal(err)
			}
			if a := <-held; a.String() != "200 "+row.noop {
				t.Errorf("the poll is answered with %v", a)
			}
			mine := httptest.NewServer(o)
			defer mine.Close()
			if a := post(wire.New(t, mine.URL, "/socket.io/")); a.Status != 200 {
				t.Errorf("the session: %v", a)
			}
		})
	}
}
