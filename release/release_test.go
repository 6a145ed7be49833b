package main

import (
	"archive/zip"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree makes a repository of three modules, one of them unreleased.
func tree(t *testing.T, change map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":              "module example.com/kit\n\ngo 1.26.0\n",
		"go.work":             "go 1.26.0\n\nuse (\n\t.\n\t./adapters/web\n\t./examples\n)\n",
		"CHANGELOG.md":        "# Changelog\n\n## [Unreleased]\n\n- Something.\n",
		"LICENSE":             "free\n",
		"kit.go":              "package kit\n",
		"api/kit.txt":         "func New()\n",
		"api/base/gone.txt":   "func Gone()\n",
		"adapters/web/go.mod": "module example.com/kit/adapters/web\n\ngo 1.26.0\n\nrequire example.com/kit v0.1.0\n\nreplace example.com/kit => ../..\n",
		"adapters/web/web.go": "package web\n",
		"examples/go.mod":     "module example.com/kit/examples\n\ngo 1.26.0\n\nrequire (\n\texample.com/kit v0.1.0\n\texample.com/kit/adapters/web v0.1.0\n\texample.com/other v0.1.0\n)\n",
	}
	for name, text := range change {
		files[name] = text
	}
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := git(dir, "init", "-q"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func loaded(t *testing.T) *repo {
	t.Helper()
	r, err := load(tree(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSetWritesOneVersionEverywhere(t *testing.T) {
	r := loaded(t)
	if err := r.set("v0.2.0", time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	again, err := load(r.root)
	if err != nil || again.version != "v0.2.0" {
		t.Errorf("the tree carries %s (%v)", again.version, err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if mod := read("examples/go.mod"); strings.Count(mod, "v0.2.0") != 2 || !strings.Contains(mod, "example.com/other v0.1.0") {
		t.Errorf("examples/go.mod:\n%s", mod)
	}
	if log := read("CHANGELOG.md"); !strings.Contains(log, "## [Unreleased]\n\n## [0.2.0] - 2026-02-03\n\n- Something.") {
		t.Errorf("CHANGELOG.md:\n%s", log)
	}
	if names := read("api/base/kit.txt"); names != "func New()\n" {
		t.Errorf("api/base/kit.txt: %q", names)
	}
	if _, err := os.Stat(filepath.Join(r.root, "api/base/gone.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a package that is gone has names of the release (%v)", err)
	}
	if tags := again.tags(); !slices.Equal(tags, []string{"v0.2.0", "adapters/web/v0.2.0"}) {
		t.Errorf("tags %v", tags)
	}
}

func TestSetRefuses(t *testing.T) {
	for version, why := range map[string]string{
		"0.2.0":    "is no version",
		"v1.2":     "is no version",
		"v1.2.3+x": "is no version",
		"v2.0.0":   "module path ends in v2",
		"v0.0.9":   "is older than v0.1.0",
	} {
		if err := loaded(t).set(version, time.Now()); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want one that says %q", version, err, why)
		}
	}
}

func TestLoadFindsContradictions(t *testing.T) {
	for name, c := range map[string]struct{ file, text, why string }{
		"two versions": {"adapters/web/go.mod", "module example.com/kit/adapters/web\n\nrequire example.com/kit v0.1.1\n", "all modules carry one version"},
		"wrong path":   {"adapters/web/go.mod", "module example.com/kit/web\n", "names the module example.com/kit/web"},
		"not in work":  {"adapters/chi/go.mod", "module example.com/kit/adapters/chi\n", "go.work lists"},
	} {
		if _, err := load(tree(t, map[string]string{c.file: c.text})); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.why)
		}
	}
}

// TestAlone has a module that go.work leaves out.
func TestAlone(t *testing.T) {
	files := map[string]string{alone[0] + "/go.mod": "module example.com/kit/" + alone[0] + "\n"}
	if _, err := load(tree(t, files)); err != nil {
		t.Errorf("left out: %v", err)
	}
	files["go.work"] = "go 1.26.0\n\nuse (\n\t.\n\t./adapters/web\n\t./examples\n\t./" + alone[0] + "\n)\n"
	if _, err := load(tree(t, files)); err == nil || !strings.Contains(err.Error(), "go.work lists") {
		t.Errorf("listed: %v", err)
	}
}

func TestCommit(t *testing.T) {
	r := loaded(t)
	if err := commit(r, "v0.2.0"); err == nil || !strings.Contains(err.Error(), "commit or remove these first") {
		t.Errorf("a dirty tree: %v", err)
	}
	for _, args := range [][]string{
		{"config", "user.name", "t"}, {"config", "user.email", "t@example.com"},
		{"add", "-A"}, {"commit", "-q", "-m", "first"},
	} {
		if _, err := git(r.root, args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := commit(r, "v0.2.0"); err != nil {
		t.Fatal(err)
	}
	subject, err := git(r.root, "log", "-1", "--format=%s")
	if err != nil || subject != "Release v0.2.0\n" {
		t.Errorf("the last commit is %q (%v)", subject, err)
	}
	if dirty, err := git(r.root, "status", "--porcelain"); err != nil || dirty != "" {
		t.Errorf("left behind: %s (%v)", dirty, err)
	}
	if names, err := git(r.root, "show", "HEAD:api/base/kit.txt"); err != nil || names != "func New()\n" {
		t.Errorf("the names of the release: %q (%v)", names, err)
	}
}

// TestPack: a zip holds one module, with the license and the versions of the release.
func TestPack(t *testing.T) {
	r := loaded(t)
	if err := r.carry("v0.3.0"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := r.pack(dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"example.com/kit":              {"CHANGELOG.md", "LICENSE", "api/base/gone.txt", "api/kit.txt", "go.mod", "go.work", "kit.go"},
		"example.com/kit/adapters/web": {"LICENSE", "go.mod", "web.go"},
	} {
		z, err := zip.OpenReader(filepath.Join(dir, path, "@v", "v0.3.0.zip"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range z.File {
			names = append(names, strings.TrimPrefix(f.Name, path+"@v0.3.0/"))
		}
		_ = z.Close()
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Errorf("%s holds %v, want %v", path, names, want)
		}
	}
	mod, err := os.ReadFile(filepath.Join(dir, "example.com/kit/adapters/web/@v/v0.3.0.mod"))
	if err != nil || !strings.Contains(string(mod), "require example.com/kit v0.3.0") {
		t.Errorf("the packed go.mod (%v):\n%s", err, mod)
	}
	if _, err := os.Stat(filepath.Join(dir, "example.com/kit/examples")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an unreleased module was packed (%v)", err)
	}
}

// TestEveryModuleHasAnApplication: the consumer check covers each module that gets a tag.
func TestEveryModuleHasAnApplication(t *testing.T) {
	if _, err := os.Stat("../.git"); err != nil {
		t.Skip("this is no clone: ", err)
	}
	r, err := load("..")
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{repo: r}
	all, err := c.applications()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.complete(all); err != nil {
		t.Error(err)
	}
	delete(all, "gin")
	if err := c.complete(all); err == nil || !strings.Contains(err.Error(), "adapters/gin") {
		t.Errorf("without gin's application: %v", err)
	}
	if err := each(context.Background(), nil, []string{"nobody"}); err == nil {
		t.Error("a name that is not there was accepted")
	}
}
