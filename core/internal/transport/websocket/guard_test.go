package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// calls is a Transport.Call that recovers.
func calls(method func()) (err error) {
	err = errors.New("has ended the goroutine")
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("has panicked")
		}
	}()
	method()
	return nil
}

// ill is a connection whose methods do what the test says.
type ill struct {
	net.Conn
	read, write func(n int) (int, error)
	close       func()
}

func (c *ill) Read(p []byte) (int, error) {
	if c.read == nil {
		return c.Conn.Read(p)
	}
	return c.read(len(p))
}

func (c *ill) Write(p []byte) (int, error) {
	if c.write == nil {
		return c.Conn.Write(p)
	}
	return c.write(len(p))
}

func (c *ill) Close() error {
	if c.close != nil {
		c.close()
	}
	return c.Conn.Close()
}

// badError is an error whose methods panic.
type badError struct{}

func (badError) Error() string   { panic("Error") }
func (badError) Is(error) bool   { panic("Is") }
func (badError) As(any) bool     { panic("As") }
func (badError) Temporary() bool { panic("Temporary") }

// TestGuarded: whatever the methods of a connection of the application's own do, the
// connection and its session end, and no goroutine does with a panic.
func TestGuarded(t *testing.T) {
	boom := func(int) (int, error) { panic("boom") }
	for name, spoil := range map[string]func(c *ill){
		"read":                func(c *ill) { c.read = boom },
		"write":               func(c *ill) { c.write = boom },
		"close":               func(c *ill) { c.write, c.close = boom, func() { panic("close") } },
		"write ends":          func(c *ill) { c.write = func(int) (int, error) { runtime.Goexit(); return 0, nil } },
		"read too much":       func(c *ill) { c.read = func(n int) (int, error) { return n + 1, nil } },
		"read less than none": func(c *ill) { c.read = func(int) (int, error) { return -1, nil } },
		"write too much":      func(c *ill) { c.write = func(n int) (int, error) { return n + 1, nil } },
		"write nothing":       func(c *ill) { c.write = func(int) (int, error) { return 0, nil } },
		"an error":            func(c *ill) { c.read = func(int) (int, error) { return 0, badError{} } },
		"an error of write":   func(c *ill) { c.write = func(int) (int, error) { return 0, badError{} } },
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := tcp(t)
			own := &ill{Conn: server}
			spoil(own)
			l := newEndless()
			c := newConn(Transport{Call: calls}.guard(own), l, 1000)
			inTime(t, "the connection", func() {
				loop, flush := chanOf(func() { c.loop(&reader{c: c}) }), chanOf(c.Flush)
				<-l.lost
				l.stop.Store(true)
				<-loop
				<-flush
			})
		})
	}
}

func chanOf(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	return done
}

// TestGuardedCloses: a deadline ends who reads a connection that cannot be closed.
func TestGuardedCloses(t *testing.T) {
	server, _ := tcp(t)
	g := Transport{Call: calls}.guard(&ill{Conn: server, close: func() { panic("close") }})
	done := chanOf(func() { _, _ = g.Read(make([]byte, 1)) })
	if g.Close() == nil || !errors.Is(g.Close(), net.ErrClosed) {
		t.Error("nothing is said about Close")
	}
	inTime(t, "Read", func() { <-done })
}

// TestNotGuarded: what the standard library makes does not pay.
func TestNotGuarded(t *testing.T) {
	server, client := tcp(t)
	for _, nc := range []net.Conn{server, tls.Server(server, &tls.Config{})} {
		if got := (Transport{Call: calls}).guard(nc); got != nc {
			t.Errorf("%T has become %T", nc, got)
		}
	}
	m := &metered{TCPConn: server}
	if got := (Transport{}).guard(m); got != net.Conn(m) {
		t.Errorf("without a Call it has become %T", got)
	}
	if _, ok := (Transport{Call: calls}).guard(tls.Server(m, &tls.Config{})).(*guarded); !ok {
		t.Error("TLS over a connection of the application's own is not guarded")
	}
	g := Transport{Call: calls}.guard(m)
	if err := g.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if err := g.(*guarded).CloseWrite(); err != nil {
		t.Error(err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("CloseWrite has not arrived: %v", err)
	}
}
