package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/bustest"
	"github.com/siokit/siokit/internal/wire"
)

// reenter: every callback calls everything, for a while.
func reenter(t *testing.T) {
	s := serve(t, sio.Options{MaxPendingPerAddress: -1, MaxQueueMessages: 1 << 16, MaxQueueBytes: 64 << 20})
	n := s.Of("/again")
	all := func(sock *sio.Socket) {
		sock.Join("r")
		_ = sock.Emit("x")
		_ = n.To("r").Emit("x")
		_ = n.Emit("x")
		_, _ = n.All().Count(context.Background())
		_ = s.Stats()
		sock.Leave("r")
		n.To("nobody").Disconnect()
	}
	n.OnConnect(func(_ context.Context, sock *sio.Socket) error { all(sock); return nil })
	n.OnDisconnect(func(_ context.Context, sock *sio.Socket, _ sio.Reason) { all(sock) })
	n.On("do", sio.Handle(func(_ context.Context, sock *sio.Socket, last bool) error {
		all(sock)
		if last {
			sock.Disconnect()
			all(sock)
		}
		return nil
	}))
	over := time.Now().Add(time.Duration(pick(1, 60)) * time.Second)
	var wg sync.WaitGroup
	var rounds atomic.Int64
	for range 4 {
		wg.Go(func() {
			for time.Now().Before(over) {
				c := s.client("")
				w, _ := c.WebSocket()
				w.Send("40/again,", `42/again,["do",false]`, `42/again,["do",true]`)
				for {
					text, err := w.Read()
					if err != nil {
						t.Error(err)
						break
					}
					if strings.HasPrefix(text, "41/again") {
						break
					}
				}
				c.Close()
				rounds.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d rounds", rounds.Load())
	s.alive()
}

// oneWay: what node a publishes is lost on its way; it hears the others.
func oneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		var mute atomic.Bool
		faulty := &bustest.Faulty{Backend: bus.Backend(), Change: func(ms []*cluster.Message) []*cluster.Message {
			if mute.Load() {
				return nil
			}
			return ms
		}}
		quiet := slog.New(slog.DiscardHandler)
		a := sio.NewServer(&sio.Options{Cluster: faulty, Logger: quiet})
		b := sio.NewServer(&sio.Options{Cluster: bus.Backend(), Logger: quiet})
		var mu sync.Mutex
		var told []string
		for name, srv := range map[string]*sio.Server{"a": a, "b": b} {
			srv.OnServer(func(_ string, joined bool) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprint(name, joined))
			})
			srv.Of("/")
		}
		want := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if slices.Sort(told); !slices.Equal(told, want) {
				t.Errorf("told %v, want %v", told, want)
			}
			told = nil
		}
		count := func() {
			_, _ = a.Of("/").All().Count(t.Context())
			_, _ = b.Of("/").All().Count(t.Context())
		}
		count()
		time.Sleep(3 * time.Second) // virtual
		want("atrue", "btrue")
		mute.Store(true)
		time.Sleep(12 * time.Second)
		want("bfalse") // a still hears b
		mute.Store(false)
		time.Sleep(12 * time.Second)
		want("btrue")
		for _, srv := range []*sio.Server{a, b} {
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// clocks: nothing that waits is written with the wall clock, which jumps. Of a time that is made
// without a monotonic clock, only what is no deadline is let through.
func clocks(t *testing.T) {
	walls := regexp.MustCompile(`time\.Now\(\)\.(Unix|UnixMilli|UnixMicro|UnixNano|Round|Truncate|UTC|Local|In|AppendFormat|Format|MarshalBinary)\b|time\.(Unix|UnixMilli|UnixMicro|Date|Parse)\(`)
	known := map[string]int{
		"core/cluster/bus_journal.go":                2, // numbers that grow, whatever the clock does
		"core/internal/msgpack/read.go":              1, // a time in a message
		"core/internal/transport/websocket/guard.go": 1, // a deadline that is over at once
		"core/sio/expiry.go":                         1, // Socket.ExpireAt, which follows the system's clock
		"core/sio/recovery_claim.go":                 1, // how long a stored session is kept that a stranger has asked for
		"core/sio/recovery_store.go":                 1, // Socket.ExpireAt of a stored session
		"internal/connwatch/handover.go":             1, // the same
	}
	files := 0
	for _, dir := range []string{"core", "sessionbridge", "internal/connwatch"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(filepath.ToSlash(path), root+"/")
			code := regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAll(text, nil)
			if found := walls.FindAll(code, -1); len(found) != known[name] {
				t.Errorf("%s: %q", name, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files", files)
	}
}

// starved: the process has no CPU time for the server for a while, shorter than the timeout.
func starved(t *testing.T) {
	s := serve(t, sio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 10 * time.Second})
	w := s.client("").Join("")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	over := time.Now().Add(2 * time.Second)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for x := 1; time.Now().Before(over); x++ {
				for i := range 1000 {
					x ^= i
				}
			}
		})
	}
	for time.Now().Before(over) {
		echo(t, w, "busy")
	}
	wg.Wait()
	echo(t, w, "still here")
	if n := s.count(); n != 0 {
		t.Errorf("%d have ended", n)
	}
}

