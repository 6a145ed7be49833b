package host_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/siokit/siokit/core/host"
)

// recycled is a string whose memory is used for something else by reuse.
func recycled(s string) (text string, reuse func()) {
	b := []byte(s)
	return unsafe.String(&b[0], len(b)), func() { copy(b, strings.Repeat("x", len(b))) }
}

type (
	role  string
	inner struct {
		Name   string
		hidden string
		list   []string
	}
	wrapper struct{ r *http.Request }
	carries struct{ Any any }
	node    struct{ Next *node }
)

func TestPlain(t *testing.T) {
	s, reuse := recycled("alice")
	kept := host.PlainValues(nil, s, role(s))
	for i, v := range []any{true, 7, int8(7), uint64(7), 1.5, 2i, time.Second, "x"} {
		kept = host.PlainValues(kept, fmt.Sprint(i), v)
	}
	for _, v := range []any{nil, &s, []byte("x"), []string{"x"}, map[string]string{}, inner{}, http.Header{}, func() {}, make(chan int), uintptr(1), context.Background()} {
		if c, ok := host.Plain(v); ok {
			t.Errorf("%T is kept as %v", v, c)
		}
	}
	reuse()
	if kept["alice"] != role("alice") || len(kept) != 9 || kept["6"] != time.Second {
		t.Errorf("kept %v", kept)
	}
}

func TestCopyValues(t *testing.T) {
	s, reuse := recycled("alice")
	b := []byte("alice")
	of := func() map[string]any {
		return map[string]any{
			"string": s, "role": role(s), "bytes": b, "list": []string{s}, "array": [1]string{s}, "any": []any{s, 7},
			"map": map[string][]string{s: {s}}, "struct": inner{s, s, []string{s}}, "nested": map[string]any{s: []any{map[string]any{s: s}}},
			"number": 7, "nil": nil, "time": time.Unix(7, 0), "nilmap": map[string]string(nil), "error": error(nil),
		}
	}
	kept, refused := host.CopyValues(of())
	want := of()
	if !reflect.DeepEqual(kept, want) || refused != nil {
		t.Fatalf("kept %v, refused %v", kept, refused)
	}
	before := fmt.Sprintf("%v", kept)
	reuse()
	copy(b, "xxxxx")
	if after := fmt.Sprintf("%v", kept); after != before {
		t.Errorf("kept %s, which became %s", before, after)
	}
}

func TestCopyValuesRefuses(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	self := map[string]any{}
	self["self"] = self
	values := map[string]any{
		"request": r, "writer": http.ResponseWriter(w), "context": ctx, "func": func() {}, "list": []any{1, []any{r}}, "map": map[string]any{"a": map[string]any{"b": w}},
		"struct": carries{r}, "unexported": wrapper{r}, "pointer": &wrapper{r}, "far": &[]*wrapper{{r}}, "interface": &carries{r}, "key": map[any]int{r: 1},
		"self": self, "array": [1]any{ctx}, "unsafe": unsafe.Pointer(r), "pointer to any": new(any), "ring": &node{},
		"fine": &inner{"ann", "b", nil}, "any of fine": &carries{&inner{}}, "server": &http.Server{}, "nil": (*http.Request)(nil) == nil,
	}
	*values["pointer to any"].(*any) = r
	kept, refused := host.CopyValues(values)
	for name := range values {
		switch name {
		case "fine", "any of fine", "server", "nil", "ring":
			if _, ok := kept[name]; !ok {
				t.Errorf("%s is refused: %s", name, refused[name])
			}
		default:
			if _, ok := kept[name]; ok || refused[name] == "" {
				t.Errorf("%s is kept", name)
			}
		}
	}
	if len(kept)+len(refused) != len(values) {
		t.Errorf("kept %v, refused %v", kept, refused)
	}
}
