package doctor_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/doctor"
)

// balancer is a load balancer in front of several servers. pick says which gets a request.
type balancer struct {
	*httptest.Server
	servers []*sio.Server
	turn    atomic.Int64 // counts requests
	conns   atomic.Int64
	pick    func(b *balancer, w http.ResponseWriter, r *http.Request) int
}

type connection struct{}

func balance(t *testing.T, n int, o func() *sio.Options, pick func(*balancer, http.ResponseWriter, *http.Request) int) *balancer {
	b := &balancer{pick: pick}
	for range n {
		srv := sio.NewServer(o())
		t.Cleanup(func() { _ = srv.Shutdown(context.Background()) })
		b.servers = append(b.servers, srv)
	}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i := b.pick(b, w, r); i >= 0 {
			b.servers[i%len(b.servers)].ServeHTTP(w, r)
		}
	}))
	b.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connection{}, int(b.conns.Add(1)))
	}
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// patient are options with which sessions live until the doctor ends them, on a busy machine
// too.
func patient() *sio.Options {
	o := options()
	o.PingInterval, o.ConnectTimeout, o.PingTimeout = 4*time.Second, time.Minute, time.Minute
	return o
}

// The ways in which a load balancer chooses.
func byRequest(b *balancer, _ http.ResponseWriter, _ *http.Request) int { return int(b.turn.Add(1)) }

func byConnection(_ *balancer, _ http.ResponseWriter, r *http.Request) int {
	return r.Context().Value(connection{}).(int)
}

func byAddress(_ *balancer, _ http.ResponseWriter, r *http.Request) int {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return len(host)
}

// byCookie sets its cookie where there is none, or always.
func byCookie(always bool) func(b *balancer, w http.ResponseWriter, r *http.Request) int {
	return func(b *balancer, w http.ResponseWriter, r *http.Request) int {
		i := int(b.turn.Add(1))
		c, err := r.Cookie("SERVERID")
		if err == nil {
			i, _ = strconv.Atoi(c.Value)
		}
		if err != nil || always {
			http.SetCookie(w, &http.Cookie{Name: "SERVERID", Value: strconv.Itoa(i)})
		}
		return i
	}
}

