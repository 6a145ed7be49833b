package keep

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// reach is what values of a type can hold, as far as the type alone says.
type reach struct {
	bound reflect.Type // belongs to a request; nil: none
	open  bool         // there is something that may hold anything
}

// reaches remembers the reach of types: a program has a bounded number of them.
var reaches sync.Map

// reachOf follows all that t is made of. It asks no type for its package: those of
// the standard library hold what they are given (a bufio.Writer, a list.List), and
// a path does not tell them from those of an application.
func reachOf(t reflect.Type) reach {
	if r, ok := reaches.Load(t); ok {
		return r.(reach)
	}
	var r reach
	r.follow(t, make(map[reflect.Type]bool))
	reaches.Store(t, r)
	return r
}

func (r *reach) follow(t reflect.Type, seen map[reflect.Type]bool) {
	if r.bound != nil || seen[t] || among(t, sharedTypes) {
		return
	}
	seen[t] = true
	if requestBound(t) {
		r.bound = t
		return
	}
	switch t.Kind() {
	case reflect.Interface, reflect.Func, reflect.UnsafePointer:
		r.open = true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		r.follow(t.Elem(), seen)
	case reflect.Map:
		r.follow(t.Key(), seen)
		r.follow(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			r.follow(t.Field(i).Type, seen)
		}
	}
}

// looker looks through what is not copied, the nearest parts first. They wait in a
// list, not on the stack, so that a chain may be as long as it likes.
type looker struct {
	*copier
	list []reflect.Value
	seen map[place]bool
}

// place is a value that a pointer has led to.
type place struct {
	p unsafe.Pointer
	t reflect.Type
}

// look refuses what v leads to when it belongs to a request, or cannot be seen.
// Copy says what is read and why.
func (c *copier) look(v reflect.Value) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return
	}
	root := v.Type()
	l := looker{copier: c}
	for l.add(v); len(l.list) > 0 && c.why == ""; {
		v, l.list = l.list[0], l.list[1:]
		if why := l.step(v); why != "" {
			c.refuse(root, why)
		}
	}
}

// add puts a part on the list when its type leaves it open what is in it.
func (l *looker) add(v reflect.Value) {
	if r := reachOf(v.Type()); r.bound != nil || r.open {
		l.part(v.Type())
		l.list = append(l.list, v)
	}
}

// step looks at one part, and returns why it cannot be kept.
func (l *looker) step(v reflect.Value) (why string) {
	t := v.Type()
	if bad := reachOf(t).bound; bad != nil {
		return fmt.Sprintf("holds %v, which belongs to the request and is used for others after it", bad)
	}
	switch t.Kind() {
	case reflect.Func, reflect.UnsafePointer:
		if !v.IsNil() {
			return fmt.Sprintf("leads to %v, which may hold anything of the request", t)
		}
	case reflect.Chan:
		if v.Len() > 0 {
			return fmt.Sprintf("leads to %v, which may hold anything of the request", t)
		}
	case reflect.Map:
		if !v.IsNil() { // its length would be a read already
			return fmt.Sprintf("leads to %v behind a pointer, where others may be changing it: pick the map itself, or what you need of it", t)
		}
	case reflect.Pointer:
		l.follow(t.Elem(), v.UnsafePointer())
	case reflect.Interface:
		if !v.IsNil() {
			l.add(v.Elem())
		}
	case reflect.Slice:
		// The length and the place are read once: others may make the slice shorter.
		size, first, n := t.Elem().Size(), v.UnsafePointer(), v.Len()
		for i := 0; i < n && l.why == ""; i++ {
			l.add(reflect.NewAt(t.Elem(), unsafe.Add(first, uintptr(i)*size)).Elem())
		}
	case reflect.Array:
		for i := 0; i < v.Len() && l.why == ""; i++ {
			l.add(v.Index(i))
		}
	case reflect.Struct:
		if t.PkgPath() == "sync/atomic" && v.NumField() == 3 && t.Field(0).Type.Kind() == reflect.Array {
			// An atomic.Pointer[T], which is [0]*T and an unsafe.Pointer.
			l.follow(t.Field(0).Type.Elem().Elem(), v.Field(2).UnsafePointer())
			break
		}
		for i := 0; i < v.NumField() && l.why == ""; i++ {
			l.add(v.Field(i))
		}
	}
	return ""
}

// follow adds what a pointer leads to, once.
func (l *looker) follow(t reflect.Type, p unsafe.Pointer) {
	if at := (place{p, t}); p != nil && !l.seen[at] {
		if l.seen == nil {
			l.seen = make(map[place]bool)
		}
		l.seen[at] = true
		l.add(reflect.NewAt(t, p).Elem())
	}
}
