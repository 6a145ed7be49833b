package attack

import (
	"errors"
	"net/http"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestAttacks runs the table on net/http alone.
func TestAttacks(t *testing.T) { Run(t, factory) }

func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	mux := http.NewServeMux()
	mux.Handle(cfg.Path, srv)
	mux.Handle(cfg.Path+"/", srv)
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("ok")) })
	return conformance.ServeHTTP(t, mux, cfg)
}

// TestSeen: the harness sees what an attack has done to the server.
func TestSeen(t *testing.T) {
	s := startServer(t, factory, kinds[0])
	before := s.levels()
	row := func(f func(a *A)) *probe { return s.one(Row{ID: "X01", Run: f}).probe }
	if p := row(func(a *A) { w, _ := a.joined(); a.lives(w) }); p.failed() {
		t.Errorf("a row without an attack fails: %q", p.faults)
	}
	for what, f := range map[string]func(a *A){
		"a wrong answer":             func(a *A) { a.want("x", 1, 2) },
		"the end of the goroutine":   func(a *A) { a.Fatalf("over") },
		"a panic of the row":         func(*A) { panic("row") },
		"a refusal that is none":     requests(request{"POST", q4 + "&sid=SID", "3", "400 1", nil}),
		"an upgrade that is not one": upgrades(request{"", w4, "", "400", nil}),
		"frames that are legal":      frames([]int{1002}, closing(1000)),
		"a body that is legal":       bodies("400", sio.ParseError, "1"),
		"an answer":                  accepted([2]string{`42["echo","x"]`, ""}),
		"a second answer":            accepted([2]string{`42["burst",2,1]`, `42["item",0,"x"]`}),
	} {
		if p := row(f); !p.failed() {
			t.Errorf("%s is not seen", what)
		}
	}
	if got := s.control.wrong; got != "" { // or each row behind it would fail, whatever it does
		t.Errorf("before there is anything to see: %s", got)
	}
	if got := s.settle(before); got != "" {
		t.Errorf("what the rows have left is seen before: %s", got)
	}
	p := &probe{}
	newA(p, s).Polling()
	if got := s.levels().over(before); got == "" {
		t.Error("a session that is left is not seen")
	}
	p.clean()
	if p := row(func(a *A) { _ = a.S.srv.Of("/control").Emit("tick", 1) }); !p.failed() || s.control.wrong == "" {
		t.Error("a packet out of order is not seen")
	}
	s.failed(sio.Failure{Name: sio.FailurePanic, Err: errors.New("x"), Where: "y"})
	if got := s.unexpected(); len(got) != 1 {
		t.Errorf("panics: %q", got)
	}
	s.failures = nil
	s.stop(t)
}
