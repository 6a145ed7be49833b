package sio

import (
	"bytes"
	"encoding/json"
	"maps"
)

// How the values of RestoredKeys get to other processes. A value may be encoded only where the
// handlers of its socket run, in a task of its namespace: they change it without a lock. So what is
// stored, or told to other nodes, is what was encoded there last.

// frozen are the values of a session as they were encoded last.
type frozen struct {
	known  bool // they were encoded, for this socket or the one before
	values map[string]json.RawMessage
	err    error // another process cannot have them
}

// same reports whether values are encoded as others are.
func (f frozen) same(as frozen) bool {
	return f.known == as.known && f.err == nil && as.err == nil &&
		maps.EqualFunc(f.values, as.values, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// freeze encodes the values of the RestoredKeys of a socket. It is called in a task of the socket's
// namespace, with no lock held: it takes application code.
func (s *Socket) freeze(values map[any]any) frozen {
	f := frozen{known: true}
	if len(values) > 0 {
		f.err = s.ns.srv.apart(inEncode, s.client, s, func() (err error) {
			f.values, err = s.ns.srv.encodeValues(values)
			return err
		})
	}
	return f
}

// sentKey is the place of a value of a RestoredKey with this name that another process has had,
// until it is asked for.
type sentKey string

func (sentKey) isRestored() bool { return true }
func (k sentKey) called() string { return string(k) }

// decoded is for restoredKey: a value that nobody has asked for goes on as it came.
func (sentKey) decoded(*Server, []byte) (any, error) { return nil, errExit }

type sentValue struct {
	raw  json.RawMessage
	json JSON
}

// thaw decodes a value that another process has had.
func (k *Key[T]) thaw(h ValueStore) (v T, ok bool) {
	sent, ok := h.Get(sentKey(k.name)).(sentValue)
	if !ok || restoredKeys.shared(k.name) || sent.json.Unmarshal(sent.raw, &v) != nil {
		var none T
		return none, false
	}
	v, ok = h.GetOrSet(k, func() any { return v }).(T)
	return v, ok
}
