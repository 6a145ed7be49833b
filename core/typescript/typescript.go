// Package typescript writes the events of a server as TypeScript types, in the form that
// the generics of the official client take:
//
//	import type { ServerToClientEvents, ClientToServerEvents } from "./contract"
//	const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io()
//
// The names for a namespace other than the default one begin with its path:
// ChatServerToClientEvents for "/chat". Call Write from a test or a small main of the
// application, because the types are in its code.
package typescript

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/siokit/siokit/core/sio"
)

const head = `// Generated from the server's handlers. Do not edit.

/** Binary data: an ArrayBuffer or Buffer when received. */
export type Binary = ArrayBuffer | ArrayBufferView;

/** What an ack holds when the server has refused or failed. */
export interface ErrorAck { error: { code: string; message: string; data?: unknown } }
`

// Write writes the contract c, which sio.Server.Contract returns, as TypeScript. Types
// follow encoding/json: names and omitempty come from json tags. A []byte is Binary, a
// type with its own MarshalJSON is unknown, and an event with raw arguments takes any.
// The error is that of w.
func Write(w io.Writer, c sio.Contract) error {
	g := &generator{names: map[reflect.Type]string{}, taken: map[string]bool{"Binary": true, "ErrorAck": true}}
	g.out.WriteString(head)
	for _, n := range c.Namespaces { // before any type can take these names
		for _, name := range interfaces(n.Path) {
			g.taken[name] = true
		}
	}
	for _, n := range c.Namespaces {
		names := interfaces(n.Path)
		g.events(names[0], "the server emits in "+n.Path, n.Emits, false)
		g.events(names[1], "clients emit in "+n.Path, n.Receives, true)
	}
	for i := 0; i < len(g.order); i++ { // describing one may add others
		g.object(g.order[i])
	}
	_, err := w.Write(g.out.Bytes())
	return err
}

// interfaces are the names for a namespace's events.
func interfaces(path string) [2]string {
	prefix := identifier(path)
	return [2]string{prefix + "ServerToClientEvents", prefix + "ClientToServerEvents"}
}

// identifier makes an identifier of any text: /project/{id} is ProjectId.
func identifier(text string) string {
	var b strings.Builder
	up := true
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			up = true
			continue
		}
		if up {
			r = unicode.ToUpper(r)
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}

type generator struct {
	out   bytes.Buffer
	names map[reflect.Type]string
	taken map[string]bool
	order []reflect.Type // structs with names, in the order of their use
}

// events writes an interface with a function for each event. An ack of the
// server's may hold an error instead.
func (g *generator) events(name, what string, list []sio.EventContract, fails bool) {
	fmt.Fprintf(&g.out, "\n/** What %s. */\nexport interface %s {\n", what, name)
	for _, e := range list {
		params := g.params(e.Args)
		if e.Acks {
			params = append(params, "callback: ("+strings.Join(g.answer(e.Ack, fails), ", ")+") => void")
		}
		fmt.Fprintf(&g.out, "  %s: (%s) => void;\n", strconv.Quote(e.Name), strings.Join(params, ", "))
	}
	g.out.WriteString("}\n")
}

func (g *generator) answer(a sio.ArgTypes, fails bool) []string {
	params := g.params(a)
	switch {
	case !fails || a.Open:
	case len(params) == 0:
		params = []string{"failed?: ErrorAck"}
	default:
		params[0] += " | ErrorAck"
	}
	return params
}

func (g *generator) params(a sio.ArgTypes) (list []string) {
	if a.Open {
		return []string{"...args: any[]"}
	}
	for i, t := range a.Types {
		list = append(list, "a"+strconv.Itoa(i+1)+": "+g.typ(t))
	}
	return list
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	timeType      = reflect.TypeFor[time.Time]()
)

// typ is the TypeScript type for a Go type.
func (g *generator) typ(t reflect.Type) string {
	pt := reflect.PointerTo(t)
	switch {
	case t == timeType:
		return "string"
	case t.Kind() != reflect.Interface && (t.Implements(jsonMarshaler) || pt.Implements(jsonMarshaler)):
		return "unknown"
	case t.Kind() != reflect.Interface && (t.Implements(textMarshaler) || pt.Implements(textMarshaler)):
		return "string"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Pointer:
		return g.typ(t.Elem()) + " | null"
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return "Binary"
		}
		return "Array<" + g.typ(t.Elem()) + ">"
	case reflect.Map:
		return "Record<string, " + g.typ(t.Elem()) + ">"
	case reflect.Struct:
		if t.Name() == "" {
			return "{ " + strings.Join(g.fields(t), "; ") + " }"
		}
		return g.name(t)
	}
	if k := t.Kind(); k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr {
		return "number"
	}
	return "unknown"
}

// name is the name of a struct's interface; two types never share one.
func (g *generator) name(t reflect.Type) string {
	if name, ok := g.names[t]; ok {
		return name
	}
	base, _, _ := strings.Cut(t.Name(), "[") // without type arguments
	base = identifier(base)
	name := base
	for i := 2; g.taken[name]; i++ {
		name = base + strconv.Itoa(i)
	}
	g.names[t], g.taken[name] = name, true
	g.order = append(g.order, t)
	return name
}

func (g *generator) object(t reflect.Type) {
	fmt.Fprintf(&g.out, "\nexport interface %s {\n", g.names[t])
	for _, f := range g.fields(t) {
		g.out.WriteString("  " + f + ";\n")
	}
	g.out.WriteString("}\n")
}

// fields are the fields of a struct as encoding/json writes them.
func (g *generator) fields(t reflect.Type) (list []string) {
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		options := strings.Split(opts, ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		promoted := f.Anonymous && name == "" && inner.Kind() == reflect.Struct
		if promoted || !f.IsExported() || tag == "-" || hidden(t, f.Index) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := ""
		if slices.Contains(options, "omitempty") || slices.Contains(options, "omitzero") {
			optional = "?"
		}
		typ := g.typ(f.Type)
		if slices.Contains(options, "string") {
			typ = "string"
		}
		list = append(list, strconv.Quote(name)+optional+": "+typ)
	}
	return list
}

// hidden reports whether a field lies in an embedded struct that is a field of
// its own, because it has a name, or none at all.
func hidden(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			return true
		}
		t = f.Type
	}
	return false
}
