package host

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/siokit/siokit/core/internal/httpreq"
)

// handshakeError is a request that is no valid opening handshake.
type handshakeError struct {
	status int
	reason string // which part is missing
}

func (e *handshakeError) Error() string { return fmt.Sprintf("%v: %s", ErrHandshake, e.reason) }

func (e *handshakeError) Unwrap() error { return ErrHandshake }

// HTTPStatus is the status of the answer; see ErrHandshake.
func (e *handshakeError) HTTPStatus() int { return e.status }

// checkHandshake validates the opening handshake of RFC 6455, section 4.2.1.
func checkHandshake(x Exchange) error {
	bad := func(reason string) error { return &handshakeError{http.StatusBadRequest, reason} }
	switch version := strings.TrimSpace(x.Header("Sec-WebSocket-Version")); {
	case x.Method() != http.MethodGet:
		return bad("the method is not GET")
	case !httpreq.HasToken(x, "Connection", "upgrade"):
		return bad("no upgrade token in Connection")
	case !httpreq.HasToken(x, "Upgrade", "websocket"):
		return bad("no websocket token in Upgrade")
	case version == "":
		return bad("no Sec-WebSocket-Version")
	case version != "13":
		return &handshakeError{http.StatusUpgradeRequired, "Sec-WebSocket-Version is not 13"}
	case len(strings.TrimSpace(x.Header("Sec-WebSocket-Key"))) != 24:
		return bad("Sec-WebSocket-Key is not 24 characters")
	}
	return nil
}

// SwitchingProtocols checks the opening handshake of x, by RFC 6455, section 4.2.1, and
// returns the answer 101 to it, ready to be written on the connection. The Upgrade of an
// Exchange calls it before it takes the connection, while an HTTP answer is still
// possible; the error wraps [ErrHandshake].
//
// The answer has a subprotocol chosen by opts, and cookies: the values of the Set-Cookie
// headers that the host has put on its answer, which would be lost otherwise. A host that
// serves HTTP/1.0 too refuses that itself.
func SwitchingProtocols(x Exchange, opts UpgradeOptions, cookies []string) (answer []byte, err error) {
	if err := checkHandshake(x); err != nil {
		return nil, err
	}
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
	return append(b, "\r\n\r\n"...), nil
}

// subprotocol is the first one that the client offers and the server speaks. A
// server that does not say what it speaks takes the first one: clients that offer
// some fail without an answer, and Socket.IO is the same with any.
func subprotocol(x Exchange, speaks []string) (chosen string) {
	if x.Header("Sec-WebSocket-Protocol") == "" {
		return ""
	}
	httpreq.Tokens(x, "Sec-WebSocket-Protocol", func(offered string) bool {
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
