// Package login is what the login examples share: the page, the users, and the
// namespaces. How a framework keeps sessions is in each example.
package login

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// Page is the page of all examples.
//
//go:embed index.html
var Page []byte

// roles are the users and what they are. All have the password "secret".
var roles = map[string]string{"ann": "admin", "bob": "member", "cy": "member"}

// Check returns the role of a user whose password is right.
func Check(user, password string) (role string, ok bool) {
	role, ok = roles[user]
	return role, ok && subtle.ConstantTimeCompare([]byte(password), []byte("secret")) == 1
}

// NewServer returns a chat for those who are logged in, and a namespace for those
// whose session has the role "admin".
func NewServer(bridge *sessionbridge.Bridge) *sio.Server {
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})

	chat := io.Of("/")
	chat.Guard(sessionbridge.Authenticated("user"))
	chat.OnConnect(func(ctx context.Context, s *sio.Socket) error { return s.Emit("welcome", user(ctx, s)) })
	chat.On("say", sio.Handle(func(ctx context.Context, s *sio.Socket, text string) error {
		who := user(ctx, s)
		if who == nil { // logged out while the event was on its way
			return sio.Errorf("login", "you are not logged in")
		}
		return chat.Emit("said", who, text)
	}))

	admin := io.Of("/admin")
	gate := acl.NewGate() // closed, until the session opens it
	admin.Guard(acl.PolicyFunc(func(ctx context.Context, s acl.Subject, a acl.Action) error {
		if sess, ok := sessionbridge.From(ctx, s.(*sio.Socket)); a.Kind == acl.Connect && ok && sess.Get("role") == "admin" {
			gate.Lift(s)
		}
		return nil
	}), gate)
	admin.On("stats", sio.Reply(func(context.Context, *sio.Socket, sio.None) (map[string]int, error) {
		return map[string]int{"sockets": chat.Len()}, nil
	}))
	return io
}

// user is who is logged in behind a socket of the chat: its guard has looked, and
// the session may have ended since.
func user(ctx context.Context, s *sio.Socket) any {
	sess, _ := sessionbridge.From(ctx, s)
	return sess.Get("user")
}

// Addr is where to listen, from the command line.
var Addr = flag.String("addr", "127.0.0.1:3000", "where to listen")

// Run serves until the process is told to stop, and lets the clients go.
func Run(io *sio.Server, serve func(ln net.Listener) error, stop func(ctx context.Context) error) error {
	ln, err := net.Listen("tcp", *Addr)
	if err != nil {
		return err
	}
	interrupted, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- serve(ln) }()
	fmt.Printf("listening on http://%s\n", ln.Addr())
	select {
	case err := <-served:
		return err
	case <-interrupted.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(io.Shutdown(ctx), stop(ctx))
}

// RunHTTP is Run for frameworks over net/http.
func RunHTTP(io *sio.Server, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return Run(io, func(ln net.Listener) error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, srv.Shutdown)
}
