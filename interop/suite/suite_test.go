// Package suite runs the conformance suite over three servers of a cluster on every host and
// every bus.
package suite

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/internal/redistest"
	"github.com/siokit/siokit/internal/testkit"
)

// What the environment says: that the whole table is asked for, and in a process that runs one
// cell of it, which one, and where the servers of the buses are.
const (
	wanted    = "SIOKIT_SUITE"
	cellName  = "SIOKIT_SUITE_CELL"
	redisAddr = "SIOKIT_SUITE_REDIS"
	natsURL   = "SIOKIT_SUITE_NATS"
)

// beside is how many cells run at once: they wait for timers most of the time.
const beside = 5

func TestMain(m *testing.M) { testkit.Main(m) }

// TestClusterSuite runs the short suite on each host with each bus. The suite looks at all
// goroutines of its process, so each run is a process of its own.
func TestClusterSuite(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("takes minutes; .ci/run sets " + wanted + "=1")
	}
	env := append(os.Environ(), redisAddr+"="+redistest.Start(t).Addr, natsURL+"="+startNATS(t))
	var mu sync.Mutex
	table := make(map[string]string)
	servers := ""
	from := time.Now()
	var running sync.WaitGroup
	free := make(chan struct{}, beside)
	for _, h := range hosts {
		for _, b := range buses {
			free <- struct{}{}
			running.Go(func() {
				defer func() { <-free }()
				name := h.name + " " + b.name
				out, err := cell(env, name)
				mu.Lock()
				defer mu.Unlock()
				table[name] = summary(out)
				servers = placed(out)
				if err != nil || table[name] == "" {
					t.Errorf("%s: %v\n%s", name, err, complaint(out))
				}
			})
		}
	}
	running.Wait()
	t.Logf("passed + failed (left out), over three servers; all in %v:\n%s", time.Since(from).Round(time.Second), rows(table))
	if servers != "" {
		t.Logf("of each:\n%s", servers)
	}
}

// cell runs one cell in a process of its own.
func cell(env []string, name string) (out string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCell$", "-test.v", "-test.short")
	cmd.Env = append(env, cellName+"="+name)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

var counts = regexp.MustCompile(`conformance: \d+ cases in (\S+): (\d+) passed, (\d+) failed, (\d+) skipped, (?:(\d+) known failing|known failing: none)`)

// summary is what came of a cell.
func summary(out string) string {
	m := counts.FindStringSubmatch(out)
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%s + %s (%s) %s", m[2], m[3], m[4], m[1])
}

// placed is what the summary says of how the cases stood, which is the same for all.
func placed(out string) string {
	_, list, _ := strings.Cut(out, "  servers: ")
	list, _, _ = strings.Cut(list, "--- ")
	return strings.TrimRight("  servers: "+list, " \n")
}

// complaint is a cell's output without the cases that have passed.
func complaint(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "--- PASS") && !strings.Contains(line, "--- SKIP") && !strings.Contains(line, "=== RUN") && !strings.HasSuffix(line, ": -short\n") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// rows is the table: a line for each host, a column for each bus.
func rows(table map[string]string) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, bus := range buses {
		fmt.Fprintf(w, "\t%s", bus.name)
	}
	for _, h := range hosts {
		fmt.Fprintf(w, "\n%s", h.name)
		for _, bus := range buses {
			fmt.Fprintf(w, "\t%s", table[h.name+" "+bus.name])
		}
	}
	_ = w.Flush()
	return b.String()
}

// TestCell is one cell of the table, in a process that TestClusterSuite has started.
func TestCell(t *testing.T) {
	name := os.Getenv(cellName)
	if name == "" {
		t.Skip("TestClusterSuite runs it")
	}
	for _, h := range hosts {
		for _, b := range buses {
			if name == h.name+" "+b.name {
				conformance.Run(t, h.factory, append(h.opts, conformance.Clustered(b.bus))...)
				return
			}
		}
	}
	t.Fatalf("there is no cell %q", name)
}

// startNATS starts a NATS server.
func startNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return s.ClientURL()
}
