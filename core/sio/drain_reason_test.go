package sio

import (
	"context"
	"testing"

	"github.com/siokit/siokit/internal/wire"
)

// TestShutdownParted: a client that leaves behind its turn, while its handler still runs, has left
// by itself: OnDisconnect is told so, whether the client then ends the connection or Shutdown
// does.
func TestShutdownParted(t *testing.T) {
	for _, row := range []struct {
		name    string
		open    func(t *testing.T, c *wire.Client) *wire.WS
		event   string
		goodbye string
		then    func(w *wire.WS)
		want    Reason
	}{
		{"eio4", four, `421["slow",1]`, "41", nil, ClientNamespace},
		{"eio4, and closes", four, `421["slow",1]`, "41", closes, ClientNamespace},
		{"eio4, another namespace", four, `421["slow",1]`, "41/none,", closes, TransportClose},
		{"eio3", three, `421["slow",1]`, "41", nil, ClientNamespace},
		{"sio1", nine, `5:1+::{"name":"slow","args":[1]}`, "0::", nil, ClientNamespace},
		{"sio1, and closes", nine, `5:1+::{"name":"slow","args":[1]}`, "0::", closes, ClientNamespace},
		{"closes alone", four, `421["slow",1]`, "", closes, TransportClose},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, runs, may := slowServer(Options{})
			reasons := make(chan Reason, 2)
			srv.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
			w := row.open(t, serve(t, srv))
			w.NoPong = true
			w.Send(row.event)
			<-runs
			s := srv.one(t)
			done := shut(srv)
			turned(t, srv, 1)
			if row.goodbye != "" {
				w.Send(row.goodbye)
			}
			if row.then != nil {
				row.then(w)
				<-s.Context().Done()
			} else {
				until(t, "the goodbye", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.parted
				})
			}
			may <- struct{}{}
			wantReason(t, reasons, row.want)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if len(reasons) > 0 {
				t.Error("OnDisconnect has run twice")
			}
		})
	}
}

func four(_ *testing.T, c *wire.Client) *wire.WS { return c.Join("") }

func three(t *testing.T, c *wire.Client) *wire.WS {
	t.Helper()
	w, a := c.Upgrade("EIO=3&transport=websocket", "")
	if w == nil {
		t.Fatal(a)
	}
	return w
}

func nine(t *testing.T, c *wire.Client) *wire.WS {
	t.Helper()
	w, a := c.At(c.Path+"1/websocket/"+c.Handshake1("")).Upgrade("", "")
	if w == nil {
		t.Fatal(a)
	}
	return w
}

// closes sends a close frame.
func closes(w *wire.WS) { _ = w.Raw(wire.Frame(0x88, []byte{3, 232})) }
