package siotest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// writer is what a handler writes to. Like the server of net/http it gives the connection
// to who takes it over for a websocket.
type writer struct {
	*httptest.ResponseRecorder
	nc    net.Conn
	taken atomic.Bool
}

var _ http.Hijacker = (*writer)(nil)

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken.Swap(true) {
		return nil, nil, http.ErrHijacked
	}
	return w.nc, bufio.NewReadWriter(bufio.NewReader(w.nc), bufio.NewWriter(w.nc)), nil
}

// served is what became of a request: an answer, and the connection when the handler has
// taken that over.
type served struct {
	*http.Response
	nc *end
	br *bufio.Reader
}

// serve has h serve a request in a goroutine of its own, as a server does.
func serve(h http.Handler, r *http.Request, patience time.Duration) (*served, error) {
	client, server := pipe()
	w := &writer{ResponseRecorder: httptest.NewRecorder(), nc: server}
	ctx, leave := context.WithCancel(r.Context())
	done := make(chan string, 1)
	go func() {
		failed := "the handler has ended its goroutine"
		defer func() {
			if p := recover(); p != nil {
				failed = fmt.Sprintf("the handler has panicked: %v\n%s", p, debug.Stack())
			}
			leave()
			done <- failed
		}()
		h.ServeHTTP(w, r.WithContext(ctx))
		failed = ""
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case failed := <-done:
		if failed != "" {
			_, _ = client.Close(), server.Close()
			return nil, errors.New(failed)
		}
	case <-late.C:
		leave()
		_, _ = client.Close(), server.Close()
		return nil, fmt.Errorf("no answer within %v", patience)
	}
	if !w.taken.Load() {
		_, _ = client.Close(), server.Close()
		return &served{Response: w.Result()}, nil
	}
	br := bufio.NewReader(client)
	_ = client.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("the handler has taken over the connection, and what it has written is no answer: %w", err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = client.SetReadDeadline(time.Time{})
	}
	return &served{Response: resp, nc: client, br: br}, nil
}

// host is the name of the site, site its address. Cookies with Secure are for it too.
func (v *Visitor) host() string {
	if h := v.opts.Header.Get("Host"); h != "" {
		return h
	}
	return "example.com"
}

func (v *Visitor) site(path string) *url.URL {
	return &url.URL{Scheme: "https", Host: v.host(), Path: path}
}

// request makes a request for the target, a path with a query.
func (v *Visitor) request(method, target string, body io.Reader) *http.Request {
	v.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, target, body)
	if err != nil {
		v.t.Fatalf("siotest: %v", err)
	}
	return r
}

// do serves a request with the visitor's headers and cookies, and keeps the cookies of the
// answer. n is the number of its connection in the exchange.
func (v *Visitor) do(n int, r *http.Request) (*served, error) {
	r = r.Clone(r.Context())
	r.Host, r.RequestURI = v.host(), r.URL.RequestURI()
	r.URL.Scheme, r.URL.Host = "", ""
	r.RemoteAddr = v.opts.RemoteAddr
	if r.Body == nil { // which a request of a server never has
		r.Body = http.NoBody
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for key, values := range v.opts.Header {
		if key = http.CanonicalHeaderKey(key); key != "Host" && r.Header.Values(key) == nil {
			r.Header[key] = append([]string(nil), values...)
		}
	}
	site := v.site(r.URL.Path)
	for _, c := range v.jar.Cookies(site) {
		r.AddCookie(c)
	}
	v.log.note(n, "> %s %s", r.Method, r.RequestURI)
	s, err := serve(v.opts.Handler, r, v.opts.Patience)
	if err != nil {
		v.log.note(n, "< %v", err)
		return nil, err
	}
	v.log.note(n, "< %s", s.Status)
	v.jar.SetCookies(site, s.Cookies())
	return s, nil
}

// get does a GET whose answer is text, or a connection.
func (v *Visitor) get(n int, r *http.Request) (s *served, body string) {
	v.t.Helper()
	s, err := v.do(n, r)
	if err != nil {
		v.fatalf(n, "%s %s: %v", r.Method, r.URL.Path, err)
	}
	if s.nc == nil || s.StatusCode != http.StatusSwitchingProtocols {
		b, err := io.ReadAll(s.Body)
		if err != nil {
			if s.nc != nil {
				_ = s.nc.Close()
			}
			v.fatalf(n, "%s %s: the answer: %v", r.Method, r.URL.Path, err)
		}
		body = string(b)
		v.log.note(n, "< %s", clip(strings.TrimSpace(body)))
	}
	return s, body
}
