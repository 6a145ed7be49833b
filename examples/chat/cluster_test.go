package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// asChat is the environment's variable that makes a process of this test the chat.
const asChat = "SIOKIT_CHAT"

func TestMain(m *testing.M) {
	if os.Getenv(asChat) == "" {
		testkit.Main(m)
	}
	go func() { // the chat ends with the test, whatever happens to the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	main()
}

// process starts the chat and returns its address.
func process(t *testing.T, args ...string) (base string, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command(os.Args[0], append([]string{"-adapter", "nethttp", "-addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), asChat+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if n, _ := fmt.Sscanf(line, "chat on %s", &base); n != 1 {
		t.Fatalf("the chat says %q, %v", line, err)
	}
	return base, cmd
}

// person is a client of the chat, with what it has been told.
type person struct {
	*wire.WS
	patience time.Duration

	acks  int
	ack   map[string]string // by id
	nicks []string
	said  []string
}

func connect(t *testing.T, base string) *person {
	t.Helper()
	c := wire.New(t, base, "/socket.io/")
	c.Patience = time.Minute // used up by a failure only
	return &person{WS: c.Join("/chat,"), patience: c.Patience, ack: map[string]string{}}
}

// await reads until something is so.
func (p *person) await(what string, so func() bool) {
	p.TB.Helper()
	for until := time.Now().Add(p.patience); !so(); {
		text, err := p.Read()
		if err == nil && time.Now().After(until) { // pings come for ever
			err = errors.New("not in time")
		}
		if err != nil {
			p.TB.Fatalf("waiting for %s, with members %v and messages %q: %v", what, p.nicks, p.said, err)
		}
		p.told(text)
	}
}

func (p *person) told(text string) {
	p.TB.Helper()
	kind, list, _ := strings.Cut(text, "[")
	var args []json.RawMessage
	if err := json.Unmarshal([]byte("["+list), &args); err != nil {
		p.TB.Fatalf("%s: %v", text, err)
	}
	if id, ok := strings.CutPrefix(kind, "43/chat,"); ok {
		p.ack[id] = string(args[0])
		return
	}
	switch string(args[0]) {
	case `"nicks"`:
		_ = json.Unmarshal(args[1], &p.nicks)
	case `"said"`:
		var m Message
		_ = json.Unmarshal(args[1], &m)
		p.said = append(p.said, m.Nick+": "+m.Text)
	}
}

// ask sends an event and returns its ack.
func (p *person) ask(event string, args ...any) string {
	p.TB.Helper()
	p.acks++
	id := fmt.Sprint(p.acks)
	list, _ := json.Marshal(append([]any{event}, args...))
	p.Send("42/chat," + id + string(list))
	p.await("the ack of "+event, func() bool { return p.ack[id] != "" })
	return p.ack[id]
}

func (p *person) sees(nicks ...string) {
	p.TB.Helper()
	p.await(fmt.Sprint("members ", nicks), func() bool { return slices.Equal(p.nicks, nicks) })
}

func (p *person) hears(line string) {
	p.TB.Helper()
	p.await(line, func() bool { return slices.Contains(p.said, line) })
}

// TestCluster: two processes are one chat, whichever of them a request comes to; when the one
// with the bus is killed the other goes on, and a third joins it.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it waits until a process is missed")
	}
	port := strconv.Itoa(testkit.Port(t))
	bus := net.JoinHostPort("127.0.0.1", port)
	together := []string{"-cluster", "-bus", port, "-secret", "known to this test alone"}

	first, victim := process(t, together...) // is the NATS server: it was alone
	second, _ := process(t, together...)
	alice, bob := connect(t, first), connect(t, second)
	alice.ask("join", "lobby", "alice")
	bob.ask("join", "lobby", "bob")
	alice.sees("alice", "bob")
	bob.sees("alice", "bob")
	alice.ask("say", "hello")
	bob.hears("alice: hello")
	bob.ask("say", "hi")
	alice.hears("bob: hi")

	carol := connect(t, second)
	if got := carol.ask("join", "lobby", "alice"); !strings.Contains(got, `"taken"`) {
		t.Errorf("a second alice: %s", got)
	}
	got := carol.ask("join", "lobby", "carol")
	var j Joined
	if err := json.Unmarshal([]byte(got), &j); err != nil || j.Node == "" || len(j.History) != 1 || j.History[0].Text != "hi" {
		t.Errorf("not the history of the second process, with its name: %s", got)
	}
	alice.sees("alice", "bob", "carol")
	carol.Send("41/chat,")
	alice.sees("alice", "bob")
	bob.sees("alice", "bob")

	// A session of the first process, by requests to the second: which knows the first a moment
	// after it has started.
	poll := wire.New(t, first, "/socket.io/").Polling()
	poll.Client = wire.New(t, second, "/socket.io/")
	for until := time.Now().Add(time.Minute); poll.Post("6").Status != http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the second process knows no session of the first")
		}
	}
	if got := poll.Join("/chat,"); !strings.HasPrefix(got, "40/chat,") {
		t.Fatal(got)
	}
	poll.Post(`42/chat,["join","lobby","dave"]` + "\x1e" + `42/chat,["say","by the other port"]`)
	bob.hears("dave: by the other port")
	bob.sees("alice", "bob", "dave")

	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	bob.ask("say", "still here") // needs nobody else
	back := connect(t, second)
	if got := back.ask("join", "elsewhere", "frank"); strings.Contains(got, "error") {
		t.Error(got)
	}
	for bound := false; !bound; { // the second process has become the NATS server
		c, err := net.Dial("tcp", bus)
		if bound = err == nil; bound {
			_ = c.Close()
		} else if time.Since(from) > time.Minute {
			t.Fatal("nobody has taken over")
		}
	}
	t.Logf("the bus was there again after %v", time.Since(from))
	bob.sees("bob")
	t.Logf("the process was missed after %v", time.Since(from))
	if got := back.ask("join", "lobby", "alice"); strings.Contains(got, "error") {
		t.Error(got)
	}

	third, _ := process(t, together...)
	erin := connect(t, third)
	erin.ask("join", "lobby", "erin")
	for _, p := range []*person{bob, back, erin} {
		p.sees("alice", "bob", "erin")
	}
	bob.ask("say", "welcome")
	erin.hears("bob: welcome")
	erin.ask("say", "thanks")
	back.hears("erin: thanks")
}
