package host

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// HandshakeError is a request that is no valid websocket opening handshake. It
// wraps ErrHandshake.
type HandshakeError struct {
	Status int    // 400, or 426 for a version other than 13
	Reason string // which part is missing
}

var _ error = (*HandshakeError)(nil)

func (e *HandshakeError) Error() string { return fmt.Sprintf("%v: %s", ErrHandshake, e.Reason) }

// Unwrap makes errors.Is(err, ErrHandshake) true.
func (e *HandshakeError) Unwrap() error { return ErrHandshake }

// CheckHandshake validates the opening handshake of RFC 6455, section 4.2.1,
// before the connection is taken, while an HTTP answer is still possible. Hosts
// that bring their own Exchange call it first in Upgrade.
func CheckHandshake(x Exchange) error {
	bad := func(reason string) error { return &HandshakeError{Status: http.StatusBadRequest, Reason: reason} }
	switch version := strings.TrimSpace(x.Header("Sec-WebSocket-Version")); {
	case x.Method() != http.MethodGet:
		return bad("the method is not GET")
	case !hasToken(x, "Connection", "upgrade"):
		return bad("no upgrade token in Connection")
	case !hasToken(x, "Upgrade", "websocket"):
		return bad("no websocket token in Upgrade")
	case version == "":
		return bad("no Sec-WebSocket-Version")
	case version != "13":
		return &HandshakeError{Status: http.StatusUpgradeRequired, Reason: "Sec-WebSocket-Version is not 13"}
	case len(strings.TrimSpace(x.Header("Sec-WebSocket-Key"))) != 24:
		return bad("Sec-WebSocket-Key is not 24 characters")
	}
	return nil
}

// WantsUpgrade reports whether the request asks for a websocket, well-formed or not.
func WantsUpgrade(x Exchange) bool {
	return x.Header("Upgrade") != "" && hasToken(x, "Connection", "upgrade") && hasToken(x, "Upgrade", "websocket")
}

// SwitchingProtocols is the answer 101 to an opening handshake that
// CheckHandshake has accepted, ready to be written on the connection. It chooses
// a subprotocol by opts, and carries cookies: the Set-Cookie lines that the host
// has put on its answer, which would be lost otherwise.
func SwitchingProtocols(x Exchange, opts UpgradeOptions, cookies []string) []byte {
	sum := sha1.Sum([]byte(strings.TrimSpace(x.Header("Sec-WebSocket-Key")) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	b := make([]byte, 0, 256)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if p := subprotocol(x, opts.Protocols); p != "" {
		b = append(append(b, "\r\nSec-WebSocket-Protocol: "...), p...)
	}
	for _, c := range cookies {
		if !strings.ContainsAny(c, "\r\n") {
			b = append(append(b, "\r\nSet-Cookie: "...), c...)
		}
	}
	return append(b, "\r\n\r\n"...)
}

// subprotocol is the first one that the client offers and the server speaks. A
// server that does not say what it speaks takes the first one: clients that offer
// some fail without an answer, and Socket.IO is the same with any.
func subprotocol(x Exchange, speaks []string) (chosen string) {
	if x.Header("Sec-WebSocket-Protocol") == "" {
		return ""
	}
	tokens(x, "Sec-WebSocket-Protocol", func(offered string) bool {
		if !isToken(offered) {
			return true
		}
		if speaks == nil {
			chosen = offered
			return false
		}
		for _, p := range speaks {
			if p == offered {
				chosen = offered
				return false
			}
		}
		return true
	})
	return chosen
}

// FirstHeader is the first value of a request header in whatever case its name is
// written, "" when absent. It looks at every header: it is for Exchange.Header of
// a host that knows none but those of the right case.
func FirstHeader(x Exchange, key string) (value string) {
	found := false
	x.EachHeader(func(k, v string) {
		if !found && strings.EqualFold(k, key) {
			found, value = true, v
		}
	})
	return value
}

// tokens calls f for each element of the lists in all lines of a header, until
// it returns false.
func tokens(x Exchange, header string, f func(token string) bool) {
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

// hasToken looks for a token in all lines of a header, ignoring case: some
// clients and proxies send "Connection" twice.
func hasToken(x Exchange, header, token string) (found bool) {
	if strings.EqualFold(strings.Trim(x.Header(header), " \t"), token) {
		return true // as most clients send it
	}
	tokens(x, header, func(t string) bool {
		found = strings.EqualFold(t, token)
		return !found
	})
	return found
}

// isToken reports whether s is a token of RFC 9110.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
