package polling

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// TestAwait: it waits for a GET that is still to come, and no longer than it may.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Transport{}.New(quiet{}, transport.PollOptions{Name: Name, Noop: packet.TextMessage("6")}).(*poll)
		start := time.Now()
		p.Await(time.Second)
		if d := time.Since(start); d != time.Second {
			t.Errorf("without a GET: %v", d)
		}
		post := func(p *poll) {
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) { _ = p.Post(x, transport.PollRequest{Name: Name, Payloads: plain{}}, 100) }),
				httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), host.HTTPConfig{})
		}
		apart := Transport{}.New(quiet{}, transport.PollOptions{Name: Name}).(*poll)
		post(apart)
		post(apart)
		start = time.Now()
		apart.Await(time.Second)
		if d := time.Since(start); d != 0 {
			t.Errorf("a client that polls and posts in turn: %v", d)
		}
		get := func() {
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) { _ = p.Get(x, transport.PollRequest{Name: Name, Payloads: plain{}}) }),
				httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), host.HTTPConfig{})
		}
		start = time.Now()
		done := make(chan bool)
		go func() {
			time.Sleep(time.Second / 2)
			get()
			close(done)
		}()
		p.Await(time.Second)
		if d := time.Since(start); d != time.Second/2 {
			t.Errorf("with a GET after half a second: %v", d)
		}
		start = time.Now()
		p.Await(time.Second)
		if d := time.Since(start); d != 0 {
			t.Errorf("with a GET that waits: %v", d)
		}
		post(p)
		post(p)
		if p.apart != -1 {
			t.Errorf("POSTs beside a GET: %d apart", p.apart)
		}
		p.Goodbye(packet.TextMessage("1"))
		p.Close(transport.NoStatus, "")
		<-done
		p.Await(time.Second)
		if d := time.Since(start); d != 0 {
			t.Errorf("after the end: %v", d)
		}
	})
}

// quiet is a link that has nothing to say.
type quiet struct{}

func (quiet) Frame(packet.Frame) error { return nil }
func (quiet) Unit(packet.Unit) bool    { return true }
func (quiet) Begin()                   {}
func (quiet) End()                     {}
func (quiet) Next() []*packet.Message  { return nil }
func (quiet) Sent([]*packet.Message)   {}
func (quiet) Unsent([]*packet.Message) {}
func (quiet) Lost(error)               {}

// plain is a codec without any framing.
type plain struct{}

func (plain) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	return append(dst, ms[0].Data()...), "text/plain"
}
func (plain) Unwrap(body []byte) ([]byte, error)                         { return body, nil }
func (plain) DecodePayload([]byte, string, func(packet.Unit) bool) error { return nil }
