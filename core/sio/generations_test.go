package sio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/transport/flashpolicy"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// everyone joins ten clients of each of three generations, on two transports.
func everyone(t *testing.T, c *wire.Client) (next []func() string, want []string) {
	t.Helper()
	add := func(f func() string, format string) {
		next = append(next, f)
		want = append(want, format)
	}
	for range 10 {
		add(c.Join("").Next, `42["x",%d,"é"]`)
		s := c.Polling3()
		if got := s.Next(); got != "40" {
			t.Fatal(got)
		}
		add(s.Next, `42["x",%d,"é"]`)
		nine := c.Polling1()
		nine.Send(`5:1+::{"name":"no such event"}`)
		if got := nine.Next(); !strings.HasPrefix(got, "6:::1") {
			t.Fatal(got)
		}
		add(nine.Next, `5:::{"name":"x","args":[%d,"é"]}`)
	}
	return next, want
}

// TestBroadcastEncodesOncePerDialect: however many receive it, on whatever transport.
func TestBroadcastEncodesOncePerDialect(t *testing.T) {
	srv := NewServer(nil)
	next, want := everyone(t, serve(t, srv))
	before := srv.encodes.Load()
	for i := range 5 {
		if err := srv.Of("/").Emit("x", i, "é"); err != nil {
			t.Fatal(err)
		}
	}
	for c, f := range next {
		for i := range 5 {
			if got, want := strings.ReplaceAll(f(), `\u00e9`, "é"), fmt.Sprintf(want[c], i); got != want {
				t.Fatalf("%s instead of %s", got, want)
			}
		}
	}
	if n := srv.encodes.Load() - before; n != 15 {
		t.Errorf("5 broadcasts to 30 sockets of three generations were encoded %d times", n)
	}
}

// TestStreamBehindBuffer: a host whose middleware cannot flush refuses streams
// at once, with the names of its writers.
func TestStreamBehindBuffer(t *testing.T) {
	var log bytes.Buffer
	srv := NewServer(&Options{Transports: []string{"polling", "htmlfile"}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", http.TimeoutHandler(srv, 5*time.Second, "late"))
	hs := httptest.NewServer(mux)
	defer hs.Close()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	c := wire.New(t, hs.URL, "/socket.io/")
	a := c.At("/socket.io/1/htmlfile/"+c.Handshake1("")).Must("GET", "", "")
	if a.Status != http.StatusNotImplemented || !strings.Contains(a.Body, "http.timeoutWriter") {
		t.Errorf("%v", a)
	}
	if !strings.Contains(log.String(), "http.timeoutWriter") {
		t.Errorf("log: %s", log.String())
	}
}

// TestWires: what is opened is said, what cannot be is a panic.
func TestWires(t *testing.T) {
	var log bytes.Buffer
	o := Options{
		Transports: []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"},
		Logger:     slog.New(slog.NewTextHandler(&log, nil)),
	}
	srv := NewServer(&o)
	for _, name := range o.Transports {
		if got, want := strings.Contains(log.String(), "transport "+name+" is on"), name != "polling" && name != "websocket"; got != want {
			t.Errorf("%s: logged %t", name, got)
		}
	}
	_ = srv.Shutdown(context.Background())
	for want, o := range map[string]Options{
		`unknown transport "carrier-pigeon"`: {Transports: []string{"carrier-pigeon"}},
		`unknown dialect "sio7"`:             {Dialects: []string{"sio7"}},
		`needs a FlashPolicyPort`:            {Legacy: Legacy{FlashPolicyPort: 80}},
		`Legacy.RepairText: unknown choice "sometimes"; there are ["always" "detected" "everywhere" "never"]`: {Legacy: Legacy{RepairText: "sometimes"}},
		`Legacy.PollFraming: unknown choice "base64"`:                                                         {Legacy: Legacy{PollFraming: "base64"}},
	} {
		func() {
			defer func() {
				if p := recover(); !strings.Contains(fmt.Sprint(p), want) {
					t.Errorf("%s: %v", want, p)
				}
			}()
			NewServer(&o)
		}()
	}
}

// TestFlashPolicy: the policy server lives as long as the server.
func TestFlashPolicy(t *testing.T) {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(testkit.Port(t))) // which no other test is given when it is free again
	srv := NewServer(&Options{
		Transports: []string{"websocket", "flashsocket"}, Origins: []string{"https://app.example.com"},
		Legacy: Legacy{FlashPolicyAddr: addr, FlashPolicyPort: 8080}, Logger: slog.New(slog.DiscardHandler),
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "<policy-file-request/>\x00")
	got, _ := io.ReadAll(c)
	_ = c.Close()
	if want := flashpolicy.Policy([]string{"https://app.example.com"}, 8080); !bytes.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}

// TestNames: the dialects' names of the transports are those of the transports.
func TestNames(t *testing.T) {
	for _, name := range dialect.Transports {
		switch tr := transports[name]; {
		case tr.form != nil && tr.form.Name() == name:
		case tr.duplex != nil && tr.duplex(NewServer(nil)).Name() == name:
		default:
			t.Errorf("%s: %+v", name, tr)
		}
	}
}

// TestOldIDs: the id that a client before 3.0 takes for its own is a room.
func TestOldIDs(t *testing.T) {
	srv := NewServer(nil)
	srv.Of("/chat")
	c := serve(t, srv)
	s := c.Polling3()
	s.Post("40/chat")
	for _, want := range []string{"40", "40/chat,"} {
		if got := s.Next(); got != want {
			t.Fatal(got)
		}
	}
	for ns, id := range map[string]string{"/": s.Open.SID, "/chat": "/chat#" + s.Open.SID} {
		sock := srv.Of(ns).Socket(id)
		if sock == nil || sock.ID() == id || sock.Dialect() != "eio3" {
			t.Fatalf("%s: %v", id, sock)
		}
		if err := srv.Of(ns).To(id).Emit("you", 1); err != nil {
			t.Error(err)
		}
	}
	got := []string{s.Next(), s.Next()}
	if !strings.Contains(strings.Join(got, " "), `42["you",1]`) || !strings.Contains(strings.Join(got, " "), `42/chat,["you",1]`) {
		t.Errorf("%q", got)
	}
	s.Post("1")
	for ns, id := range map[string]string{"/": s.Open.SID, "/chat": "/chat#" + s.Open.SID} {
		for deadline := time.Now().Add(5 * time.Second); srv.Of(ns).Socket(id) != nil; {
			if time.Now().After(deadline) {
				t.Fatalf("%s is still there", id)
			}
		}
	}
}

// TestRepairTextOf: what RepairTextOf says counts when it is a choice, else RepairText.
func TestRepairTextOf(t *testing.T) {
	for _, row := range []struct {
		says   string
		want   eio3.Repair
		logged bool
	}{
		{"never", eio3.RepairNever, false},
		{"", eio3.RepairEverywhere, false},
		{"sometimes", eio3.RepairEverywhere, true},
	} {
		var log testkit.Log
		srv := NewServer(&Options{Logger: log.Logger(), Legacy: Legacy{
			RepairText: "everywhere", RepairTextOf: func(host.Exchange) string { return row.says },
		}})
		if got := srv.repairText(nil); got != row.want || strings.Contains(log.String(), "sometimes") != row.logged {
			t.Errorf("%q: %d, %s", row.says, got, log.String())
		}
	}
}
