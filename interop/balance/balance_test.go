// Package balance runs the configurations of load balancers in docs/deployment.md, as they
// stand there, in front of three servers.
package balance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/doctor"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "32") // they wait for timers
	testkit.Main(m)
}

// pings are such that a poll is held for longer than half a minute, as no default of a load
// balancer expects, and within the timeouts of the page.
const (
	pingInterval = 35 * time.Second
	pingTimeout  = 10 * time.Second
)

// site is three servers behind a load balancer.
type site struct {
	url     string
	servers []*sio.Server
	log     *testkit.Log
}

// form is a configuration of the page.
type form struct {
	program string // nginx or haproxy
	sticky  bool   // for servers without Options.Forward
}

func (f form) String() string {
	if f.sticky {
		return f.program + ", sticky"
	}
	return f.program
}

var forms = []form{{"nginx", false}, {"nginx", true}, {"haproxy", false}, {"haproxy", true}}

// each runs a test for each configuration.
func each(t *testing.T, test func(t *testing.T, f form)) {
	if os.Getenv("SIOKIT_INTEROP") != "1" {
		t.Skip("needs nginx, haproxy, Node and npm ci; .ci/run installs them and sets SIOKIT_INTEROP=1")
	}
	t.Parallel()
	for _, f := range forms {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

// page are the blocks of a language in docs/deployment.md, below the heading about load
// balancers.
func page(t *testing.T, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "deployment.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text2, ok := strings.Cut(string(text), "\n## Load balancers\n")
	if !ok {
		t.Fatal("the page has no section about load balancers")
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text2, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// config is what the page says, with addresses of this machine.
func (f form) config(t *testing.T, listen string, servers []string) string {
	t.Helper()
	blocks := page(t, f.program)
	if len(blocks) != 2 {
		t.Fatalf("the page has %d blocks for %s", len(blocks), f.program)
	}
	text := blocks[0]
	replace := func(old *regexp.Regexp, with string, times int) {
		if n := len(old.FindAllString(text, -1)); n != times {
			t.Fatalf("the page has %s %d times", old, n)
		}
		text = old.ReplaceAllLiteralString(text, with)
	}
	if f.sticky {
		replace(map[string]*regexp.Regexp{"nginx": regexp.MustCompile(`(?ms)^upstream site \{.*?^\}\n`), "haproxy": regexp.MustCompile(`(?ms)^backend site\n.*`)}[f.program], blocks[1], 1)
	}
	for i, addr := range servers {
		replace(regexp.MustCompile(fmt.Sprintf(`10\.0\.0\.%d:3000`, i+1)), addr, 1)
	}
	replace(map[string]*regexp.Regexp{"nginx": regexp.MustCompile(`listen 80;`), "haproxy": regexp.MustCompile(`bind :80\b`)}[f.program],
		map[string]string{"nginx": "listen " + listen + ";", "haproxy": "bind " + listen}[f.program], 1)
	return text
}

// run starts the load balancer in front of servers and returns where it listens. The servers
// answer with token: somebody else may have taken the port meanwhile, and then the load
// balancer ends.
func (f form) run(t *testing.T, token string, servers []string) (url string) {
	t.Helper()
	if _, err := exec.LookPath(f.program); err != nil {
		t.Fatalf("there is no %s here; Debian's package of this name has it", f.program)
	}
	for range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listen := ln.Addr().String()
		_ = ln.Close()
		if f.listens(t, listen, token, servers) {
			return "http://" + listen
		}
	}
	t.Fatalf("%s does not run", f.program)
	return ""
}

// command is what runs the load balancer with its configuration, or checks the latter.
func (f form) command(t *testing.T, listen string, servers []string) (check, start *exec.Cmd) {
	t.Helper()
	dir := t.TempDir()
	file, text := filepath.Join(dir, f.program+".cfg"), f.config(t, listen, servers)
	if f.program == "nginx" {
		// What a distribution has around the file; one process, which is no other user.
		text = "daemon off; master_process off; pid nginx.pid; error_log stderr error; worker_rlimit_nofile 4096;\nevents { worker_connections 2000; }\nhttp {\naccess_log off;\n" +
			"client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n" + text + "}\n"
		args := []string{"-p", dir, "-e", "stderr", "-c", file}
		check, start = exec.Command("nginx", append(args, "-t")...), exec.Command("nginx", args...)
	} else {
		check, start = exec.Command("haproxy", "-c", "-f", file), exec.Command("haproxy", "-db", "-f", file)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start.Stderr = t.Output()
	return check, start
}

// listens starts the load balancer, and reports whether it answers.
func (f form) listens(t *testing.T, listen, token string, servers []string) bool {
	t.Helper()
	check, start := f.command(t, listen, servers)
	if out, err := check.CombinedOutput(); err != nil || strings.Contains(strings.ToLower(string(out)), "warn") {
		t.Fatalf("%s: %v\n%s", check, err, out)
	}
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = start.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = start.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for deadline := time.After(10 * time.Second); ; {
		resp, err := http.Get("http://" + listen + "/plain")
		if err == nil {
			_ = resp.Body.Close()
			if resp.Header.Get("X-Token") == token {
				return true
			}
		}
		select {
		case <-ended:
			return false
		case <-deadline:
			t.Fatalf("%s does not answer: %v", f.program, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// start starts three servers, and f in front of them. set changes their options, which are
// those of the servers that f is for.
func (f form) start(t *testing.T, set func(o *sio.Options)) *site {
	t.Helper()
	s, token := &site{log: new(testkit.Log)}, rand.Text()
	bus := cluster.NewBus()
	var addrs []string
	for range 3 {
		o := &sio.Options{
			Cluster: bus.Backend(), Logger: s.log.Logger(), PingInterval: pingInterval, PingTimeout: pingTimeout, MaxPayload: 2 << 20,
			Transports: []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"},
			Dialects:   []string{"eio4", "eio3", "sio1", "sio06"},
		}
		if !f.sticky {
			o.Forward = &sio.Forward{Listen: "127.0.0.1:0", Secret: []byte("the secret of this test's cluster")}
		}
		if set != nil {
			set(o)
		}
		srv := sio.NewServer(o)
		srv.Of("/").On("node", sio.Reply(func(context.Context, *sio.Socket, sio.None) (string, error) { return srv.Node(), nil }))
		mux := http.NewServeMux()
		mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Token", token)
			_, _ = w.Write([]byte("ok"))
		})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Set-Cookie", "host=1")
			srv.ServeHTTP(w, r)
		})
		mux.Handle("/socket.io", h)
		mux.Handle("/socket.io/", h)
		hs := httptest.NewServer(mux)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = srv.Shutdown(ctx)
			hs.Close()
		})
		s.servers, addrs = append(s.servers, srv), append(addrs, hs.Listener.Addr().String())
	}
	conformance.RegisterApplication(s.servers...)
	for _, srv := range s.servers {
		knows := make(chan struct{}, len(s.servers))
		srv.OnServer(func(_ string, joined bool) {
			if joined {
				knows <- struct{}{}
			}
		})
		for range len(s.servers) - 1 {
			if srv.Node() != "" {
				<-knows
			}
		}
	}
	s.url = f.run(t, token, addrs)
	return s
}

// TestTimeouts: what the page says about timeouts is longer than the server's own, for every
// load balancer, also those that are not run here.
func TestTimeouts(t *testing.T) {
	for language, want := range map[string]int{"nginx": 2, "haproxy": 3, "yaml": 2} {
		found := regexp.MustCompile(`(?m)(?:proxy[_-](?:read|send)[_-]timeout:?|timeout (?:client|server|tunnel)) +"?(\d+)`).FindAllStringSubmatch(strings.Join(page(t, language), ""), -1)
		if len(found) != want {
			t.Errorf("%s: %q", language, found)
		}
		for _, m := range found {
			if n, _ := strconv.Atoi(m[1]); n <= 45 {
				t.Errorf("%s: %q", language, m)
			}
		}
	}
}

// TestHeldPoll: a poll is held until the server's ping.
func TestHeldPoll(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		c := wire.New(t, f.start(t, nil).url, "/socket.io/")
		c.HTTP.Timeout = pingInterval + 10*time.Second
		p := c.Polling()
		p.Join("")
		if a := p.Get(); a.String() != "200 2" { // the first ping of a session comes early
			t.Fatal(a)
		}
		p.Post("3")
		from := time.Now()
		if a := p.Get(); a.String() != "200 2" || time.Since(from) < 30*time.Second {
			t.Errorf("after %v: %v", time.Since(from), a)
		}
	})
}