// blockedLog: a log that nobody reads keeps those who write to it, and nobody else.
func blockedLog(t *testing.T) {
	r, pipe := io.Pipe()
	var lines atomic.Int64
	s := serve(t, sio.Options{Logger: slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) { lines.Add(1); return pipe.Write(b) }), nil))})
	defer func() { _ = r.Close() }() // the writers go on, with an error
	control := s.client("").Join("")
	for _, bad := range []string{`42["nobody"]`, `42["n","no number"]`, `42[`, `42/nowhere,["x"]`, "40/nowhere,"} {
		s.client("").Join("").Send(bad)
	}
	c := s.client("")
	for _, query := range []string{"EIO=9&transport=polling", "EIO=4&transport=other", "EIO=4&transport=polling&sid=unknown"} {
		go func() { _, _ = c.Do(t.Context(), "GET", query, "") }()
	}
	s.await("the log", func() bool { return lines.Load() >= 1 })
	for range 20 {
		echo(t, control, "served")
		if took := s.alive(); took > 5*time.Second {
			t.Errorf("a client was served after %v", took)
		}
		_ = s.Of("/").Emit("x")
	}
	t.Logf("%d lines waited", lines.Load())
}

type writer func(b []byte) (int, error)

// Write calls the function.
func (f writer) Write(b []byte) (int, error) { return f(b) }

// childEnv names what a process of this test does.
const childEnv = "SIOKIT_FAULTS_CHILD"

// children are the processes by name; those of one system alone add themselves.
var children = map[string]func(){"memory": childMemory}

// process runs this test's binary once more, and wants it to end well.
func process(t *testing.T, name string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+name), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("all is well")) {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(out))
}

func littleMemory(t *testing.T) { process(t, "memory", "GOMEMLIMIT=256MiB") }

