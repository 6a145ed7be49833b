package host

import (
	"reflect"
	"strings"
)

// plain returns a copy of v that may be kept for ever, when v is a string, a
// number or a bool, or of a type made from one.
func plain(v any) (any, bool) {
	rv := reflect.ValueOf(v)
	switch k := rv.Kind(); {
	case k == reflect.String:
		c := reflect.New(rv.Type()).Elem()
		c.SetString(strings.Clone(rv.String()))
		return c.Interface(), true
	case reflect.Bool <= k && k <= reflect.Complex128 && k != reflect.Uintptr:
		return v, true
	}
	return nil, false
}

// PlainValues adds the name and a copy of v to kept when v is a string, a number or a
// bool, or of a type made from one; other values it leaves out. It returns kept, made when
// it was nil. So an adapter picks Details.Values when the application has not chosen with
// the adapter's Keep: a string may lie in memory of the request, and anything else may hold
// the framework's own objects, which the next request gets.
func PlainValues(kept map[string]any, name string, v any) map[string]any {
	if c, ok := plain(v); ok {
		if kept == nil {
			kept = make(map[string]any)
		}
		kept[strings.Clone(name)] = c
	}
	return kept
}
