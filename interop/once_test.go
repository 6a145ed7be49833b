package interop

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
)

// TestRetries: an official client that tries again has each event handled exactly once and in
// order, and gets its answer, although the first ack of each event is lost: the frame is
// dropped, the connection is cut, or the connection ends while the handler runs. Without Once
// the same client has events handled twice.
func TestRetries(t *testing.T) {
	need(t)
	for _, transports := range []string{"websocket", "polling", "polling,websocket"} {
		for _, once := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/once=%v", transports, once), func(t *testing.T) { retries(t, transports, once) })
		}
	}
}

func retries(t *testing.T, transports string, once bool) {
	const count = 12
	var mu sync.Mutex
	var handled []int
	came := make([]chan struct{}, count) // the second time
	times := make([]int, count)
	for i := range came {
		came[i] = make(chan struct{})
	}
	srv := sio.NewServer(nil)
	n := srv.Of("/")
	n.Use(func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			var i int
			if err := ev.Args.Slice(1).Bind(&i); err != nil {
				return err
			}
			mu.Lock()
			if times[i]++; times[i] == 2 {
				close(came[i])
			}
			mu.Unlock()
			if !once {
				ev.Args = ev.Args.Slice(1)
			}
			return next.ServeEvent(ctx, ev)
		})
	})
	if once {
		n.Mix(&mixin.Once{Client: func(s *sio.Socket) string {
			var auth struct{ Client string }
			_ = s.Auth(&auth)
			return auth.Client
		}})
	}
	n.On("order", sio.Reply(func(_ context.Context, s *sio.Socket, i int) (map[string]any, error) {
		mu.Lock()
		handled = append(handled, i)
		again := times[i] > 1
		mu.Unlock()
		if i%3 == 2 && !again { // the answer goes to the repetition
			s.CloseTransport()
			<-came[i]
		}
		return map[string]any{"done": i, "bytes": []byte{byte(i)}}, nil
	}))
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer func() { _ = srv.Shutdown(t.Context()) }()
	addr := swallowing(t, strings.TrimPrefix(hs.URL, "http://"), transports)

	out, err := node(t, "once.mjs", "http://"+addr, transports, strconv.Itoa(count)).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var answers []struct{ Done int }
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != count {
		t.Fatalf("%v: %s", err, out)
	}
	for i, a := range answers {
		if a.Done != i {
			t.Errorf("event %d was answered with %d", i, a.Done)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range times {
		if times[i] < 2 {
			t.Errorf("event %d came %d times", i, times[i])
		}
	}
	want := make([]int, count)
	for i := range want {
		want[i] = i
	}
	if exact := slices.Equal(handled, want); exact != once {
		t.Errorf("handled: %v", handled)
	}
}

var doneText = regexp.MustCompile(`"done":(\d+)`)

// swallowing is a proxy that keeps the first answer to each event from the client. On a websocket
// it drops those to every third, from event 0 on, and cuts the connection for others.
func swallowing(t *testing.T, to, transports string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[int]bool{}
	// first returns the event whose first answer is in b, -1 for none.
	first := func(b []byte) int {
		m := doneText.FindSubmatch(b)
		if m == nil {
			return -1
		}
		i, _ := strconv.Atoi(string(m[1]))
		mu.Lock()
		defer mu.Unlock()
		if i%3 == 2 || seen[i] { // the handler itself ends the connection
			return -1
		}
		seen[i] = true
		return i
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				return
			}
			head := make(chan bool, 1)
			go func() {
				defer server.Close()
				r := bufio.NewReader(client)
				line, _ := r.ReadString('\n')
				head <- strings.Contains(line, "transport=websocket")
				_, _ = io.WriteString(server, line)
				_, _ = io.Copy(server, r)
			}()
			go func() {
				defer client.Close()
				defer server.Close()
				if <-head {
					frames(client, bufio.NewReader(server), first)
					return
				}
				buf := make([]byte, 64<<10)
				for {
					n, err := server.Read(buf)
					if err != nil || first(buf[:n]) >= 0 {
						return
					}
					_, _ = client.Write(buf[:n])
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// frames passes on what a server sends on a websocket.
func frames(to io.Writer, from *bufio.Reader, first func([]byte) int) {
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = from.ReadString('\n'); err != nil {
			return
		}
		_, _ = io.WriteString(to, line)
	}
	for drop := false; ; {
		frame := make([]byte, 2)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		n := int(frame[1])
		if n == 126 {
			frame = append(frame, 0, 0)
			_, _ = io.ReadFull(from, frame[2:])
			n = int(binary.BigEndian.Uint16(frame[2:]))
		}
		at := len(frame)
		frame = append(frame, make([]byte, n)...)
		if _, err := io.ReadFull(from, frame[at:]); err != nil {
			return
		}
		if i := first(frame[at:]); i%3 == 1 {
			return
		} else if i >= 0 {
			drop = true
			continue
		}
		if drop && frame[0] == 0x82 { // the attachment
			drop = false
			continue
		}
		_, _ = to.Write(frame)
	}
}
