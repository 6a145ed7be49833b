package hosts_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/examples/internal/hosts"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestSessions is the table: every host with every session library that fits.
func TestSessions(t *testing.T) {
	table := "\n"
	for _, row := range []struct{ host, library string }{
		{"nethttp", "memory"}, {"nethttp", "gorilla"}, {"nethttp", "scs"},
		{"gin", "memory"}, {"gin", "gorilla"},
		{"echo", "memory"}, {"echo", "gorilla"},
		{"chi", "memory"}, {"chi", "gorilla"}, {"chi", "scs"},
		{"fiber", "memory"}, {"fiber", "fiber"},
		{"echov5", "memory"}, {"echov5", "gorilla"},
		{"fiberv3", "memory"}, {"fiberv3", "fiber"},
	} {
		ok := t.Run(row.host+"/"+row.library, func(t *testing.T) {
			conformance.Run(t, factory(row.host, row.library), conformance.Sessions())
		})
		table += fmt.Sprintf("%-8s %-8s passed: %t\n", row.host, row.library, ok)
	}
	t.Log(table)
}

// TestCookieSessions: where the values live in the cookie.
func TestCookieSessions(t *testing.T) {
	for _, host := range []string{"nethttp", "gin", "echo", "echov5", "chi"} {
		t.Run(host, func(t *testing.T) { conformance.Run(t, factory(host, "cookie"), conformance.CookieSessions()) })
	}
}

func factory(host, library string) conformance.Factory {
	return func(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
		h, err := hosts.New(host, library)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.CookieAge > 0 && !h.CookieAge(cfg.CookieAge) {
			t.Skip("the library's cookies carry no date")
		}
		h.Routes(cfg.Bridge(h.Backend))
		h.Mount(cfg.Path, srv)
		ln, url := conformance.Listen(t, cfg)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = h.Serve(ln)
		}()
		return &conformance.Host{URL: url, Stop: func() {
			ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
			defer cancel()
			if err := h.Stop(ctx); err != nil {
				t.Errorf("the host did not stop in time: %v", err)
			}
			<-done
		}}
	}
}
