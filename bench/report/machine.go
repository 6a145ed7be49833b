//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is a sentence about what was measured, when, and on what.
func machine(root string) (string, error) {
	revision, err := said(root, "git", "rev-parse", "--short", "HEAD")
	if err != nil {
		revision = "unknown" // no clone
	} else if changes, err := said(root, "git", "status", "--porcelain", "--untracked-files=no"); err == nil && changes != "" {
		revision += " with changes"
	}
	model := "a processor without a name"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(text) {
			if name, value, _ := bytes.Cut(line, []byte(":")); string(bytes.TrimSpace(name)) == "model name" {
				model = string(bytes.TrimSpace(value))
				break
			}
		}
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "", err
	}
	kib := 0
	if fields := bytes.Fields(memory); len(fields) > 1 {
		kib, _ = strconv.Atoi(string(fields[1])) // MemTotal is the first line
	}
	kernel, err := said(root, "uname", "-sr")
	if err != nil {
		return "", err
	}
	kernel, _, _ = strings.Cut(kernel, "-") // what follows is a builder's name for it
	tools := strings.Replace(runtime.Version(), "go", "Go ", 1)
	if version, err := said(root, "node", "--version"); err == nil {
		tools += ", Node " + strings.TrimPrefix(version, "v")
	}
	return fmt.Sprintf("Measured at revision %s, %s, on %d cores of %s, %d GiB of memory, %s, %s.", revision,
		time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), model, (kib+1<<19)>>20, kernel, tools), nil
}

// said is what a command prints.
func said(dir string, command ...string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	text, err := cmd.Output()
	return strings.TrimSpace(string(text)), err
}
