package sio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// In the examples talk is a client that joins the default namespace, sends
// packets as they travel, and prints what comes back.

func Example() {
	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Handle(func(_ context.Context, s *sio.Socket, text string) error {
		return s.Broadcast().Emit("said", text)
	}))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", mux))
}

func ExampleHandle() {
	io := sio.NewServer(nil)
	io.Of("/").On("greet", sio.Handle(func(_ context.Context, s *sio.Socket, name string) error {
		return s.Emit("greeting", "hello "+name)
	}))
	talk(io, 1, `42["greet","ann"]`)
	// Output: 42["greeting","hello ann"]
}

func ExampleReply() {
	type Message struct{ Room, Text string }
	type Sent struct{ Length int }

	io := sio.NewServer(nil)
	io.Of("/").On("say", sio.Reply(func(_ context.Context, s *sio.Socket, m Message) (Sent, error) {
		if m.Text == "" {
			return Sent{}, sio.Errorf("empty", "say something") // the client may see this
		}
		return Sent{len(m.Text)}, s.To(m.Room).Emit("said", m) // the ack, and the others
	}))
	talk(io, 2, `421["say",{"room":"lobby","text":"hi"}]`, `422["say",{"room":"lobby"}]`)
	// Output:
	// 431[{"Length":2}]
	// 432[{"error":{"code":"empty","message":"say something"}}]
}

func ExampleArgs2() {
	io := sio.NewServer(nil)
	io.Of("/").On("swap", sio.Reply(func(_ context.Context, s *sio.Socket, a sio.Args2[string, int]) (sio.Args2[int, string], error) {
		return sio.Args2[int, string]{A: a.B, B: a.A}, nil // two arguments in, two out
	}))
	talk(io, 1, `421["swap","x",2]`)
	// Output: 431[2,"x"]
}

func ExampleHandlerFunc() {
	io := sio.NewServer(nil)
	io.Of("/").On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		return ev.Ack(ev.Args) // several arguments, binary included, not decoded
	}))
	talk(io, 1, `421["echo",1,{"two":3}]`)
	// Output: 431[1,{"two":3}]
}

func ExampleCall() {
	io := sio.NewServer(nil)
	io.Of("/").On("delete", sio.Reply(func(ctx context.Context, s *sio.Socket, id int) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		sure, err := sio.Call[bool](ctx, s, "sure?", id)
		if errors.Is(err, sio.ErrAckTimeout) || !sure {
			return "", sio.Errorf("kept", "nothing was deleted")
		}
		return "deleted", err
	}))
	talk(io, 2, `421["delete",7]`, `430[true]`) // the client answers question 0
	// Output:
	// 420["sure?",7]
	// 431["deleted"]
}

func ExampleCallAll() {
	io := sio.NewServer(nil)
	n := io.Of("/")
	n.On("vote", sio.Reply(func(ctx context.Context, s *sio.Socket, _ sio.None) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		answers, err := sio.CallAll[bool](ctx, n.All(), "for or against?")
		yes, silent := 0, 0
		for _, a := range answers {
			switch {
			case errors.Is(a.Err, sio.ErrAckTimeout):
				silent++ // a.ID says who
			case a.Value:
				yes++
			}
		}
		return fmt.Sprintf("%d for, %d did not answer", yes, silent), err
	}))
	talk(io, 2, `421["vote"]`)
	// Output:
	// 420["for or against?"]
	// 431["0 for, 1 did not answer"]
}

func ExampleNewEmitter() {
	bus := cluster.NewBus() // between processes: redisbus.New, natsbus.New
	io := sio.NewServer(&sio.Options{Cluster: bus.Backend()})

	// job is what another process does, which serves nobody.
	job := func(ctx context.Context) error {
		em := sio.NewEmitter(bus.Backend(), nil)
		n, err := em.Of("/").All().Count(ctx)
		if err == nil {
			err = em.Of("/").Emit("news", "clients", n)
		}
		return errors.Join(err, em.Close(ctx)) // the bus has taken everything now
	}
	io.Of("/").On("start", sio.Handle(func(ctx context.Context, _ *sio.Socket, _ sio.None) error { return job(ctx) }))
	talk(io, 1, `42["start"]`)
	// Output: 42["news","clients",1]
}

