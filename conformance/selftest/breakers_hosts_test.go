package selftest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

func init() {
	request := func(f func(r *http.Request)) fault {
		return fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			f(r)
			return false
		})}
	}
	more = append(more,
		breaker{"shows one visitor what the one before has sent", []string{"request/one-connection"}, fault{exchange: mixedUp}},
		breaker{"reads the last line of a header", []string{"websocket/header-forms"}, request(func(r *http.Request) {
			for k, vs := range r.Header {
				r.Header[k] = vs[len(vs)-1:]
			}
		})},
		breaker{"negotiates no subprotocol", []string{"websocket/subprotocol"}, request(func(r *http.Request) { r.Header.Del("Sec-Websocket-Protocol") })},
		breaker{"does not say which page asks", []string{"origin/any-cookies"}, request(func(r *http.Request) { r.Header.Del("Origin") })},
		breaker{"has a name of its own", []string{"origin/websocket-scheme"}, request(func(r *http.Request) { r.Host = "backend.internal:8080" })},
		breaker{"wants a scheme in every origin", []string{"origin/own-forms", "origin/own-forms-06"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if o := r.Header.Get("Origin"); o != "" && !strings.Contains(o, "://") {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		})}},
		breaker{"cuts long queries", []string{"limits/query"}, request(func(r *http.Request) {
			r.URL.RawQuery = r.URL.RawQuery[max(0, len(r.URL.RawQuery)-1000):]
		})},
		breaker{"drops large headers", []string{"limits/headers"}, request(func(r *http.Request) {
			r.Header.Del("X-A")
			r.Header.Del("Cookie")
		})},
		breaker{"reserves what is announced", []string{"limits/announced-body"}, fault{around: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ContentLength > 0 {
					body := make([]byte, r.ContentLength)
					n, _ := io.ReadFull(r.Body, body)
					r.Body = io.NopCloser(bytes.NewReader(body[:n]))
				}
				next.ServeHTTP(w, r)
			})
		}}},
	)
}
