package selftest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
)

// requestBreakers: what requests lose on their way.
var requestBreakers = []breaker{
	{"strips the Origin header", []string{"origin/same", "origin/listed", "sio1/handshake-origin"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Origin")
		return false
	})}},
	{"strips the Referer header", []string{"jsonp/foreign-page"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Referer")
		return false
	})}},
	{"takes the Connection header for one word", []string{"errors/firefox"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
		if c := r.Header.Get("Connection"); c != "Upgrade" {
			r.Header.Del("Upgrade")
		}
		return false
	})}},
	{"cleans the parameter of jsonp", []string{"sio1/handshake-index"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
		if q := r.URL.Query(); q.Has("jsonp") {
			q.Set("jsonp", "1")
			r.URL.RawQuery = q.Encode()
		}
		return false
	})}},
	{"drops parameters that it does not know", []string{"sio1/disconnect"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		q.Del("disconnect")
		r.URL.RawQuery = q.Encode()
		return false
	})}},
	{"cuts bodies at a megabyte", []string{"polling/too-large", "sio1/too-large"}, fault{around: bodies(func(b string) string { return b[:min(len(b), 1<<20)] })}},
	{"waits for whole bodies, and takes half ones for whole", []string{"polling/overlapping-post", "polling/aborted-post", "polling/announced-too-large"}, fault{around: bodies(func(b string) string { return b })}},
	{"loses what ends a session", []string{"polling/close-by-client", "polling/close-after-units"}, fault{around: bodies(func(b string) string {
		return strings.Replace(strings.Replace(b, "\x1e1", "\x1e6", 1), "1", "6", bool2int(b == "1"))
	})}},
	{"refuses packets that mean nothing", []string{"polling/ignored-packets"}, fault{around: bodies(func(b string) string { return strings.ReplaceAll(b, "\x1e6", "\x1e9") })}},
	{"loses the bodies of requests", []string{"upgrade/post-in-flight", "sio1/overlap", "sio1/other-transport", "sio1/post-first", "sio06/requests", "sio1/xhr-polling"}, fault{around: bodies(func(string) string { return "" })}},
	{"answers every POST by itself", []string{"polling/held", "polling/batch", "polling/order", "polling/kick-while-waiting", "polling/kick-without-poll", "polling/bad-payload"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "sid=") {
			if b, _ := io.ReadAll(r.Body); string(b) != "40" || r.Header.Get("Content-Type") != "text/plain;charset=UTF-8" || r.Header.Get("Content-Encoding") != "" {
				_, _ = w.Write([]byte("ok"))
				return true
			}
			r.Body = io.NopCloser(strings.NewReader("40"))
		}
		return false
	})}},
	{"repeats requests", []string{"sio1/expiry", "sio1/poll-duration", "eio3/overlap"}, fault{around: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && !upgrade(r) {
				next.ServeHTTP(&answer{head: http.Header{}}, r.Clone(r.Context()))
			}
			next.ServeHTTP(w, r)
		})
	}}},
	{"takes any method for GET", []string{"polling/other-methods", "errors/H13-PUT-without-sid", "errors/H15-OPTIONS-without-CORS"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			r.Method = http.MethodGet
		}
		return false
	})}},
	{"does not tell that a client has left", []string{"polling/abort"}, fault{around: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
		})
	}}},
	{"does not let polls wait", []string{"polling/overlapping-get", "lifecycle/shutdown", "generations/shutdown"}, fault{around: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), 5*time.Millisecond)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}}},
}

// shownBreakers: what requests look like from the server.
var shownBreakers = []breaker{
	{"reuses the memory of headers", []string{"request/snapshot", "request/unchanged-meanwhile"}, fault{racy: true, exchange: func(x host.Exchange) host.Exchange { return recycled{x} }}},
	{"hands out the headers of the request before", []string{"request/unchanged-meanwhile", "request/exposed"}, fault{exchange: mixedUp}},
	{"gives an address of its own", []string{"request/exposed"}, fault{exchange: func(x host.Exchange) host.Exchange { return moved{x} }}},
}
