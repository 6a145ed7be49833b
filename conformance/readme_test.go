package conformance_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
)

// TestReadme: the Go code of README.md and of the package comment stands in files that are
// compiled, so that a reader can copy it. Indentation does not count. The files of examples are
// in a module of their own, which a copy of this module alone does not have.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(conformance.Cases()); !strings.Contains(string(text), fmt.Sprintf("each of %d cases", n)) {
		t.Errorf("README.md does not say that there are %d cases", n)
	}
	for _, name := range conformance.Capabilities() {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("README.md does not explain the capability %s", name)
		}
	}
	files, err := filepath.Glob("../examples/own-adapter/*.go")
	if err != nil || len(files) == 0 {
		t.Skip("the examples are in a module of their own, and not here")
	}
	var code strings.Builder
	for _, file := range append(files, "example_test.go", "../core/sio/conformance_test.go") {
		src, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		code.WriteString(flat(string(src)))
	}
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	for _, b := range regexp.MustCompile(`(?:(?m:^//\t.*)\n)+`).FindAllString(string(comment), -1) {
		if strings.Contains(b, "conformance.") {
			blocks = append(blocks, []string{"", strings.ReplaceAll(b, "//\t", "")})
		}
	}
	if len(blocks) != 5+3 {
		t.Errorf("%d blocks of Go code", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(code.String(), flat(b[1])) {
			t.Errorf("not in a file that is compiled:\n%s", b[1])
		}
	}
}

// flat is code without indentation.
func flat(code string) string {
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
