// Login-echov5 is an application on echo v5 with gorilla/sessions whose sockets share
// its sessions: the user who logs in by form chats under that name, the role in the
// session opens the admin namespace, and logging out in one tab ends the sockets of all.
package main

import (
	"crypto/rand"
	"flag"
	"log"
	"net/http"
	"os"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/examples/internal/assets"
	"github.com/siokit/siokit/examples/internal/login"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	e := echo.New()
	e.Use(middleware.Recover())

	dir, err := os.MkdirTemp("", "login-echov5")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	store := sessions.NewFilesystemStore(dir, key)
	store.Options = &sessions.Options{Path: "/", MaxAge: 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode}

	bridge := sessionbridge.New(gorillabridge.New(store, "session"), nil)
	io := login.NewServer(bridge)
	sioechov5.Mount(e, "/socket.io", io)

	e.GET("/", func(c *echo.Context) error { return c.HTMLBlob(http.StatusOK, login.Page) })
	e.GET("/socket.io.min.js", func(c *echo.Context) error { return c.Blob(http.StatusOK, "text/javascript", assets.Client) })
	e.POST("/login", func(c *echo.Context) error {
		role, ok := login.Check(c.FormValue("user"), c.FormValue("password"))
		if !ok {
			return c.String(http.StatusForbidden, "wrong user or password")
		}
		s, _ := store.Get(c.Request(), "session") // an error with a session that is gone: this is a new one
		old := s.ID
		s.ID = "" // nobody else may know the id of a logged in session
		s.Values["user"], s.Values["role"] = c.FormValue("user"), role
		if err := s.Save(c.Request(), c.Response()); err != nil {
			return err
		}
		bridge.Logout(c.Request().Context(), old)
		return c.Redirect(http.StatusSeeOther, "/")
	})
	e.POST("/logout", func(c *echo.Context) error {
		s, err := store.Get(c.Request(), "session")
		if err != nil {
			return err
		}
		s.Options.MaxAge = -1
		if err := s.Save(c.Request(), c.Response()); err != nil {
			return err
		}
		bridge.Logout(c.Request().Context(), s.ID) // after the session is gone
		return c.NoContent(http.StatusNoContent)
	})
	return login.RunHTTP(io, e)
}
