package host

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// QueryValue returns the first value of key in a raw query, "" when it is
// absent or its escaping is broken.
func QueryValue(raw, key string) string {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != key {
			if !strings.ContainsAny(k, "%+") {
				continue
			}
			if u, err := url.QueryUnescape(k); err != nil || u != key {
				continue
			}
		}
		if !strings.ContainsAny(v, "%+") {
			return v
		}
		u, err := url.QueryUnescape(v)
		if err != nil {
			return ""
		}
		return u
	}
	return ""
}

// QueryCount returns how often key occurs in a raw query. A control parameter
// that occurs twice is refused: proxies and servers disagree about which one counts.
func QueryCount(raw, key string) (n int) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		k, _, _ := strings.Cut(pair, "=")
		if k == key {
			n++
		} else if strings.ContainsAny(k, "%+") {
			if u, err := url.QueryUnescape(k); err == nil && u == key {
				n++
			}
		}
	}
	return n
}

// HandshakeError is a request that is no valid websocket opening handshake. It
// wraps ErrHandshake.
type HandshakeError struct {
	Status int    // 400, or 426 for a version other than 13
	Reason string // which part is missing
}

// Error implements error.
func (e *HandshakeError) Error() string { return fmt.Sprintf("%v: %s", ErrHandshake, e.Reason) }

// Unwrap makes errors.Is(err, ErrHandshake) true.
func (e *HandshakeError) Unwrap() error { return ErrHandshake }

// CheckHandshake validates the opening handshake of RFC 6455, section 4.2.1,
// before the connection is taken, while an HTTP answer is still possible. Hosts
// that bring their own Exchange call it first in Upgrade.
func CheckHandshake(x Exchange) error {
	bad := func(reason string) error { return &HandshakeError{Status: http.StatusBadRequest, Reason: reason} }
	switch {
	case x.Method() != http.MethodGet:
		return bad("the method is not GET")
	case !hasToken(x.Header("Connection"), "upgrade"):
		return bad("no upgrade token in Connection")
	case !hasToken(x.Header("Upgrade"), "websocket"):
		return bad("no websocket token in Upgrade")
	case x.Header("Sec-WebSocket-Version") != "13":
		if x.Header("Sec-WebSocket-Version") == "" {
			return bad("no Sec-WebSocket-Version")
		}
		return &HandshakeError{Status: http.StatusUpgradeRequired, Reason: "Sec-WebSocket-Version is not 13"}
	case len(x.Header("Sec-WebSocket-Key")) != 24:
		return bad("Sec-WebSocket-Key is not 24 characters")
	}
	return nil
}

// WantsUpgrade reports whether the request asks for a websocket, well-formed or not.
func WantsUpgrade(x Exchange) bool {
	return hasToken(x.Header("Connection"), "upgrade") && hasToken(x.Header("Upgrade"), "websocket")
}

// hasToken looks for a token in a comma-separated header, ignoring case.
func hasToken(header, token string) bool {
	for header != "" {
		var t string
		t, header, _ = strings.Cut(header, ",")
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
	}
	return false
}

// FormField returns the one value of a field in a body of the type
// application/x-www-form-urlencoded. A field that is missing, doubled or badly
// escaped is an error.
func FormField(body []byte, key string) (string, error) {
	var value string
	found := false
	for rest := string(body); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != key {
			continue
		}
		if found {
			return "", fmt.Errorf("field %s occurs twice", key)
		}
		var err error
		if value, err = url.QueryUnescape(v); err != nil {
			return "", fmt.Errorf("field %s: %w", key, err)
		}
		found = true
	}
	if !found {
		return "", fmt.Errorf("no field %s", key)
	}
	return value, nil
}