// TestClients drives official clients of three generations, on each transport, which say
// nothing for longer than a ping interval meanwhile.
func TestClients(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		s := f.start(t, nil)
		got := s.clients(t, "all", pingInterval+2*time.Second)
		for _, line := range got.Failed {
			t.Error(line)
		}
		// A hash of addresses may send all clients to one server.
		if got.Clients != 8 || len(got.Nodes) < 3 && !f.sticky || len(got.Nodes) < 2 && f.program != "nginx" {
			t.Errorf("%+v", got)
		}
		if log := s.log.String(); strings.Contains(log, "unknown session") || strings.Contains(log, "sticky") || strings.Contains(log, "passed on") {
			t.Error(log)
		}
		t.Logf("%d clients, on %d servers", got.Clients, len(got.Nodes))
	})
}

// report is what balance.mjs prints.
type report struct {
	Clients int      // that have connected
	Nodes   []string // that they were on
	Failed  []string
}

// clients drives clients in Node.
func (s *site) clients(t *testing.T, which string, hold time.Duration) (r report) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "balance.mjs", s.url, which, fmt.Sprint(hold.Milliseconds()))
	cmd.Dir, cmd.Stderr = "..", t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// TestConformance runs what the suite verifies from outside.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		s := f.start(t, func(o *sio.Options) {
			o.PingInterval, o.PingTimeout, o.ConnectTimeout = 10*time.Second, 10*time.Second, 10*time.Second
		})
		conformance.Run(t, nil, conformance.Remote(s.url), conformance.Lacks("recovery", "the servers have none"))
		if log := s.log.String(); strings.Contains(log, "sticky sessions, so that") || strings.Contains(log, "passed on") {
			t.Error(log)
		}
	})
}

