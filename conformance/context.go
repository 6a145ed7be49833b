package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// env is what a case works with.
type env struct {
	T *probe
	*wire.Client
	Server *sio.Server // nil when the server is not in this process
	Host   *Host

	run       *run
	mount     string // where the server is mounted
	opts      sio.Options
	config    Config
	stopped   bool
	app       *app
	control   *control
	group     *group       // with Clustered
	elsewhere atomic.Int64 // requests that came to a server without their session
	acl       *aclApp      // of the cases about access rules
	// sessions is what the cases of Sessions work with.
	sessions *sessionContext
}

const (
	mount       = "/socket.io"
	needsServer = "needs the server in this process"
)

func newContext(r *run, c testCase, p *probe) *env {
	x := &env{T: p, run: r, mount: mount, opts: sio.Options{
		PingInterval: 10 * time.Second, PingTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second,
		AckTimeout: 5 * time.Second, MaxPayload: 2 << 20, MaxQueueBytes: 8 << 20,
		Logger: slog.New(slog.NewTextHandler(logTo{p}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}}
	if c.all {
		everything(&x.opts)
	}
	if c.opts != nil {
		c.opts(&x.opts)
	}
	if r.url != "" && c.at != "" {
		x.mount = c.at
	}
	if c.prepare != nil {
		c.prepare(x)
	}
	return x
}

// Start starts a host with a new server. addr "" means any free port.
func (c *env) Start(addr string) {
	if c.run.url != "" {
		c.Host = &Host{URL: c.run.url, Stop: func() {}}
		c.client()
		c.control = newControl(c)
		return
	}
	c.stopped = false
	cfg := c.config
	cfg.Path, cfg.Addr, cfg.TLS = c.mount, addr, c.run.tls
	if c.run.bus == nil {
		o := c.opts
		c.Server = sio.NewServer(&o)
		c.app = newApp(c.Server)
		c.Host = c.run.factory(c.T, c.Server, cfg)
	} else {
		c.startGroup(cfg)
	}
	c.client()
}

// client makes the client of the host, which skips what the host lacks.
func (c *env) client() {
	c.Client = wire.New(c.T, c.Host.URL, c.mount+"/")
	c.Client.Trace = c.T.note
	c.Client.Need = c.needs
	c.Client.Patience, c.HTTP.Timeout = c.run.patience, c.run.patience
	if c.group != nil {
		eachRequestAlone(c.HTTP)
		c.Client.Sent = c.group.sent
	}
}

// needs ends the case when the host lacks something.
func (c *env) needs(what string) {
	if reason := c.run.lacks[what]; reason != "" {
		c.T.Skip(lacking(what, reason))
	}
}

// Stop shuts the server down and stops the host.
func (c *env) Stop() {
	if c.stopped {
		return
	}
	c.stopped = true
	if c.Client != nil {
		c.Client.Close()
	}
	if c.Server != nil {
		// Who polls does so no more, and gets a moment only: that Shutdown waits as long as it
		// may is the subject of the lifecycle cases. Hundreds of cases have that moment.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		shutdown(ctx, c.everyServer())
		if c.group != nil {
			c.elsewhere.Add(int64(c.group.elsewhere()))
		}
	}
	if c.Host != nil {
		c.Host.Stop()
	}
}

// everyServer are the servers of the case with those that only pass requests on.
func (c *env) everyServer() []*sio.Server {
	if c.group != nil {
		return c.group.all()
	}
	return []*sio.Server{c.Server}
}

// left complains about goroutines that the case has left behind.
func (c *env) left() {
	if c.run.url != "" {
		return
	}
	if left := leaked(c.run.patience); left != "" {
		c.T.Errorf("goroutines left after the host stopped:\n%s", left)
	}
}

// abandon ends what a case that is past its deadline waits for.
func (c *env) abandon() {
	go func() {
		defer func() { _ = recover() }() // whatever state it is in
		if c.Client != nil {
			c.Client.Close()
		}
		if c.Server != nil {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			shutdown(ctx, c.everyServer())
		}
		if c.Host != nil {
			c.Host.Stop()
		}
	}()
}

// Want compares what came with what the rule demands: values of one type, numbers
// with numbers, and what has a text of its own, such as an answer, with that text.
func (c *env) Want(what string, got, want any) {
	c.T.Helper()
	if !same(got, want) {
		c.T.Errorf("%s\n got  %v\n want %v%s", what, got, want, types(got, want))
	}
}

func same(got, want any) bool {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return false
	}
	if speaks(got) && isText(want) || speaks(want) && isText(got) || isNumber(got) && isNumber(want) {
		return true
	}
	// %q tells 1 from "1" inside of other values too, but not nil from empty.
	return reflect.TypeOf(got) == reflect.TypeOf(want) && fmt.Sprintf("%q", got) == fmt.Sprintf("%q", want)
}

// speaks reports whether v has a text of its own.
func speaks(v any) bool {
	switch v.(type) {
	case fmt.Stringer, error:
		return true
	}
	return false
}

func isText(v any) bool { return reflect.ValueOf(v).Kind() == reflect.String }

func isNumber(v any) bool {
	k := reflect.ValueOf(v).Kind()
	return reflect.Int <= k && k <= reflect.Float64
}

// types tells apart what looks alike.
func types(got, want any) string {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return ""
	}
	return fmt.Sprintf("\n the types are %T and %T", got, want)
}

