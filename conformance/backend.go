package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"testing"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// BackendUnderTest is a backend of sessionbridge, with the ways in which an HTTP handler uses
// the same session library. The functions end the test with t.Fatal when something fails. All
// fields but Slow must be set.
type BackendUnderTest struct {
	Backend sessionbridge.Backend // what is verified
	// Create makes a session and returns a request header that carries it.
	Create func(t testing.TB, v sessionbridge.Values) http.Header
	// Read returns the values that a handler finds; nil when there is no session.
	Read func(t testing.TB, h http.Header) sessionbridge.Values
	// Destroy logs out: it destroys the session that h carries.
	Destroy func(t testing.TB, h http.Header)
	// Slow prepares the store: its next write must call at once, before the write is
	// done. So the suite places a logout between the moment in which the backend has
	// looked at the session and its save. A nil Slow means that nothing can come in
	// between, because the store compares and swaps.
	Slow func(t testing.TB, at func())
}

// RunBackend verifies a backend of sessionbridge, without a host. What the backend
// loads and saves must be what the library's HTTP handlers see. A session that was
// destroyed must not come back, not even when the logout comes during a save
// (BackendUnderTest.Slow) or a handshake. Each test is a subtest of t, and mk makes a
// new backend for each.
func RunBackend(t *testing.T, mk func(t testing.TB) BackendUnderTest) {
	for _, test := range backendTests {
		t.Run(test.name, func(t *testing.T) { test.run(t, mk(t)) })
	}
	for _, test := range bridgeTests {
		t.Run(test.name, func(t *testing.T) { runBridge(t, mk(t), test.opts, test.run) })
	}
}

// backendTests are those of RunBackend that need the backend alone.
var backendTests = []struct {
	name string
	run  func(t *testing.T, b BackendUnderTest)
}{
	{
		name: "identify",
		run:  backendIdentify,
	},
	{
		name: "load",
		run:  backendLoad,
	},
	{
		name: "save",
		run:  backendSave,
	},
	{
		name: "destroyed",
		run:  backendDestroyed,
	},
	{
		name: "unknown",
		run:  backendUnknown,
	},
	{
		name: "delete",
		run:  backendDelete,
	},
	{
		name: "versions",
		run:  backendVersions,
	},
	{
		name: "concurrent",
		run:  backendConcurrent,
	},
}

func backendIdentify(t *testing.T, b BackendUnderTest) {
	for what, h := range map[string]http.Header{"nothing": {}, "another cookie": {"Cookie": {"other=1"}}} {
		if id, err := b.Backend.Identify(request(h)); id != "" || !errors.Is(err, sessionbridge.ErrNoSession) {
			t.Errorf("%s: %q %v", what, id, err)
		}
	}
	one, two := b.id(t, b.Create(t, sessionbridge.Values{"n": 1})), b.id(t, b.Create(t, sessionbridge.Values{"n": 1}))
	if one == two {
		t.Error("two sessions with one id")
	}
}

func backendLoad(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	want := sessionbridge.Values{"user": "ann", "n": 7, "admin": true, "f": 1.5}
	h := b.Create(t, want)
	got, err := b.Backend.Load(ctx, b.id(t, h))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%#v %v", got, err)
	}
	got["user"] = "mallory" // the caller's own
	if again, _ := b.Backend.Load(ctx, b.id(t, h)); again["user"] != "ann" {
		t.Error("what was loaded is the store's own")
	}
	if err := b.Backend.Save(ctx, b.id(t, h), sessionbridge.Values{}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Backend.Load(ctx, b.id(t, h)); err != nil || len(got) != 0 {
		t.Errorf("an empty session: %v %v", got, err)
	}
}

func backendSave(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	h := b.Create(t, sessionbridge.Values{"user": "ann", "old": 1})
	if err := b.Backend.Save(ctx, b.id(t, h), sessionbridge.Values{"user": "ann", "new": "x"}); err != nil {
		t.Fatal(err)
	}
	if got := b.Read(t, h); !reflect.DeepEqual(got, sessionbridge.Values{"user": "ann", "new": "x"}) {
		t.Errorf("an HTTP handler sees %#v", got)
	}
}

