// Command tokens is a server whose clients have tokens that expire (JWT). A client sends its
// token when it connects, and a new one in the event "renew" before the old one ends, or
// by POST /renew for all of its sockets. Who renews nothing is disconnected when the token ends.
//
// The page then connects again, with a new token: when the event "error" has the code "expired",
// and when connect_error has it, because a token may end while its socket connects.
// docs/tokens.md has the lines.
//
//	go run ./examples/tokens
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/siokit/siokit/core/sio"
)

// tokens makes tokens and checks them.
type tokens struct {
	key  []byte
	life time.Duration
}

var parser = jwt.NewParser(
	jwt.WithValidMethods([]string{"HS256"}), // and nothing that the token itself proposes
	jwt.WithExpirationRequired(),
)

func (t tokens) issue(user string) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: user, ExpiresAt: jwt.NewNumericDate(time.Now().Add(t.life)),
	}).SignedString(t.key)
}

// check returns the user of a token and when the token ends.
func (t tokens) check(token string) (user string, ends time.Time, err error) {
	var claims jwt.RegisteredClaims
	if _, err = parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return t.key, nil }); err != nil {
		return "", time.Time{}, err
	}
	if claims.Subject == "" {
		return "", time.Time{}, errors.New("a token without a subject")
	}
	return claims.Subject, claims.ExpiresAt.Time, nil
}

var userKey = sio.NewKey[string]("user")

// errToken is all that a client is told of a bad token; the log has the cause.
var errToken = &sio.Error{Code: "token", Message: "bad token", Data: map[string]string{"code": "token"}}

// userRoom is where the sockets of a user are: a room of the server's own, see sio.ServerRoom.
func userRoom(user string) string { return "\x00user:" + user }

// serve has the sockets of a namespace live as long as the tokens of their clients.
func serve(n *sio.Namespace, t tokens) {
	n.OnConnect(func(_ context.Context, s *sio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil {
			return errToken.WithCause(err)
		}
		user, ends, err := t.check(auth.Token)
		if err != nil {
			return errToken.WithCause(err)
		}
		userKey.Set(s, user)
		s.Join(userRoom(user))
		return s.ExpireAt(ends)
	})
	// The answer says in how many milliseconds the client has to renew again.
	n.On("renew", sio.Reply(func(_ context.Context, s *sio.Socket, token string) (int64, error) {
		user, ends, err := t.check(token)
		if err != nil {
			return 0, errToken.WithCause(err)
		}
		if mine, _ := userKey.Get(s); user != mine { // or a socket would have another user's rooms
			return 0, errToken
		}
		return time.Until(ends).Milliseconds(), s.ExpireAt(ends)
	}))
	n.On("whoami", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) (string, error) {
		user, _ := userKey.Get(s)
		return user, nil
	}))
}

// renew answers POST /renew with a new token, and renews the sockets of the user here.
func renew(n *sio.Namespace, t tokens) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		old, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		user, _, err := t.check(old)
		if err != nil {
			http.Error(w, "bad token", http.StatusUnauthorized)
			return
		}
		token, err := t.issue(user)
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		_, ends, err := t.check(token)
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		for s, err := range n.To(userRoom(user)).Local().Sockets(r.Context()) {
			if err != nil { // the request has ended: nobody gets the token
				return
			}
			_ = s.(*sio.Socket).ExpireAt(ends) // one that has ended meanwhile needs no renewal
		}
		_, _ = fmt.Fprint(w, token)
	}
}

func main() {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // in production a secret that all processes have
	t := tokens{key, 15 * time.Minute}
	io := sio.NewServer(nil)
	serve(io.Of("/"), t)
	mux := http.NewServeMux()
	io.Mount(mux, "/socket.io")
	mux.Handle("POST /renew", renew(io.Of("/"), t))
	token, err := t.issue("ann")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("http://127.0.0.1:3000; a token for ann: %s", token)
	srv := &http.Server{Addr: "127.0.0.1:3000", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}