// child is a site without a test.
func child() (s *site, c *wire.Client) {
	t := new(childTB)
	o := sio.Options{Logger: slog.New(slog.DiscardHandler), MaxPendingPerAddress: -1}
	s = &site{Server: sio.NewServer(&o), got: make(map[string][]int), over: make(map[string]bool)}
	s.register(s.Server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	s.addr = l.Addr().String()
	go func() {
		_ = (&http.Server{Handler: s.Server, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}).Serve(l)
	}()
	return s, wire.New(t, "http://"+s.addr, "/socket.io/")
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// childTB is a test outside of tests.
type childTB struct{ testing.TB }

// What wire calls.
func (*childTB) Helper()                   {}
func (*childTB) Cleanup(func())            {}
func (*childTB) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (*childTB) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// trip is an echo on a websocket.
func trip(w *wire.WS) {
	w.Send(`427["echo","x"]`)
	for {
		text, err := w.Read()
		must(err)
		if strings.HasPrefix(text, "437") {
			return
		}
	}
}

// childMemory is attacked: clients that do not read, handshakes that nothing follows, and
// attachments that do not end.
func childMemory() {
	s, c := child()
	control := joinQuietly(c)
	over := time.Now().Add(time.Duration(pick(3, 60)) * time.Second)
	pad := strings.Repeat("x", 32<<10)
	attack := func(f func(c *wire.Client)) {
		for range 4 {
			go func() {
				for time.Now().Before(over) {
					func() {
						defer func() { _ = recover() }() // the server ends the attack
						c := wire.New(new(childTB), "http://"+s.addr, "/socket.io/")
						c.Patience = time.Second
						defer c.Close()
						f(c)
					}()
				}
			}()
		}
	}
	attack(func(c *wire.Client) { // asks for much and reads nothing
		w := joinQuietly(c)
		for range 200 {
			must(w.Raw(wire.Frame(0x81, []byte(`42["echo","`+pad+`"]`))))
		}
	})
	attack(func(c *wire.Client) { c.Must("GET", "EIO=4&transport=polling", "") })
	attack(func(c *wire.Client) {
		w := joinQuietly(c)
		must(w.Raw(wire.Frame(0x81, []byte(`452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`))))
		w.SendBinary([]byte(pad))
	})
	trips, most := 0, uint64(0)
	for time.Now().Before(over) {
		trip(control)
		trips++
		if trips%50 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
	if most > 256<<20 {
		panic(fmt.Sprintf("the heap had %d MiB", most>>20))
	}
	fmt.Printf("all is well: %d round trips, at most %d MiB\n", trips, most>>20)
}

// hostTimeouts: a host whose timeouts are shorter than a poll and a websocket.
func hostTimeouts(t *testing.T) {
	s := serve(t, sio.Options{PingInterval: 20 * time.Second}, func(h *http.Server) {
		h.ReadTimeout, h.WriteTimeout, h.IdleTimeout = time.Second, time.Second, time.Second
	})
	w := s.client("").Join("")
	sess := s.client("").Polling()
	sess.Join("")
	poll := sess.Hold()
	for from, d := time.Now(), time.Duration(pick(3, 10))*time.Second; time.Since(from) < d; {
		echo(t, w, "here")
		time.Sleep(100 * time.Millisecond) // the time is what is tested
	}
	if n := s.count(); n != 0 {
		t.Fatalf("%d have ended", n)
	}
	_ = s.Of("/").Emit("late")
	if a := <-poll; a.String() != `200 42["late"]` {
		t.Errorf("%v", a)
	}
}

// oldHTTP: HTTP/1.0, and a connection for each request.
func oldHTTP(t *testing.T) {
	s := serve(t, sio.Options{})
	ask := func(method, query, body string) string {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(patience))
		_, _ = fmt.Fprintf(nc, "%s /socket.io/?EIO=4&transport=polling%s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", method, query, len(body), body)
		all, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(all), "\r\n\r\n")
		if !strings.Contains(head, " 200 OK") || strings.Contains(head, "chunked") {
			t.Fatalf("%s", all)
		}
		return rest
	}
	open := ask("GET", "", "")
	sid := regexp.MustCompile(`"sid":"([^"]+)"`).FindStringSubmatch(open)
	if sid == nil {
		t.Fatalf("%q", open)
	}
	query := "&sid=" + sid[1]
	ask("POST", query, "40")
	if got := ask("GET", query, ""); !strings.HasPrefix(got, "40") {
		t.Errorf("%q", got)
	}
	ask("POST", query, `42["burst",2]`)
	if got, want := ask("GET", query, ""), "42[\"item\",0]\x1e42[\"item\",1]"; got != want && got != want[:len(`42["item",0]`)] {
		t.Errorf("%q", got)
	}
}

// listeners: other listeners than one of IPv4.
func listeners(t *testing.T) {
	for _, c := range []struct{ network, addr string }{{"tcp6", "[::1]:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		l, err := net.Listen(c.network, c.addr)
		if err != nil {
			if c.network == "tcp6" {
				t.Logf("there is no IPv6 here: %v", err)
				continue
			}
			t.Fatal(err)
		}
		s := serve(t, sio.Options{})
		h := &http.Server{Handler: s.Server}
		done := make(chan struct{})
		go func() { defer close(done); _ = h.Serve(l) }()
		relay := relayTo(t, c.network, l.Addr().String())
		s.all(relay, 20)
		_ = h.Close()
		<-done
	}
}

// relayTo is an address of IPv4 whose connections go to a listener of another network.
func relayTo(t *testing.T, network, target string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial(network, target)
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = in.Close(), out.Close()
				})
			}
		}
	})
	return l.Addr().String()
}

// leaks: every package with tests that starts goroutines looks whether they have ended.
func leaks(t *testing.T) {
	without := map[string]string{}
	starts := regexp.MustCompile(`(?m)^\s*go (func\(|\w)|\.Go\(func|time\.AfterFunc\(`)
	checked := 0
	err := filepath.WalkDir(filepath.Join(root, "core"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		list, _ := filepath.Glob(filepath.Join(path, "*.go"))
		begins, checks, tests := false, false, false
		for _, f := range list {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if strings.HasSuffix(f, "_test.go") {
				tests = true
				checks = checks || bytes.Contains(text, []byte("testkit.Main("))
			} else {
				begins = begins || starts.Match(text)
			}
		}
		if begins && tests {
			checked++
			if !checks {
				without[path] = "no testkit.Main"
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(without) > 0 || checked < 5 {
		t.Errorf("%d packages, without a check: %v", checked, without)
	}
}

// raceStep: .ci/run runs the tests of all modules with the race detector.
func raceStep(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".ci/run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"go test -race -shuffle=on", `step "race detector" race`, "raceshort racelong | each 2 eval", `raced -p=2 "$PWD/cluster/redis/..."`} {
		if !strings.Contains(string(text), want) {
			t.Errorf(".ci/run has no %q", want)
		}
	}
}
