package conformance

import (
	"net/http"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestDeadline: a case that hangs is ended, by its name and with what hangs.
func TestDeadline(t *testing.T) {
	stuck := make(chan struct{})
	release := sync.OnceFunc(func() { close(stuck) })
	results, err := Check(func(tb testing.TB, _ *sio.Server, cfg Config) *Host {
		h := ServeHTTP(tb, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }), cfg)
		return &Host{URL: h.URL, Stop: func() { // the deadline stops the host, and so the case
			release()
			h.Stop()
		}}
	}, Only("routing/other-routes"), func(r *run) { r.timeout = 200 * time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	for _, want := range []string{"routing/other-routes has not ended after 200ms; the goroutines:", "conformance.TestDeadline", "> GET /plain"} {
		if r.Status != failed || !strings.Contains(r.Report(), want) {
			t.Errorf("%q is missing in: %s", want, r.Report())
		}
	}
	if r.Took > 5*time.Second {
		t.Errorf("it took %v", r.Took)
	}
}

// TestPatience: a case may take twelve times as long as something that must come, and 20 s always.
func TestPatience(t *testing.T) {
	for _, row := range []struct {
		opts              []Option
		patience, timeout time.Duration
	}{
		{nil, 5 * time.Second, time.Minute},
		{[]Option{Patience(0)}, 5 * time.Second, time.Minute},
		{[]Option{Patience(time.Second)}, time.Second, 20 * time.Second},
		{[]Option{Patience(10 * time.Second)}, 10 * time.Second, 2 * time.Minute},
	} {
		if r := newRun(nil, row.opts); r.patience != row.patience || r.timeout != row.timeout {
			t.Errorf("%v and %v, want %v and %v", r.patience, r.timeout, row.patience, row.timeout)
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
