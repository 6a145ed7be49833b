package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	// Blocks of the pages use these, and nothing else of this module.
	_ "github.com/redis/rueidis"
	_ "github.com/siokit/siokit/cluster/nats"
	_ "github.com/siokit/siokit/cluster/redis"
)

// prelude is what the fragments of the pages take for granted. A fragment is found by
// a line of it.
var prelude = []struct{ line, before string }{
	{`siogin.Mount(router, "/socket.io", io)`, `router := gin.New(); say := func(context.Context, *sio.Socket, string) error { return nil }`},
	{`chat.On("join"`, `_ = 0`}, // the guide from Node
	{`chat.OnConnect(func(`, `type Message struct{}; type Sent struct{ At time.Time }; io := sio.NewServer(nil)`},
	{`gate := acl.NewGate(`, `type Credentials struct{}; type User struct{}; chat := sio.NewServer(nil).Of("/chat"); check := func(Credentials) (User, error) { return User{}, nil }`},
	{`mixin.Presence`, `io := sio.NewServer(nil)`},
	{`return s.ExpireAt(ends)`, `n := sio.NewServer(nil).Of("/"); check := func(string) (string, time.Time, error) { return "", time.Time{}, nil }; errToken, userKey := &sio.Error{}, sio.NewKey[string]("user")`}, // the page about tokens
	{`"POST /renew"`, `n, mux := sio.NewServer(nil).Of("/"), http.NewServeMux(); check := func(string) (string, time.Time, error) { return "", time.Time{}, nil }`},
	{`mixin.Once{`, `io := sio.NewServer(nil); user := func(*sio.Socket) string { return "" }`}, // the page about clients that try again
	{`gorillabridge.New(`, `ctx, id, store := context.Background(), "", sessions.NewCookieStore()`},
	{`user := sess.Get(`, `ctx := context.Background(); s := new(sio.Socket)`}, // the page about sessions
	{`manager.LoadAndSave`, `r := chi.NewRouter(); manager := scs.New(); io := sio.NewServer(nil); login := func(http.ResponseWriter, *http.Request) {}`},
	{`sessions.Default(c)`, `c, user, bridge := new(gin.Context), "", new(sessionbridge.Bridge); sessions := struct{ Default func(*gin.Context) ginsessions.Session }{ginsessions.Default}`},
	{`net.JoinHostPort(os.Getenv(`, `var opts sio.Options`},
	{`Origins: []string{`, `_ = 0`},
	{`Options{Address:`, `_ = 0`},
	{`mux.Handle("/ready", io.ReadyHandler())`, `_ = 0`},
	{`app.Get("/ready"`, `app, io := fiber.New(), sio.NewServer(nil)`},
	{`io.Mount(mux, "/socket.io")`, `mux, io := http.NewServeMux(), sio.NewServer(nil)`},
	{`mux.HandleFunc("/stats"`, `mux, io := http.NewServeMux(), sio.NewServer(nil)`},
	{`sio.NewEmitter(`, `ctx := context.Background()`},
	{`redisbus.New(`, `say := func(context.Context, *sio.Socket, string) error { return nil }`}, // the page about clusters
	{`natsbus.New(`, `say := func(context.Context, *sio.Socket, string) error { return nil }`},
	{`natsembed.New(`, `say := func(context.Context, *sio.Socket, string) error { return nil }`},
	{`cluster.NewBus()`, `_ = 0`},
	{`Forward: &sio.Forward{`, `bus, secret := cluster.NewBus().Backend(), []byte{}`},
	{`sio.HandleServers(n`, `ctx, io := context.Background(), sio.NewServer(nil); reload, load := func(string) error { return nil }, func() float64 { return 1 }`},
	{`s.Emit("history", messages)`, `var s *sio.Socket; var messages []string`},
}

const imports = `
import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alexedwards/scs/v2"
	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	gorilla "github.com/gorilla/sessions"
	"github.com/gorilla/sessions"
	"github.com/gofiber/fiber/v2"
	siochi "github.com/siokit/siokit/adapters/chi"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/redis/rueidis"
	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	redisbus "github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

var (
	_ context.Context
	_ tls.Config
	_ json.RawMessage
	_ log.Logger
	_ os.File
	_ os.Signal = syscall.SIGTERM
	_ = signal.Stop
	_ fiber.Map
	_ rueidis.Client
	_ natsbus.Options
	_ natsembed.Options
	_ redisbus.Options
	_ cluster.Backend
	_ http.Header
	_ time.Time
	_ scs.SessionManager
	_ ginsessions.Session
	_ gin.H
	_ chi.Router
	_ gorilla.Options
	_ sessions.Options
	_ = siochi.Mount
	_ = siogin.Mount
	_ acl.Policy
	_ host.Exchange
	_ mixin.Rooms
	_ sio.None
	_ sessionbridge.Values
	_ = gorillabridge.New
)
`

// TestReadme: every block of Go in README and in the pages of docs compiles, whole
// programs as they stand. (conformance has a test of its own README.)
func TestReadme(t *testing.T) {
	var text []byte
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages (%v)", len(pages), err)
	}
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md") {
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
