package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	xmodule "golang.org/x/mod/module"
)

// consumers holds one folder with a main.go for each application of the check. An
// application prints "listening on ADDRESS", serves Socket.IO below /socket.io, and acks the
// event "greet". When it has sessions it opens one at /login, and refuses handshakes without.
const consumers = "release/testdata/consumer"

// checker is one run of the check.
type checker struct {
	repo  *repo
	dir   string // of this run; outside of the workspace
	cache string // the module cache
	env   []string
}

// check packs the modules of the tree, and installs them as a user does: every application
// is a module of its own in an empty folder, which knows no workspace and no replacement.
//
// The version is one that nobody else uses: it names the content of the tree. So the module
// cache of this machine can serve the check, and what it compiles stays right.
func check(ctx context.Context, r *repo, names []string) error {
	hash, err := r.fingerprint()
	if err != nil {
		return err
	}
	if err := r.carry(r.version + "-check." + hash); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "siokit-consumer")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c := &checker{repo: r, dir: dir}
	if err := r.pack(filepath.Join(dir, "proxy")); err != nil {
		return err
	}
	if err := c.environment(ctx); err != nil {
		return err
	}
	defer c.forget()
	all, err := c.applications()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if err := c.complete(all); err != nil {
			return err
		}
	}
	tasks := map[string]func(context.Context) error{"commands": c.commands, "go test": c.tests}
	for name, modules := range all {
		tasks[name] = func(ctx context.Context) error { return c.application(ctx, name, modules) }
	}
	return each(ctx, tasks, names)
}