// TestSticky: a load balancer that is not sticky is found from outside, and no other.
func TestSticky(t *testing.T) {
	const missing = "The load balancer needs sticky sessions"
	for _, c := range []struct {
		name  string
		n     int
		pick  func(*balancer, http.ResponseWriter, *http.Request) int
		look  doctor.Options
		found string // what the problem says
		note  string
		other string // another check that finds something
	}{
		{name: "by request", n: 2, pick: byRequest, found: "known again in between"},
		{name: "by request, three", n: 3, pick: byRequest, found: "known again in between"},
		{name: "by request, with a login", n: 2, pick: byRequest, look: doctor.Options{Header: http.Header{"Cookie": {"login=1"}}}, found: "known again in between"},
		{name: "by request, many", n: 12, pick: byRequest, found: "known again in between"},
		{name: "by request, very many", n: 60, pick: byRequest, found: "none of"},
		{name: "by connection", n: 2, pick: byConnection, found: "known again in between"},
		{name: "by address", n: 3, pick: byAddress},
		{name: "by a cookie", n: 2, pick: byCookie(false), note: "SERVERID"},
		{name: "by a cookie that is set again and again", n: 3, pick: byCookie(true), note: "SERVERID"},
		{name: "by a cookie beside one of the caller", n: 2, pick: byCookie(false), look: doctor.Options{Header: http.Header{"Cookie": {"SERVERID=0; login=1"}}}},
		{name: "a rate limit", n: 1, pick: limited(http.StatusTooManyRequests), other: "post"},
		{name: "a rate limit of nginx", n: 1, pick: limited(http.StatusServiceUnavailable), other: "post"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := balance(t, c.n, patient, c.pick)
			findings, notes := look(t, b.URL, c.look)
			if c.found == "" && len(findings) > 0 && findings[0].Check != c.other {
				t.Errorf("findings: %v", findings)
			}
			if c.found != "" && (len(findings) != 1 || findings[0].Check != "sticky" || !strings.Contains(findings[0].Problem, c.found) || !strings.Contains(findings[0].Cure, missing)) {
				t.Errorf("findings: %v", findings)
			}
			if got := strings.Join(notes, "\n"); len(notes) > 1 || (c.note == "") != (got == "") || !strings.Contains(got, c.note) {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// limited refuses POSTs behind the third.
func limited(status int) func(*balancer, http.ResponseWriter, *http.Request) int {
	return func(b *balancer, w http.ResponseWriter, r *http.Request) int {
		if r.Method == "POST" && b.turn.Add(1) > 3 {
			http.Error(w, "slowly", status)
			return -1
		}
		return 0
	}
}

// look examines an address.
func look(t *testing.T, url string, o doctor.Options) (findings []doctor.Finding, notes []string) {
	t.Helper()
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	o.Client = &http.Client{Transport: &http.Transport{}}
	o.Note = func(text string) { notes = append(notes, text) }
	findings, err := doctor.Examine(context.Background(), url, &o)
	if err != nil {
		t.Fatal(err)
	}
	return findings, notes
}

// TestStickyForward: servers that pass requests on need no sticky sessions.
func TestStickyForward(t *testing.T) {
	bus := cluster.NewBus()
	b := balance(t, 3, func() *sio.Options {
		o := patient()
		o.Cluster = bus.Backend()
		o.Forward = &sio.Forward{Listen: "127.0.0.1:0", Secret: []byte("a secret of tests, 32 bytes long")}
		return o
	}, byRequest)
	for _, srv := range b.servers {
		knows := make(chan struct{}, 8)
		srv.OnServer(func(_ string, joined bool) {
			if joined {
				knows <- struct{}{}
			}
		})
		<-knows
		<-knows
	}
	if findings, notes := look(t, b.URL, doctor.Options{}); len(findings) > 0 || len(notes) > 0 {
		t.Errorf("findings %v, notes %q", findings, notes)
	}
}

// TestStickyOtherwise: sessions that are unknown for another reason than a load balancer's.
func TestStickyOtherwise(t *testing.T) {
	t.Run("a restart", func(t *testing.T) {
		t.Parallel()
		srv := []*sio.Server{sio.NewServer(patient()), sio.NewServer(patient())}
		var posts atomic.Int32
		findings, notes := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			i := 0
			if r.Method == "POST" && posts.Add(1) > 2 || posts.Load() > 2 {
				i = 1
			}
			srv[i].ServeHTTP(w, r)
		}), "/socket.io/", doctor.Options{Patience: 10 * time.Second})
		for _, s := range srv {
			_ = s.Shutdown(context.Background())
		}
		// On a busy machine the session may have lived its time.
		if len(findings) > 0 || len(notes) > 1 || len(notes) == 1 && !strings.Contains(notes[0], "restart") {
			t.Errorf("findings %v, notes %q", findings, notes)
		}
	})
	t.Run("sessions that end at once", func(t *testing.T) {
		t.Parallel()
		srv := sio.NewServer(patient())
		defer func() { _ = srv.Shutdown(context.Background()) }()
		var sid atomic.Value
		findings, _ := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s := r.URL.Query().Get("sid"); s != "" && sid.Swap(s) != s { // the server's own end of the session
				end := httptest.NewRequest("POST", "/socket.io/?EIO=4&transport=polling&sid="+s, strings.NewReader("1"))
				srv.ServeHTTP(httptest.NewRecorder(), end)
			}
			srv.ServeHTTP(w, r)
		}), "/socket.io/", doctor.Options{Patience: 10 * time.Second})
		if len(findings) != 1 || findings[0].Check != "sticky" || !strings.Contains(findings[0].Cure, "ends its sessions at once") {
			t.Errorf("findings %v", findings)
		}
	})
}
