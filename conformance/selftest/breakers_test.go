package selftest

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// breaker is a host with a fault, and the cases that must see it. A name stands
// for itself and for all cases below it.
type breaker struct {
	name    string
	catches []string
	fault
}

var (
	errorAck  = regexp.MustCompile(`\{"error":\{.*?\}\}`)
	endpoint  = regexp.MustCompile(`^(\d::?)/chat`)
	eventName = regexp.MustCompile(`^42\["(echo","end"|n",\d+)\]$`)
)

// more are the breakers of other files, which add theirs from init.
var more []breaker

// breakers returns all of them.
func breakers() []breaker {
	return slices.Concat(
		mountBreakers,
		requestBreakers,
		answerBreakers,
		shownBreakers,
		upgradeBreakers,
		websocketBreakers,
		applicationBreakers,
		leftBreakers,
		more,
	)
}

// mountBreakers: where the server is mounted.
var mountBreakers = []breaker{
	{"serves the bare path alone", []string{"routing/slash", "routing/below"}, fault{routes: func(mux *http.ServeMux, h http.Handler, path string) { mux.Handle(path, h) }}},
	{"redirects the bare path", []string{"routing/no-slash"}, fault{routes: func(mux *http.ServeMux, h http.Handler, path string) { mux.Handle(path+"/", h) }}},
	{"captures siblings", []string{"routing/sibling"}, fault{routes: func(mux *http.ServeMux, h http.Handler, _ string) { mux.Handle("/", h) }}},
	{"mounts where it always does", []string{"routing/prefix"}, fault{routes: func(mux *http.ServeMux, h http.Handler, _ string) {
		mux.Handle("/socket.io", h)
		mux.Handle("/socket.io/", h)
	}}},
	{"swallows the host's other routes", []string{"routing/other-routes"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/plain" {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})}},
	{"does not know the paths of 0.9's transports", []string{"sio1/flashsocket", "sio1/websocket", "sio1/htmlfile"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Count(r.URL.Path, "/") > 3 {
			http.NotFound(w, r)
			return true
		}
		return false
	})}},
}

// applicationBreakers: the application's side of a host.
var applicationBreakers = []breaker{
	{"tells what must stay inside", []string{"events/errors"}, fault{server: func(srv *sio.Server) {
		srv.Of("/").Use(func(next sio.Handler) sio.Handler {
			return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
				if err := next.ServeEvent(ctx, ev); err != nil {
					return sio.Errorf("internal", "%v", err)
				}
				return nil
			})
		})
	}}},
	{"swallows panics", []string{"events/panic"}, fault{server: func(srv *sio.Server) {
		srv.Of("/").Use(func(next sio.Handler) sio.Handler {
			return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
				defer func() { _ = recover() }()
				return next.ServeEvent(ctx, ev)
			})
		})
	}}},

	{"answers upgrades that it cannot do with nothing", []string{"websocket/refused"}, fault{around: ignorant, opts: []conformance.Option{noWebSocket}}},
}

// leftBreakers: what is left behind.
var leftBreakers = []breaker{
	{"leaks a goroutine", []string{"routing/slash", "lifecycle/once", "request/snapshot"}, fault{stop: func(t testing.TB, stop func()) func() {
		over := make(chan struct{})
		go leaking(over)
		leaks = append(leaks, over)
		return stop
	}}},
	{"keeps its port", []string{"lifecycle/restart"}, fault{stop: func(t testing.TB, stop func()) func() {
		t.Cleanup(stop)
		return func() {}
	}}},
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}
