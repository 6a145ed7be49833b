// Release writes the version into every module of the repository, makes the commit of a
// release, lists its tags, and proves that a user can install the result.
//
//	go run ./release set v0.2.0      write the version into every go.mod, the changelog and api/base
//	go run ./release commit v0.2.0   the same, and commit; prints the commands that tag and push
//	go run ./release tags            print one tag for each released module
//	go run ./release proxy DIR       pack the modules of this tree into a folder for GOPROXY
//	go run ./release check [NAME...] build and run applications that install from such a folder
//
// RELEASING.md says when to run which.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	r, err := load(strings.TrimSpace(root))
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "set":
		return r.set(args[1], time.Now())
	case len(args) == 2 && args[0] == "commit":
		return commit(r, args[1])
	case len(args) == 1 && args[0] == "tags":
		fmt.Println(strings.Join(r.tags(), "\n"))
		return nil
	case len(args) == 2 && args[0] == "proxy":
		return r.pack(args[1])
	case len(args) >= 1 && args[0] == "check":
		return check(ctx, r, args[1:])
	}
	return errors.New("usage: release set VERSION | commit VERSION | tags | proxy DIR | check [NAME...]")
}

// commit makes the commit of a release. Tags and the push are left to a person: what the
// module mirror has seen once cannot be taken back.
func commit(r *repo, version string) error {
	if dirty, err := git(r.root, "status", "--porcelain"); err != nil {
		return err
	} else if dirty != "" {
		return fmt.Errorf("commit or remove these first:\n%s", dirty)
	}
	if err := r.set(version, time.Now()); err != nil {
		return err
	}
	if _, err := git(r.root, "add", "-A"); err != nil { // a new package has a new file in api/base
		return err
	}
	if _, err := git(r.root, "commit", "-m", "Release "+version); err != nil {
		return err
	}
	tags := r.tags()
	fmt.Printf("Committed. When CI has passed for this commit:\n\n")
	for _, tag := range tags {
		fmt.Printf("git tag -a -m 'Release %s' %s\n", version, tag)
	}
	fmt.Printf("git push --atomic origin HEAD %s\n", strings.Join(tags, " "))
	return nil
}

// git runs git in a folder and returns what it prints.
func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("git %s: %w: %s", args[0], err, exit.Stderr)
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}
