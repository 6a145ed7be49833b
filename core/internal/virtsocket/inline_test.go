package virtsocket

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
)

// inlined notes which messages may be handled by the goroutine that has read them.
type inlined struct {
	recorder
	inline []bool
}

func (r *inlined) Message(binary bool, data []byte, inline bool) Reason {
	r.inline = append(r.inline, inline)
	return r.recorder.Message(binary, data, inline)
}

// TestInlineOf09: the packet of a frame that has one is handled by the reader; those of a frame
// with several are not, and nothing is lost of either.
func TestInlineOf09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDuplex{make(chan *fakeConn, 1)}
		o := every(d)
		var r *inlined
		o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
			r = &inlined{recorder: recorder{s: s, from: time.Now()}}
			return r, nil
		}
		h := NewHub(o)
		sid, _, _ := strings.Cut(request(h, http.MethodGet, "1", "", false).Body.String(), ":")
		request(h, http.MethodGet, "1/websocket/"+sid, "", true)
		c := <-d.conns
		const mark = "\ufffd"
		if err := c.text("3:::a", mark+"5"+mark+"3:::b"+mark+"5"+mark+"3:::c", "", "2::", mark+"5"+mark+"3:::d", "3:::e"); err != nil {
			t.Fatal(err)
		}
		if want := []string{"3:::a", "3:::b", "3:::c", "3:::d", "3:::e"}; !slices.Equal(r.got, want) {
			t.Errorf("got %q", r.got)
		}
		if want := []bool{true, false, false, false, true}; !slices.Equal(r.inline, want) {
			t.Errorf("inline %t", r.inline)
		}
		c.link.Begin()
		if err := c.link.Frame(packet.Frame{Binary: true, Data: []byte("3:::f")}); err == nil {
			t.Error("a binary frame is taken")
		}
		c.link.End()
		if len(r.closed) != 1 || r.closed[0] != ParseError {
			t.Errorf("closed %v", r.closed)
		}
		_ = c.text("3:::g")
		if len(r.got) != 5 {
			t.Errorf("behind the end: %q", r.got)
		}
		h.Abort()
		ends(t, h)
	})
}
