package host_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
)

// piped is a listener for one connection.
type piped struct {
	conns chan net.Conn
	over  chan struct{}
}

func (p piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p piped) Close() error   { return nil }
func (p piped) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowBody: a client that sends its body byte by byte is answered and cut in
// time, whether the body was read, refused or not looked at: net/http reads what is
// left of one before it answers, and once more behind the answer.
func TestSlowBody(t *testing.T) {
	body := func(limit int64, want error) handlerFunc {
		return func(x host.Exchange) {
			if _, err := x.Body(limit); err != want {
				t.Errorf("%v instead of %v", err, want)
			}
			_ = x.Reply(http.StatusBadRequest, nil)
		}
	}
	for name, row := range map[string]struct {
		header string
		h      handlerFunc
	}{
		"announced":            {"Content-Length: 1000", body(2000, host.ErrTimeout)},
		"chunked":              {"Transfer-Encoding: chunked", body(2000, host.ErrTimeout)},
		"too large":            {"Content-Length: 1000", body(10, host.ErrTooLarge)},
		"chunked, too large":   {"Transfer-Encoding: chunked", body(3, host.ErrTooLarge)},
		"refused":              {"Content-Length: 1000", func(x host.Exchange) { _ = x.Reply(http.StatusBadRequest, nil) }},
		"refused, in a stream": {"Content-Length: 1000", func(x host.Exchange) { _ = x.Stream(http.StatusBadRequest, func(host.Stream) {}) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := piped{make(chan net.Conn, 1), make(chan struct{})}
				srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					host.ServeHTTP(row.h, w, r, host.HTTPConfig{})
				})}
				go func() { _ = srv.Serve(l) }()
				client, server := net.Pipe()
				l.conns <- server
				start := time.Now()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, err := fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", row.header)
					piece := "x"
					if row.header[0] == 'T' {
						piece = "1\r\nx\r\n"
					}
					for ; err == nil; time.Sleep(time.Second) {
						_, err = client.Write([]byte(piece))
					}
				}()
				br := bufio.NewReader(client)
				resp, err := http.ReadResponse(br, nil)
				if err != nil || resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%v, %v", resp, err)
				}
				if _, err := br.ReadByte(); err == nil {
					t.Error("the connection goes on")
				}
				if d := time.Since(start); d > 25*time.Second {
					t.Errorf("it took %v", d)
				}
				_ = client.Close()
				<-sent
				close(l.over)
				_ = srv.Close()
			})
		})
	}
}
