package siotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// Options are what a Visitor is like. The zero value of every field means its default.
type Options struct {
	// Handler is what serves the requests: the router of the application that the Server is
	// mounted on, with its middleware and its other pages. By default the Server does.
	Handler http.Handler
	// Dialect is the generation of the visitor's client, by the names of
	// sio.Options.Dialects: "eio4" (Socket.IO 3.x and 4.x), which is the default, "eio3"
	// (1.x and 2.x) or "sio1" (0.7 to 0.9).
	Dialect string
	// Path is where the Server is mounted in Handler; "/socket.io".
	Path string
	// Query are parameters of each handshake, as with the option query of the official
	// clients 3.x and 4.x. Other requests do not have them. Clients 2.x send the option query
	// of a namespace with its CONNECT as well, which is auth of Connect here.
	Query url.Values
	// Header are headers of each request, such as Authorization, Origin or User-Agent. By
	// default there is none: no Origin either, so that Options.Origins of the Server is not
	// looked at; set Origin to test it. Host is the name of the site; "example.com".
	Header http.Header
	// Cookies are what the visitor has from the start. Cookies of answers come to them.
	Cookies []*http.Cookie
	// RemoteAddr is where the requests come from; "192.0.2.1:1234", an address that is
	// kept for documentation.
	RemoteAddr string
	// Patience bounds every wait; 10 s. A wait that takes longer fails the test. In a bubble
	// of testing/synctest that is 10 s of the bubble's clock: no time at all.
	Patience time.Duration
}

// Visitor is a browser, or a program, that has the application open: it has cookies, makes
// requests, and connects. Its methods fail the test when something is not as it should be,
// so they are called by the test's own goroutine.
type Visitor struct {
	t    testing.TB
	opts Options
	jar  *cookiejar.Jar
	log  *exchange

	mu    sync.Mutex
	conns []*conn
}

// New returns a visitor of the Server. A nil opts means defaults.
//
// Nothing needs to be closed: when the test ends the connections of the visitor are closed,
// and the Server is shut down, as [Cleanup] does. For a Server that several tests share, such
// as the subtests of one, call Cleanup with the t of the test that has made the Server, before
// New. New fails when the Server is shut down with another test that t is no subtest of, or
// outside of the bubble that the caller is in. In a bubble t is the one that synctest.Test gives.
func New(t testing.TB, io *sio.Server, opts *Options) *Visitor {
	t.Helper()
	if io == nil {
		t.Fatal("siotest.New: the Server is nil")
	}
	checkOwner(t, io)
	if !io.Ready() {
		t.Fatal("siotest.New: the Server is shut down. A Server ends with the first test that New is called with;" +
			" where subtests share one, call siotest.Cleanup before, with the t of the outer test")
	}
	v := &Visitor{t: t}
	if opts != nil {
		v.opts = *opts
	}
	o := &v.opts
	if o.Handler == nil {
		o.Handler = io
	}
	fill := func(field *string, def string) {
		if *field == "" {
			*field = def
		}
	}
	fill(&o.Dialect, eio4)
	fill(&o.Path, "/socket.io")
	fill(&o.RemoteAddr, "192.0.2.1:1234")
	o.Path = strings.TrimRight("/"+strings.Trim(o.Path, "/"), "/")
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
	if !slices.Contains(dialects, o.Dialect) {
		t.Fatalf("siotest.New: Options.Dialect is %q; there are %q", o.Dialect, dialects)
	}
	v.jar, _ = cookiejar.New(nil) // the error is always nil
	v.jar.SetCookies(v.site("/"), o.Cookies)
	Cleanup(t, io)
	v.log = exchangeOf(t)
	t.Cleanup(v.close)
	return v
}

// fatalf fails the test, and shows the exchange; conn is the connection that has failed, or 0.
func (v *Visitor) fatalf(conn int, format string, args ...any) {
	v.t.Helper()
	v.t.Fatalf("siotest: %s\n%s", fmt.Sprintf(format, args...), v.log.show(conn))
}

// close ends all connections.
func (v *Visitor) close() {
	v.mu.Lock()
	conns := v.conns
	v.mu.Unlock()
	for _, c := range conns {
		c.drop()
	}
}

// Do makes a request of the application (Options.Handler), with the visitor's headers and
// cookies, and keeps the cookies that the answer sets. Of the URL of r the path and the
// query count; httptest.NewRequest makes one. A cookie with Secure is kept and sent, as on a
// site with TLS, although Request.TLS is nil. A redirect is returned, and not followed. The
// body of the answer need not be closed.
func (v *Visitor) Do(r *http.Request) *http.Response {
	v.t.Helper()
	if _, bare := v.opts.Handler.(*sio.Server); bare && !strings.HasPrefix(r.URL.Path, v.opts.Path) {
		v.fatalf(0, "%s %s: the Server itself has no such page. Is Options.Handler, the router, missing?", r.Method, r.URL.Path)
	}
	s, err := v.do(0, r)
	if err != nil {
		v.fatalf(0, "%s %s: %v", r.Method, r.URL.Path, err)
	}
	if s.nc != nil {
		_ = s.nc.Close()
		v.fatalf(0, "%s %s: the handler has taken over the connection", r.Method, r.URL.Path)
	}
	return s.Response
}

