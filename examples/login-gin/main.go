// Login-gin is a gin application with gin-contrib/sessions whose sockets share
// its sessions: the user who logs in by form chats under that name, the role in the
// session opens the admin namespace, and logging out in one tab ends the sockets of all.
package main

import (
	"crypto/rand"
	"flag"
	"log"
	"net/http"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/examples/internal/assets"
	"github.com/siokit/siokit/examples/internal/login"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

func main() {
	flag.Parse()
	gin.SetMode(gin.ReleaseMode)
	r, io := application()
	if err := login.RunHTTP(io, r); err != nil {
		log.Fatal(err)
	}
}

// application is the router with everything on it, and the Server behind it.
func application() (*gin.Engine, *sio.Server) {
	r := gin.New()
	r.Use(gin.Recovery())

	key := make([]byte, 32)
	_, _ = rand.Read(key)
	store := memstore.NewStore(key)
	store.Options(sessions.Options{Path: "/", MaxAge: 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode})

	bridge := sessionbridge.New(gorillabridge.New(store, "session"), nil)
	io := login.NewServer(bridge)
	siogin.Mount(r, "/socket.io", io) // outside of the group with sessions: the bridge has its own way

	app := r.Group("/", sessions.Sessions("session", store))
	app.GET("/", func(c *gin.Context) { c.Data(http.StatusOK, "text/html; charset=utf-8", login.Page) })
	app.GET("/socket.io.min.js", func(c *gin.Context) { c.Data(http.StatusOK, "text/javascript", assets.Client) })
	app.POST("/login", func(c *gin.Context) {
		role, ok := login.Check(c.PostForm("user"), c.PostForm("password"))
		if !ok {
			c.String(http.StatusForbidden, "wrong user or password")
			return
		}
		s := sessions.Default(c)
		old := s.ID()
		// Nobody else may know the id of a logged in session. The package has no way
		// to change it, the session inside has.
		s.(interface{ Session() *gorilla.Session }).Session().ID = ""
		s.Set("user", c.PostForm("user"))
		s.Set("role", role)
		if err := s.Save(); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		bridge.Logout(c.Request.Context(), old)
		c.Redirect(http.StatusSeeOther, "/")
	})
	app.POST("/logout", func(c *gin.Context) {
		s := sessions.Default(c)
		id := s.ID()
		s.Clear()
		s.Options(sessions.Options{Path: "/", MaxAge: -1})
		if err := s.Save(); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		bridge.Logout(c.Request.Context(), id) // after the session is gone
		c.Status(http.StatusNoContent)
	})
	return r, io
}
