// Login-echo is an echo application with echo-contrib/session whose sockets share
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
	"github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	sioecho "github.com/siokit/siokit/adapters/echo"
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

	dir, err := os.MkdirTemp("", "login-echo")
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
	sioecho.Mount(e, "/socket.io", io) // outside of the group with sessions: the bridge has its own way

	app := e.Group("", session.Middleware(store))
	app.GET("/", func(c echo.Context) error { return c.HTMLBlob(http.StatusOK, login.Page) })
	app.GET("/socket.io.min.js", func(c echo.Context) error { return c.Blob(http.StatusOK, "text/javascript", assets.Client) })
	app.POST("/login", func(c echo.Context) error {
		role, ok := login.Check(c.FormValue("user"), c.FormValue("password"))
		if !ok {
			return c.String(http.StatusForbidden, "wrong user or password")
		}
		s, _ := session.Get("session", c) // an error with a session that is gone: this is a new one
		old := s.ID
		s.ID = "" // nobody else may know the id of a logged in session
		s.Values["user"], s.Values["role"] = c.FormValue("user"), role
		if err := s.Save(c.Request(), c.Response()); err != nil {
			return err
		}
		bridge.Logout(c.Request().Context(), old)
		return c.Redirect(http.StatusSeeOther, "/")
	})
	app.POST("/logout", func(c echo.Context) error {
		s, err := session.Get("session", c)
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
