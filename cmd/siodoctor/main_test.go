package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestRun: what the command prints, and how it ends.
func TestRun(t *testing.T) {
	io := sio.NewServer(&sio.Options{PingInterval: time.Second, ConnectTimeout: 800 * time.Millisecond, PingTimeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = io.Shutdown(context.Background()) }()
	io.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		if s.Request().Header.Get("Cookie") != "user=ann" {
			return sio.Errorf("locked", "who are you")
		}
		return nil
	})
	healthy := httptest.NewServer(io)
	defer healthy.Close()
	sick := httptest.NewServer(http.NotFoundHandler())
	defer sick.Close()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-cookie user=ann " + healthy.URL, 0, "no fault found"},
		{"-hold 1ms -cookie user=ann " + healthy.URL + "/socket.io", 0, "no fault found"},
		{healthy.URL, 0, "note: the namespace / refuses the doctor"},
		{`-namespace /no -auth {"a":1} ` + healthy.URL, 0, "note: the namespace /no refuses the doctor"},
		{"-origin https://elsewhere.example " + healthy.URL, 1, "Options.Origins"},
		{sick.URL, 1, "Nothing is mounted"},
		{"localhost:3000", 2, ""},
		{"", 2, ""},
		{"-nonsense " + healthy.URL, 2, ""},
	} {
		var out, log bytes.Buffer
		if code := run(context.Background(), strings.Fields(c.args), &out, &log); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("siodoctor %s: code %d instead of %d, without %q: %s\n%s", c.args, code, c.code, c.says, &out, &log)
		}
		if c.code == 2 && log.Len() == 0 {
			t.Errorf("siodoctor %s: no word", c.args)
		}
	}
}