// Eventually waits until f holds.
func (c *env) Eventually(what string, f func() bool) {
	c.T.Helper()
	deadline := time.Now().Add(c.run.patience)
	for !f() {
		if time.Now().After(deadline) {
			c.T.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Closed waits for the end of a websocket and checks its close code.
func (c *env) Closed(w *wire.WS, codes ...int) {
	c.T.Helper()
	got := w.End().Code
	if c.run.lacks[closeCodes] == "" && !slices.Contains(codes, got) {
		c.T.Errorf("close code\n got  %d\n want %v", got, codes)
	}
}

// Alive checks that another client is served as if nothing had happened.
func (c *env) Alive() {
	c.T.Helper()
	w := c.Join("")
	w.Send(`42["echo","alive"]`)
	c.Want("another client", w.Next(), `42["echo","alive"]`)
	_ = w.Conn.Close()
}

// server is Server, for cases that cannot do without: they are left out when it
// is not in this process.
func (c *env) server() *sio.Server {
	if c.Server == nil {
		c.T.Skip(needsServer)
	}
	return c.Server
}

// own is the application in this process.
func (c *env) own() *app {
	c.server()
	return c.app
}

// handled are the arguments of the events "n" that have been handled.
func (c *env) handled() []int {
	if c.app != nil {
		return c.app.handled()
	}
	return c.control.handled(c)
}

// ends waits for the end of as many sockets as there are that may end.
func (c *env) ends(sockets int) {
	c.T.Helper()
	if c.Server == nil { // unknown from outside
		c.holds()
		return
	}
	c.Eventually("the disconnect", func() bool { return len(c.app.ended()) >= sockets })
	c.Want("disconnects", len(c.app.ended()), sockets)
	c.app.forget()
}

// reason waits for the end of one socket and checks why it ended.
func (c *env) reason(want sio.Reason) {
	c.T.Helper()
	if c.Server == nil { // unknown from outside
		c.holds()
		return
	}
	c.Eventually("the disconnect", func() bool { return len(c.app.ended()) > 0 })
	c.Want("reasons", c.app.ended(), []sio.Reason{want})
	c.app.forget()
}

// holds gives a request that was just sent the time to arrive and be held:
// nothing tells that from outside. A case that is too early for it fails, it
// does not pass. A busy machine has more time.
func (c *env) holds() { testkit.Pause(c.run.patience / 5) }

// logTo shows what the server logs when the case fails.
type logTo struct{ p *probe }

func (l logTo) Write(b []byte) (int, error) {
	l.p.note("log " + strings.TrimSpace(string(b)))
	return len(b), nil
}

// async runs f beside the case and returns what f returns. When f gives the case up, by Fatal,
// the channel is closed: else the case would wait for ever for what does not come.
func async[T any](f func() T) <-chan T {
	ch := make(chan T, 1)
	go func() {
		defer close(ch)
		ch <- f()
	}()
	return ch
}
