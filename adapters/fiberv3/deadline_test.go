package siofiberv3_test

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/core/host"
)

// noted is a connection that notes the write deadlines that it is given, and what
// was written under each.
type noted struct {
	net.Conn
	mu    sync.Mutex
	set   []time.Time
	under int // bytes written since the last one
	most  int
}

func (n *noted) SetWriteDeadline(t time.Time) error {
	n.mu.Lock()
	n.set, n.under = append(n.set, t), 0
	n.mu.Unlock()
	return n.Conn.SetWriteDeadline(t)
}

func (n *noted) Write(p []byte) (int, error) {
	n.mu.Lock()
	n.under += len(p)
	n.most = max(n.most, n.under)
	n.mu.Unlock()
	return n.Conn.Write(p)
}

type notedListener struct {
	net.Listener
	conns chan *noted
}

func (l notedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := &noted{Conn: c}
	l.conns <- n
	return n, nil
}

// TestDeadlines: fasthttp writes an answer when the handler has returned. Each
// piece of a large one has a deadline, and the connection ends with it; what fits
// into one piece leaves the connection as it was.
func TestDeadlines(t *testing.T) {
	const large = 4 << 20
	app := fiber.New()
	siofiberv3.Mount(app, "/small", host.HandlerFunc(func(x host.Exchange) { _ = x.Reply(200, []byte("small")) }))
	siofiberv3.Mount(app, "/large", host.HandlerFunc(func(x host.Exchange) { _ = x.Reply(200, make([]byte, large)) }))
	siofiberv3.Mount(app, "/stream", host.HandlerFunc(func(x host.Exchange) {
		_ = x.Stream(200, func(s host.Stream) { _, _ = s.Write(make([]byte, large)) })
	}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := notedListener{ln, make(chan *noted, 10)}
	served := make(chan struct{})
	go func() { _ = app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}); close(served) }()
	defer func() { _ = app.Shutdown(); <-served }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, row := range []struct {
		path string
		size int
		ends bool
	}{{"/small", 5, false}, {"/small", 5, false}, {"/large", large, true}, {"/stream", large, true}} {
		resp, err := client.Get("http://" + ln.Addr().String() + row.path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if n != int64(row.size) || err != nil || resp.Close != row.ends {
			t.Errorf("%s: %d bytes, %v, the connection ends: %t", row.path, n, err, resp.Close)
		}
	}
	// The small answers and the large one came on one connection, the stream on another.
	for _, path := range []string{"/large", "/stream"} {
		c := <-l.conns
		c.mu.Lock()
		if len(c.set) < large/host.WritePiece || c.set[len(c.set)-1].IsZero() {
			t.Errorf("%s: %d deadlines, the last %v", path, len(c.set), c.set)
		}
		if path == "/large" && c.most > 2*host.WritePiece {
			t.Errorf("%s: %d bytes under one deadline", path, c.most)
		}
		c.mu.Unlock()
	}
}
