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

// TestRunURL: our own server passes what can be verified from outside.
func TestRunURL(t *testing.T) {
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
	conformance.RunURL(t, hs.URL)
}
