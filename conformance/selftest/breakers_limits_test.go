package selftest

import (
	"net/http"
	"strconv"
	"sync/atomic"
)

func init() {
	var client atomic.Int64
	more = append(more,
		breaker{"has every client come from an address of its own", []string{"limits/pending", "limits/pending-peer", "limits/connections"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			n := strconv.FormatInt(client.Add(1), 10)
			r.RemoteAddr = "192.0.2." + n + ":1"
			if r.Header.Get("X-Client") != "" {
				r.Header.Set("X-Client", n)
			}
			return false
		})}},
		breaker{"asks again when the server is full", []string{"limits/pending-end"}, fault{around: answers(func(_ *http.Request, a *answer) {
			if a.status == http.StatusServiceUnavailable {
				a.status = http.StatusOK
			}
		})}},
	)
}