func ExampleNamespace_OnConnect() {
	io := sio.NewServer(nil)
	admin := io.Of("/admin")
	admin.OnConnect(func(_ context.Context, s *sio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil || auth.Token != "letmein" {
			return &sio.Error{Message: "unauthorized", Data: map[string]int{"status": 401}}
		}
		s.Join("admins")
		return s.Emit("welcome", len(s.ID()))
	})
	admin.OnDisconnect(func(_ context.Context, s *sio.Socket, r sio.Reason) {
		log.Printf("%s left %v: %s", s.ID(), s.Rooms(), r)
	})
	talk(io, 2, `40/admin,{"token":"wrong"}`, `40/admin,{"token":"letmein"}`)
	// Output:
	// 44/admin,{"message":"unauthorized","data":{"status":401}}
	// 42/admin,["welcome",20]
}

func ExampleNamespace_Use() {
	io := sio.NewServer(nil)
	io.Of("/").Use(func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			err := next.ServeEvent(ctx, ev)
			fmt.Println(ev.Name, "ended with", err)
			return err
		})
	})
	io.Of("/").On("save", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return sio.Errorf("full", "no room left") }))
	talk(io, 1, `421["save"]`)
	// Output:
	// save ended with full: no room left
	// 431[{"error":{"code":"full","message":"no room left"}}]
}

// Middleware at three levels: of the HTTP exchange, of all namespaces, of one event.
func ExampleServer_Use() {
	io := sio.NewServer(nil)
	io.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			if x.Header("X-Maintenance") != "" {
				_ = x.Reply(http.StatusServiceUnavailable, nil)
				return
			}
			next.ServeExchange(x)
		})
	})
	say := func(what string) sio.Middleware {
		return func(next sio.Handler) sio.Handler {
			return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
				fmt.Println(what)
				return next.ServeEvent(ctx, ev)
			})
		}
	}
	io.Use(say("all namespaces"))
	io.Of("/").Use(say("this namespace"))
	io.Of("/").On("x", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }), say("this event"))
	talk(io, 1, `421["x"]`)
	// Output:
	// all namespaces
	// this namespace
	// this event
	// 431[]
}

func ExampleNamespace_OnAny() {
	io := sio.NewServer(nil)
	n := io.Of("/")
	n.OnAny(func(_ context.Context, ev *sio.Event) { fmt.Println("in: ", ev.Name, ev.Args) })
	n.OnAnyOutgoing(func(out sio.Outgoing) { fmt.Println("out:", out.Event, out.Args) })
	n.On("double", sio.Handle(func(_ context.Context, s *sio.Socket, x int) error { return s.Emit("doubled", 2*x) }))
	talk(io, 2, `42["double",4]`, `421["unknown"]`)
	// Output:
	// in:  double [4]
	// out: doubled [8]
	// in:  unknown []
	// 42["doubled",8]
	// 431[{"error":{"code":"refused","message":"event refused"}}]
}

func ExampleNamespace_OnMessage() {
	io := sio.NewServer(nil)
	n := io.Of("/")
	n.OnMessage(sio.Handle(func(_ context.Context, s *sio.Socket, text string) error { return s.Send(strings.ToUpper(text)) }))
	n.OnJSON(sio.Handle(func(_ context.Context, s *sio.Socket, v map[string]int) error { return s.SendJSON(len(v)) }))
	talk(io, 2, `42["message","hello"]`, `42["message",{"a":1,"b":2}]`) // to 0.9: 3:::HELLO and 4:::2
	// Output:
	// 42["message","HELLO"]
	// 42["message",2]
}

func ExampleTarget() {
	io := sio.NewServer(nil)
	room := io.Of("/").To("lobby") // a value: what is derived from it does not change it
	_ = room.Emit("news", "for all in the lobby")
	_ = room.Except("muted").Volatile().Emit("cursor", 3, 4)
	room.Join("upstairs")
	io.Of("/").All().CloseConns()
	for s, err := range room.Sockets(context.Background()) {
		fmt.Println(s.ID(), s.Rooms(), err)
	}
	// Output:
}

func ExampleServer_OfPattern() {
	io := sio.NewServer(nil)
	projects := io.OfPattern("/project/{id}") // namespaces come and go with their clients
	projects.On("which", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (string, error) {
		return s.Namespace().Param("id"), nil
	}))
	_ = projects.Emit("notice", "to every project")
	if n := io.Lookup("/project/7"); n != nil {
		_ = n.Emit("notice", "to one, if anybody is there")
	}
	talk(io, 1, `40/project/7`, `42/project/7,1["which"]`)
	// Output: 43/project/7,1["7"]
}

