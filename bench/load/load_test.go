//go:build linux

// Package load holds the command bench/load/run, and this test that it works.
package load

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRun is the command with few connections: on one host of each kind, and on Node where its
// packages are installed. It shows that the command measures everything, not what it measures.
func TestRun(t *testing.T) {
	hosts := []string{"nethttp", "fiber"}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	_, err := os.Stat(filepath.Join("..", "peers", "node", "node_modules", "socket.io"))
	if _, missing := exec.LookPath("node"); err == nil && missing == nil {
		hosts = append(hosts, "node")
	} else {
		t.Log("without Node: it is not there, or its packages are not")
	}
	cmd := exec.Command("./run")
	cmd.Env = append(os.Environ(), "HOSTS="+strings.Join(hosts, " "), "ROUNDS=1",
		"CONNECTIONS=200", "HOLD=200ms", "RATE=200", "OFFER=500ms", "WARM=100ms")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	const number = ` [0-9.e+-]+ \([^)]*, 1\)( \*\*[0-9.]+\*\*)? \|`
	for _, host := range hosts {
		goroutines := number
		if host == "node" {
			goroutines = `  \|` // it has none
		}
		idle := regexp.MustCompile(`(?m)^\| ` + host + ` \|` + strings.Repeat(number, 4) + goroutines + strings.Repeat(number, 5) + `$`)
		connect := regexp.MustCompile(`(?m)^\| ` + host + ` \|` + strings.Repeat(number, 8) + `$`)
		if !idle.MatchString(text) || !connect.MatchString(text) {
			t.Errorf("%s: a figure is missing:\n%s", host, text)
		}
		if host != "node" && strings.Count(text, "\n"+host+" ") != 3 {
			t.Errorf("%s: a bound is not looked at:\n%s", host, text)
		}
	}
}

// TestRunFails: a host that does not exist is no pass.
func TestRunFails(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	cmd := exec.Command("./run")
	cmd.Env = append(os.Environ(), "HOSTS=none", "ROUNDS=1", "CONNECTIONS=1")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("it passed:\n%s", out)
	}
}
