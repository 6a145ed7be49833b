package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// unreleased are the modules that get no tag: programs that are run in a clone. Their
// replace lines are why go run MODULE/...@VERSION would refuse them.
var unreleased = []string{"bench", "bench/peers/zishang520", "examples", "interop", "release"}

// alone are the modules that go.work leaves out, because what they require would raise the versions
// that all others are tested with. They have to be unreleased.
var alone = []string{"bench/peers/zishang520"}

// repo is the modules of one repository, which all carry one version.
type repo struct {
	root    string
	modules []*module
	version string // what the modules require of each other
}

type module struct {
	dir  string // slash-separated, "." for the root
	path string
	file *modfile.File
}

// released reports whether the module gets a tag.
func (m *module) released() bool { return !slices.Contains(unreleased, m.dir) }

func (m *module) gomod(root string) string {
	return filepath.Join(root, filepath.FromSlash(m.dir), "go.mod")
}

// load reads every go.mod that git tracks or would track, and go.work. It fails when
// they contradict each other.
func load(root string) (*repo, error) {
	list, err := git(root, "ls-files", "--deduplicate", "-co", "--exclude-standard", "go.mod", "*/go.mod")
	if err != nil {
		return nil, err
	}
	r := &repo{root: root}
	for _, name := range strings.Fields(list) {
		if strings.Contains(name, "testdata/") {
			continue
		}
		m := &module{dir: path.Dir(name)}
		src, err := os.ReadFile(m.gomod(root))
		if err != nil {
			return nil, err
		}
		if m.file, err = modfile.Parse(name, src, nil); err != nil {
			return nil, err
		}
		if m.file.Module == nil {
			return nil, fmt.Errorf("%s: no module line", name)
		}
		m.path = m.file.Module.Mod.Path
		r.modules = append(r.modules, m)
	}
	slices.SortFunc(r.modules, func(a, b *module) int { return strings.Compare(a.path, b.path) })
	return r, errors.Join(r.agree(), r.workspace())
}

// agree checks that the modules require one version of each other, and keeps that version.
func (r *repo) agree() error {
	var errs []error
	for _, m := range r.modules {
		want := path.Join(r.modules[0].path, m.dir)
		if m.path != want {
			errs = append(errs, fmt.Errorf("%s/go.mod names the module %s, not %s", m.dir, m.path, want))
		}
		for _, req := range m.file.Require {
			if !r.has(req.Mod.Path) {
				continue
			}
			if r.version == "" {
				r.version = req.Mod.Version
			}
			if req.Mod.Version != r.version {
				errs = append(errs, fmt.Errorf("%s/go.mod requires %s %s, another module requires %s: "+
					"all modules carry one version", m.dir, req.Mod.Path, req.Mod.Version, r.version))
			}
		}
	}
	return errors.Join(errs...)
}

// workspace checks that go.work lists exactly the modules that there are, but for those alone.
func (r *repo) workspace() error {
	src, err := os.ReadFile(filepath.Join(r.root, "go.work"))
	if err != nil {
		return err
	}
	work, err := modfile.ParseWork("go.work", src, nil)
	if err != nil {
		return err
	}
	var have, want []string
	for _, use := range work.Use {
		have = append(have, path.Clean(use.Path))
	}
	for _, m := range r.modules {
		if !slices.Contains(alone, m.dir) || m.released() {
			want = append(want, m.dir)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("go.work lists %v, the modules are in %v", have, want)
	}
	return nil
}

func (r *repo) has(modulePath string) bool {
	return slices.ContainsFunc(r.modules, func(m *module) bool { return m.path == modulePath })
}

// tags are the names that the released modules have in git, the root's first.
func (r *repo) tags() []string {
	var tags []string
	for _, m := range r.modules {
		if m.released() {
			tags = append(tags, path.Join(m.dir, r.version))
		}
	}
	return tags
}

// set writes a version into every go.mod, a section for it into the changelog, and the
// exported names as those of the last release.
func (r *repo) set(version string, now time.Time) error {
	if semver.Canonical(version) != version || semver.Build(version) != "" {
		return fmt.Errorf("%q is no version like v1.2.3", version)
	}
	if major := semver.Major(version); major != "v0" && major != "v1" {
		return fmt.Errorf("%s: from v2 on every module path ends in %s, which is more than a version", version, major)
	}
	if semver.Compare(version, r.version) < 0 {
		return fmt.Errorf("%s is older than %s", version, r.version)
	}
	changelog := filepath.Join(r.root, "CHANGELOG.md")
	text, err := os.ReadFile(changelog)
	if err != nil {
		return err
	}
	if text, err = cut(text, version, now); err != nil {
		return err
	}
	if err := r.carry(version); err != nil {
		return err
	}
	for _, m := range r.modules {
		out, err := m.file.Format()
		if err != nil {
			return err
		}
		if err := os.WriteFile(m.gomod(r.root), out, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(changelog, text, 0o644); err != nil {
		return err
	}
	return r.names()
}

// names makes api/base what api is: the section Unreleased is empty now, so nothing may
// differ from the release.
func (r *repo) names() error {
	now, old := filepath.Join(r.root, "api"), filepath.Join(r.root, "api", "base")
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Mkdir(old, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(now, "*.txt"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(old, filepath.Base(file)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// carry makes the modules require a version of each other, in memory.
func (r *repo) carry(version string) error {
	r.version = version
	for _, m := range r.modules {
		for _, req := range m.file.Require {
			if !r.has(req.Mod.Path) {
				continue
			}
			if err := m.file.AddRequire(req.Mod.Path, version); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut makes the changelog's unreleased section that of a version.
func cut(text []byte, version string, now time.Time) ([]byte, error) {
	const heading = "## [Unreleased]\n"
	if !bytes.Contains(text, []byte(heading)) {
		return nil, fmt.Errorf("CHANGELOG.md has no line %q", strings.TrimSpace(heading))
	}
	section := fmt.Sprintf("%s\n## [%s] - %s\n", heading, strings.TrimPrefix(version, "v"), now.Format(time.DateOnly))
	return bytes.Replace(text, []byte(heading), []byte(section), 1), nil
}
