package hosts

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v5"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/core/host"
)

func overEchoV5(library string) (*Host, error) {
	lib, err := newLibrary(library)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	h := &Host{
		Mount: func(path string, h host.Handler) { sioechov5.Mount(e, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			e.GET(path, func(c *echo.Context) error {
				ct, body := f()
				return c.Blob(http.StatusOK, ct, body)
			})
		},
	}
	if lib != nil && lib.gorilla != nil {
		// No package of sessions is needed between echo and gorilla/sessions.
		h.Route = func(method, path string, f func(ctx context.Context, c Call) (int, string)) {
			e.Add(method, path, func(c *echo.Context) error {
				s, _ := lib.gorilla.Get(c.Request(), SessionCookie) // a session that is gone is a new one, with an error
				answer(c.Response(), c.Request(), &gorillaSession{s, c.Response(), c.Request()}, f)
				return nil
			})
		}
	}
	return finish(h, e, lib, func(method, path string, h http.Handler) { e.Add(method, path, echo.WrapHandler(h)) })
}
