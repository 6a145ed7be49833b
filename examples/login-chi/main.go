// Login-chi is a chi application, with gorilla/sessions or scs, whose sockets share
// its sessions: the user who logs in by form chats under that name, the role in the
// session opens the admin namespace, and logging out in one tab ends the sockets of all.
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/sessions"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/examples/internal/assets"
	"github.com/siokit/siokit/examples/internal/login"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
	scsbridge "github.com/siokit/siokit/sessionbridge/scs"
)

func main() {
	library := flag.String("sessions", "scs", "the session library: scs or gorilla")
	flag.Parse()
	if err := run(*library); err != nil {
		log.Fatal(err)
	}
}

// site is what differs between the two libraries.
type site struct {
	backend    sessionbridge.Backend
	middleware func(next http.Handler) http.Handler
	login      func(w http.ResponseWriter, r *http.Request, user, role string) (oldID string, err error)
	logout     func(w http.ResponseWriter, r *http.Request) (id string, err error)
}

func run(library string) error {
	var s site
	switch library {
	case "scs":
		s = withSCS()
	case "gorilla":
		dir, err := os.MkdirTemp("", "login-chi")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		s = withGorilla(dir)
	default:
		return fmt.Errorf("-sessions: there is no %q", library)
	}

	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	bridge := sessionbridge.New(s.backend, nil)
	io := login.NewServer(bridge)
	siochi.Mount(r, "/socket.io", io) // outside of the group with sessions: scs would save around polls

	r.Group(func(r chi.Router) {
		r.Use(s.middleware)
		r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(login.Page)
		})
		r.Get("/socket.io.min.js", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(assets.Client)
		})
		r.Post("/login", func(w http.ResponseWriter, r *http.Request) {
			role, ok := login.Check(r.FormValue("user"), r.FormValue("password"))
			if !ok {
				http.Error(w, "wrong user or password", http.StatusForbidden)
				return
			}
			old, err := s.login(w, r, r.FormValue("user"), role)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			bridge.Logout(r.Context(), old)
			http.Redirect(w, r, "/", http.StatusSeeOther)
		})
		r.Post("/logout", func(w http.ResponseWriter, r *http.Request) {
			id, err := s.logout(w, r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			bridge.Logout(r.Context(), id) // after the session is gone
			w.WriteHeader(http.StatusNoContent)
		})
	})
	return login.RunHTTP(io, r)
}

func withSCS() site {
	sm := scs.New()
	return site{
		backend:    scsbridge.New(sm),
		middleware: sm.LoadAndSave,
		login: func(_ http.ResponseWriter, r *http.Request, user, role string) (string, error) {
			old := sm.Token(r.Context())
			if err := sm.RenewToken(r.Context()); err != nil { // nobody else may know the id of a logged in session
				return "", err
			}
			sm.Put(r.Context(), "user", user)
			sm.Put(r.Context(), "role", role)
			return old, nil
		},
		logout: func(_ http.ResponseWriter, r *http.Request) (string, error) {
			id := sm.Token(r.Context())
			return id, sm.Destroy(r.Context())
		},
	}
}

func withGorilla(dir string) site {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	store := sessions.NewFilesystemStore(dir, key)
	store.Options = &sessions.Options{Path: "/", MaxAge: 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	return site{
		backend:    gorillabridge.New(store, "session"),
		middleware: func(next http.Handler) http.Handler { return next },
		login: func(w http.ResponseWriter, r *http.Request, user, role string) (string, error) {
			s, _ := store.Get(r, "session") // an error with a session that is gone: this is a new one
			old := s.ID
			s.ID = "" // nobody else may know the id of a logged in session
			s.Values["user"], s.Values["role"] = user, role
			return old, s.Save(r, w)
		},
		logout: func(w http.ResponseWriter, r *http.Request) (string, error) {
			s, err := store.Get(r, "session")
			if err != nil {
				return "", err
			}
			s.Options.MaxAge = -1
			return s.ID, s.Save(r, w)
		},
	}
}