func backendDestroyed(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	h := b.Create(t, sessionbridge.Values{"user": "ann"})
	id := b.id(t, h)
	b.Destroy(t, h)
	if _, err := b.Backend.Load(ctx, id); !errors.Is(err, sessionbridge.ErrDestroyed) {
		t.Errorf("Load: %v", err)
	}
	if err := b.Backend.Save(ctx, id, sessionbridge.Values{"user": "ann"}); !errors.Is(err, sessionbridge.ErrDestroyed) {
		t.Errorf("Save: %v", err)
	}
	if err := b.Backend.Delete(ctx, id); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if got := b.Read(t, h); got != nil {
		t.Errorf("the old cookie is good again: %v", got)
	}
	if cas, ok := b.Backend.(sessionbridge.CompareAndSwapper); ok {
		if err := cas.SaveIf(ctx, id, "0", nil); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("SaveIf: %v", err)
		}
	}
	if touch, ok := b.Backend.(sessionbridge.Toucher); ok {
		if err := touch.Touch(ctx, id); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("Touch: %v", err)
		}
	}
}

func backendUnknown(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	for _, id := range []string{"", "nosuchsession", "../../etc/passwd"} {
		if _, err := b.Backend.Load(ctx, id); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("Load %q: %v", id, err)
		}
		if err := b.Backend.Save(ctx, id, sessionbridge.Values{"x": 1}); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("Save %q: %v", id, err)
		}
	}
}

func backendDelete(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	h, other := b.Create(t, sessionbridge.Values{"user": "ann"}), b.Create(t, sessionbridge.Values{"user": "bob"})
	if err := b.Backend.Delete(ctx, b.id(t, h)); err != nil {
		t.Fatal(err)
	}
	if got := b.Read(t, h); got != nil {
		t.Errorf("still there: %v", got)
	}
	if got := b.Read(t, other); got["user"] != "bob" {
		t.Errorf("another session: %v", got)
	}
}

func backendVersions(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	cas, ok := b.Backend.(sessionbridge.CompareAndSwapper)
	if !ok {
		t.Skip("the store cannot compare and swap")
	}
	id := b.id(t, b.Create(t, sessionbridge.Values{"n": 1}))
	_, version, err := cas.LoadVersion(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := cas.SaveIf(ctx, id, version, sessionbridge.Values{"n": 2}); err != nil {
		t.Error(err)
	}
	if err := cas.SaveIf(ctx, id, version, sessionbridge.Values{"n": 3}); !errors.Is(err, sessionbridge.ErrConflict) {
		t.Errorf("a stale version: %v", err)
	}
}

func backendConcurrent(t *testing.T, b BackendUnderTest) {
	ctx := t.Context()
	bridge := sessionbridge.New(b.Backend, nil)
	h := b.Create(t, sessionbridge.Values{"n": 0})
	id := b.id(t, h)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				unlock, err := bridge.Lock(ctx, id)
				if err != nil {
					t.Error(err)
					return
				}
				v, err := b.Backend.Load(ctx, id)
				if err == nil {
					v["n"] = v["n"].(int) + 1
					err = b.Backend.Save(ctx, id, v)
				}
				unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := b.Read(t, h); fmt.Sprint(got["n"]) != "80" {
		t.Errorf("80 increments gave %v", got["n"])
	}
}

func request(h http.Header) *sio.Request { return &sio.Request{Method: http.MethodGet, Header: h} }

// id is the id of the session that a header carries.
func (b BackendUnderTest) id(t testing.TB, h http.Header) string {
	t.Helper()
	id, err := b.Backend.Identify(request(h))
	if err != nil || id == "" {
		t.Fatalf("Identify: %q %v", id, err)
	}
	return id
}
