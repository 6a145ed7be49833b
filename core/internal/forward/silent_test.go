package forward

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
)

// websocketThrough is a websocket that was passed on: what the node says comes to the client.
func websocketThrough(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", url[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	if line, err := br.ReadString('\n'); line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return c
}

// hellos answers with a websocket that says hello, and then what is said to it.
var hellos = host.HandlerFunc(func(x host.Exchange) {
	_ = x.Upgrade(host.UpgradeOptions{}, func(c net.Conn, br *bufio.Reader) {
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "hello\n")
		var r io.Reader = c
		if br != nil {
			r = br
		}
		_, _ = io.Copy(c, r)
	})
})

// echoes reports whether a websocket still works.
func echoes(c net.Conn) bool {
	if _, err := io.WriteString(c, "x"); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

func (f *Forwarder) looksAt(node string) bool {
	_, ok := f.Address(node)
	return ok
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(what)
		}
	}
}

// TestSilentBus: a node that is silent on the bus, and can be reached, keeps what is passed on to it;
// one that cannot be reached does not, and neither does one that has said that it leaves.
func TestSilentBus(t *testing.T) {
	f, taker := listen(t, nil, Options{}), listen(t, hellos, Options{})
	hs := passesOn(t, f, taker)
	address := taker.Addr().String()
	c := websocketThrough(t, hs.URL)
	f.Silent("other", address)
	if a, ok := f.Address("other"); !ok || a != address {
		t.Error(a, ok)
	}
	f.mu.Lock()
	s := f.silent["other"]
	f.mu.Unlock()
	if err := f.reach("other", s); err != nil || !echoes(c) || !f.looksAt("other") {
		t.Errorf("a node that can be reached: %v", err)
	}
	f.Joined("other")
	if f.looksAt("other") || !echoes(c) {
		t.Error("a node that is back")
	}
	f.Silent("other", address)
	f.Left("other")
	if f.looksAt("other") || echoes(c) {
		t.Error("a node that has left")
	}
	c = websocketThrough(t, hs.URL)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	f.Silent("other", nobody.Addr().String())
	await(t, "a node that cannot be reached", func() bool { return !f.looksAt("other") })
	if echoes(c) {
		t.Error("a node that cannot be reached keeps its websocket")
	}
}

// TestSilentHangs: a process that hangs takes connections, and proves nothing.
func TestSilentHangs(t *testing.T) {
	t.Parallel()
	f, taker := listen(t, nil, Options{}), listen(t, hellos, Options{})
	c := websocketThrough(t, passesOn(t, f, taker).URL)
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Close() }()
	from := time.Now()
	f.Silent("other", hung.Addr().String())
	await(t, "a process that hangs", func() bool { return !f.looksAt("other") })
	if took := time.Since(from); echoes(c) || took < authTimeout-time.Second {
		t.Errorf("after %v", took)
	}
}
