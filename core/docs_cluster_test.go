package core_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestClusterPage: in docs/cluster.md each promise, each loss and each backend has a test or a
// case of RunCluster that keeps it, and the settings that it names are there. (That the tests
// are there TestCommandsAndLinks looks at, and that blocks compile TestReadme of examples.)
func TestClusterPage(t *testing.T) {
	needModules(t)
	text, err := os.ReadFile("../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, table := range []struct {
		head string
		rows int // at least
	}{
		{"| backend | needs |", 6},
		{"| | promise |", 6},
		{"| what happens |", 10},
	} {
		rows := rowsOf(page, table.head)
		if len(rows) < table.rows {
			t.Errorf("%s: %d rows", table.head, len(rows))
		}
		for _, row := range rows {
			cells := strings.Split(row, "|")
			if kept := cells[len(cells)-2]; !strings.Contains(kept, "[Test") && !strings.Contains(kept, "case `") {
				t.Errorf("no test keeps this: %s", row)
			}
		}
	}

	var cases strings.Builder
	files, _ := filepath.Glob("../conformance/cases_cluster_*.go")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases.Write(src)
	}
	named := regexp.MustCompile("case `([^`]+)`").FindAllStringSubmatch(page, -1)
	for _, m := range named {
		if !strings.Contains(cases.String(), `"`+m[1]+`"`) {
			t.Errorf("there is no case %s", m[1])
		}
	}
	if len(named) < 4 {
		t.Errorf("only %d cases are named", len(named))
	}

	options, err := os.ReadFile("../cluster/redis/options.go")
	if err != nil {
		t.Fatal(err)
	}
	settings := 0
	for _, row := range rowsOf(page, "| Node | siokit |") {
		for _, m := range regexp.MustCompile("`([A-Z]\\w*)(?:: (?:redisbus\\.(\\w+)|true))?`").FindAllStringSubmatch(strings.Split(row, "|")[2], -1) {
			settings++
			for _, name := range m[1:] {
				if name != "" && !regexp.MustCompile(`(?m)^\t`+name+`\b`).Match(options) {
					t.Errorf("redisbus has no %s: %s", name, row)
				}
			}
		}
	}
	if settings < 8 {
		t.Errorf("only %d settings are named", settings)
	}
}

// rowsOf are the rows of the table that begins so.
func rowsOf(page, head string) (rows []string) {
	_, table, _ := strings.Cut(page, "\n"+head)
	for i, line := range strings.Split(table, "\n") {
		switch {
		case i < 2: // the rest of the head, and the line below
		case strings.HasPrefix(line, "|"):
			rows = append(rows, line)
		default:
			return rows
		}
	}
	return rows
}
