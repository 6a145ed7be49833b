package sio

import "sync"

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

// ValueStore keeps values for application code: a *Socket or a *Namespace. They die
// with it.
type ValueStore interface {
	// Set keeps value under key.
	Set(key, value any)
	// Get returns what is kept under key, or nil.
	Get(key any) any
	// GetOrSet returns what is kept under key, made by mk if there is nothing. mk
	// must not touch the holder.
	GetOrSet(key any, mk func() any) any
}

var (
	_ ValueStore = (*Socket)(nil)
	_ ValueStore = (*Namespace)(nil)
)

// Key is a typed place for one value with each socket or namespace. Keys are
// made once, as package variables; two keys never share a place, whatever their names.
type Key[T any] struct{ name string }

// NewKey returns a new key. The name is for people who debug.
func NewKey[T any](name string) *Key[T] { return &Key[T]{name} }

// String is the key's name.
func (k *Key[T]) String() string { return k.name }

// Set keeps v with h.
func (k *Key[T]) Set(h ValueStore, v T) { h.Set(k, v) }

// Get returns what h keeps; ok tells whether there is anything.
func (k *Key[T]) Get(h ValueStore) (v T, ok bool) {
	v, ok = h.Get(k).(T)
	return v, ok
}

// GetOrSet returns what h keeps, made by mk if there is nothing yet. mk must not
// touch h.
func (k *Key[T]) GetOrSet(h ValueStore, mk func() T) T {
	v, _ := h.GetOrSet(k, func() any { return mk() }).(T)
	return v
}
