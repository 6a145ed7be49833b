package examples_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// firstPage has one chat.go, one page, one main.go for each framework, and one chat_test.go.
var firstPage = filepath.Join("..", "docs", "first-ten-minutes.md")

// program is a block of Go that is a file of its own.
var program = regexp.MustCompile("(?s)```go\n(package main\n.*?)```")

// TestFirstTenMinutes: with each framework the files of docs/first-ten-minutes.md are a
// program, as they stand there but for the port. It serves the page, refuses who has no name,
// and lets two clients talk. The page's own test passes, and fails without the handler that it
// is about.
func TestFirstTenMinutes(t *testing.T) {
	text, err := os.ReadFile(firstPage)
	if err != nil {
		t.Fatal(err)
	}
	page := regexp.MustCompile("(?s)```html\n(.*?)```").FindSubmatch(text)
	if page == nil {
		t.Fatal("no page")
	}
	blocks := program.FindAllSubmatch(text, -1)
	heads := regexp.MustCompile(`(?m)^### (.+)$`).FindAllSubmatch(text, -1)
	if len(blocks) != 1+7+1 || len(heads) != 7 {
		t.Fatalf("%d files and %d frameworks, of chat.go, a main.go for each of 7, and chat_test.go", len(blocks), len(heads))
	}
	chat, tests := string(blocks[0][1]), string(blocks[8][1])
	t.Run("the page's test", func(t *testing.T) {
		if out, err := tested(t, chat, tests, string(page[1])); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		const say = `chat.On("say",`
		if out, err := tested(t, strings.Replace(chat, say, `chat.On("sing",`, 1), tests, string(page[1])); err == nil || !strings.Contains(out, "--- FAIL: TestSay") {
			t.Errorf("without %s: %v\n%s", say, err, out)
		}
	})
	for i, own := range blocks[1:8] {
		t.Run(string(heads[i][1]), func(t *testing.T) {
			addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(testkit.Port(t)))
			if strings.Count(string(own[1]), "127.0.0.1:3000") != 1 {
				t.Fatal("it does not listen on 127.0.0.1:3000")
			}
			dir := t.TempDir()
			write(t, dir, map[string]string{
				"chat.go":    chat,
				"main.go":    strings.ReplaceAll(string(own[1]), "127.0.0.1:3000", addr),
				"index.html": string(page[1]),
			})
			bin := filepath.Join(dir, "chat")
			out, err := exec.Command("go", "build", "-o", bin, filepath.Join(dir, "chat.go"), filepath.Join(dir, "main.go")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cmd := exec.Command(bin)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait() // says that it was killed
			}()
			testkit.Until(t, 30*time.Second, "the program listens", func() bool {
				c, err := net.Dial("tcp", addr)
				if err == nil {
					_ = c.Close()
				}
				return err == nil
			})
			talk(t, "http://"+addr, string(page[1]))
		})
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	for name, src := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tested runs the test of the page, which needs no main.go.
func tested(t *testing.T, chat, tests, page string) (out string, err error) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"chat.go": chat, "chat_test.go": tests, "index.html": page})
	b, err := exec.Command("go", "test", "-count=1", filepath.Join(dir, "chat.go"), filepath.Join(dir, "chat_test.go")).CombinedOutput()
	return string(b), err
}

// talk looks at the chat as a browser and its users would.
func talk(t *testing.T, url, page string) {
	resp, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != page || !strings.EqualFold(resp.Header.Get("Content-Type"), "text/html; charset=utf-8") {
		t.Errorf("%s, the page: %.100s", resp.Header.Get("Content-Type"), body)
	}

	c := wire.New(t, url, "/socket.io/")
	if a := c.Must("GET", "EIO=4&transport=polling", ""); !strings.HasPrefix(a.Body, `0{"sid":`) { // the page's curl
		t.Errorf("polling: %v", a)
	}
	join := func(auth string) (*wire.WS, string) {
		w, _ := c.WebSocket()
		w.Send("40/chat," + auth)
		return w, w.Next()
	}
	if _, m := join(`{}`); m != `44/chat,{"message":"who are you?"}` {
		t.Errorf("without a name: %s", m)
	}
	ann, m := join(`{"nick":"ann"}`)
	if !strings.HasPrefix(m, "40/chat,") {
		t.Fatalf("ann: %s", m)
	}
	bob, m := join(`{"nick":"bob"}`)
	if !strings.HasPrefix(m, "40/chat,") {
		t.Fatalf("bob: %s", m)
	}
	if m := ann.Next(); m != `42/chat,["came","bob"]` {
		t.Errorf("bob has come: %s", m)
	}
	bob.Send(`42/chat,1["say","hello"]`, `42/chat,2["say",""]`)
	m = bob.Next()
	if m == `42/chat,["came","ann"]` { // ann's OnConnected may run when bob is there already
		m = bob.Next()
	}
	if !strings.HasPrefix(m, `43/chat,1[{"nick":"bob","text":"hello","at":"`) {
		t.Errorf("the ack: %s", m)
	}
	if m := bob.Next(); m != `43/chat,2[{"error":{"code":"bad_text","message":"say 1 to 2000 bytes"}}]` {
		t.Errorf("the ack of nothing: %s", m)
	}
	if m := ann.Next(); !strings.HasPrefix(m, `42/chat,["said",{"nick":"bob","text":"hello","at":"`) {
		t.Errorf("bob has spoken: %s", m)
	}
	bob.Reset()
	if m := ann.Next(); m != `42/chat,["went","bob"]` {
		t.Errorf("bob has gone: %s", m)
	}
	ann.Reset()
}
