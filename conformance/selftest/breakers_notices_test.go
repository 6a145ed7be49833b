package selftest

import (
	"net/http"
	"strings"
	"sync/atomic"
)

func init() {
	var n atomic.Int64
	more = append(more,
		breaker{"answers every other request by itself", []string{"notices"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/socket.io") && n.Add(1)%2 == 0 {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			return false
		})}},
	)
}
