package virtsocket

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

func post(h *Hub, path, query, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	host.ServeHTTP(h, w, httptest.NewRequest(http.MethodPost, "/?"+query, strings.NewReader(body)), host.HTTPConfig{Path: path})
	return w
}

// posts is a session that polls, whose message "slow" is handled until release.
type posts struct {
	h           *Hub
	d           fakeDuplex
	r           *recorder
	path, query string
	release     chan struct{}
}

// beginPosts opens a session of Engine.IO 4 or 3, or of 0.9 ("1").
func beginPosts(t *testing.T, generation string) *posts {
	t.Helper()
	q := &posts{d: fakeDuplex{make(chan *fakeConn, 1)}, release: make(chan struct{})}
	o := every(q.d)
	o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
		q.r = &recorder{s: s, from: time.Now()}
		q.r.handle = func(data string) {
			if strings.HasSuffix(data, "slow") {
				<-q.release
			}
		}
		return q.r, nil
	}
	q.h = NewHub(o)
	if generation == "1" {
		request(q.h, http.MethodGet, "1", "", false)
		q.path = "1/xhr-polling/" + q.r.s.ID()
		request(q.h, http.MethodGet, q.path, "", false)
		return q
	}
	q.query = "EIO=" + generation + "&transport=polling&b64=1"
	request(q.h, http.MethodGet, "", q.query, false)
	q.query += "&sid=" + q.r.s.ID()
	return q
}

// post sends a body, and returns where its status will be.
func (q *posts) post(body string) <-chan int {
	status := make(chan int, 1)
	go func() { status <- post(q.h, q.path, q.query, body).Code }()
	return status
}

// payloadOf is a body with messages of the generation.
func payloadOf(generation string, messages ...string) string {
	var b strings.Builder
	for i, m := range messages {
		switch generation {
		case "4":
			if i > 0 {
				b.WriteByte('\x1e')
			}
			b.WriteString("4" + m)
		case "3":
			fmt.Fprintf(&b, "%d:4%s", len(m)+1, m)
		default:
			fmt.Fprintf(&b, "\ufffd%d\ufffd3:::%s", len(m)+4, m)
		}
	}
	return b.String()
}

// TestEndInPayload: a POST is answered as accepted when all of it is handled, also behind
// the end of the session. What is not handled because the application has ended the
// session is not answered as accepted.
func TestEndInPayload(t *testing.T) {
	for _, generation := range []string{"4", "3", "1"} {
		for _, c := range []struct {
			reason Reason
			whole  bool
		}{
			{ServerShutdown, true}, {TransportClose, true}, {PingTimeout, true}, {ClientNamespace, true},
			{ServerNamespace, false}, {ServerTransportClose, false},
		} {
			synctest.Test(t, func(t *testing.T) {
				q := beginPosts(t, generation)
				status := q.post(payloadOf(generation, "slow", "one", "two"))
				synctest.Wait()
				q.r.s.Close(c.reason)
				awaited := make(chan bool, 1)
				go func() { q.r.s.AwaitPayloads(); awaited <- true }()
				synctest.Wait()
				if waits := len(awaited) == 0; waits != c.whole {
					t.Errorf("%s, %v: the handler waits for the payload: %t", generation, c.reason, waits)
				}
				close(q.release)
				synctest.Wait()
				want, code := 3, http.StatusOK
				if !c.whole {
					want, code = 1, http.StatusBadRequest
				}
				if got := <-status; len(q.r.got) != want || got != code {
					t.Errorf("%s, %v: %d handled, status %d", generation, c.reason, len(q.r.got), got)
				}
				<-awaited
				q.h.Abort()
				time.Sleep(time.Minute) // of the bubble: nobody lingers
				ends(t, q.h)
			})
		}
	}
}

// TestEndBeforePayload: POSTs that have come in time, and whose turn comes behind the end
// of the session, are not answered as accepted. In 0.9 one that comes later is, as one of
// an unknown session.
func TestEndBeforePayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := beginPosts(t, "1")
		first := q.post("3:::slow")
		synctest.Wait()
		second := q.post("3:::one")
		synctest.Wait()
		q.r.s.Close(ClientNamespace)
		if status := <-second; status != http.StatusBadRequest {
			t.Errorf("a POST that waited: %d", status)
		}
		if status := <-q.post("3:::late"); status != http.StatusOK {
			t.Errorf("a POST that came late: %d", status)
		}
		close(q.release)
		if status := <-first; status != http.StatusOK {
			t.Errorf("the first POST: %d", status)
		}
		if !slices.Equal(q.r.got, []string{"3:::slow"}) && !slices.Equal(q.r.got, []string{"slow"}) {
			t.Errorf("got %q", q.r.got)
		}
		q.h.Abort()
		time.Sleep(time.Minute)
		ends(t, q.h)
	})
}

// TestBehindClose: a close packet is the last thing of its payload that is handled.
func TestBehindClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := beginPosts(t, "4")
		if status := <-q.post("4one\x1e1\x1e4two"); status != http.StatusOK || !slices.Equal(q.r.got, []string{"one"}) {
			t.Errorf("status %d, got %q", status, q.r.got)
		}
		if !slices.Equal(q.r.closed, []Reason{TransportClose}) {
			t.Errorf("closed %v", q.r.closed)
		}
		time.Sleep(time.Minute)
		ends(t, q.h)
	})
}
