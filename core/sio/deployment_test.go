package sio_test

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// TestAppOrigins: the origins that docs/deployment.md lists for apps are admitted
// when they are listed, on polling and as a websocket, and only then.
func TestAppOrigins(t *testing.T) {
	page, err := os.ReadFile("../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	origins := []string{"capacitor://localhost", "ionic://localhost", "file://", "https://localhost", "http://localhost:5173", "null"}
	for _, listed := range []bool{true, false} {
		o := &sio.Options{}
		if listed {
			o.Origins = origins
		}
		io := sio.NewServer(o)
		hs := httptest.NewServer(io)
		c := wire.New(t, hs.URL, "/socket.io/")
		for _, origin := range origins {
			if !strings.Contains(string(page), `"`+origin+`"`) {
				t.Errorf("the page does not mention %s", origin)
			}
			a := c.Must("GET", "EIO=4&transport=polling", "", "Origin", origin)
			w, b := c.Upgrade("EIO=4&transport=websocket", "", "Origin", origin)
			if w != nil {
				_ = w.Conn.Close()
			}
			if listed && (a.Status != 200 || a.Header.Get("Access-Control-Allow-Origin") != origin || w == nil) {
				t.Errorf("listed %s: %v %v, websocket: %v", origin, a, a.Header, b)
			}
			if !listed && (a.Status != 403 || w != nil) {
				t.Errorf("%s, which is not listed: %v, websocket: %v", origin, a, b)
			}
		}
		hs.Close()
		_ = io.Shutdown(context.Background())
	}
}

// TestLongHistory: many events from one handler end a client that polls, one event
// with a list of them does not.
func TestLongHistory(t *testing.T) {
	history := make([]string, 2000)
	for i := range history {
		history[i] = "a line of the history"
	}
	ended := make(chan sio.Reason, 2)
	io := sio.NewServer(nil)
	io.Of("/many").On("history", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		for _, line := range history {
			_ = s.Emit("line", line)
		}
		return nil
	}))
	io.Of("/many").OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) { ended <- r })
	io.Of("/one").OnConnect(func(_ context.Context, s *sio.Socket) error { return s.Emit("history", history) })
	io.Of("/one").OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) { ended <- r })
	hs := httptest.NewServer(io)
	defer hs.Close()
	defer func() { _ = io.Shutdown(context.Background()) }()
	c := wire.New(t, hs.URL, "/socket.io/")

	one := c.Polling()
	one.Post("40/one,")
	if got := strings.Count(one.Packets(2)[1], "a line"); got != len(history) {
		t.Errorf("one event with %d lines", got)
	}
	select {
	case r := <-ended:
		t.Errorf("ended: %v", r)
	default:
	}
	many := c.Polling()
	many.Join("/many,")
	many.Post(`42/many,["history"]`)
	if r := <-ended; r != sio.SlowClient {
		t.Errorf("ended by %v", r)
	}
}
