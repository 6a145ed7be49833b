package conformance_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// TestRemote: our own server passes what can be verified from outside.
func TestRemote(t *testing.T) {
	srv := sio.NewServer(&sio.Options{PingInterval: 10 * time.Second, PingTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second, MaxPayload: 2 << 20,
		Transports: []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"}, Dialects: []string{"eio4", "eio3", "sio1", "sio06"}})
	conformance.Serve(srv)
	mux := http.NewServeMux()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "host=1")
		srv.ServeHTTP(w, r)
	})
	mux.Handle("/socket.io", h)
	mux.Handle("/socket.io/", h)
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	hs := httptest.NewServer(mux)
	defer hs.Close()
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = srv.Shutdown(ctx)
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
	for what, check := range map[string]func() ([]conformance.Result, error){
		"no factory":         func() ([]conformance.Result, error) { return conformance.Check(nil) },
		"both":               func() ([]conformance.Result, error) { return conformance.Check(host, remote) },
		"sessions elsewhere": func() ([]conformance.Result, error) { return conformance.Check(nil, remote, conformance.Sessions()) },
		"no such case":       func() ([]conformance.Result, error) { return conformance.Check(host, conformance.Only("nosuch")) },
		"a case of sessions": func() ([]conformance.Result, error) {
			return conformance.Check(host, conformance.Only("none-at-handshake"))
		},
	} {
		if results, err := check(); err == nil || len(results) > 0 {
			t.Errorf("%s: %v, %v", what, results, err)
		}
	}
}

// TestEach: results come one by one, in the order of the list.
func TestEach(t *testing.T) {
	var each []string
	results, err := conformance.Check(mounted, conformance.Only("routing"), conformance.Each(func(r conformance.Result) {
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
