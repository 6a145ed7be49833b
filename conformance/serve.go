package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// Listen is the beginning of a Factory for frameworks with a server of their own: a listener at
// cfg.Addr, over TLS if cfg.TLS says so, and its address for Host.URL. The framework, or
// Host.Stop, closes the listener.
func Listen(t testing.TB, cfg Config) (ln net.Listener, url string) {
	t.Helper()
	if cfg.share != nil {
		cfg.share.used.Store(true)
		return cfg.share, cfg.share.b.url
	}
	addr := cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.TLS {
		return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}), "https://" + ln.Addr().String()
	}
	return ln, "http://" + ln.Addr().String()
}

// certificate makes one for 127.0.0.1 that nobody else trusts.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// ServeHTTP is the end of a Factory for frameworks that are an http.Handler: it serves h until
// Host.Stop. What the http.Server complains about, a second answer for example, fails the case.
func ServeHTTP(t testing.TB, h http.Handler, cfg Config) *Host {
	t.Helper()
	ln, url := Listen(t, cfg)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: testkit.ErrorLog(t)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	return &Host{URL: url, Stop: func() {
		ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("the host did not stop in time: %v", err)
			_ = srv.Close()
		}
		<-done
	}}
}
