package flashpolicy

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestPolicy is the row J14 of reliability a3.
func TestPolicy(t *testing.T) {
	p := string(Policy([]string{"https://app.example.com:8443", "https://*.example.org", "no origin", `https://"<x`}, 443))
	for _, want := range []string{
		`<allow-access-from domain="app.example.com" to-ports="443"/>`,
		`<allow-access-from domain="*.example.org" to-ports="443"/>`,
		`<!DOCTYPE cross-domain-policy SYSTEM "http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">`,
	} {
		if !strings.Contains(p, want) {
			t.Errorf("no %s in %s", want, p)
		}
	}
	if !strings.HasSuffix(p, "</cross-domain-policy>\n\x00") || strings.Contains(p, `domain="*"`) || strings.Count(p, "allow-access-from") != 3 || strings.Contains(p, `"<x`) {
		t.Errorf("%q", p)
	}
	if p := string(Policy([]string{"*"}, 80)); !strings.Contains(p, `domain="*" to-ports="80"`) {
		t.Errorf("%q", p)
	}
}

func ask(t *testing.T, c net.Conn, parts ...string) string {
	t.Helper()
	go func() {
		for _, p := range parts {
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
	}()
	b, _ := io.ReadAll(c)
	_ = c.Close()
	return string(b)
}

// TestServe is the row J13 of reliability a3.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(ln, []byte("policy\x00"))
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if got := ask(t, dial(), question+"\x00"); got != "policy\x00" {
		t.Errorf("%q", got)
	}
	if got := ask(t, dial(), strings.Split(question, "")...); got != "policy\x00" {
		t.Errorf("byte by byte: %q", got)
	}
	if got := ask(t, dial(), strings.Repeat("x", 1<<20)); got != "" {
		t.Errorf("garbage: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPatience: a client that never asks is not waited for.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		s := &Server{answer: []byte("policy")}
		go s.serve(there)
		from := time.Now()
		if got := ask(t, here, "<policy"); got != "" || time.Since(from) != patience {
			t.Errorf("%q after %v", got, time.Since(from))
		}
	})
}
