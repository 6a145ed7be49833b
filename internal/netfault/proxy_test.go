package netfault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// echo is a server that answers each line with the same line.
func echo(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *client {
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{t, c, bufio.NewReader(c)}
}

// trip says a line and wants another one back; "" is the end of the connection.
func (c *client) trip(say, want string) error {
	c.t.Helper()
	_, _ = io.WriteString(c, say+"\n")
	got, err := c.r.ReadString('\n')
	if got != want && got != want+"\n" {
		c.t.Errorf("said %q: %q, want %q (%v)", say, got, want, err)
	}
	return err
}

// TestProxy: what passes, what does not, and how a connection ends.
func TestProxy(t *testing.T) {
	p := NewFlows(t, echo(t), func(n int) (up, down Flow) {
		if n != 1 {
			return nil, nil
		}
		return func(b []byte, forward func([]byte) error) error {
			if string(b) == "reset\n" {
				return ErrReset
			}
			return forward(b)
		}, nil
	})
	a, b := dial(t, p), dial(t, p)
	a.trip("one", "one")
	b.trip("one", "one")
	if err := b.trip("reset", ""); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
	p.Freeze()
	_, _ = io.WriteString(a, "two\n")
	_ = a.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got, err := a.r.ReadString('\n'); err == nil {
		t.Errorf("through a frozen network came %q", got)
	}
	_ = a.SetReadDeadline(time.Now().Add(10 * time.Second))
	p.Heal()
	if got, err := a.r.ReadString('\n'); got != "two\n" {
		t.Errorf("%q %v", got, err)
	}
	p.Drop()
	a.trip("three", "")
	c := dial(t, p)
	c.trip("four", "four")
	p.Reset()
	if err := c.trip("", ""); err == nil {
		t.Error("a connection that was reset goes on")
	}
	p.Cut()
	dial(t, p).trip("five", "")
	p.Heal()
	p.Idle(500 * time.Millisecond)
	d := dial(t, p)
	d.trip("six", "six")
	if _, err := d.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection: %v", err)
	}
}
