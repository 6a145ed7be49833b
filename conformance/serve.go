package conformance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log"
	"math/big"
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
	if cfg.TLS {
		return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	}
	return ln
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

// URL is the address of a listener for a Host.
func URL(ln net.Listener, cfg Config) string {
	if cfg.TLS {
		return "https://" + ln.Addr().String()
	}
	return "http://" + ln.Addr().String()
}

// ErrorLog is for the http.Server of a host: what net/http complains about, such as
// an answer behind a hijack, fails the case. ServeHTTP has it.
func ErrorLog(t testing.TB) *log.Logger { return log.New(noise{t}, "", 0) }

type noise struct{ t testing.TB }

func (n noise) Write(line []byte) (int, error) {
	// A client that leaves in the middle of a handshake is none of the host's faults.
	if !bytes.Contains(line, []byte("TLS handshake error")) {
		n.t.Errorf("the host's server complains: %s", line)
	}
	return len(line), nil
}

// ServeHTTP is the rest of a Factory for frameworks that are an http.Handler.
func ServeHTTP(t testing.TB, h http.Handler, cfg Config) *Host {
	t.Helper()
	ln := Listen(t, cfg)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: ErrorLog(t)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	return &Host{URL: URL(ln, cfg), Stop: func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("the host did not stop in time: %v", err)
			_ = srv.Close()
		}
		<-done
	}}
}
