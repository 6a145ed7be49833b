// Package keep copies what the handshake of a client leaves behind, so that nothing of
// the framework's request is kept.
package keep

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"unsafe"

	"github.com/siokit/siokit/core/host"
)

// Copy copies what an adapter's Keep has picked, so that it may be kept for
// ever: strings, also those in maps, slices, arrays and structs, and slices of
// bytes are copied, since a host may use their memory for its next request.
// Values that hold an object of a framework's request are left out, and so are
// those that may hold one unseen; refused says why for each name.
//
// What lies behind a pointer is the application's own. It is not copied, and is
// looked through to its end, but for a few types that belong to a whole server,
// such as *http.Server and *sql.DB:
//   - The types come first. Where they are plain all the way, nothing is read, so
//     that others may go on changing it.
//   - Otherwise pointers, fields, slices and what interfaces hold are read, not
//     exported ones too, without a lock. No method is called.
//   - A map there that may hold anything, such as a map[string]any, is not read:
//     if another goroutine wrote to it, the process would end. Values with one that
//     is not nil are refused. Without a pointer around it such a map is copied.
//   - Functions, unsafe pointers, and channels of anything that are not empty,
//     cannot be looked into. Values with them are refused, behind pointers or not.
//
// A value that is nested too deep is refused, and so is one with more than 10 000
// parts to look at.
//
// So nobody else may change values while Copy runs; behind pointers that
// concerns what is not of plain types.
func Copy(values map[string]any) (kept map[string]any, refused map[string]string) {
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

const (
	// maxDepth is how deep values may be nested that are copied: one that holds
	// itself ends there.
	maxDepth = 32
	// maxParts is how many parts of a value are looked at: with each handshake this
	// is done again, and an application's object may lead to all the others. It is
	// about a millisecond.
	maxParts = 10_000
)

// copier copies one value; why is what was found that cannot be kept.
type copier struct {
	why   string
	parts int
}

// part counts a part of a value of type t, and refuses the one that is too many.
func (c *copier) part(t reflect.Type) {
	if c.parts++; c.parts > maxParts {
		c.refuse(t, fmt.Sprintf("is beyond the %d parts of a value that are looked at", maxParts))
	}
}

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
	if c.part(t); depth > maxDepth {
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
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out := reflect.New(t).Elem()
		if e := c.copy(v.Elem(), depth+1); c.why == "" {
			out.Set(e)
		}
		return out
	case reflect.Func, reflect.UnsafePointer:
		if !v.IsNil() {
			return c.refuse(t, "may hold anything of the request")
		}
	case reflect.Pointer, reflect.Chan:
		c.look(v)
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
		if e := c.copy(f, depth+1); c.why == "" && e.IsValid() {
			f.Set(e)
		}
	}
	return out
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

// sharedTypes are types that know the requests of a whole server, or lead to all
// that an application has, and are not of one request. They are not looked into.
var sharedTypes = map[string]string{
	"github.com/gin-gonic/gin":    "Engine",
	"github.com/labstack/echo":    "Echo",
	"github.com/gofiber/fiber":    "App",
	"github.com/valyala/fasthttp": "Server",
	"net/http":                    "Server Transport",
	"crypto/tls":                  "Conn",
	"database/sql":                "DB",
	"log/slog":                    "defaultHandler", // has a function, which is the library's own
}

var (
	version        = regexp.MustCompile(`/v\d+$|/v\d+/`)
	responseWriter = reflect.TypeFor[http.ResponseWriter]()
	contextType    = reflect.TypeFor[context.Context]()
	exchangeType   = reflect.TypeFor[host.Exchange]()
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
	return among(t, boundTypes)
}

// among reports whether a type is one of a table of names.
func among(t reflect.Type, names map[string]string) bool {
	if t.Name() == "" || t.PkgPath() == "" {
		return false
	}
	path := version.ReplaceAllStringFunc(t.PkgPath(), func(s string) string {
		if strings.HasSuffix(s, "/") {
			return "/"
		}
		return ""
	})
	for _, name := range strings.Fields(names[path]) {
		if name == t.Name() {
			return true
		}
	}
	return false
}