// PostForm is Do for a form that is sent, such as a login.
func (v *Visitor) PostForm(path string, form url.Values) *http.Response {
	v.t.Helper()
	r := v.request(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.Do(r)
}

// Connect opens a connection and joins a namespace; "" and "/" are the default one. auth is
// the auth payload, which Socket.Auth decodes: an object, or nil. Clients before 3.0 have
// none: there the fields of auth become parameters, which Socket.Auth decodes likewise, but
// for the default namespace, where they are parameters of the handshake
// (Request.Query).
//
// Connect returns when the client has its answer. A refusal fails the test; see Refused. A
// client of 0.9 takes itself for connected to the default namespace before OnConnect has
// run: there a refusal comes later, as the end of the client ([Client.End]).
func (v *Visitor) Connect(namespace string, auth any) *Client {
	v.t.Helper()
	n := v.log.number()
	c, ref := v.connect(n, namespace, auth)
	if ref != nil {
		v.fatalf(n, "the client may not connect to %s: %v%s", path(namespace), ref, v.hint(ref))
	}
	return c
}

// hint says what is behind a refusal that has a usual reason.
func (v *Visitor) hint(ref *Refusal) string {
	if ref.Status != http.StatusNotFound {
		return ""
	}
	return fmt.Sprintf(". Is the Server mounted at %s, Options.Path?", v.opts.Path)
}

// Refused is Connect for a client that is to be refused: by the handshake or by the
// namespace. It fails the test when the client is admitted, and when what comes is no
// refusal: a handshake that ends with 404 or with 500 and more, or a connection that ends
// without a refusal. Look at the Message. For a namespace that the Server does not have
// it is "Invalid namespace" (clients 1.x to 4.x), and so for one that a policy refuses:
// where a test expects that, a client that is admitted proves the name right.
func (v *Visitor) Refused(namespace string, auth any) *Refusal {
	v.t.Helper()
	n := v.log.number()
	c, ref := v.connect(n, namespace, auth)
	if ref == nil && v.opts.Dialect == sio1 && c.namespace == "/" {
		ref = c.refusedLater()
	}
	switch {
	case ref == nil:
		v.fatalf(n, "the client is connected to %s, and was to be refused", path(namespace))
	case ref.cut:
		v.fatalf(n, "the client was to be refused at %s, and no refusal has come: %v", path(namespace), ref)
	case ref.Status == http.StatusNotFound || ref.Status >= http.StatusInternalServerError:
		v.fatalf(n, "the client was to be refused at %s, and the handshake has failed: %v%s", path(namespace), ref, v.hint(ref))
	}
	return ref
}

// connect opens the connection n and joins the namespace.
func (v *Visitor) connect(n int, namespace string, auth any) (*Client, *Refusal) {
	v.t.Helper()
	var query url.Values
	if namespace = path(namespace); namespace == "/" && v.opts.Dialect != eio4 {
		query, auth = v.parameters(auth), nil
	}
	c, ref := v.dial(n, query)
	if ref != nil {
		return nil, ref
	}
	return c.join(namespace, auth)
}

func (v *Visitor) parameters(auth any) url.Values {
	v.t.Helper()
	q, err := parameters(auth)
	if err != nil {
		v.t.Fatalf("siotest: the auth payload: %v", err)
	}
	return q
}

// Refusal says how a client was refused.
type Refusal struct {
	// Status is the HTTP status of a handshake that was refused; 0 when the namespace
	// refuses the client.
	Status int
	// Message is the text that the client gets: err.message of the event connect_error. A
	// client of 0.9 gets none from a namespace; Message is "unauthorized" then.
	Message string
	// Data is the JSON of what comes with it, err.data: Error.Data of the *sio.Error that
	// OnConnect has returned; nil when there is nothing. To clients 1.x and 2.x Data comes
	// in the place of Message.
	Data json.RawMessage

	cut bool // the connection or the socket has ended, and nothing was refused
}

// String returns all of it in one line.
func (r *Refusal) String() string {
	s := r.Message
	if r.Status != 0 {
		s = fmt.Sprintf("%d %s", r.Status, s)
	}
	if r.Data != nil {
		s = strings.TrimSpace(s + " " + string(r.Data))
	}
	return s
}

// path is the name of a namespace as it travels.
func path(namespace string) string { return "/" + strings.TrimPrefix(namespace, "/") }
