// Package conformance verifies that a host serves Socket.IO as siokit promises:
// an adapter passes when Run passes for it. Every case starts a fresh host,
// speaks the wire by hand, and checks that nothing is left when the host stops.
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
//			...start the framework with srv mounted at cfg.Path...
//			return &conformance.Host{URL: url, Stop: stop}
//		})
//	}
package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
	"github.com/siokit/siokit/sessionbridge"
)

// Config is what a case wants of its host.
type Config struct {
	Path string // mount point, such as "/socket.io"
	Addr string // where to listen; "" means any free port on 127.0.0.1
	TLS  bool   // encrypt; Listen does
	// CookieAge is how old a session's cookie may be by its own date, for libraries
	// that sign one. Set by a case of RunSessions; a factory whose library does not
	// skips it.
	CookieAge time.Duration
	// Bridge makes the session bridge for the host's sessions. Set by RunSessions.
	Bridge func(be sessionbridge.Backend) *sessionbridge.Bridge
}

// Host is a running host.
type Host struct {
	URL string // http://127.0.0.1:port, or https
	// Stop ends the host's listener within 2 s. The server is shut down before it.
	Stop func()
}

// Factory starts a host with srv mounted at cfg.Path and a plain route at
// "/plain" that answers "ok".
type Factory func(t testing.TB, srv *sio.Server, cfg Config) *Host

// Option changes a run.
type Option func(*run)

// Skip leaves a case out. The name must exist and the reason is printed.
func Skip(name, reason string) Option {
	return func(r *run) { r.skip[name] = reason }
}

// OverTLS runs the cases with Config.TLS.
func OverTLS() Option {
	return func(r *run) { r.tls = true }
}

type run struct {
	tls     bool
	factory Factory
	skip    map[string]string
}

// Case is one thing that is verified.
type Case struct {
	Name string // stable, for -run and Skip
	Rule string // what must hold
	Spec string // where it is said
	run  func(c *Context)
	opts func(o *sio.Options)
}

// Run runs every case against fresh hosts.
func Run(t *testing.T, f Factory, opts ...Option) {
	r := &run{factory: f, skip: map[string]string{}}
	for _, o := range opts {
		o(r)
	}
	for name := range r.skip {
		if !slices.ContainsFunc(all, func(c Case) bool { return c.Name == name }) {
			t.Errorf("conformance.Skip: there is no case %q", name)
		}
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			if reason := r.skip[c.Name]; reason != "" {
				t.Skip(reason)
			}
			r.one(t, c)
		})
	}
}

// Cases lists the names of all cases.
func Cases() []string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return names
}

var all []Case

func register(cases ...Case) { all = append(all, cases...) }

// one runs a case in an environment of its own.
func (r *run) one(t *testing.T, c Case) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("rule: %s\nspec: %s", c.Rule, c.Spec)
		}
	})
	x := &Context{T: t, run: r, opts: sio.Options{
		PingInterval: 10 * time.Second, PingTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second,
		AckTimeout: 5 * time.Second, MaxPayload: 2 << 20, MaxQueueBytes: 8 << 20,
		Logger: slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}}
	if c.opts != nil {
		c.opts(&x.opts)
	}
	x.Start("")
	defer func() { // also when the case has given up
		x.Stop()
		if left := testkit.Leaked(5 * time.Second); left != "" {
			t.Errorf("goroutines left after the host stopped:\n%s", left)
		}
	}()
	c.run(x)
}

// Context is what a case works with.
type Context struct {
	*testing.T
	*wire.Client
	Server *sio.Server
	Host   *Host

	run     *run
	opts    sio.Options
	config  Config
	stopped bool
	app     *app
}

const mount = "/socket.io"

// Start starts a host with a new server. addr "" means any free port.
func (c *Context) Start(addr string) {
	o := c.opts
	c.Server = sio.NewServer(&o)
	c.app = newApp(c.Server)
	cfg := c.config
	cfg.Path, cfg.Addr, cfg.TLS = mount, addr, c.run.tls
	c.Host = c.run.factory(c.T, c.Server, cfg)
	c.Client = wire.New(c.T, c.Host.URL, mount+"/")
	c.stopped = false
}

// Stop shuts the server down and stops the host.
func (c *Context) Stop() {
	if c.stopped {
		return
	}
	c.stopped = true
	c.Client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Server.Shutdown(ctx); err != nil && err != sio.ErrServerClosed {
		c.T.Errorf("Shutdown: %v", err)
	}
	c.Host.Stop()
}

// Want compares what came with what the rule demands.
func (c *Context) Want(what string, got, want any) {
	c.T.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.T.Errorf("%s\n got  %v\n want %v", what, got, want)
	}
}

// Eventually waits until f holds.
func (c *Context) Eventually(what string, f func() bool) {
	c.T.Helper()
	deadline := time.Now().Add(wire.Patience)
	for !f() {
		if time.Now().After(deadline) {
			c.T.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Alive checks that another client is served as if nothing had happened.
func (c *Context) Alive() {
	c.T.Helper()
	w := c.Join("")
	w.Send(`42["echo","alive"]`)
	c.Want("another client", w.Next(), `42["echo","alive"]`)
	_ = w.Conn.Close()
}

// logTo shows what the server logs when the case fails.
type logTo struct{ t *testing.T }

var logMu sync.Mutex

func (l logTo) Write(p []byte) (int, error) {
	logMu.Lock()
	defer logMu.Unlock()
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