// TestAddress: the server gets the client's address, and not what the client says of itself.
func TestAddress(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		s := f.start(t, nil)
		c := wire.New(t, s.url, "/socket.io/")
		c.Head.Set("X-Forwarded-For", "192.0.2.66")
		p := c.Polling()
		p.Join("")
		p.Post(`421["request","X-Forwarded-For"]`)
		if got := p.Packets(1)[0]; !strings.Contains(got, `"127.0.0.1"`) {
			t.Error(got)
		}
	})
}

// TestNotSticky: round robin without Options.Forward lets nobody through who polls. The log
// and the doctor say why; a websocket alone works.
func TestNotSticky(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		if f.sticky {
			t.Skip("this configuration is sticky")
		}
		for _, clustered := range []bool{true, false} {
			s := f.start(t, func(o *sio.Options) {
				o.Forward, o.PingInterval = nil, 2*time.Second
				if !clustered {
					o.Cluster = nil
				}
			})
			if got := s.clients(t, "polling", 0); got.Clients != 0 || len(got.Failed) == 0 {
				t.Errorf("%+v", got)
			}
			if got := s.clients(t, "websocket", 0); got.Clients != 1 || len(got.Failed) > 0 {
				t.Errorf("%+v", got)
			}
			log := s.log.String()
			if n := strings.Count(log, "the load balancer needs sticky sessions"); clustered && (n < 1 || n > 3) {
				t.Errorf("%d times: %s", n, log)
			}
			if !clustered && !strings.Contains(log, "sticky sessions") {
				t.Error(log)
			}
			found, err := doctor.Examine(t.Context(), s.url+"/socket.io/", &doctor.Options{Client: &http.Client{Transport: &http.Transport{}}})
			if err != nil || len(found) == 0 || found[0].Check != "sticky" || !strings.Contains(found[0].Cure, "The load balancer needs sticky sessions") {
				t.Errorf("%v %v", found, err)
			}
			t.Log(found)
		}
	})
}

// TestDoctor: the doctor finds no fault in any of the configurations.
func TestDoctor(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		s := f.start(t, func(o *sio.Options) { o.Logger = slog.New(slog.DiscardHandler); o.PingInterval = 5 * time.Second })
		found, err := doctor.Examine(t.Context(), s.url+"/socket.io/", &doctor.Options{Client: &http.Client{Transport: &http.Transport{}}, Note: func(text string) { t.Log(text) }})
		for _, f := range found {
			if f.Check != "cookies" || !strings.Contains(f.Problem, `"host"`) { // which the application of the suite sets
				t.Errorf("%+v", f)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}
