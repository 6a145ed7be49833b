package polling

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// closingLink is a link that is closed in the moment in which a GET fetches what there
// is to say: the GET still waits then, and has its answer already.
type closingLink struct {
	quiet
	p    transport.Poll
	lost int
}

func (c *closingLink) Next() []*packet.Message {
	if c.lost > 0 {
		return nil
	}
	c.p.Close(transport.NoStatus, "")
	return []*packet.Message{packet.TextMessage("last")}
}

func (c *closingLink) Lost(error) { c.lost++ }

// TestClosedWhileAnswering: a session that is closed while its poll is being
// answered ends with that answer. No other request may come that would end it.
func TestClosedWhileAnswering(t *testing.T) {
	for _, newest := range []bool{false, true} {
		l := &closingLink{}
		l.p = Transport{}.New(l, transport.PollOptions{Name: Name, Newest: newest})
		host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
			if err := l.p.Get(x, transport.PollRequest{Name: Name, Payloads: plain{}}); err != nil {
				t.Error(err)
			}
		}), httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), host.HTTPConfig{})
		if l.lost != 1 {
			t.Errorf("newest %v: the link was told %d times that the transport has ended, instead of once", newest, l.lost)
		}
	}
}

// lateLink is a link to which a message is given, and which is closed, after a GET has looked
// for messages and before it looks for the end.
type lateLink struct {
	quiet
	p     transport.Poll
	looks int
	lost  int
}

func (l *lateLink) Next() []*packet.Message {
	switch l.looks++; l.looks {
	case 1:
		l.p.Close(transport.Normal, "")
	case 2:
		return []*packet.Message{packet.TextMessage("last")}
	}
	return nil
}

func (l *lateLink) Lost(error) { l.lost++ }

// TestGoodbyeBehindTheLast: the goodbye does not overtake what was queued before it.
func TestGoodbyeBehindTheLast(t *testing.T) {
	for _, newest := range []bool{false, true} {
		l := &lateLink{}
		l.p = Transport{}.New(l, transport.PollOptions{Name: Name, Newest: newest, Noop: packet.TextMessage("6")})
		l.p.Goodbye(packet.TextMessage("1"))
		get := func() string {
			w := httptest.NewRecorder()
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
				if err := l.p.Get(x, transport.PollRequest{Name: Name, Payloads: joined{}}); err != nil {
					t.Error(err)
				}
			}), w, httptest.NewRequest("GET", "/", nil), host.HTTPConfig{})
			return w.Body.String()
		}
		if got := get(); got != "last" {
			t.Errorf("newest %v: %q instead of the last message", newest, got)
		}
		if got := get(); !strings.HasSuffix(got, "1") {
			t.Errorf("newest %v: %q instead of the goodbye", newest, got)
		}
		if l.lost != 1 {
			t.Errorf("newest %v: the link was told the end %d times", newest, l.lost)
		}
	}
}
