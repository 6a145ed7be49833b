package host

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"unsafe"
)

// Plain returns a copy of v that may be kept for ever, when v is a string, a
// number or a bool (or of a type made from one). It is what adapters keep of a
// framework's request values when the application has not chosen: a string may
// lie in memory of the request, and anything else may hold the framework's own
// objects, which the next request gets.
func Plain(v any) (any, bool) {
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

// PlainValues adds the name and a copy of v to kept when v is plain; see Plain.
// It returns kept, made when it was nil.
func PlainValues(kept map[string]any, name string, v any) map[string]any {
	if c, ok := Plain(v); ok {
		if kept == nil {
			kept = make(map[string]any)
		}
		kept[strings.Clone(name)] = c
	}
	return kept
}

// CopyValues copies what an adapter's Keep has picked, so that it may be kept for
// ever: strings, also those in maps, slices, arrays and structs, and slices of
// bytes are copied, since a host may use their memory for its next request.
// Values that hold an object of a framework's request, or a function, which may
// hold one unseen, are left out; refused says why for each name.
//
// What lies behind a pointer is the application's own: it is not copied, and is
// looked at by its type, since others may be changing it.
func CopyValues(values map[string]any) (kept map[string]any, refused map[string]string) {
	for name, v := range values {
		c := copier{}
		out := c.copy(reflect.ValueOf(v), 0)
		if c.why != "" {
			if refused == nil {
				refused = make(map[string]string)
			}
			refused[strings.Clone(name)] = c.why
			continue
		}
		if kept == nil {
			kept = make(map[string]any, len(values))
		}
		if !out.IsValid() {
			kept[strings.Clone(name)] = nil
			continue
		}
		kept[strings.Clone(name)] = out.Interface()
	}
	return kept, refused
}

// maxDepth is how deep values may be nested: one that holds itself ends there.
const maxDepth = 32

// copier copies one value; why is what was found that cannot be kept.
type copier struct{ why string }

func (c *copier) refuse(v reflect.Type, why string) reflect.Value {
	if c.why == "" {
		c.why = fmt.Sprintf("%v %s", v, why)
	}
	return reflect.Value{}
}

// copy returns a copy of v. The result is worthless once why is set.
func (c *copier) copy(v reflect.Value, depth int) reflect.Value {
	if !v.IsValid() || c.why != "" {
		return v
	}
	t := v.Type()
	if depth > maxDepth {
		return c.refuse(t, "is nested too deep")
	}
	if requestBound(t) {
		return c.refuse(t, "belongs to the request and is used for others after it")
	}
	switch t.Kind() {
	case reflect.String:
		out := reflect.New(t).Elem()
		out.SetString(strings.Clone(v.String()))
		return out
	case reflect.Func:
		if !v.IsNil() {
			return c.refuse(t, "may hold anything of the request")
		}
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out := reflect.New(t).Elem()
		if e := c.copy(v.Elem(), depth+1); c.why == "" {
			out.Set(e)
		}
		return out
	case reflect.Pointer:
		if !v.IsNil() {
			c.behind(v, t.Elem())
		}
	case reflect.Map:
		return c.copyMap(v, depth)
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(t, v.Len(), v.Len())
		c.copyElems(out, v, depth)
		return out
	case reflect.Array:
		out := reflect.New(t).Elem()
		c.copyElems(out, v, depth)
		return out
	case reflect.Struct:
		return c.copyStruct(v, depth)
	case reflect.UnsafePointer:
		return c.refuse(t, "may hold anything of the request")
	}
	return v
}

func (c *copier) copyElems(out, v reflect.Value, depth int) {
	if k := v.Type().Elem().Kind(); reflect.Bool <= k && k <= reflect.Complex128 {
		reflect.Copy(out, v)
		return
	}
	for i := 0; i < v.Len() && c.why == ""; i++ {
		if e := c.copy(v.Index(i), depth+1); c.why == "" {
			out.Index(i).Set(e)
		}
	}
}

func (c *copier) copyMap(v reflect.Value, depth int) reflect.Value {
	if v.IsNil() {
		return v
	}
	out := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next() && c.why == ""; {
		k, e := c.copy(it.Key(), depth+1), c.copy(it.Value(), depth+1)
		if c.why == "" {
			out.SetMapIndex(k, e)
		}
	}
	return out
}

// copyStruct copies a struct with all its fields. Those that are not exported
// are reached by their address in the copy, which nobody else has.
func (c *copier) copyStruct(v reflect.Value, depth int) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	for i := 0; i < out.NumField() && c.why == ""; i++ {
		f := out.Field(i)
		f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
		if k := f.Kind(); k == reflect.Func {
			continue // one of many fields: a type's own, not something picked
		}
		if e := c.copy(f, depth+1); c.why == "" && e.IsValid() {
			f.Set(e)
		}
	}
	return out
}

