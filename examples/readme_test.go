package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// prelude is what the fragments of the pages take for granted. A
// fragment is found by a line of it.
var prelude = []struct{ line, before string }{
	{`siogin.Mount(router, "/socket.io", io)`, `router := gin.New(); say := func(context.Context, *sio.Socket, string) error { return nil }`},
	{`chat.On("join"`, `_ = 0`}, // the guide from Node
	{`chat.OnConnect(func(`, `type Message struct{}; type Sent struct{ At time.Time }; io := sio.NewServer(nil)`},
	{`gate := acl.NewGate(`, `type Credentials struct{}; type User struct{}; chat := sio.NewServer(nil).Of("/chat"); check := func(Credentials) (User, error) { return User{}, nil }`},
	{`mixin.Presence`, `io := sio.NewServer(nil)`},
	{`gorillabridge.New(`, `ctx, id, store := context.Background(), "", sessions.NewCookieStore()`},
	{`user := sess.Get(`, `ctx := context.Background(); s := new(sio.Socket)`}, // the page about sessions
	{`manager.LoadAndSave`, `r := chi.NewRouter(); manager := scs.New(); io := sio.NewServer(nil); login := func(http.ResponseWriter, *http.Request) {}`},
	{`sessions.Default(c)`, `c, user, bridge := new(gin.Context), "", new(sessionbridge.Bridge); sessions := struct{ Default func(*gin.Context) ginsessions.Session }{ginsessions.Default}`},
}

const imports = `
import (
	"context"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	gorilla "github.com/gorilla/sessions"
	"github.com/gorilla/sessions"
	siochi "github.com/siokit/siokit/adapters/chi"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

var (
	_ context.Context
	_ time.Time
	_ gin.H
	_ http.Handler
	_ *scs.SessionManager
	_ ginsessions.Session
	_ chi.Router
	_ gorilla.Options
	_ = siochi.Mount
	_ sessions.Options
	_ = siogin.Mount
	_ acl.Policy
	_ mixin.Rooms
	_ sio.None
	_ sessionbridge.Values
	_ = gorillabridge.New
)
`

// TestReadme: every block of Go in README, in the page about sessions and in the guide from
// Node compiles, whole programs as they stand.
func TestReadme(t *testing.T) {
	var text []byte
	for _, page := range []string{"../README.md", "../docs/from-node.md", "../docs/sessions.md"} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	dir := t.TempDir()
	var files []string
	add := func(name, src string) {
		file := filepath.Join(dir, name, "main.go")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	fragments := "package main\n" + imports + "func main() {\n"
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		block := m[1]
		if strings.HasPrefix(block, "package main") {
			add("program", block)
			continue
		}
		before := ""
		for _, p := range prelude {
			if strings.Contains(block, p.line) {
				before = p.before
				break
			}
		}
		if before == "" {
			t.Errorf("nothing is said about what this takes for granted:\n%s", block)
		}
		fragments += "func() {\n" + before + "\n" + block + "}()\n"
	}
	add("fragments", fragments+"}\n")
	if len(files) != 2 {
		t.Errorf("%d files, of one whole program and the fragments", len(files))
	}
	for _, file := range files {
		out, err := exec.Command("go", "build", "-o", os.DevNull, "-gcflags=-e", file).CombinedOutput()
		if err == nil {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			if !strings.HasPrefix(line, "# ") && !strings.Contains(line, "declared and not used") {
				t.Errorf("%s: %s", filepath.Base(filepath.Dir(file)), line)
			}
		}
	}
}
