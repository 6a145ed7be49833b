package selftest

import (
	"net/http"
	"strings"
)

func init() {
	more = append(more,
		breaker{"wants a version in every query", []string{"clients/no-version", "clients/assumed"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("transport") && !r.URL.Query().Has("EIO") {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			return false
		})}},
		breaker{"has no paths below its own", []string{"clients/below-the-path-of-0.9", "clients/0.9-transport-without-session"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/socket.io/") && len(r.URL.Path) > len("/socket.io/") {
				http.NotFound(w, r)
				return true
			}
			return false
		})}},
		breaker{"refuses parameters without a value", []string{"clients/empty-sid"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if q := r.URL.Query(); q.Has("sid") && q.Get("sid") == "" {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			return false
		})}},
		breaker{"ends polls with the wrong packet", []string{"clients/no-probe", "clients/goodbye-crosses-poll"}, fault{around: answers(func(r *http.Request, a *answer) {
			if r.Method == http.MethodGet && a.body.String() == "6" {
				a.body.Reset()
				a.body.WriteString("1")
			}
		})}},
		breaker{"calls every answer text", []string{"clients/binary-payloads", "clients/payload-options"}, fault{around: answers(func(_ *http.Request, a *answer) { a.head.Set("Content-Type", "text/plain; charset=UTF-8") })}},
		breaker{"mends what looks encoded twice", []string{"clients/text-of-1.x-back"}, fault{around: replaced("Ã©", "é")}},
		breaker{"knows GET and POST alone", []string{"clients/other-methods"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet && r.Method != http.MethodPost {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return true
			}
			return false
		})}},
	)
}
