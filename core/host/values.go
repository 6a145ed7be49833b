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

// PlainValues adds name and a copy of v to kept when v is a string, a number or a bool,
// or of a type made from one, and returns kept. A nil kept is made when it is needed.
// Other values are left out, because they may hold objects that the framework uses
// again for its next request.
//
// An adapter fills Details.Values with it when the application has not passed a Keep.
func PlainValues(kept map[string]any, name string, v any) map[string]any {
	if c, ok := plain(v); ok {
		if kept == nil {
			kept = make(map[string]any)
		}
		kept[strings.Clone(name)] = c
	}
	return kept
}
