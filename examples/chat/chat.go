package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// Message is one line of the chat.
type Message struct {
	Nick string    `json:"nick"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Joined is what a client gets for joining a room. Who is in the room the event "nicks" says,
// now and with each change: an ack has no order among events.
type Joined struct {
	Room    string    `json:"room"`
	History []Message `json:"history"`
	// Node is the process, in a cluster; "" without one. Then History is what was said by way of
	// this process alone.
	Node string `json:"node,omitempty"`
}

const (
	historySize = 50
	maxText     = 2000 // characters, as maxlength in the page
	maxName     = 40
)

// chat is a mixin: its methods are the handlers of a namespace.
type chat struct {
	ns   *sio.Namespace
	node string // of this process, "" without a cluster

	mu     sync.Mutex // held while a list of members is sent: the last list is the newest
	rooms  map[string]*room
	others map[string]map[string][]string // node, room: nicknames in other processes
}

type room struct {
	history []Message
	nicks   map[string]string // socket id -> nickname
}

// member is where a socket keeps who and where it is.
type member struct{ room, nick string }

type memberKey struct{}

func newChat() *chat {
	return &chat{rooms: map[string]*room{}, others: map[string]map[string][]string{}}
}

// Mix implements sio.Mixin.
func (c *chat) Mix(n *sio.Namespace) {
	c.connect(n)
	n.On("join", sio.Reply(c.join))
	n.On("say", sio.Reply(c.say))
	n.On("typing", sio.Handle(c.typing))
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, _ sio.Reason) { c.leave(s) })
}

// join is asked with a room and a nickname.
func (c *chat) join(ctx context.Context, s *sio.Socket, in sio.Args2[string, string]) (Joined, error) {
	name, nick := strings.TrimSpace(in.A), strings.TrimSpace(in.B)
	if name == "" || nick == "" || utf8.RuneCountInString(name) > maxName || utf8.RuneCountInString(nick) > maxName {
		return Joined{}, sio.Errorf("bad_name", "room and nickname take 1 to %d characters", maxName)
	}
	if s.Check(ctx, acl.Action{Kind: acl.Join, Name: name}) != nil { // the server's own, or a socket's
		return Joined{}, sio.Errorf("bad_name", "this is no name for a room")
	}
	c.leave(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.nicks(name), nick) {
		return Joined{}, sio.Errorf("taken", "somebody in %s is called %s already", name, nick)
	}
	r := c.rooms[name]
	if r == nil {
		r = &room{nicks: map[string]string{}}
		c.rooms[name] = r
	}
	r.nicks[s.ID()] = nick
	s.Set(memberKey{}, member{name, nick})
	s.Join(name)
	c.tell()
	c.show(name)
	return Joined{Room: name, History: append([]Message{}, r.history...), Node: c.node}, nil
}

func (c *chat) say(_ context.Context, s *sio.Socket, text string) (Message, error) {
	m, ok := s.Get(memberKey{}).(member)
	if !ok {
		return Message{}, sio.Errorf("nowhere", "join a room first")
	}
	if strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > maxText {
		return Message{}, sio.Errorf("refused", "say 1 to %d characters", maxText)
	}
	msg := Message{Nick: m.nick, Text: text, At: time.Now()}
	c.mu.Lock()
	r := c.rooms[m.room]
	r.history = append(r.history, msg)
	if len(r.history) > historySize {
		r.history = slices.Delete(r.history, 0, len(r.history)-historySize)
	}
	c.mu.Unlock()
	return msg, s.To(m.room).Emit("said", msg)
}

func (c *chat) typing(_ context.Context, s *sio.Socket, on bool) error {
	if m, ok := s.Get(memberKey{}).(member); ok {
		return s.To(m.room).Volatile().Emit("typing", m.nick, on)
	}
	return nil
}

// leave takes a socket out of its room, if it is in one. An empty room is forgotten.
func (c *chat) leave(s *sio.Socket) {
	m, ok := s.Get(memberKey{}).(member)
	if !ok {
		return
	}
	s.Set(memberKey{}, nil)
	s.Leave(m.room)
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rooms[m.room]
	delete(r.nicks, s.ID())
	if len(r.nicks) == 0 {
		delete(c.rooms, m.room)
	}
	c.tell()
	c.show(m.room)
}

func (r *room) list() []string {
	nicks := make([]string, 0, len(r.nicks))
	for _, n := range r.nicks {
		nicks = append(nicks, n)
	}
	slices.Sort(nicks)
	return nicks
}
