package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
)

// piece is how much a client must take within host.StreamTimeout.
const piece = 64 << 10

// deadlines is a writer that notes the write deadlines that it is given.
type deadlines struct {
	*httptest.ResponseRecorder
	set    []time.Time
	writes []int // how many deadlines there had been at each write
	bound  bool  // the last flush had a deadline
}

func (d *deadlines) Flush() {
	d.bound = !d.last().IsZero()
	d.ResponseRecorder.Flush()
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func (d *deadlines) Write(p []byte) (int, error) {
	d.writes = append(d.writes, len(d.set))
	if len(p) > piece {
		return 0, fmt.Errorf("a write of %d bytes", len(p))
	}
	return d.ResponseRecorder.Write(p)
}

func (d *deadlines) last() time.Time { return d.set[len(d.set)-1] }

// serve has f answer a request at a server with this WriteTimeout.
func serve(d *deadlines, wrapped bool, proto int, timeout time.Duration, f handlerFunc) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.ProtoMajor = proto
	r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{WriteTimeout: timeout}))
	var w http.ResponseWriter = d
	if wrapped {
		w = unwraps{d}
	}
	host.ServeHTTP(f, w, r, host.HTTPConfig{})
}

// TestDeadlines: every piece of an answer has a deadline of its own, and one that
// stays behind an answer never meets another request.
func TestDeadlines(t *testing.T) {
	const large = 1 << 20
	for _, row := range []struct {
		name      string
		size      int
		wrapped   bool
		proto     int
		timeout   time.Duration // the server's own
		stays     bool
		ends      bool // the connection
		noBoundAt time.Duration
	}{
		{"small", 10, false, 1, 0, false, false, host.StreamTimeout},
		{"large", large, false, 1, 0, false, false, host.StreamTimeout},
		{"small, wrapped", 10, true, 1, 0, false, false, host.StreamTimeout},
		{"large, wrapped", large, true, 1, 0, true, true, host.StreamTimeout},
		{"large, wrapped, http2", large, true, 2, 0, true, false, host.StreamTimeout},
		{"large, WriteTimeout", large, false, 1, time.Second, true, false, time.Second},
		{"small, WriteTimeout", 10, false, 1, time.Second, true, false, time.Second},
		{"large, long WriteTimeout", large, false, 1, time.Hour, true, false, host.StreamTimeout},
	} {
		d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		serve(d, row.wrapped, row.proto, row.timeout, func(x host.Exchange) {
			before := time.Now()
			if err := x.Reply(http.StatusOK, make([]byte, row.size)); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			if at := d.set[0].Sub(before); at < row.noBoundAt || at > row.noBoundAt+time.Second {
				t.Errorf("%s: the first deadline is %v ahead", row.name, at)
			}
		})
		if d.Body.Len() != row.size {
			t.Errorf("%s: %d bytes", row.name, d.Body.Len())
		}
		for i, n := range d.writes {
			if n != i+1 {
				t.Errorf("%s: write %d has deadline %d", row.name, i+1, n)
				break
			}
		}
		if !d.Flushed || !d.bound {
			t.Errorf("%s: flushed: %t, with a deadline: %t", row.name, d.Flushed, d.bound)
		}
		if d.last().IsZero() == row.stays {
			t.Errorf("%s: the last deadline is %v", row.name, d.last())
		}
		if ends := d.Header().Get("Connection") == "close"; ends != row.ends {
			t.Errorf("%s: the connection ends: %t", row.name, ends)
		}
	}
}

// TestStreamDeadlines: the same for a stream, whose connection ends with it.
func TestStreamDeadlines(t *testing.T) {
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	serve(d, false, 1, 0, func(x host.Exchange) {
		_ = x.Stream(http.StatusOK, func(s host.Stream) {
			if n, err := s.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	})
	if len(d.writes) != 16 || d.writes[15] != 16 {
		t.Errorf("deadlines before each write: %v", d.writes)
	}
	if d.last().IsZero() || d.Header().Get("Connection") != "close" {
		t.Errorf("afterwards: %v, %v", d.last(), d.Header())
	}
}

// TestUnreadAnswer: a client that reads nothing keeps neither the goroutine of
// its answer nor, through a deadline, a connection that it goes on using.
func TestUnreadAnswer(t *testing.T) {
	failed := make(chan error, 1)
	h := handlerFunc(func(x host.Exchange) {
		if x.Query("big") == "" {
			_ = x.Reply(http.StatusOK, []byte("small"))
			return
		}
		failed <- x.Reply(http.StatusOK, make([]byte, 32<<20))
	})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host.ServeHTTP(h, w, r, host.HTTPConfig{})
	}))
	srv.Config.WriteTimeout = time.Second
	srv.Start()
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	br := bufio.NewReader(c)
	for range 2 {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "small" {
			t.Errorf("%q", b)
		}
	}
	fmt.Fprint(c, "GET /?big=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the answer is still being written")
	}
}
