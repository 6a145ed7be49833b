package core_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestErrorsPage: docs/errors.md has one row for each reason, failure, code and error that
// package sio exports, with the text that it has in the code, and no others.
func TestErrorsPage(t *testing.T) {
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // by the name in the first cell
	for _, m := range regexp.MustCompile("(?m)^\\| `(sio\\.\\w+)`[^|]*\\|.*$").FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] != "" {
			t.Errorf("%s has two rows", m[1])
		}
		rows[m[1]] = m[0]
		for _, cell := range strings.Split(strings.Trim(m[0], "|"), "|") {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("an empty cell: %s", m[0])
			}
		}
	}
	want := map[string]string{} // the names of the code, with their texts
	for _, in := range []struct{ file, decl string }{
		{"sio/failure.go", `(?m)^\t(Failure\w+)\s+= "(\w+)"`},
		{"sio/errors.go", `(?m)^\t(Code\w+)\s+= "(\w+)"`},
		{"sio/errors.go", `(?m)^\t(Err\w+)( )= errors\.New`},
		{"internal/virtsocket/reason.go", `(?m)^\t(\w+):\s+\{"([\w ]+)",`},
	} {
		src, err := os.ReadFile(filepath.FromSlash(in.file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(in.decl).FindAllStringSubmatch(string(src), -1)
		if len(found) < 4 {
			t.Errorf("%s: %d names", in.file, len(found))
		}
		for _, m := range found {
			want["sio."+m[1]] = strings.TrimSpace(m[2])
		}
	}
	for name, says := range want {
		switch row := rows[name]; {
		case row == "":
			t.Errorf("docs/errors.md has no row for %s", name)
		case says != "" && !strings.Contains(row, "`"+says+"`"):
			t.Errorf("the row of %s does not have its text, %s", name, says)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("docs/errors.md has a row for %s, which is not in the code", name)
	}
}
