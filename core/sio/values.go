package sio

import (
	"encoding/json"
	"errors"
	"sync"
)

// values are what application code keeps with a socket or a namespace.
type values struct {
	mu sync.Mutex
	m  map[any]any
}

func (v *values) set(key, value any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.m == nil {
		v.m = make(map[any]any)
	}
	v.m[key] = value
}

func (v *values) get(key any) any {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.m[key]
}

func (v *values) getOrSet(key any, mk func() any) any {
	v.mu.Lock()
	defer v.mu.Unlock()
	if have, ok := v.m[key]; ok {
		return have
	}
	if v.m == nil {
		v.m = make(map[any]any)
	}
	made := mk()
	v.m[key] = made
	return made
}

// ValueStore keeps values for application code: a *Socket, a *Conn or a *Namespace. The
// values end with it. They have nothing to do with the web session.
type ValueStore interface {
	// Set keeps value under key.
	Set(key, value any)
	// Get returns the value under key, or nil.
	Get(key any) any
	// GetOrSet returns the value under key; when there is none, it keeps the result of
	// mk and returns that. mk runs with the store locked, so it must not use the store.
	GetOrSet(key any, mk func() any) any
}

var (
	_ ValueStore = (*Socket)(nil)
	_ ValueStore = (*Namespace)(nil)
)

// Key is a typed place for one value with each socket, connection or namespace. A key
// is made once and held in a package variable. Two keys never share a place, whatever
// their names.
type Key[T any] struct {
	name     string
	restored bool
}

// NewKey returns a new key. The name is for debugging only.
func NewKey[T any](name string) *Key[T] { return &Key[T]{name: name} }

// RestoredKey is NewKey for values that belong to the client rather than to one connection: the
// socket of a client that is recovered has those of the earlier socket. See Options.Recovery.
//
// To another process a value travels as JSON, by Options.JSON: what that leaves out, such as fields
// that are not exported, is missing there. There the key is found by its name. A client that has a
// value which is no JSON, or whose name two keys have, is not recovered by another process. With a
// cluster.Journal values are JSON for a client that comes back to the same process, too; without
// one, a client with a value whose name no key has there is not recovered there.
//
// In a cluster the values are encoded where the handlers of the socket run, with none of them beside:
// behind OnDisconnect, and with Recovery.StoreLive also behind OnConnect, before the client is told
// that it is connected, and between two handlers, now and then. So what OnConnect, handlers and
// OnDisconnect change in a value needs no lock for that. What else changes one, a Loop, Socket.Go, a
// Concurrent handler with StoreLive, or any other goroutine, has to Set a new value in its place, or
// the value's MarshalJSON takes the lock under which it is changed.
func RestoredKey[T any](name string) *Key[T] {
	k := &Key[T]{name: name, restored: true}
	restoredKeys.add(k)
	return k
}

func (k *Key[T]) isRestored() bool { return k.restored }
func (k *Key[T]) called() string   { return k.name }

// decoded is a value of the key.
func (k *Key[T]) decoded(s *Server, data []byte) (v any, err error) {
	err = errExit
	defer s.caught(inDecode, "", nil, nil, &err)
	var to T
	err = s.opts.JSON.Unmarshal(data, &to)
	return to, err
}

// restoredKey is a Key of any type that RestoredKey has made.
type restoredKey interface {
	isRestored() bool
	called() string
	decoded(s *Server, data []byte) (any, error)
}

// restoredKeys are all by their names; nil for a name that several have.
var restoredKeys keyNames

type keyNames struct {
	mu sync.Mutex
	m  map[string]restoredKey
}

func (kn *keyNames) add(k restoredKey) {
	kn.mu.Lock()
	defer kn.mu.Unlock()
	name := k.called()
	if kn.m == nil {
		kn.m = make(map[string]restoredKey)
	}
	if _, twice := kn.m[name]; twice {
		k = nil
	}
	kn.m[name] = k
}

func (kn *keyNames) get(name string) restoredKey {
	kn.mu.Lock()
	defer kn.mu.Unlock()
	return kn.m[name]
}

// shared reports whether several keys have a name.
func (kn *keyNames) shared(name string) bool {
	kn.mu.Lock()
	defer kn.mu.Unlock()
	k, there := kn.m[name]
	return there && k == nil
}

// Values that another process cannot have.
var (
	errTwoKeys = errors.New("sio: two keys of RestoredKey have the same name")
	errNotJSON = errors.New("sio: a value of a RestoredKey is not encoded as JSON")
)

// encodeValues are values as other processes get them, by the names of their keys. One that was never
// asked for here goes on as it came.
func (s *Server) encodeValues(values map[any]any) (data map[string]json.RawMessage, err error) {
	data = make(map[string]json.RawMessage, len(values))
	for key, value := range values {
		k, _ := key.(restoredKey)
		if sent, ok := value.(sentValue); ok {
			if data[k.called()] == nil {
				data[k.called()] = sent.raw
			}
			continue
		}
		if restoredKeys.get(k.called()) != k {
			return nil, errTwoKeys
		}
		text, err := s.marshal(value)
		if err != nil {
			return nil, err
		}
		if !json.Valid(text) {
			return nil, errNotJSON
		}
		data[k.called()] = text
	}
	return data, nil
}

// decodeValues is the opposite of encodeValues.
func (s *Server) decodeValues(data map[string]json.RawMessage) (values map[any]any, ok bool) {
	for name, text := range data {
		k := restoredKeys.get(name)
		if k == nil {
			return nil, false
		}
		v, err := k.decoded(s, text)
		if err != nil {
			return nil, false
		}
		if values == nil {
			values = make(map[any]any)
		}
		values[k] = v
	}
	return values, true
}

// restorable are the values that a recovered socket gets, nil for none.
func (v *values) restorable() (kept map[any]any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, value := range v.m {
		if k, ok := key.(restoredKey); ok && k.isRestored() {
			if kept == nil {
				kept = make(map[any]any)
			}
			kept[key] = value
		}
	}
	return kept
}

// Set keeps v with h, in place of an earlier value.
func (k *Key[T]) Set(h ValueStore, v T) { h.Set(k, v) }

// Get returns the value that h keeps; ok is false when there is none.
func (k *Key[T]) Get(h ValueStore) (v T, ok bool) {
	if v, ok = h.Get(k).(T); !ok && k.restored {
		return k.thaw(h)
	}
	return v, ok
}

// GetOrSet returns the value that h keeps, and keeps the result of mk when there is
// none. mk runs with h locked, so it must not use h.
func (k *Key[T]) GetOrSet(h ValueStore, mk func() T) T {
	if k.restored {
		if v, ok := k.Get(h); ok {
			return v
		}
	}
	v, _ := h.GetOrSet(k, func() any { return mk() }).(T)
	return v
}
