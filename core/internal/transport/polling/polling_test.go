package polling

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// nothing is a link with nothing to say.
type nothing struct{ units *[]string }

func (nothing) Frame(packet.Frame) error { return nil }
func (n nothing) Unit(u packet.Unit) bool {
	*n.units = append(*n.units, string(u.Data))
	return true
}
func (nothing) Begin()                   {}
func (nothing) End()                     {}
func (nothing) Next() []*packet.Message  { return nil }
func (nothing) Sent([]*packet.Message)   {}
func (nothing) Unsent([]*packet.Message) {}
func (nothing) Lost(error)               {}

func body(n int) io.Reader { return strings.NewReader(fmt.Sprintf("3:::%d", n)) }

// TestWaitingPosts: POSTs that wait for the one before them are bounded; those
// that wait are served, in the order of their arrival.
func TestWaitingPosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var units []string
		p := Transport{}.New(nothing{&units}, transport.PollOptions{Name: Name, Newest: true})
		v := transport.PollRequest{Name: Name, Payloads: sio1.New(packet.DefaultLimits).Payloads(dialect.Request{})}
		var mu sync.Mutex
		results := map[error]int{}
		post := func(body io.Reader) {
			r := httptest.NewRequest("POST", "/", body)
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
				err := p.Post(x, v, 1000)
				mu.Lock()
				results[err]++
				mu.Unlock()
			}), httptest.NewRecorder(), r, host.HTTPConfig{})
		}
		pr, pw := io.Pipe()
		go post(pr)
		synctest.Wait()
		for i := range maxWaitingPosts {
			go post(body(i + 1))
			synctest.Wait()
		}
		post(body(100))
		if len(results) != 1 || results[transport.ErrOverlap] != 1 {
			t.Errorf("one too many: %v", results)
		}
		_, _ = io.Copy(pw, body(0))
		_ = pw.Close()
		synctest.Wait()
		if results[nil] != maxWaitingPosts+1 || results[transport.ErrOverlap] != 1 || len(results) != 2 {
			t.Errorf("%v", results)
		}
		for i, u := range units {
			if u != fmt.Sprintf("3:::%d", i) {
				t.Fatalf("not in order: %q", units)
			}
		}
	})
}
