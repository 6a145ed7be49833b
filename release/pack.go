package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	xmodule "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// pack writes every released module below dir, in the layout of a module mirror, so that
// GOPROXY=file://DIR serves them. The unreleased ones stay out, so that a check notices when
// a released module needs one.
func (r *repo) pack(dir string) error {
	for _, m := range r.modules {
		if !m.released() {
			continue
		}
		if err := r.packModule(m, dir); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return nil
}

func (r *repo) packModule(m *module, dir string) error {
	escaped, err := xmodule.EscapePath(m.path)
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	mod, err := m.file.Format()
	if err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{r.version, time.Now().UTC()})
	if err != nil {
		return err
	}
	for ext, data := range map[string][]byte{"info": info, "mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, r.version+"."+ext), data, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte(r.version+"\n"), 0o644); err != nil {
		return err
	}
	files, err := r.files(m, filepath.Join(dir, r.version+".mod"))
	if err != nil {
		return err
	}
	w, err := os.Create(filepath.Join(dir, r.version+".zip"))
	if err != nil {
		return err
	}
	if err := zip.Create(w, xmodule.Version{Path: m.path, Version: r.version}, files); err != nil {
		_ = w.Close()
		return err
	}
	return w.Close()
}

// files are what git tracks or would track below the module, with another go.mod. Create
// leaves out nested modules. A module without a LICENSE gets the root's, as a mirror does it.
func (r *repo) files(m *module, gomod string) ([]zip.File, error) {
	list, err := git(r.root, "ls-files", "--deduplicate", "-z", "-co", "--exclude-standard", "--", m.dir)
	if err != nil {
		return nil, err
	}
	var files []zip.File
	licensed := false
	for name := range strings.SplitSeq(list, "\x00") {
		if name == "" {
			continue
		}
		f := file{name: strings.TrimPrefix(name, m.dir+"/"), source: filepath.Join(r.root, filepath.FromSlash(name))}
		if _, err := os.Lstat(f.source); os.IsNotExist(err) {
			continue // deleted, but not yet in the index
		}
		switch f.name {
		case "go.mod":
			f.source = gomod
		case "LICENSE":
			licensed = true
		}
		files = append(files, f)
	}
	if !licensed {
		files = append(files, file{name: "LICENSE", source: filepath.Join(r.root, "LICENSE")})
	}
	return files, nil
}

// fingerprint is a short hash of all that the modules hold.
func (r *repo) fingerprint() (string, error) {
	h := sha256.New()
	for _, m := range r.modules {
		files, err := r.files(m, m.gomod(r.root))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			src, err := f.Open()
			if err != nil {
				return "", err
			}
			_, _ = fmt.Fprintln(h, m.path, f.Path())
			_, err = io.Copy(h, src)
			if err := errors.Join(err, src.Close()); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// file is one file of a zip.
type file struct{ name, source string }

// Path implements [zip.File]: the name inside of the module.
func (f file) Path() string { return f.name }

// Lstat implements [zip.File]: it does not follow links.
func (f file) Lstat() (os.FileInfo, error) { return os.Lstat(f.source) }

// Open implements [zip.File].
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.source) }
