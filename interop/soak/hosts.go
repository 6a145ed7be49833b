package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	fiberv3 "github.com/gofiber/fiber/v3"
	"github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	siofiber "github.com/siokit/siokit/adapters/fiber"
	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/sio"
)

const path = "/socket.io"

// hosts are the frameworks: each serves a server on a listener until stop.
var hosts = map[string]func(ln net.Listener, srv *sio.Server) (stop func()){
	"nethttp": func(ln net.Listener, srv *sio.Server) func() {
		mux := http.NewServeMux()
		srv.Mount(mux, path)
		return onHTTP(ln, mux)
	},
	"gin": func(ln net.Listener, srv *sio.Server) func() {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		siogin.Mount(r, path, srv)
		return onHTTP(ln, r)
	},
	"echo": func(ln net.Listener, srv *sio.Server) func() {
		e := echo.New()
		sioecho.Mount(e, path, srv)
		return onHTTP(ln, e)
	},
	"echov5": func(ln net.Listener, srv *sio.Server) func() {
		e := echov5.New()
		sioechov5.Mount(e, path, srv)
		return onHTTP(ln, e)
	},
	"chi": func(ln net.Listener, srv *sio.Server) func() {
		r := chi.NewRouter()
		siochi.Mount(r, path, srv)
		return onHTTP(ln, r)
	},
	"fiber": func(ln net.Listener, srv *sio.Server) func() {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		siofiber.Mount(app, path, srv)
		go func() { _ = app.Listener(ln) }()
		return func() { _ = app.ShutdownWithTimeout(5 * time.Second) }
	},
	"fiberv3": func(ln net.Listener, srv *sio.Server) func() {
		app := fiberv3.New()
		siofiberv3.Mount(app, path, srv)
		go func() { _ = app.Listener(ln, fiberv3.ListenConfig{DisableStartupMessage: true}) }()
		return func() { _ = app.ShutdownWithTimeout(5 * time.Second) }
	},
}

func onHTTP(ln net.Listener, h http.Handler) (stop func()) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(ln) }()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		_ = s.Close()
	}
}
