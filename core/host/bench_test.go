package host_test

import (
	"net/http"
	"testing"

	"github.com/siokit/siokit/core/host"
)

// sink is a writer that keeps nothing.
type sink struct{ h http.Header }

func (s sink) Header() http.Header         { return s.h }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}
func (s sink) Flush()                      {}

// BenchmarkPoll is what the exchange costs a poll: the parameters are read and a small
// answer is written.
func BenchmarkPoll(b *testing.B) {
	r, _ := http.NewRequest("GET", "/socket.io/?EIO=4&transport=polling&sid=abc", nil)
	w := sink{http.Header{"Content-Length": {"2"}}}
	keys := [...]string{"EIO", "transport", "sid", "j"}
	h := host.HandlerFunc(func(x host.Exchange) {
		for _, k := range keys {
			_ = x.Query(k)
		}
		_ = x.Path()
		_ = x.Reply(200, []byte("ok"))
	})
	b.ReportAllocs()
	for b.Loop() {
		host.ServeHTTP(h, w, r, host.HTTPConfig{})
	}
}
