package sio_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
)

// Lobby is a namespace in the style of classes: its methods are the handlers, what
// it embeds are its mixins, and Mix says which event is which method.
type Lobby struct {
	mixin.Rooms
	gate    *acl.Gate
	players *sio.State[*Player]

	mu    sync.Mutex
	names map[string]bool
}

// Player is the state of one socket.
type Player struct {
	lobby *Lobby
	s     *sio.Socket
	name  string
}

func NewLobby() *Lobby {
	l := &Lobby{gate: acl.NewGate(acl.RecvConnect, "login"), names: map[string]bool{}}
	l.Policy = acl.RoomPrefix("table:")
	l.players = sio.Stateful(func(s *sio.Socket) *Player { return &Player{lobby: l, s: s} })
	return l
}

// Mix implements sio.Mixin.
func (l *Lobby) Mix(n *sio.Namespace) {
	n.Mix(&l.Rooms)
	n.Guard(l.gate) // only login, until Lift
	n.On("login", sio.MethodReply(l.players, (*Player).Login))
	n.On("who am i", sio.MethodReply(l.players, (*Player).Who))
	n.On("count", sio.Reply(l.Count)) // a method of the namespace itself
}

func (p *Player) Login(_ context.Context, name string) (string, error) {
	p.lobby.mu.Lock()
	defer p.lobby.mu.Unlock()
	if p.lobby.names[name] {
		return "", sio.Errorf("taken", "%s is here already", name)
	}
	p.lobby.names[name] = true
	p.name = name
	p.lobby.gate.Lift(p.s)
	return "welcome " + name, nil
}

func (p *Player) Who(context.Context, sio.None) (string, error) { return p.name, nil }

func (l *Lobby) Count(context.Context, *sio.Socket, sio.None) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.names), nil
}

// The style of classes, with state for each socket, an access list and a mixin.
func ExampleStateful() {
	io := sio.NewServer(nil)
	io.Of("/").Mix(NewLobby())
	talk(io, 5, `421["who am i"]`, `422["login","ann"]`, `423["who am i"]`, `424["join","table:1"]`, `425["count"]`)
	// Output:
	// 431[{"error":{"code":"refused","message":"event refused"}}]
	// 432["welcome ann"]
	// 433["ann"]
	// 434["table:1"]
	// 435[1]
}

// The style of functions does the same without a type.
func ExampleNamespace_Guard() {
	io := sio.NewServer(nil)
	n := io.Of("/")
	gate := acl.NewGate(acl.RecvConnect, "login")
	n.Guard(gate, acl.RateLimit(20, time.Second))
	n.On("login", sio.Reply(func(_ context.Context, s *sio.Socket, name string) (string, error) {
		gate.Lift(s)
		return "welcome " + name, nil
	}))
	n.On("secret", sio.Reply(func(context.Context, *sio.Socket, sio.None) (int, error) { return 42, nil }))
	talk(io, 3, `421["secret"]`, `422["login","ann"]`, `423["secret"]`)
	// Output:
	// 431[{"error":{"code":"refused","message":"event refused"}}]
	// 432["welcome ann"]
	// 433[42]
}

func ExampleNamespace_Mix() {
	io := sio.NewServer(nil)
	history := &mixin.History{Events: []string{"say"}, Last: 10}
	io.Of("/").Mix(&mixin.Rooms{Enter: history.Join}, history, &mixin.Broadcast{Events: []string{"typing"}, Rooms: true})
	talk(io, 2, `421["join","lobby"]`, `42["say","lobby","hi"]`)
	// Output:
	// 431["lobby"]
	// 42["say","lobby","hi"]
}

// A chat in the blocking style: a loop for each client.
func ExampleNamespace_Loop() {
	io := sio.NewServer(nil)
	chat := io.Of("/")
	chat.Loop(func(ctx context.Context, s *sio.Socket) error {
		for {
			ev, err := s.Recv(ctx)
			if err != nil {
				return chat.All().Send("somebody has left")
			}
			var text string
			if err := ev.Args.Bind(&text); err != nil {
				return err // the client is told, and disconnected
			}
			if err := chat.All().Send(text); err != nil {
				return err
			}
		}
	})
	talk(io, 1, `42["message","hello"]`)
	// Output: 42["message","hello"]
}

func ExampleSocket_Events() {
	io := sio.NewServer(nil)
	io.Of("/").Loop(func(ctx context.Context, s *sio.Socket) error {
		for ev := range s.Events(ctx) {
			if ev.Name == "bye" {
				break // the namespace is left when the function returns
			}
			_ = ev.Ack(strings.ToUpper(ev.Name))
		}
		return nil
	})
	talk(io, 2, `421["hello"]`, `42["bye"]`)
	// Output:
	// 431["HELLO"]
	// 41
}

// A monitor that sends as long as the client is there.
func ExampleSocket_Connected() {
	io := sio.NewServer(nil)
	io.Of("/").Loop(func(ctx context.Context, s *sio.Socket) error {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for s.Connected() {
			_ = s.Emit("load", 0.5)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		return nil
	})
	talk(io, 1)
	// Output: 42["load",0.5]
}

// Open, message, close: the shape of the oldest servers, with a parameter of the
// route, only the oldest protocols, and one call that listens for both clients
// and the plug-in that asks for a policy.
func Example_openMessageClose() {
	io := sio.NewServer(&sio.Options{
		Dialects:   []string{"sio1", "sio06"},
		Transports: []string{"websocket", "polling", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"},
		Legacy:     sio.Legacy{FlashPolicyAddr: ":10843", FlashPolicyPort: 8888}, // listens from NewServer on
	})
	n := io.Of("/")
	n.OnConnect(func(_ context.Context, s *sio.Socket) error { // open
		return s.Send("welcome to room " + s.Request().Params["room"])
	})
	n.OnMessage(sio.Handle(func(_ context.Context, s *sio.Socket, text string) error { // message
		return s.Send("you said " + text)
	}))
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, _ sio.Reason) { // close
		log.Print("left room ", s.Request().Params["room"])
	})

	mux := http.NewServeMux()
	mux.Handle("/room/{room}/socket.io/", io)
	log.Fatal(http.ListenAndServe(":8888", mux))
}

// A socket of another namespace of the same client.
func ExampleSocket_Of() {
	io := sio.NewServer(nil)
	io.Of("/chat")
	io.Of("/").On("is chat open?", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (bool, error) {
		return s.Of("/chat") != nil, nil
	}))
	talk(io, 2, `421["is chat open?"]`, `40/chat`, `422["is chat open?"]`)
	// Output:
	// 431[false]
	// 432[true]
}

// Rights of one socket that change from an HTTP handler.
func ExampleNamespace_Socket() {
	io := sio.NewServer(nil)
	n := io.Of("/")
	gate := acl.NewGate(acl.RecvConnect)
	n.Guard(gate)
	http.HandleFunc("POST /promote/{id}", func(w http.ResponseWriter, r *http.Request) {
		s := n.Socket(r.PathValue("id"))
		if s == nil {
			http.NotFound(w, r)
			return
		}
		gate.Lift(s) // counts from the next packet on
		fmt.Fprintln(w, "promoted")
	})
}
