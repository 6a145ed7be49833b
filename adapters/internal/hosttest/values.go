package hosttest

import (
	"container/list"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// Values checks what an adapter keeps of the host's request values. start mounts
// the server at /socket.io behind a middleware that puts under "user" what the
// header X-User says, under "n" the number 7, and under "live" an object of the
// framework that belongs to the request. With all, a Keep picks the three of them,
// as "deep", the live object inside of a struct in a map, and as "behind", "func"
// and "elements" what Behind, Func and Elements make of it. lists says whether the
// adapter keeps anything without a Keep.
func Values(t *testing.T, lists bool, start func(srv *sio.Server, all bool) *conformance.Host) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all=%v", all), func(t *testing.T) {
			var log testkit.Log
			requests := make(chan *sio.Request, 20)
			srv := sio.NewServer(&sio.Options{Logger: log.Logger(), OnHandshake: func(_ context.Context, r *sio.Request, _ host.Exchange) error {
				requests <- r
				return nil
			}})
			h := start(srv, all)
			defer h.Stop()
			defer func() { _ = srv.Shutdown(context.Background()) }()
			want := "map[]"
			if lists || all {
				want = "map[n:7 user:alice-1]"
			}
			l := wire.New(t, h.URL, "/socket.io/").Line()
			const q = "EIO=4&transport=polling"
			l.Do("GET", q, "", "X-User: alice-1")
			r := <-requests
			before := fmt.Sprint(r.Values)
			for range 8 { // one connection, names of one length
				l.Do("GET", q, "", "X-User: mallo-2")
				<-requests
			}
			if after := fmt.Sprint(r.Values); before != want || after != want {
				t.Errorf("values %s, and %s behind a stranger's requests; want %s", before, after, want)
			}
			for _, name := range []string{"live", "deep", "behind", "func", "elements"} {
				if got, want := strings.Count(log.String(), "name="+name), map[bool]int{true: 1}[all]; got != want {
					t.Errorf("%s is %d times in the log, want %d:\n%s", name, got, want, log.String())
				}
			}
		})
	}
}

// Behind hides a live object in a map behind two pointers.
func Behind(live any) any {
	type bag struct{ vals map[string]any }
	return &struct{ b *bag }{&bag{map[string]any{"live": live}}}
}

// Func hides a live object in a function that is the field of a struct.
func Func(live func() string) any { return struct{ Get func() string }{live} }

// Elements hides a live object in a type of the standard library.
func Elements(live any) any {
	l := list.New()
	l.PushBack(live)
	return l
}

// ClientIP checks the warning of a host that believes its clients, for a server
// that start mounts, and that there is none when it does not: setting is what the
// warning names.
func ClientIP(t *testing.T, setting string, start func(srv *sio.Server, believes bool) *conformance.Host) {
	for _, believes := range []bool{true, false} {
		var log testkit.Log
		var claimed string
		srv := sio.NewServer(&sio.Options{Logger: log.Logger(), OnHandshake: func(_ context.Context, r *sio.Request, _ host.Exchange) error {
			claimed = r.ClientIP
			return nil
		}})
		h := start(srv, believes)
		c := wire.New(t, h.URL, "/socket.io/")
		c.Must("GET", "EIO=4&transport=polling", "") // a client that claims nothing hides nothing
		for range 2 {
			c.Must("GET", "EIO=4&transport=polling", "", "X-Forwarded-For", "198.51.100.1")
		}
		_ = srv.Shutdown(context.Background())
		h.Stop()
		n, ip := 0, "127.0.0.1"
		if believes {
			n, ip = 1, "198.51.100.1"
		}
		if got := strings.Count(log.String(), setting); got != n || claimed != ip {
			t.Errorf("believes %v: %q is %d times in the log, the client %s; want %d, %s\n%s", believes, setting, got, claimed, n, ip, log.String())
		}
	}
}
