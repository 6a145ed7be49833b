package interop

import (
	"context"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/sio"
)

// TestMigration: a client sees the same of the two small servers of docs/from-node.md, the one
// in JavaScript on Node and the one in Go.
func TestMigration(t *testing.T) {
	need(t)
	srv := ported()
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer func() { _ = srv.Shutdown(t.Context()) }()
	seen := func(args ...string) string {
		out, err := node(t, append([]string{"migrate.mjs"}, args...)...).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	theirs, ours := seen(), seen(hs.URL)
	if theirs != ours || strings.Count(ours, "unauthorized") != 3 {
		t.Errorf("Node:   %s\nsiokit: %s", theirs, ours)
	}
}

// ported is the small server in Go, as the page has it.
func ported() *sio.Server {
	io := sio.NewServer(nil)
	chat := io.Of("/chat")
	chat.OnConnect(func(ctx context.Context, s *sio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil || auth.Token != "letmein" {
			return &sio.Error{Message: "unauthorized"}
		}
		return nil
	})
	chat.On("join", sio.Reply(func(ctx context.Context, s *sio.Socket, room string) (string, error) {
		s.Join(room)
		return "ok", nil
	}))
	chat.On("say", sio.Handle(func(ctx context.Context, s *sio.Socket, in sio.Args2[string, string]) error {
		return s.To(in.A).Emit("said", in.B)
	}))
	return io
}

// TestMigrationPage: ported is what the page has.
func TestMigrationPage(t *testing.T) {
	page, err := os.ReadFile("../docs/from-node.md")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("migrate_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## A small server in both")
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(section)
	if block == nil {
		t.Fatal("the page has no block of Go there")
	}
	indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(block[1], "\t$1")
	if !strings.Contains(string(own), indented) {
		t.Errorf("ported is not what the page has:\n%s", block[1])
	}
}
