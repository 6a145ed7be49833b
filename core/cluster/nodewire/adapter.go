package nodewire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/msgpack"
)

// The types of messages of ClusterAdapter. 1, 2 and 13 are heartbeats and goodbyes, which
// Redis does not need: it knows how many nodes listen.
const (
	adapterBroadcast      = 3
	adapterJoin           = 4
	adapterLeave          = 5
	adapterDisconnect     = 6
	adapterFetch          = 7
	adapterSockets        = 8
	adapterServerEvent    = 9
	adapterServerResponse = 10
	adapterClientCount    = 11
	adapterAck            = 12
)

// adapterType is the type of a message of a kind, 0 when ClusterAdapter has none.
func adapterType(k cluster.Kind) uint64 {
	switch k {
	case cluster.Emit:
		return adapterBroadcast
	case cluster.Join:
		return adapterJoin
	case cluster.Leave:
		return adapterLeave
	case cluster.Disconnect, cluster.Close:
		return adapterDisconnect
	case cluster.Fetch:
		return adapterFetch
	case cluster.Sockets:
		return adapterSockets
	case cluster.ServerEvent:
		return adapterServerEvent
	case cluster.Answer:
		return adapterServerResponse
	case cluster.Asked:
		return adapterClientCount
	case cluster.Acked:
		return adapterAck
	}
	return 0
}

// AppendSharded appends m as it is published in [AdapterChannel] of the sharded wire: JSON,
// or msgpack when it has attachments. Of an Answer or Acked Node knows the first argument
// alone, of a Fetch nothing of OnlyIDs. Errors are those of [AppendClassic].
func AppendSharded(b []byte, m *cluster.Message) ([]byte, error) {
	w := writer{b: b, start: len(b), json: !binary(m), dialect: msgpack.Notepack3}
	w.envelope(m)
	return w.done(b)
}

// AppendStreams appends m as it is published in [AdapterChannel] beside streams, as msgpack.
// It is for messages that are not [Streamed]. Errors are those of [AppendClassic].
func AppendStreams(b []byte, m *cluster.Message) ([]byte, error) {
	w := writer{b: b, start: len(b), dialect: msgpack.Msgpack2}
	if Streamed(m) {
		w.malformed("%v belongs into the stream", m.Kind)
	}
	w.envelope(m)
	return w.done(b)
}

// Streamed reports whether m is an entry of a stream. Requests with their answers are
// published instead.
func Streamed(m *cluster.Message) bool {
	switch m.Kind {
	case cluster.Emit:
		return m.ID == ""
	case cluster.Join, cluster.Leave, cluster.Disconnect, cluster.Close:
		return true
	}
	return false
}

// Entry is an entry of a stream by its four fields: uid, nsp, type and data.
type Entry struct {
	Node      string // the field uid
	Namespace string // the field nsp
	Type      string
	Data      []byte
}

// AppendEntry makes an entry of a message that is [Streamed]: its Data, which it appends to
// b, is JSON, or the base64 of msgpack when m has attachments. Errors are those of
// [AppendClassic].
func AppendEntry(b []byte, m *cluster.Message) (Entry, error) {
	w := writer{b: b, start: len(b), json: !binary(m), dialect: msgpack.Msgpack2}
	if !Streamed(m) {
		return Entry{}, fmt.Errorf("%w: %v does not belong into a stream", errMalformed, m.Kind)
	}
	if w.checkAdapter(m); w.err == nil {
		w.data(m)
	}
	out, err := w.done(b)
	if err != nil {
		return Entry{}, err
	}
	if !w.json {
		n := base64.StdEncoding.EncodedLen(len(out) - len(b))
		end := len(out)
		out = slices.Grow(out, n)
		base64.StdEncoding.Encode(out[end:end+n], out[len(b):end])
		out = append(out[:len(b)], out[end:end+n]...)
	}
	return Entry{Node: uid(m), Namespace: m.Namespace, Type: strconv.FormatUint(adapterType(m.Kind), 10), Data: out[len(b):]}, nil
}

// binary reports whether m needs msgpack, because there may be a placeholder in what is sent.
func binary(m *cluster.Message) bool {
	if len(m.Attachments) == 0 {
		return false
	}
	var text []byte
	switch m.Kind {
	case cluster.Emit, cluster.ServerEvent:
		text = m.Data
	case cluster.Answer, cluster.Acked:
		text, _ = firstArgument(m.Data)
	}
	return bytes.Contains(text, []byte("_placeholder")) || bytes.Contains(text, []byte(`\u`)) // an escape may be part of the key
}

// checkAdapter is check for ClusterAdapter.
func (w *writer) checkAdapter(m *cluster.Message) {
	if w.check(m); w.err == nil && adapterType(m.Kind) == 0 {
		w.fail(fmt.Errorf("%w: a message of kind %v", ErrNotOnWire, m.Kind))
	}
}

func (w *writer) envelope(m *cluster.Message) {
	if w.checkAdapter(m); w.err != nil {
		return
	}
	w.object(4)
	w.key("type")
	w.uint(adapterType(m.Kind))
	w.key("data")
	w.data(m)
	w.key("uid")
	w.text(uid(m))
	w.key("nsp")
	w.text(m.Namespace)
	w.end('}')
}

func (w *writer) data(m *cluster.Message) {
	n := 2
	if m.Kind == cluster.Emit && m.ID != "" {
		n = 3
	}
	if m.Kind == cluster.ServerEvent && m.ID == "" {
		n = 1
	}
	w.object(n)
	switch m.Kind {
	case cluster.Emit:
		w.key("packet")
		w.packet(m, false)
		if m.ID != "" {
			w.request(m)
		}
		w.opts(m)
	case cluster.Join, cluster.Leave:
		w.opts(m)
		w.key("rooms")
		w.texts(m.Names)
	case cluster.Disconnect, cluster.Close:
		w.opts(m)
		w.key("close")
		w.bool(m.Kind == cluster.Close)
	case cluster.Fetch:
		w.opts(m)
		w.request(m)
	case cluster.ServerEvent:
		if m.ID != "" {
			w.request(m)
		}
		w.key("packet")
		w.event(m)
	case cluster.Sockets:
		w.request(m)
		w.sockets(m, false)
	case cluster.Answer, cluster.Acked:
		w.request(m)
		w.key("packet")
		w.first(m)
	case cluster.Asked:
		w.request(m)
		w.clientCount(m)
	}
	w.end('}')
}

func (w *writer) request(m *cluster.Message) {
	w.key("requestId")
	w.text(m.ID)
}

func (w *writer) opts(m *cluster.Message) {
	w.key("opts")
	w.target(m, true, false)
}
