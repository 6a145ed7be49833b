package host

import (
	"net/http"
	"strings"
)

// belowPattern is the part of r's path below the pattern by which http.ServeMux has found
// its handler ("/socket.io/", or with wildcards in front).
func belowPattern(r *http.Request) string {
	_, path, _ := strings.Cut(patternPath(r.Pattern), "/") // a host may stand in front
	rest := strings.TrimPrefix(r.URL.Path, "/")
	for _, seg := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		if seg == "" || strings.HasSuffix(seg, "...}") {
			break
		}
		_, rest, _ = strings.Cut(rest, "/")
	}
	return rest
}

// patternPath is a pattern of http.ServeMux without its method.
func patternPath(pattern string) string {
	if _, p, found := strings.Cut(pattern, " "); found {
		return strings.TrimLeft(p, " ")
	}
	return pattern
}

// fromPattern fills in the route and its parameters, the wildcards of the pattern.
func (x *httpExchange) fromPattern(d *Details) {
	pattern := patternPath(x.r.Pattern)
	if d.RoutePattern == "" {
		d.RoutePattern = pattern
	}
	if len(d.Params) > 0 {
		return
	}
	for seg := range strings.SplitSeq(pattern, "/") {
		name, ok := strings.CutPrefix(seg, "{")
		if !ok || !strings.HasSuffix(name, "}") {
			continue
		}
		name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
		if d.Params == nil {
			d.Params = make(map[string]string)
		}
		d.Params[name] = x.r.PathValue(name)
	}
}
