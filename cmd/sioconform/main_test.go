package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func command(args ...string) (code int, out, complaint string) {
	var stdout, stderr bytes.Buffer
	code = run(args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// serve starts a server with the suite's application.
func serve(t *testing.T) string {
	srv := sio.NewServer(&sio.Options{PingInterval: 10 * time.Second, PingTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second, MaxPayload: 2 << 20})
	conformance.RegisterApplication(srv)
	hs := httptest.NewServer(srv)
	t.Cleanup(func() {
		_ = srv.Shutdown(t.Context())
		hs.Close()
	})
	return hs.URL
}

func TestReport(t *testing.T) {
	url := serve(t)
	code, out, complaint := command("-url", url, "-only", "handshake,acks/both-ways")
	if code != 0 || complaint != "" || !strings.Contains(out, "  acks/both-ways\n") || !strings.Contains(out, "4 cases in ") || !strings.HasSuffix(out, "known failing: none\n") {
		t.Errorf("%d %s%s", code, out, complaint)
	}
	// A server without a mux serves every path, so what must be a 404 is not.
	code, out, _ = command("-url", url, "-only", "routing/sibling,routing/slash")
	for _, want := range []string{"failed ", "rule: a path that merely begins alike is not captured", "spec: docs/protocol.md 2.1", "got  200", "want 404",
		`> GET /socket.iox/?EIO=4&transport=polling ""`, `< 200 to GET /socket.iox/: "0{`, "2 cases in ", "1 passed, 1 failed", "failed: routing/sibling"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	known := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(known, []byte("# comment\n\nrouting/sibling there is no mux\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = command("-url", url, "-only", "routing/sibling", "-known", known)
	if code != 0 || !strings.Contains(out, "known failing: routing/sibling\n    there is no mux\n") {
		t.Errorf("%d %s", code, out)
	}
	code, out, _ = command("-url", url, "-only", "routing/sibling", "-skip", known)
	if code != 0 || !strings.Contains(out, "skipped: routing/sibling\n    there is no mux\n") {
		t.Errorf("%d %s", code, out)
	}
	if err := os.WriteFile(known, []byte("routing/slash it does not fail"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ = command("-url", url, "-only", "routing/slash", "-known", known); code != 1 || !strings.Contains(out, "passed, but is listed as known failing") {
		t.Errorf("%d %s", code, out)
	}
}

func TestJSON(t *testing.T) {
	code, out, _ := command("-url", serve(t), "-only", "routing", "-caps", "eio4,websocket", "-json")
	var results []conformance.Result
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != 1 {
		t.Fatalf("%d %v %s", code, err, out)
	}
	got := map[string]string{}
	for _, r := range results {
		got[r.Name] = r.Status
		if r.Rule == "" || r.Spec == "" || (r.Status == "failed") != (r.Output != "" && r.Trace != "") {
			t.Errorf("%+v", r)
		}
	}
	if got["routing/slash"] != "passed" || got["routing/sibling"] != "failed" || got["routing/below"] != "skipped" {
		t.Errorf("%v", got)
	}
}

func TestList(t *testing.T) {
	code, out, _ := command("-list")
	names := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != 0 || len(names) < 200 || len(names) != len(conformance.Cases()) || names[0] != conformance.Cases()[0] {
		t.Errorf("%d %d names", code, len(names))
	}
	if code, out, _ := command("-app"); code != 0 || !strings.Contains(out, "echo ARGS...") {
		t.Errorf("%d %s", code, out)
	}
}

func TestWrongCommands(t *testing.T) {
	for _, args := range [][]string{{}, {"-url"}, {"-url", "http://127.0.0.1:1", "x"}, {"-url", "http://127.0.0.1:1", "-caps", "eio5"},
		{"-url", "http://127.0.0.1:1", "-only", "no/such"}, {"-url", "http://127.0.0.1:1", "-known", "no such file"}} {
		if code, out, complaint := command(args...); code != 2 || out != "" || complaint == "" {
			t.Errorf("%q: %d %s", args, code, out)
		}
	}
	if code, out, _ := command("-url", "http://127.0.0.1:1", "-only", "routing/slash"); code != 1 || !strings.Contains(out, "connection refused") {
		t.Errorf("nobody there: %d %s", code, out)
	}
}