// behind looks at what a pointer points to: by its type, and one step into the
// fields that are interfaces, of which the type alone says nothing. Nothing there
// is followed further: it may change meanwhile.
func (c *copier) behind(v reflect.Value, t reflect.Type) {
	if bad := holds(t, map[reflect.Type]bool{}); bad != nil {
		c.refuse(v.Type(), fmt.Sprintf("holds %v, which belongs to the request and is used for others after it", bad))
		return
	}
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Interface {
		return
	}
	look := func(f reflect.Value) {
		if f.Kind() != reflect.Interface || f.IsNil() {
			return
		}
		if bad := holds(f.Elem().Type(), map[reflect.Type]bool{}); bad != nil {
			c.refuse(v.Type(), fmt.Sprintf("holds %v, which belongs to the request and is used for others after it", bad))
		}
	}
	e := v.Elem()
	if t.Kind() == reflect.Interface {
		look(e)
		return
	}
	for i := range e.NumField() {
		look(e.Field(i))
	}
}

// holds returns a request's type that t holds by its own declaration, or nil.
func holds(t reflect.Type, seen map[reflect.Type]bool) reflect.Type {
	if requestBound(t) {
		return t
	}
	if seen[t] || len(seen) > 1000 {
		return nil
	}
	seen[t] = true
	if path, _, _ := strings.Cut(t.PkgPath(), "/"); path != "" && !strings.Contains(path, ".") && t.PkgPath() != "sync/atomic" {
		return nil // of the standard library: an *http.Server knows its requests, and is none
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		return holds(t.Elem(), seen)
	case reflect.Map:
		if bad := holds(t.Key(), seen); bad != nil {
			return bad
		}
		return holds(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if bad := holds(t.Field(i).Type, seen); bad != nil {
				return bad
			}
		}
	}
	return nil
}

// boundTypes are the types of frameworks and session libraries whose values
// belong to one request, by the path of their package without its version. They
// are names because this package imports no framework.
var boundTypes = map[string]string{
	"github.com/gin-gonic/gin":                    "Context responseWriter",
	"github.com/gin-contrib/sessions":             "Session session",
	"github.com/labstack/echo":                    "Context context Response",
	"github.com/go-chi/chi":                       "Context",
	"github.com/gofiber/fiber":                    "Ctx DefaultCtx CustomCtx Request Response",
	"github.com/gofiber/fiber/middleware/session": "Session Middleware",
	"github.com/valyala/fasthttp":                 "RequestCtx Request Response RequestHeader ResponseHeader URI Args",
	"github.com/gorilla/sessions":                 "Session Registry",
	"net/http":                                    "Request ResponseController",
	"mime/multipart":                              "Form FileHeader",
	"github.com/alexedwards/scs":                  "sessionData",
	"github.com/gofiber/contrib/websocket":        "Conn",
	"github.com/gofiber/websocket":                "Conn",
	"github.com/gorilla/websocket":                "Conn",
	"github.com/fasthttp/websocket":               "Conn",
}

var (
	version        = regexp.MustCompile(`/v\d+$|/v\d+/`)
	responseWriter = reflect.TypeFor[http.ResponseWriter]()
	contextType    = reflect.TypeFor[context.Context]()
	exchangeType   = reflect.TypeFor[Exchange]()
)

// requestBound reports whether values of a type belong to one request: the
// framework's own, the writer of an answer, and contexts, which hold all of it.
func requestBound(t reflect.Type) bool {
	if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
		return false
	}
	if t.Implements(responseWriter) || t.Implements(contextType) || t.Implements(exchangeType) {
		return true
	}
	if t.Name() == "" || t.PkgPath() == "" {
		return false
	}
	path := version.ReplaceAllStringFunc(t.PkgPath(), func(s string) string {
		if strings.HasSuffix(s, "/") {
			return "/"
		}
		return ""
	})
	for _, name := range strings.Fields(boundTypes[path]) {
		if name == t.Name() {
			return true
		}
	}
	return false
}
