package hosttest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// Fasthttp serves a case on a framework over fasthttp. serve serves a listener until
// stop is called or the listener is closed; open is fasthttp's
// GetOpenConnectionsCount.
func Fasthttp(t testing.TB, cfg conformance.Config, serve func(net.Listener) error, open func() int32, stop func(time.Duration) error) *conformance.Host {
	ln, url := conformance.Listen(t, cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(ln)
	}()
	return &conformance.Host{URL: url, Stop: func() {
		// A connection that is still there when fasthttp shuts down costs 100 ms, which is
		// how often fasthttp looks; Serve counts as one. The client has closed its
		// connections, so that the server needs a moment only. A listener that is closed
		// makes the count one too small.
		_ = ln.Close()
		<-done
		for deadline := time.Now().Add(80 * time.Millisecond); open() >= 0 && time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		}
		if err := stop(wire.Patience); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the host did not stop in time: %v", err)
		}
	}}
}

// Settings are those of fiber, of either version, that the row of a test sets.
type Settings struct {
	GETOnly        bool
	RequestMethods []string
	BodyLimit      int
}

// Serving is how the server of a row is reached in the app that has the settings.
type Serving string

// The ways.
const (
	BySubApp Serving = "a sub-app"
	ByRoute  Serving = "an own route"
	ByMount  Serving = "Mount"
)

// ServingApp checks that the settings that count are those of the app that serves: where
// that is known by a request only, they are logged then, and once. start returns what
// serves a request.
func ServingApp(t *testing.T, start func(cfg Settings, by Serving, srv *sio.Server) func(r *http.Request) (*http.Response, error)) {
	for _, row := range []struct {
		by   Serving
		cfg  Settings
		want string
	}{
		{BySubApp, Settings{GETOnly: true}, "level=ERROR.*fiber.Config.GETOnly"},
		{ByRoute, Settings{GETOnly: true}, "level=ERROR.*fiber.Config.GETOnly"},
		{ByRoute, Settings{RequestMethods: []string{"GET", "PUT"}}, "level=ERROR.*fiber.Config.RequestMethods"},
		{BySubApp, Settings{BodyLimit: 100}, "level=WARN.*fiber.Config.BodyLimit=100 "},
		{ByRoute, Settings{BodyLimit: 100}, "level=WARN.*fiber.Config.BodyLimit=100 "},
		{BySubApp, Settings{}, ""},
		{ByRoute, Settings{}, ""},
		{ByMount, Settings{BodyLimit: 100}, "level=WARN.*fiber.Config.BodyLimit=100 "},
	} {
		var log testkit.Log
		srv := sio.NewServer(&sio.Options{Logger: log.Logger()})
		serve := start(row.cfg, row.by, srv)
		for range 2 {
			resp, err := serve(httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", nil))
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s, %v: %v, %v", row.by, row.cfg, resp, err)
			}
			_ = resp.Body.Close()
		}
		said := strings.Count(log.String(), "fiber.Config")
		if row.want == "" && said > 0 || row.want != "" && (said != 1 || !regexp.MustCompile(row.want).MatchString(log.String())) {
			t.Errorf("%s, %v: %d times in the log, want one %q: %s", row.by, row.cfg, said, row.want, log.String())
		}
		_ = srv.Shutdown(context.Background())
	}
}
