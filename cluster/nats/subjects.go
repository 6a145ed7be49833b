package natsbus

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/siokit/siokit/core/cluster"
)

// maxPlain is the longest name, and maxToken the longest room or namespace, that is not
// replaced by its hash. A subject with two of them stays far below the 4 096 bytes that a
// line of the protocol may have.
const (
	maxPlain = 64
	maxToken = 64
)

// subjects says on which subject a message travels. Two rooms never share one: a hash has a
// first character that base64url has not. No namespace is taken for "node": its slash makes
// base64url begin with another letter.
type subjects struct{ app string }

func (s subjects) nodes() string { return s.app + ".nodes" }

func (s subjects) node(name string) string {
	if !plain(name) {
		name = hash(name)
	}
	return s.app + ".node." + name
}

func (s subjects) room(namespace, room string) string {
	if room == "" {
		return s.app + "." + token(namespace) + ".all"
	}
	return s.app + "." + token(namespace) + ".r." + token(room)
}

// watched is the subject of a room or namespace with sockets.
func (s subjects) watched(i cluster.Interest) string { return s.room(i.Namespace, i.Room) }

// of is the subject of a message.
func (s subjects) of(m *cluster.Message) string {
	switch {
	case m.To != "":
		return s.node(m.To)
	case m.Namespace == "", m.Kind > cluster.CloseTransport, m.Kind == cluster.Emit && m.ID != "":
		return s.nodes()
	case len(m.Rooms) == 1:
		return s.room(m.Namespace, m.Rooms[0])
	}
	return s.room(m.Namespace, "")
}

// plain says whether a name can be part of a subject as it is.
func plain(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= maxPlain
}

// token makes any text a part of a subject, which must not hold dots, spaces, stars and the
// like.
func token(text string) string {
	if text == "" || len(text) > maxToken {
		return hash(text)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}
