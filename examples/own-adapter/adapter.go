// Package ownadapter is an adapter that is not one of the project's: for
// julienschmidt/httprouter, as anybody would write one. Its test is the suite.
package ownadapter

import (
	"net/http"
	"strings"

	"github.com/julienschmidt/httprouter"

	"github.com/siokit/siokit/core/host"
)

// methods are all that reach the server: it refuses the others itself.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Mount registers h at path and below it, for clients with and without the slash
// at the end.
func Mount(r *httprouter.Router, path string, h host.Handler) {
	path = strings.TrimRight(path, "/")
	for _, method := range methods {
		r.Handle(method, path, handle(h, path))
		r.Handle(method, path+"/*siokit", handle(h, path+"/*siokit"))
	}
}

// handle makes an exchange of a request. That is all there is to an adapter over
// net/http.
func handle(h host.Handler, pattern string) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, ps httprouter.Params) {
		host.ServeHTTP(h, w, r, host.HTTPConfig{Path: ps.ByName("siokit"), Details: func() host.Details {
			params := make(map[string]string, len(ps))
			for _, p := range ps {
				params[p.Key] = p.Value
			}
			return host.Details{RoutePattern: pattern, Params: params}
		}})
	}
}
