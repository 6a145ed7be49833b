//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// peerOf is a server's side of one connection.
type peerOf struct {
	conn
	from string // the address of the client
}

func (p *peerOf) send(first byte, text string) {
	p.frame(first, []byte(text))
	_ = p.flush()
}

// serve is a server that lets clients join; then it does with each connection what f says, and
// closes it. It returns the address.
func serve(t *testing.T, f func(p *peerOf)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		p := &peerOf{conn: conn{c: c, r: rw.Reader}}
		p.from, _, _ = net.SplitHostPort(r.RemoteAddr)
		_, _ = fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		p.send(0x81, `0{"sid":"x"}`)
		_, _ = p.r.Discard(2 + 4 + 2) // the client's "40", in a frame with a mask
		p.send(0x81, `40{"sid":"y"}`)
		f(p)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// offered are 15 clients within 300 ms, 10 of them measured.
func offered(addr string) *options {
	return &options{addr: addr, proto: protoSIO5, mode: "ws", rate: 50, from: 3, wait: 10 * time.Second,
		warm: 100 * time.Millisecond, time: 200 * time.Millisecond}
}

// TestOffer: everybody comes, from all addresses, however long those before take.
func TestOffer(t *testing.T) {
	came := make(chan string, 15)
	o := offered(serve(t, func(p *peerOf) { came <- p.from }))
	o.pid = os.Getpid()
	res, err := connect(o)
	if err != nil || res.Errors != 0 || res.Count < 10 || res.Count > 15 || res.Lat["p99_us"] == 0 {
		t.Fatalf("%+v (%v)", res, err)
	}
	addresses := map[string]int{}
	for range 15 {
		addresses[<-came]++
	}
	if addresses["127.0.0.1"] != 5 || addresses["127.0.0.2"] != 5 || addresses["127.0.0.3"] != 5 {
		t.Errorf("the clients came from %v", addresses)
	}
}

// TestOfferFails: who is refused and who waits in vain is counted, each as what it is.
func TestOfferFails(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer busy.Close()
	nobody, err := free()
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	leaves := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer leaves.Close()
	for _, c := range []struct {
		name, addr        string
		wait              time.Duration
		refused, timeouts int64
	}{
		{"503", busy.Listener.Addr().String(), patience, 15, 0},
		{"no server", nobody, patience, 15, 0},
		{"silence", silent.Addr().String(), 200 * time.Millisecond, 0, 15},
		{"the connection ends", leaves.Listener.Addr().String(), patience, 0, 0},
	} {
		o := offered(c.addr)
		o.wait = c.wait
		res, err := connect(o)
		if err != nil || res.Errors != 15 || res.Refused != c.refused || res.Timeouts != c.timeouts || res.Count != 0 || res.First == "" {
			t.Errorf("%s: %+v (%v)", c.name, res, err)
		}
	}
}

// TestGoodbye: what the end of a connection is, before a shutdown and in it.
func TestGoodbye(t *testing.T) {
	answered := make(chan string, 2)
	bye := func(p *peerOf) {
		p.send(0x88, "\x03\xe9")
		frame := make([]byte, 2+4+2)
		_, _ = io.ReadFull(p.r, frame)
		answered <- fmt.Sprintf("%x", frame[:2])
	}
	for _, c := range []struct {
		name    string
		f       func(p *peerOf)
		leaving bool
		want    string // in the error
	}{
		{"goodbye", bye, true, ""},
		{"goodbye too early", bye, false, "03e9"},
		{"no goodbye", func(*peerOf) {}, true, "without a goodbye"},
		{"lost", func(*peerOf) {}, false, "EOF"},
		{"told to stay away", func(p *peerOf) { p.send(0x81, "41"); p.send(0x88, "") }, true, `"41"`},
	} {
		l := &crowd{load: newLoad(offered(serve(t, c.f)))}
		l.leaving.Store(c.leaving)
		conn, err := l.o.dial(0)
		if err != nil {
			t.Fatal(err)
		}
		l.stay(conn)
		if ok := c.want == ""; ok != (l.first == nil) || ok != !l.last.IsZero() || !ok && !strings.Contains(l.first.Error(), c.want) {
			t.Errorf("%s: %v, last %v", c.name, l.first, l.last)
		}
	}
	for range 2 {
		if head := <-answered; head != "8882" {
			t.Errorf("the client's answer to the goodbye begins with %s", head)
		}
	}
}

// TestPings: each is answered and counted.
func TestPings(t *testing.T) {
	l := &crowd{load: newLoad(offered(serve(t, func(p *peerOf) {
		for range 3 {
			p.send(0x81, "2")
			_, _ = p.r.Discard(2 + 4 + 1)
		}
	})))}
	conn, err := l.o.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	conn.pings = &l.pings
	l.stay(conn)
	if l.pings.Load() != 3 {
		t.Errorf("%d pings", l.pings.Load())
	}
}

// TestKilled: a process that ends without a word is no shutdown.
func TestKilled(t *testing.T) {
	o := peer(t, "-lib", "gws")
	o.proto, o.term = protoRaw, true
	res, err := idle(o)
	if err != nil || res.Errors != 3 || res.Goodbye != 0 || res.Shutdown == 0 || res.EndCPU == nil || !strings.Contains(res.First, "without a goodbye") {
		t.Errorf("%+v (%v)", res, err)
	}
}

func TestEnded(t *testing.T) {
	cmd := exec.Command("sleep", "0.1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := ended(cmd.Process.Pid, 10*time.Second); err != nil { // a zombie
		t.Error(err)
	}
	_ = cmd.Wait()
	if err := ended(cmd.Process.Pid, 0); err != nil { // not there any more
		t.Error(err)
	}
	if err := ended(os.Getpid(), 10*time.Millisecond); err == nil {
		t.Error("this process has ended")
	}
}

// TestEnd: a server that has ended by itself, and not well, is an error with its last words.
func TestEnd(t *testing.T) {
	for command, want := range map[string]string{"echo the reason; exit 3": "status 3: the reason", "exit 0": "", "sleep 60": ""} {
		cmd := exec.Command("sh", "-c", command)
		var log bytes.Buffer
		cmd.Stdout = &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if command != "sleep 60" {
			if err := ended(cmd.Process.Pid, 10*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(cmd, &log); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", command, err)
		}
	}
}
