package sio

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// eager is a connection on which another goroutine reads on as soon as it may.
type eager struct {
	link   transport.Link
	behind []string // what it reads
}

func (*eager) Name() string { return "websocket" }

func (c *eager) Serve(_ host.Exchange, l transport.Link, start func(transport.Conn)) error {
	c.link = l
	start(c)
	return nil
}

func (c *eager) Flush() {
	for ms := c.link.Next(); ms != nil; ms = c.link.Next() {
		c.link.Sent(ms)
	}
}

func (c *eager) Enter() {
	for len(c.behind) > 0 {
		text := c.behind[0]
		c.behind = c.behind[1:]
		_ = c.link.Frame(packet.Frame{Data: []byte(text)})
	}
}

func (*eager) Detach() {}

func (c *eager) Close(transport.Code, string) { c.link.Lost(nil) }

// TestReadOnBeforeHandler: a packet is its handler's own from the moment when
// another goroutine may read, and decode, the next ones.
func TestReadOnBeforeHandler(t *testing.T) {
	srv := NewServer(nil)
	var got []string
	srv.Of("/").On("n", Handle(func(_ context.Context, _ *Socket, a Args2[string, []byte]) error {
		got = append(got, fmt.Sprintf("%s %x", a.A, a.B))
		return nil
	}))
	conn := &eager{}
	o := srv.inner()
	o.Duplex = []transport.Duplex{conn}
	hub := virtsocket.NewHub(o)
	req := httptest.NewRequest(http.MethodGet, "/?EIO=4&transport=websocket", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	host.ServeHTTP(hub, httptest.NewRecorder(), req, host.HTTPConfig{})
	frame := func(f packet.Frame) {
		conn.link.Begin()
		defer conn.link.End()
		if err := conn.link.Frame(f); err != nil {
			t.Fatal(err)
		}
	}
	frame(packet.Frame{Data: []byte("40")})
	frame(packet.Frame{Data: []byte(`451-["n","first",{"_placeholder":true,"num":0}]`)})
	conn.behind = []string{`42["n","second",""]`, `42["n","third",""]`}
	frame(packet.Frame{Binary: true, Data: []byte{1, 2}})
	if want := []string{"first 0102", "second ", "third "}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
	conn.Close(0, "")
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
