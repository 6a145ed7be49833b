package conformance

import (
	"net/http"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// TestProbe: a factory outside of a test has all of testing.TB.
func TestProbe(t *testing.T) {
	var dir string
	was, _ := os.Getwd()
	results, err := Check(func(tb testing.TB, srv *sio.Server, cfg Config) *Host {
		dir = tb.TempDir()
		tb.Setenv("SIOKIT_PROBE", "x")
		tb.Chdir(dir)
		tb.Attr("a", "b")
		_, _ = tb.Output().Write([]byte("said\n"))
		tb.Cleanup(func() {})
		tb.Logf("%s %v %v %v", tb.Name(), tb.Failed(), tb.Skipped(), tb.Context().Err())
		return ServeHTTP(tb, http.HandlerFunc(srv.ServeHTTP), cfg)
	}, Only("handshake/open-packet"))
	if err != nil || len(results) != 1 || results[0].Output != "" && strings.Contains(results[0].Output, "panic") {
		t.Fatalf("%+v, %v", results, err)
	}
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("the directory %q: %v", dir, err)
	}
	if _, there := os.LookupEnv("SIOKIT_PROBE"); there {
		t.Error("the variable is still set")
	}
	if now, _ := os.Getwd(); now != was {
		t.Errorf("the working directory is %s", now)
	}
	// Nothing of a testing.TB comes from the nil one inside.
	own := reflect.TypeFor[*probe]()
	tb := reflect.TypeFor[testing.TB]()
	for i := range tb.NumMethod() {
		m := tb.Method(i)
		if m.PkgPath != "" {
			continue
		}
		f, _ := own.MethodByName(m.Name)
		if file, _ := runtime.FuncForPC(f.Func.Pointer()).FileLine(f.Func.Pointer()); !strings.HasSuffix(file, ".go") {
			t.Errorf("probe has no %s of its own", m.Name)
		}
	}
}

// TestWant: what looks alike is not always the same.
func TestWant(t *testing.T) {
	answer := wire.Answer{Status: 200, Body: "ok"}
	for _, row := range []struct {
		got, want any
		same      bool
	}{
		{1, 1, true}, {1, "1", false}, {"1", 1, false}, {int64(1), 1, true}, {1.0, 1, true}, {true, "true", false}, {nil, "<nil>", false}, {nil, nil, true},
		{answer, "200 ok", true}, {"200 ok", answer, true}, {answer, "200 no", false},
		{[]any{1}, []any{"1"}, false}, {
			[]string{"a b"}, []string{"a", "b"}, false,
		}, {[]string(nil), []string{}, true}, {[]int{1}, []string{"1"}, false},
	} {
		if got := same(row.got, row.want); got != row.same {
			t.Errorf("%#v and %#v: %v", row.got, row.want, got)
		}
	}
}
