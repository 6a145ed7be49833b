package keep_test

import (
	"bufio"
	"container/list"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/keep"
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
		if c := host.PlainValues(nil, "x", v); c != nil {
			t.Errorf("%T is kept as %v", v, c)
		}
	}
	reuse()
	if kept["alice"] != role("alice") || len(kept) != 9 || kept["6"] != time.Second {
		t.Errorf("kept %v", kept)
	}
}

func TestCopy(t *testing.T) {
	s, reuse := recycled("alice")
	b := []byte("alice")
	of := func() map[string]any {
		return map[string]any{
			"string": s, "role": role(s), "bytes": b, "list": []string{s}, "array": [1]string{s}, "any": []any{s, 7},
			"map": map[string][]string{s: {s}}, "struct": inner{s, s, []string{s}}, "nested": map[string]any{s: []any{map[string]any{s: s}}},
			"number": 7, "nil": nil, "time": time.Unix(7, 0), "nilmap": map[string]string(nil), "error": error(nil),
		}
	}
	kept, refused := keep.Copy(of())
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

// keeper is how an application hides a request: User is asked later.
type (
	keeper interface{ User() string }
	hides  struct{ r *http.Request }
	bag    struct {
		mu   sync.Mutex
		vals map[string]any
	}
	chain  struct{ in *second }
	second struct{ k keeper }
	getter struct{ Get func() string }
	plain  struct {
		mu   sync.Mutex
		seen map[string][]inner
	}
	ring struct {
		any  any
		next *ring
	}
	pointed struct{ p atomic.Pointer[second] }
)

func (h *hides) User() string { return h.r.Header.Get("X-User") }

func TestCopyRefuses(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	self := map[string]any{}
	self["self"] = self
	s := &hides{r}
	var p pointed
	p.p.Store(&second{s})
	var swap atomic.Value
	swap.Store(s)
	full, quiet := make(chan any, 1), make(chan any, 1)
	full <- r
	things := list.New()
	things.PushBack(s)
	circle := &ring{any: 1}
	circle.next = &ring{any: "x", next: circle}
	long := &ring{}
	for range 1000 {
		long = &ring{next: long}
	}
	huge := make([]any, 20_000)
	for i := range huge {
		huge[i] = &ring{}
	}
	var synced sync.Map
	synced.Store("s", s)
	vals := map[string]any{
		"request": r, "writer": http.ResponseWriter(w), "context": ctx, "func": func() {}, "list": []any{1, []any{r}}, "map": map[string]any{"a": map[string]any{"b": w}},
		"struct": carries{r}, "unexported": wrapper{r}, "pointer": &wrapper{r}, "far": &[]*wrapper{{r}}, "interface": &carries{r}, "key": map[any]int{r: 1},
		"self": self, "array": [1]any{ctx}, "unsafe": unsafe.Pointer(r), "pointer to any": new(any), "ring": &node{},
		"fine": &inner{"ann", "b", nil}, "any of fine": &carries{&inner{}}, "server": &http.Server{}, "nil": (*http.Request)(nil) == nil,
		// Far behind pointers.
		"bag": &bag{vals: map[string]any{"s": 1}}, "bag of nothing": &bag{}, "chain": &chain{&second{s}}, "slice of any": &[]any{1, r}, "array of any": &[2]any{1, s},
		"two interfaces": &carries{carries{s}}, "pointers": &carries{&carries{&carries{&carries{s}}}}, "in a circle": &ring{s, circle}, "circle": circle, "long": long,
		"map of it": &carries{map[keeper]int{}}, "plain map": &carries{map[string]int{"a": 1}}, "atomic": &p, "atomic value": &swap, "sync.Map": &synced,
		"full": &carries{full}, "quiet": &carries{quiet}, "channel": full, "channel of requests": make(chan *http.Request), "huge": &huge, "wide": huge,
		// Functions.
		"method": getter{s.User}, "function": getter{func() string { return r.Host }}, "functions": []getter{{s.User}}, "pointer to function": &getter{s.User}, "no function": getter{}, "pointer to none": &getter{},
		// Types of the standard library, whose paths look like those of an application.
		"bufio": bufio.NewWriter(w), "elements": things, "exec": exec.CommandContext(r.Context(), "true"), "log": log.New(w, "", 0),
		"file": os.Stdout, "error": fmt.Errorf("x: %w", fmt.Errorf("y: %w", os.ErrExist)), "logger": slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("a", 1), "default logger": slog.Default(),
		"db": &carries{&sql.DB{}}, "client": http.DefaultClient, "transport": http.DefaultTransport, "certificate": &x509.Certificate{PublicKey: &rsa.PublicKey{}, Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{{Value: "x"}}}},
	}
	*vals["pointer to any"].(*any) = r
	kept, refused := keep.Copy(vals)
	for name := range vals {
		switch name {
		case "fine", "any of fine", "server", "nil", "ring", "bag of nothing", "circle", "long", "plain map", "quiet", "no function", "pointer to none",
			"file", "error", "logger", "default logger", "db", "client", "transport", "certificate":
			if _, ok := kept[name]; !ok {
				t.Errorf("%s is refused: %s", name, refused[name])
			}
		default:
			if _, ok := kept[name]; ok || refused[name] == "" {
				t.Errorf("%s is kept", name)
			}
		}
	}
	if len(kept)+len(refused) != len(vals) {
		t.Errorf("kept %v, refused %v", kept, refused)
	}
}

// TestCopyWhileChanging: what is behind a pointer may be changed by others who
// have a lock. The race detector finds a read of it; a walk through the map would end
// the process.
func TestCopyWhileChanging(t *testing.T) {
	p, b := &plain{seen: map[string][]inner{}}, &bag{vals: map[string]any{}}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := strconv.Itoa(i % 100)
			p.mu.Lock()
			p.seen[key] = append(p.seen[key][:0], inner{Name: key})
			if p.mu.Unlock(); i%100 == 0 {
				p.mu.Lock()
				p.seen = map[string][]inner{}
				p.mu.Unlock()
			}
			b.mu.Lock()
			b.vals[key] = i
			b.mu.Unlock()
		}
	}()
	for range 2000 {
		kept, refused := keep.Copy(map[string]any{"plain": p, "bag": b})
		if kept["plain"] != p || !strings.Contains(refused["bag"], "map[string]interface {} behind a pointer") {
			t.Fatalf("kept %v, refused %v", kept, refused)
		}
	}
	close(stop)
	<-done
}

// BenchmarkCopy: a user behind a pointer, and as much as is looked at.
func BenchmarkCopy(b *testing.B) {
	huge := make([]any, 20_000)
	for i := range huge {
		huge[i] = &ring{}
	}
	for name, v := range map[string]any{"plain": &inner{Name: "ann"}, "open": &carries{&carries{&inner{}}}, "huge": &huge} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				keep.Copy(map[string]any{"v": v})
			}
		})
	}
}
