package virtsocket

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

// begin opens a session of any generation on a websocket.
func begin(t *testing.T, query string, change func(*Options)) (*Hub, *fakeConn, *recorder) {
	t.Helper()
	d := fakeDuplex{make(chan *fakeConn, 1)}
	var r *recorder
	o := every(d)
	o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
		r = &recorder{s: s, from: time.Now()}
		return r, nil
	}
	if change != nil {
		change(&o)
	}
	h := NewHub(o)
	if query == "" { // 0.9
		sid, _, _ := strings.Cut(request(h, http.MethodGet, "1", "", false).Body.String(), ":")
		request(h, http.MethodGet, "1/websocket/"+sid, "", true)
	} else {
		request(h, http.MethodGet, "", query, true)
	}
	return h, <-d.conns, r
}

// TestTimeoutToTheTick: a session ends an interval and a timeout after it began:
// for requests at that moment, whenever the wheel comes by.
func TestTimeoutToTheTick(t *testing.T) {
	for phase := range 10 {
		synctest.Test(t, func(t *testing.T) {
			var r *recorder
			o := every(fakeDuplex{make(chan *fakeConn, 1)})
			o.PingInterval, o.PingTimeout = 300*time.Millisecond, 200*time.Millisecond
			o.Accept = func(s *Socket, _ host.Exchange) (Handler, *dialect.Refusal) {
				r = &recorder{s: s, from: time.Now()}
				return r, nil
			}
			h := NewHub(o)
			time.Sleep(time.Duration(phase) * 1100 * time.Microsecond)
			begin := time.Now()
			request(h, http.MethodGet, "", "EIO=4&transport=polling", false)
			time.Sleep(500*time.Millisecond - time.Since(begin))
			if w := request(h, http.MethodGet, "", "EIO=4&transport=polling&sid="+r.s.ID(), false); w.Code != http.StatusBadRequest {
				t.Errorf("phase %d: status %d, %q", phase, w.Code, w.Body)
			}
			synctest.Wait()
			if len(r.closed) != 1 || r.closed[0] != PingTimeout || r.after != 500*time.Millisecond {
				t.Errorf("phase %d: closed %v after %v", phase, r.closed, r.after)
			}
			ends(t, h)
		})
	}
	synctest.Test(t, func(t *testing.T) { // without any request
		h, _, r := begin(t, "EIO=4&transport=websocket", func(o *Options) {
			o.PingInterval, o.PingTimeout = 300*time.Millisecond, 200*time.Millisecond
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if r.after < 500*time.Millisecond || r.after > 510*time.Millisecond {
			t.Errorf("ended after %v", r.after)
		}
		ends(t, h)
	})
}

// TestStallPings: while the application does not keep up, clients hear from the
// server as often as they must, and are not given up; afterwards they are.
func TestStallPings(t *testing.T) {
	for _, row := range []struct {
		query, hears string
		within       time.Duration // what the client waits for
	}{
		{"EIO=4&transport=websocket", "2", 45 * time.Second},
		{"EIO=3&transport=websocket", "6", 20 * time.Second}, // after its own ping
		{"", "2::", 60 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, c, r := begin(t, row.query, nil)
			time.Sleep(time.Second)
			r.s.PauseHeartbeat(true)
			stalled := time.Since(c.from)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if len(r.closed) != 0 {
				t.Fatalf("%q: closed %v after %v", row.query, r.closed, r.after)
			}
			last := stalled
			for i, m := range c.all() {
				if m != row.hears || c.at[i] < stalled {
					continue
				}
				if gap := c.at[i] - last; gap >= row.within {
					t.Errorf("%q: nothing for %v", row.query, gap)
				}
				last = c.at[i]
			}
			if gap := stalled + 10*time.Minute - last; gap >= row.within {
				t.Errorf("%q: nothing for the last %v", row.query, gap)
			}
			r.s.PauseHeartbeat(false)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if len(r.closed) != 1 || r.closed[0] != PingTimeout {
				t.Errorf("%q: closed %v", row.query, r.closed)
			}
			ends(t, h)
		})
	}
}

// TestStallIsRemembered: an inbox that was full since the last expiry excuses the
// client as one that is full right now does.
func TestStallIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, r := begin(t, "EIO=4&transport=websocket", nil)
		time.Sleep(30 * time.Second) // the pong is due
		r.s.PauseHeartbeat(true)
		time.Sleep(14 * time.Second)
		r.s.PauseHeartbeat(false) // a second before the client would be given up
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(r.closed) != 0 {
			t.Errorf("closed %v: its pong may have waited for the inbox", r.closed)
		}
		h.Abort()
		time.Sleep(time.Second)
	})
}

// TestStaleExpiry: the wheel tells of an expiry when the timer has just been set
// again: a client that has pinged is kept, and a session that lingers goes on.
func TestStaleExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := begin(t, "EIO=3&transport=websocket", nil)
		time.Sleep(40 * time.Second)
		_ = c.text("2")
		r.s.Expired(&r.s.hb)
		if len(r.closed) != 0 {
			t.Errorf("closed %v", r.closed)
		}
		var s *Socket
		h.opts.Accept = func(o *Socket, _ host.Exchange) (Handler, *dialect.Refusal) { s = o; return &recorder{}, nil }
		request(h, http.MethodGet, "", "EIO=4&transport=polling", false)
		s.Close(ServerNamespace)
		s.Expired(&s.hb) // the ping that was due
		w := request(h, http.MethodGet, "", "EIO=4&transport=polling&sid="+s.ID(), false)
		if w.Code != http.StatusOK || !strings.HasSuffix(w.Body.String(), "1") {
			t.Errorf("the poll after the end: %d %q", w.Code, w.Body)
		}
		h.Abort()
		ends(t, h)
	})
}
