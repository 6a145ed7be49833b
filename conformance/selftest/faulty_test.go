package selftest

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/siokit/siokit/core/host"
)

// held is a writer that cannot flush.
type held struct {
	w http.ResponseWriter
	http.Hijacker
}

func (h held) Header() http.Header         { return h.w.Header() }
func (h held) Write(p []byte) (int, error) { return h.w.Write(p) }
func (h held) WriteHeader(status int)      { h.w.WriteHeader(status) }
func (h held) Flush()                      {}

// recycled is a request whose header values lie in memory that the next one uses.
type recycled struct{ host.Exchange }

var (
	recycling sync.Mutex
	headers   [4096]byte
)

func (x recycled) EachHeader(f func(key, value string)) {
	recycling.Lock()
	defer recycling.Unlock()
	at := 0
	x.Exchange.EachHeader(func(key, value string) {
		b := headers[at : at+copy(headers[at:], value)]
		at += len(b)
		f(key, unsafe.String(unsafe.SliceData(b), len(b)))
	})
}

// previous is a request with the headers of the one before.
type previous struct {
	host.Exchange
	before [][2]string
}

var latest [][2]string

func mixedUp(x host.Exchange) host.Exchange {
	recycling.Lock()
	defer recycling.Unlock()
	p := previous{x, latest}
	latest = nil
	x.EachHeader(func(key, value string) { latest = append(latest, [2]string{key, value}) })
	return p
}

func (x previous) EachHeader(f func(key, value string)) {
	for _, h := range x.before {
		f(h[0], h[1])
	}
}

// moved is a request from somewhere else.
type moved struct{ host.Exchange }

func (moved) RemoteAddr() string { return "192.0.2.1:80" }

// late is a request whose early bytes are lost.
type late struct{ host.Exchange }

func (x late) Upgrade(o host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	return x.Exchange.Upgrade(o, func(c net.Conn, _ *bufio.Reader) { run(c, nil) })
}

// undead is a connection that neither tells its end nor ends: it stays for a
// while after it was closed.
type undead struct {
	net.Conn
	once sync.Once
	ws   atomic.Bool // the handshake is over; Close may come beside Write
}

func (c *undead) Write(p []byte) (int, error) {
	whole := len(p)
	if bytes.HasPrefix(p, []byte("HTTP/1.1 101")) {
		c.ws.Store(true)
	}
	if c.ws.Load() && len(p) > 0 {
		for at := 0; at < len(p); { // a close frame is the last one of a write
			if _, size, ok := parse(p[at:]); ok && p[at] == 0x88 {
				p = p[:at]
			} else if ok {
				at += size
			} else {
				break
			}
		}
	}
	if len(p) > 0 {
		if _, err := c.Conn.Write(p); err != nil {
			return 0, err
		}
	}
	return whole, nil
}

func (c *undead) Close() error {
	if !c.ws.Load() {
		return c.Conn.Close()
	}
	c.once.Do(func() { time.AfterFunc(2*patience, func() { _ = c.Conn.Close() }) })
	return c.SetReadDeadline(time.Unix(1, 0))
}

// leaking is a goroutine that the host forgets; the test ends it.
func leaking(over chan struct{}) { <-over }

var leaks []chan struct{}
