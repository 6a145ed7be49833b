package sio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/siokit/siokit/core/sio"
)

func Example() {
	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Handle(func(_ context.Context, s *sio.Socket, text string) error {
		return s.Broadcast().Emit("said", text)
	}))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", mux))
}

func ExampleReply() {
	type Message struct{ Room, Text string }
	type Sent struct{ At time.Time }

	io := sio.NewServer(nil)
	io.Of("/").On("say", sio.Reply(func(_ context.Context, s *sio.Socket, m Message) (Sent, error) {
		if m.Text == "" {
			return Sent{}, sio.Errorf("empty", "say something") // the client may see this
		}
		return Sent{time.Now()}, s.To(m.Room).Emit("said", m) // the ack, and the others
	}))
}

func ExampleArgs2() {
	io := sio.NewServer(nil)
	io.Of("/").On("move", sio.Handle(func(_ context.Context, s *sio.Socket, at sio.Args2[int, int]) error {
		return s.Broadcast().Volatile().Emit("moved", at.A, at.B)
	}))
}

func ExampleHandlerFunc() {
	io := sio.NewServer(nil)
	io.Of("/").On("echo", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
		return ev.Ack(ev.Args) // several arguments, binary included, not decoded
	}))
}

func ExampleCall() {
	io := sio.NewServer(nil)
	io.Of("/").On("delete", sio.Handle(func(ctx context.Context, s *sio.Socket, id int) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		sure, err := sio.Call[bool](ctx, s, "sure?", id)
		if errors.Is(err, sio.ErrAckTimeout) || !sure {
			return sio.Errorf("kept", "nothing was deleted")
		}
		return err
	}))
}

func ExampleNamespace_OnConnect() {
	io := sio.NewServer(nil)
	admin := io.Of("/admin")
	admin.OnConnect(func(_ context.Context, s *sio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil || auth.Token != "letmein" {
			return &sio.Error{Message: "unauthorized"}
		}
		s.Join("admins")
		return s.Emit("welcome", s.ID())
	})
	admin.OnDisconnect(func(_ context.Context, s *sio.Socket, r sio.Reason) {
		log.Printf("%s left %v: %s", s.ID(), s.Rooms(), r)
	})
}

func ExampleNamespace_Use() {
	io := sio.NewServer(nil)
	io.Of("/").Use(func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			from := time.Now()
			err := next.ServeEvent(ctx, ev)
			log.Printf("%s took %v: %v", ev.Name, time.Since(from), err)
			return err
		})
	})
}

func ExampleTarget() {
	io := sio.NewServer(nil)
	room := io.Of("/").To("lobby") // a value: what is derived from it does not change it
	_ = room.Emit("news", "for all in the lobby")
	_ = room.Except("muted").Emit("news", "for most of them")
	room.Join("upstairs")
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
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case now := <-tick.C:
					_ = s.Emit("time", now.Unix())
				case <-ctx.Done():
					return
				}
			}
		})
		return nil
	})
}