// each runs the tasks with these names, or all of them, as many at once as there are
// processors: most of their time goes into linking, which uses one.
func each(ctx context.Context, tasks map[string]func(context.Context) error, names []string) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		slot = make(chan struct{}, runtime.NumCPU())
	)
	if len(names) == 0 {
		for name := range tasks {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	for _, name := range names {
		task := tasks[name]
		if task == nil {
			return fmt.Errorf("there is no consumer %q", name)
		}
		wg.Go(func() {
			slot <- struct{}{}
			defer func() { <-slot }()
			start := time.Now()
			err := task(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
				return
			}
			fmt.Printf("%-14s ok, %.1f s\n", name, time.Since(start).Seconds())
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// environment is that of a user outside of the workspace. Other people's modules come from
// the module cache of this machine, so that the check works offline and compiles them once.
func (c *checker) environment(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	cache, proxies, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	c.cache = cache
	c.env = append(os.Environ(),
		"GOWORK=off",
		"GOFLAGS=-mod=mod -modcacherw",
		"GOBIN="+filepath.Join(c.dir, "bin"),
		"GOPROXY="+strings.Join([]string{
			"file://" + filepath.ToSlash(filepath.Join(c.dir, "proxy")),
			"file://" + filepath.ToSlash(cache) + "/cache/download",
			cmp.Or(proxies, "direct"),
		}, ","),
		// The checksum database knows nothing of this tree, and is not there offline.
		// The go.sum of every application begins with what ours say.
		"GOSUMDB=off",
	)
	return nil
}

// forget takes what this run has installed out of the module cache.
func (c *checker) forget() {
	for _, m := range c.repo.modules {
		escaped, err := xmodule.EscapePath(m.path)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(filepath.Join(c.cache, escaped+"@"+c.repo.version))
		files, _ := filepath.Glob(filepath.Join(c.cache, "cache", "download", escaped, "@v", c.repo.version+".*"))
		for _, file := range files {
			_ = os.Remove(file)
		}
	}
}

// applications finds the applications, and for each the modules of ours that it imports.
func (c *checker) applications() (map[string][]string, error) {
	mains, err := filepath.Glob(filepath.Join(c.repo.root, consumers, "*", "main.go"))
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, main := range mains {
		f, err := parser.ParseFile(token.NewFileSet(), main, nil, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(filepath.Dir(main))
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if m := c.repo.owner(imported); m != "" && !slices.Contains(all[name], m) {
				all[name] = append(all[name], m)
			}
		}
		// The root comes along with any other module, or go get of that one is broken.
		if len(all[name]) > 1 {
			all[name] = slices.DeleteFunc(all[name], func(m string) bool { return m == c.repo.modules[0].path })
		}
	}
	return all, nil
}

// owner is the module of ours that holds a package, "" if none does.
func (r *repo) owner(pkg string) (owner string) {
	for _, m := range r.modules {
		if (pkg == m.path || strings.HasPrefix(pkg, m.path+"/")) && len(m.path) > len(owner) {
			owner = m.path
		}
	}
	return owner
}

// complete fails when a released module has no application: a new adapter gets one. What
// is internal is installed along with the modules that need it.
func (c *checker) complete(all map[string][]string) error {
	seen := map[string]bool{}
	for _, modules := range all {
		for _, m := range modules {
			seen[m] = true
		}
	}
	var errs []error
	for _, m := range c.repo.modules {
		if m.released() && !seen[m.path] && !strings.Contains(m.path, "/internal/") {
			errs = append(errs, fmt.Errorf("no application in %s imports %s", consumers, m.path))
		}
	}
	return errors.Join(errs...)
}

// user makes an empty module that requires modules of ours, and nothing else.
func (c *checker) user(ctx context.Context, name string, modules []string) (dir string, err error) {
	dir = filepath.Join(c.dir, "apps", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := c.sums(dir); err != nil {
		return "", err
	}
	if err := c.command(ctx, dir, "go", "mod", "init", "example.com/"+path.Base(name)); err != nil {
		return "", err
	}
	args := []string{"go", "get"}
	for _, m := range modules {
		args = append(args, m+"@"+c.repo.version)
	}
	return dir, c.command(ctx, dir, args...)
}

// sums begins a go.sum with the lines of all of ours.
func (c *checker) sums(dir string) error {
	var all []byte
	for _, m := range c.repo.modules {
		sum, err := os.ReadFile(filepath.Join(c.repo.root, filepath.FromSlash(m.dir), "go.sum"))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		all = append(all, sum...)
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), all, 0o644)
}

// command runs a command as the user, and fails with all that it prints.
func (c *checker) command(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(slices.Clip(c.env), "PWD="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// application installs, builds and runs one application, and is a client of it.
func (c *checker) application(ctx context.Context, name string, modules []string) error {
	dir, err := c.user(ctx, name, modules)
	if err != nil {
		return err
	}
	main, err := os.ReadFile(filepath.Join(c.repo.root, consumers, name, "main.go"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), main, 0o644); err != nil {
		return err
	}
	if err := c.command(ctx, dir, "go", "build", "-o", "app", "."); err != nil {
		return err
	}
	return serve(ctx, filepath.Join(dir, "app"))
}

// commands installs the programs as README says: with their version, outside of a module.
func (c *checker) commands(ctx context.Context) error {
	mains, err := filepath.Glob(filepath.Join(c.repo.root, "cmd", "*", "main.go"))
	if err != nil {
		return err
	}
	args := []string{"go", "install"}
	for _, main := range mains {
		args = append(args, path.Join(c.repo.modules[0].path, "cmd", filepath.Base(filepath.Dir(main)))+"@"+c.repo.version)
	}
	return c.command(ctx, c.dir, args...)
}

// tests runs the tests of ours in the module of a user who has installed everything: go test
// all runs every test of what an application imports. Neither the other modules of the
// repository nor its git are beside the tests then. The conformance suite is only built: it
// reads no files, and the repository runs it on each host, which takes minutes.
func (c *checker) tests(ctx context.Context) error {
	var modules []string
	for _, m := range c.repo.modules {
		if m.released() {
			modules = append(modules, m.path)
		}
	}
	dir, err := c.user(ctx, "tests", modules)
	if err != nil {
		return err
	}
	// The pattern takes in every module whose path begins with it.
	all := c.repo.modules[0].path + "/..."
	// A test with a deadline must not run beside the compiler.
	if err := c.command(ctx, dir, "go", "list", "-export", "-test", "-deps", "-f", "{{/* nothing */}}", all); err != nil {
		return err
	}
	// Four packages at a time, because most tests wait for a timer most of the time.
	return c.command(ctx, dir, "go", "test", "-short", "-p=4", "-skip=^TestConformance", all)
}
