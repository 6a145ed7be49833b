package mixin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// voice is one client in the words of its generation.
type voice struct {
	*wire.WS
	event, acked, answer string // formats: name and arguments, and those of an ack
}

func (v *voice) emit(name, args string) { v.Send(fmt.Sprintf(v.event, name, args)) }

// ask emits with an ack and returns what the ack holds, past everything before it.
func (v *voice) ask(name, args string) string {
	v.Send(fmt.Sprintf(v.acked, name, args))
	return v.until(v.answer)
}

// until returns the rest of the next message that begins like this.
func (v *voice) until(prefix string) string {
	for {
		m, err := v.Read()
		if err != nil {
			return err.Error()
		}
		if rest, ok := strings.CutPrefix(m, prefix); ok {
			return rest
		}
	}
}

// none reports the first message that begins like this before the answer to an
// event of the client's own.
func (v *voice) none(t *testing.T, what, name string) {
	t.Helper()
	v.Send(fmt.Sprintf(v.acked, "still", "1"))
	for {
		m := v.Next()
		if strings.HasPrefix(m, v.answer) {
			return
		}
		if strings.Contains(m, `"`+name+`"`) {
			t.Errorf("%s: %s", what, m)
		}
	}
}

// voices opens a client of each generation.
func voices(t *testing.T, c *wire.Client) map[string]func() *voice {
	open := func(c *wire.Client, query string, greetings int) *wire.WS {
		w, a := c.Upgrade(query, "")
		if w == nil {
			t.Fatalf("websocket: %v", a)
		}
		for range greetings {
			w.Next()
		}
		return w
	}
	return map[string]func() *voice{
		"4.x": func() *voice {
			return &voice{c.Join(""), `42[%q,%s]`, `425[%q,%s]`, `435`}
		},
		"2.x": func() *voice {
			return &voice{open(c, "EIO=3&transport=websocket", 2), `42[%q,%s]`, `425[%q,%s]`, `435`}
		},
		"0.9": func() *voice {
			return &voice{open(c.At("/socket.io/1/websocket/"+c.Handshake1("")), "", 1), `5:::{"name":%q,"args":[%s]}`, `5:5+::{"name":%q,"args":[%s]}`, `6:::5+`}
		},
	}
}

// TestServerRooms: with all mixins together, the rooms that the server has put
// sockets into are no rooms of theirs: nothing is relayed through them, and nobody
// joins them, leaves them, or speaks into them.
func TestServerRooms(t *testing.T) {
	history := &mixin.History{Events: []string{"say"}}
	n, c := serve(t, &mixin.Rooms{Enter: history.Join, Max: 1}, history, &mixin.Presence{}, &mixin.Broadcast{Events: []string{"whisper"}, Rooms: true})
	n.Guard(acl.RoomPrefix("")) // any room
	ids := make(chan string, 1)
	n.OnConnect(func(_ context.Context, s *sio.Socket) error {
		s.Join("\x00user:eve") // as the session bridge does
		ids <- s.ID()
		return nil
	})
	n.On("still", sio.Reply(func(_ context.Context, s *sio.Socket, _ int) ([]string, error) { return s.Rooms(), nil }))
	listener := c.Join("")
	bob := &voice{listener, `42[%q,%s]`, `425[%q,%s]`, `435`}
	bobs := <-ids
	if got := bob.ask("join", `"red"`); got != `["red"]` {
		t.Fatal(got)
	}
	for generation, open := range voices(t, c) {
		t.Run(generation, func(t *testing.T) {
			eve := open()
			own := <-ids
			for !strings.Contains(eve.Next(), `"presence"`) { // in the room of those who are told
			}
			if got := eve.ask("join", `"blue"`); got != `["blue"]` { // Max is 1: the server's do not count
				t.Errorf("join: %s", got)
			}
			eve.emit("whisper", `"for blue"`)
			bob.none(t, "relayed through a room of the server's", "whisper")
			for _, room := range []string{`\u0000presence`, `\u0000user:eve`, `\u0000none`, `\u0000`, bobs, own} {
				if got := eve.ask("join", `"`+room+`"`); !strings.Contains(got, "you may not enter this room") {
					t.Errorf("join %s: %s", room, got)
				}
				eve.emit("say", `"`+room+`","x"`)
				bob.none(t, "spoken into "+room, "say")
				eve.ask("leave", `"`+room+`"`)
			}
			if got := eve.ask("still", "1"); got != `[["blue"]]` {
				t.Errorf("rooms: %s", got)
			}
			// The server still reaches the client there.
			_ = n.To("\x00user:eve").Emit("warning", "w")
			if s := n.Socket(own); s == nil || s.In("\x00user:eve") || s.In(own) || !s.In("blue") {
				t.Error("In")
			}
			reached := 0
			for _, r := range n.To("\x00user:eve").Sockets() {
				if r.ID() == own {
					reached++
				}
			}
			for _, r := range n.To("\x00presence").Sockets() {
				if r.ID() == own {
					reached++
				}
			}
			if reached != 2 {
				t.Error("the client has left rooms of the server's")
			}
		})
	}
	bob.until(`42["warning"`)
}