func ExampleServer_OfFunc() {
	tenants := map[string]bool{"/acme": true}
	io := sio.NewServer(nil)
	io.OfFunc(func(path string, _ *sio.Request) bool { return tenants[path] }).
		On("ping", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (string, error) { return s.Namespace().Path(), nil }))
	talk(io, 2, `40/nobody`, `40/acme`, `42/acme,1["ping"]`)
	// Output:
	// 44/nobody,{"message":"Invalid namespace"}
	// 43/acme,1["/acme"]
}

var visits = sio.NewKey[int]("visits")

func ExampleKey() {
	io := sio.NewServer(nil)
	io.Of("/").On("visit", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (int, error) {
		n, _ := visits.Get(s)
		visits.Set(s, n+1)
		return n + 1, nil
	}))
	talk(io, 2, `421["visit"]`, `422["visit"]`)
	// Output:
	// 431[1]
	// 432[2]
}

func ExampleServer_Shutdown() {
	io := sio.NewServer(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(io.Shutdown(ctx))
	// Output: <nil>
}

func ExampleSocket_Go() {
	io := sio.NewServer(nil)
	io.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		s.Go(func(ctx context.Context) { // ends with the socket
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_ = s.Emit("tick")
				case <-ctx.Done():
					return
				}
			}
		})
		return nil
	})
	talk(io, 1)
	// Output: 42["tick"]
}

func ExampleOptions() {
	io := sio.NewServer(&sio.Options{
		PingInterval: 10 * time.Second, // below the idle timeout of the proxy in front
		Origins:      []string{"https://app.example.com"},
		OnError: func(in sio.Failure) { // counts, alerts
			fmt.Println(in.Name, in.Where)
		},
		ErrorAck: func(e *sio.Error) any { return "failed: " + e.Code },
	})
	talk(io, 1, `421["nothing"]`)
	// Output:
	// no_such_method nothing
	// 431["failed: refused"]
}

func ExampleDeclareEvent() {
	io := sio.NewServer(nil)
	n := io.Of("/")
	said := sio.DeclareEvent[sio.Args2[string, int]](n, "said") // checked by the compiler, and part of the contract
	sure := sio.DeclareCall[string, bool](n, "sure?")
	n.On("say", sio.Handle(func(ctx context.Context, s *sio.Socket, text string) error {
		if ok, err := sure.Call(ctx, s, text); err != nil || !ok {
			return err
		}
		return said.Emit(n, sio.Args2[string, int]{A: text, B: len(text)})
	}))
	talk(io, 2, `42["say","hi"]`, `430[true]`)
	// Output:
	// 420["sure?","hi"]
	// 42["said","hi",2]
}

func ExampleServer_Contract() {
	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Reply(func(context.Context, *sio.Socket, string) (time.Time, error) { return time.Time{}, nil }))
	for _, n := range io.Contract().Namespaces {
		for _, e := range n.Receives {
			fmt.Println(n.Path, e.Name, e.Args.Types, e.Ack.Types)
		}
	}
	// Output: /chat say [string] [time.Time]
}

func ExampleConcurrent() {
	io := sio.NewServer(nil)
	release := make(chan struct{})
	io.Of("/").On("wait", sio.Reply(func(context.Context, *sio.Socket, sio.None) (string, error) {
		<-release
		return "waited", nil
	}), sio.Concurrent(4)) // or else the next event would wait for this one
	io.Of("/").On("go", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		defer close(release)
		return s.Emit("going")
	}))
	talk(io, 2, `421["wait"]`, `42["go"]`)
	// Output:
	// 42["going"]
	// 431["waited"]
}

// decimals is a codec of one's own: it keeps numbers as they were written.
type decimals struct{}

func (decimals) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (decimals) Unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}

func ExampleJSON() {
	io := sio.NewServer(&sio.Options{JSON: decimals{}})
	io.Of("/").On("price", sio.Reply(func(_ context.Context, _ *sio.Socket, v any) (string, error) { return fmt.Sprintf("%T %v", v, v), nil }))
	talk(io, 1, `421["price",12345678901234567.10]`)
	// Output: 431["json.Number 12345678901234567.10"]
}
