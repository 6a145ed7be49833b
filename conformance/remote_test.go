package conformance_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// TestRemote: our own server passes what can be verified from outside.
func TestRemote(t *testing.T) {
	opts := sio.Options{
		PingInterval: 10 * time.Second, PingTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second, MaxPayload: 2 << 20,
		Transports: []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"},
		Dialects:   []string{"eio4", "eio3", "sio1", "sio06"},
	}
	srv := sio.NewServer(&opts)
	more := opts
	more.Path, more.Recovery = "/recovery", &sio.Recovery{}
	recovering := sio.NewServer(&more)
	conformance.RegisterApplication(srv)
	conformance.RegisterApplication(recovering)
	mux := http.NewServeMux()
	for path, srv := range map[string]*sio.Server{"/socket.io": srv, "/recovery": recovering} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "host=1")
			srv.ServeHTTP(w, r)
		})
		mux.Handle(path, h)
		mux.Handle(path+"/", h)
	}
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	hs := httptest.NewServer(mux)
	defer hs.Close()
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = srv.Shutdown(ctx)
		_ = recovering.Shutdown(ctx)
	}()
	conformance.Run(t, nil, conformance.Remote(hs.URL))
}

// TestOptionsThatDoNotFit: a run that could not mean anything is an error, and no case runs.
func TestOptionsThatDoNotFit(t *testing.T) {
	host := func(testing.TB, *sio.Server, conformance.Config) *conformance.Host {
		t.Error("a host was started")
		return nil
	}
	remote := conformance.Remote("http://127.0.0.1:1")
	for _, row := range []struct {
		what string
		f    conformance.Factory
		opts []conformance.Option
		want string
	}{
		{"no factory", nil, nil, "the factory is nil"},
		{"both", host, []conformance.Option{remote}, "Remote needs no factory"},
		{"sessions elsewhere", nil, []conformance.Option{remote, conformance.Sessions()}, "need the server in this process"},
		{"no such case", host, []conformance.Option{conformance.Only("nosuch")}, `no case ["nosuch"]`},
		{"a case of sessions", host, []conformance.Option{conformance.Only("none-at-handshake")}, `no case ["none-at-handshake"]`},
		{
			"no such capability", host, []conformance.Option{conformance.Lacks("WebSocket", "")},
			`no capability "WebSocket"; those that exist are websocket, streaming, partial-body, client-gone, host-cookies, close-codes, eio4, eio3, sio1, sio06, jsonp, recovery`,
		},
	} {
		if results, err := conformance.Check(row.f, row.opts...); err == nil || !strings.Contains(err.Error(), row.want) || len(results) > 0 {
			t.Errorf("%s: %v, %v", row.what, results, err)
		}
	}
}

// TestCases: the list is that of the options.
func TestCases(t *testing.T) {
	all := conformance.Cases()
	for _, row := range []struct {
		opt  conformance.Option
		some string // a case that is in the list
	}{
		{conformance.Only("routing"), "routing/slash"},
		{conformance.Sessions(), "none-at-handshake/polling"},
		{conformance.CookieSessions(), "cookie-store-readonly-error/polling"},
	} {
		names := conformance.Cases(row.opt)
		if !slices.Contains(names, row.some) || len(names) >= len(all)/2 {
			t.Errorf("%s is missing, or too much is there: %q", row.some, names)
		}
	}
}

// TestEach: results come one by one, in the order of the list.
func TestEach(t *testing.T) {
	var each []string
	results, err := conformance.Check(factory, conformance.Only("routing"), conformance.Each(func(r conformance.Result) {
		each = append(each, r.Name)
	}))
	if err != nil || len(results) != len(each) || len(each) < 5 {
		t.Fatalf("%d results, %d told, %v", len(results), len(each), err)
	}
	for i, r := range results {
		if r.Name != each[i] {
			t.Errorf("%s was told as %s", r.Name, each[i])
		}
	}
}
