package conformance

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// Listen listens at cfg.Addr, or at any free port of 127.0.0.1.
func Listen(t testing.TB, cfg Config) net.Listener {
	t.Helper()
	addr := cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// ServeHTTP is the rest of a Factory for frameworks that are an http.Handler.
func ServeHTTP(t testing.TB, h http.Handler, cfg Config) *Host {
	t.Helper()
	ln := Listen(t, cfg)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	return &Host{URL: "http://" + ln.Addr().String(), Stop: func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("the host did not stop in time: %v", err)
			_ = srv.Close()
		}
		<-done
	}}
}
