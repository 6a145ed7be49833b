package httpreq

import "strings"

// Headers are those of a request, as a host.Exchange has them.
type Headers interface {
	// Header is the first value of a header, "" when absent.
	Header(key string) string
	// EachHeader calls f for every value of every header.
	EachHeader(f func(key, value string))
}

// WantsUpgrade reports whether the request asks for a websocket, well-formed or not.
func WantsUpgrade(x Headers) bool {
	return x.Header("Upgrade") != "" && HasToken(x, "Connection", "upgrade") && HasToken(x, "Upgrade", "websocket")
}

// Tokens calls f for each element of the lists in all lines of a header, until
// it returns false.
func Tokens(x Headers, header string, f func(token string) bool) {
	more := true
	x.EachHeader(func(k, v string) {
		if !more || !strings.EqualFold(k, header) {
			return
		}
		for v != "" && more {
			var t string
			t, v, _ = strings.Cut(v, ",")
			more = f(strings.Trim(t, " \t"))
		}
	})
}

// HasToken looks for a token in all lines of a header, ignoring case: some
// clients and proxies send "Connection" twice.
func HasToken(x Headers, header, token string) (found bool) {
	if strings.EqualFold(strings.Trim(x.Header(header), " \t"), token) {
		return true // as most clients send it
	}
	Tokens(x, header, func(t string) bool {
		found = strings.EqualFold(t, token)
		return !found
	})
	return found
}
