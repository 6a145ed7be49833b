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
	var buf [192]byte
	return string(s.appendNode(buf[:0], name))
}

func (s subjects) appendNode(b []byte, name string) []byte {
	if !plain(name) {
		name = hash(name)
	}
	return append(append(append(b, s.app...), ".node."...), name...)
}

func (s subjects) room(namespace, room string) string {
	var buf [192]byte
	return string(s.appendRoom(buf[:0], namespace, room))
}

func (s subjects) appendRoom(b []byte, namespace, room string) []byte {
	b = appendToken(append(append(b, s.app...), '.'), namespace)
	if room == "" {
		return append(b, ".all"...)
	}
	return appendToken(append(b, ".r."...), room)
}

// watched is the subject of a room or namespace with sockets.
func (s subjects) watched(i cluster.Interest) string { return s.room(i.Namespace, i.Room) }

// appendOf appends the subject of a message.
func (s subjects) appendOf(b []byte, m *cluster.Message) []byte {
	switch {
	case m.To != "":
		return s.appendNode(b, m.To)
	case m.Namespace == "", m.Kind > cluster.CloseTransport, m.Kind == cluster.Emit && m.ID != "":
		return append(b, s.nodes()...)
	case len(m.Rooms) == 1:
		return s.appendRoom(b, m.Namespace, m.Rooms[0])
	}
	return s.appendRoom(b, m.Namespace, "")
}

// subject is the subject of a message. Messages to one room often follow each other, and share
// the text.
func (b *backend) subject(m *cluster.Message) string {
	if b.name = b.subjects.appendOf(b.name[:0], m); string(b.name) != b.last {
		b.last = string(b.name)
	}
	return b.last
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

// appendToken makes any text a part of a subject, which must not hold dots, spaces, stars and
// the like.
func appendToken(b []byte, text string) []byte {
	if text == "" || len(text) > maxToken {
		return append(b, hash(text)...)
	}
	var raw [maxToken]byte
	return base64.RawURLEncoding.AppendEncode(b, raw[:copy(raw[:], text)])
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}
