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
	// The page about tests; first, because its blocks have lines of others.
	{`reasons <- r`, `var t *testing.T; var io *sio.Server`},
	{`siotest.New(t, io, nil).Connect("/chat", nil)`, `var t *testing.T; type Message struct{ Text string }; chat := func(*sio.Namespace) {}`},
	{`ann.Start("delete"`, `var ann *siotest.Client`},
	{`siotest.Options{Handler: router}`, `var t *testing.T; var router http.Handler; var io *sio.Server`},
	{`siotest.Cleanup(t, io)`, `var t *testing.T`},
	{`v.Refused("/members"`, `var t *testing.T; var v *siotest.Visitor`},
	{`Token: token`, `var t *testing.T; var io *sio.Server; token := ""`},
	{`siotest.Together(t`, `var t *testing.T`},
	// The guides. These come first: some of their blocks have lines of those below.
	// Access.
	{`verify(ctx, auth.Token)`, `type User struct{ Name string }; n, userKey := sio.NewServer(nil).Of("/"), sio.NewKey[User]("user"); verify := func(context.Context, string) (User, error) { return User{}, nil }`},
	{`siogin.Context(x)`, `_ = 0`},
	{`gate.Allow(s, "read", "write", "logout")`, `type Credentials struct{}; type User struct{ Admin bool }; n := sio.NewServer(nil).Of("/"); check := func(context.Context, Credentials) (User, error) { return User{}, nil }`},
	{`readOnly := acl.PolicyFunc(`, `type User struct{ Admin bool }; n, userKey := sio.NewServer(nil).Of("/"), sio.NewKey[User]("user")`},
	{`acl.RateLimit(5, time.Minute, acl.Connect)`, `n := sio.NewServer(nil).Of("/")`},
	{`acl.RoomPrefix("team:", "public:")`, `n := sio.NewServer(nil).Of("/")`},
	// Rooms.
	{`s.Join("user:"+user, "lobby")`, `n := sio.NewServer(nil).Of("/"); whoIs := func(*sio.Socket) (string, error) { return "", nil }`},
	{`Emit("mail", 3)`, `io, user := sio.NewServer(nil), ""`},
	{`s.To(s.Rooms()...)`, `n := sio.NewServer(nil).Of("/")`},
	{`mixin.Rooms{Policy: acl.RoomPrefix("team:")}`, `n := sio.NewServer(nil).Of("/")`},
	{`room := "doc:" + id`, `type Doc struct{}; type Change struct{}; n := sio.NewServer(nil).Of("/"); load := func(context.Context, string) (Doc, error) { return Doc{}, nil }`},
	// Acks.
	{`sio.Errorf("too_large", "at most %d", 1000)`, `n := sio.NewServer(nil).Of("/")`},
	{`n.On("report"`, `n := sio.NewServer(nil).Of("/"); build := func(context.Context, string) (string, error) { return "", nil }`},
	{`"confirm", "delete everything?"`, `ctx, s := context.Background(), new(sio.Socket); deleteAll := func(context.Context) error { return nil }`},
	{`"vote", "tea or coffee?"`, `ctx, n, votes := context.Background(), sio.NewServer(nil).Of("/"), map[string]int{}`},
	{`context.WithTimeout(ctx, 2*time.Second)`, `n := sio.NewServer(nil).Of("/")`},
	// Binary.
	{`n.On("avatar"`, `n := sio.NewServer(nil).Of("/"); save := func(context.Context, string, []byte) error { return nil }`},
	{`Emit("frame"`, `n, at, pixels := sio.NewServer(nil).Of("/"), 0, []byte{}`},
	{`n.On("piece"`, `n := sio.NewServer(nil).Of("/"); store := func(context.Context, string, string, int, []byte) error { return nil }`},
	// Errors.
	{`count(f.Name)`, `count := func(string) {}`},
	// Clients.
	{`count(s.Dialect())`, `n, count := sio.NewServer(nil).Of("/"), func(string) {}`},
	// Recovery.
	{`newerThan(ctx, since)`, `type Item struct{}; n := sio.NewServer(nil).Of("/"); newerThan := func(context.Context, int) ([]Item, error) { return nil, nil }`},
	{`mixin.History{Events: []string{"say"}, Last: 50}`, `n := sio.NewServer(nil).Of("/")`},
	{`MaxDisconnection: 2 * time.Minute`, `_ = 0`},
	{`sio.RestoredKey[Draft]("draft")`, `type Draft struct{}; n := sio.NewServer(nil).Of("/"); whoIs := func(*sio.Socket) (string, error) { return "", nil }`},
	// From googollee/go-socket.io.
	{`"has left:", r)`, `_ = 0`},
	// From gevent-socketio.
	{`Emit("said", name, text)`, `io := sio.NewServer(nil)`},
	// TypeScript.
	{`sio.DeclareCall[string, bool](n, "confirm")`, `type Message struct{ Text string }; ctx, n, s := context.Background(), sio.NewServer(nil).Of("/"), new(sio.Socket)`},
	{`typescript.Write(&want`, `var t *testing.T; newServer := func() *sio.Server { return sio.NewServer(nil) }`},
	{`sio.DeclareEvent[[]mixin.Member](n, "presence")`, `n := sio.NewServer(nil).Of("/")`},
	// Deployment.
	{`os.Hostname()`, `var opts sio.Options`},

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
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
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
	"github.com/siokit/siokit/core/siotest"
	"github.com/siokit/siokit/core/typescript"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

var (
	_ bytes.Buffer
	_ testing.TB
	_ = typescript.Write
	_ context.Context
	_ tls.Config
	_ json.RawMessage
	_ = errors.New
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
	_ url.Values
	_ testing.TB
	_ siotest.Options
	_ = httptest.NewRequest
	_ = strings.NewReader
	_ = synctest.Wait
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
		if page == firstPage { // TestFirstTenMinutes runs its programs
			b = program.ReplaceAll(b, nil)
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
