package selftest

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/bustest"
)

// over are three servers on a bus with a fault.
func over(f bustest.Faulty) conformance.Option {
	return conformance.Clustered(func() func() cluster.Backend {
		bus := cluster.NewBus()
		return func() cluster.Backend {
			own := f
			own.Backend = bus.Backend()
			return &own
		}
	})
}

// clusteredBreakers are what goes wrong between servers.
var clusteredBreakers = []struct {
	name    string
	catches []string
	bus     bustest.Faulty
}{
	{
		"no request is passed on", // nobody hears where the others take them
		[]string{"polling/held", "polling/post", "upgrade/steps", "eio3/polling", "sio1/xhr-polling", "sio1/overlap", "jsonp/engine", "generations/one-room", "panics/exchange"},
		bustest.Faulty{Change: func(ms []*cluster.Message) []*cluster.Message {
			for _, m := range ms {
				m.Info = ""
			}
			return ms
		}},
	},
	{
		"broadcasts are lost",
		[]string{"rooms/say", "rooms/union", "rooms/binary-broadcast", "generations/one-room", "streams/order", "upgrade/under-traffic", "limits/slow-poller", "wire/reserved-names"},
		bustest.Faulty{Change: func(ms []*cluster.Message) []*cluster.Message {
			return slices.DeleteFunc(ms, func(m *cluster.Message) bool { return m.Kind == cluster.Emit && m.ID == "" })
		}},
	},
	{
		"rooms are not listened to",
		[]string{"rooms/say", "generations/one-room", "limits/connecting"},
		bustest.Faulty{Watched: func(list []cluster.Interest) []cluster.Interest {
			return slices.DeleteFunc(list, func(i cluster.Interest) bool { return i.Room != "" })
		}},
	},
	{
		"broadcasts come twice",
		[]string{"rooms/say", "rooms/union", "upgrade/under-traffic", "limits/concurrent-writers"},
		bustest.Faulty{Change: func(ms []*cluster.Message) (list []*cluster.Message) {
			for _, m := range ms {
				if list = append(list, m); m.Kind == cluster.Emit && m.ID == "" {
					list = append(list, m)
				}
			}
			return list
		}},
	},
}

// TestClustered: what is wrong between servers is caught by the cases that are named, over three
// servers; over one they pass.
func TestClustered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: most of the time something is waited for in vain")
	}
	check := func(t *testing.T, names []string, want string, opts ...conformance.Option) {
		t.Helper()
		results, err := conformance.Check(fault{}.factory, append(opts, conformance.Only(names...))...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Status != want {
				t.Errorf("%s: %s instead of %s\n%s", r.Name, r.Status, want, r.Output)
			}
		}
	}
	for _, b := range clusteredBreakers {
		t.Run(b.name, func(t *testing.T) {
			check(t, b.catches, "failed", over(b.bus), conformance.Patience(2*patience))
			check(t, b.catches, "passed", conformance.Clustered(nil))
			check(t, b.catches, "passed")
		})
	}
}

// TestClusteredListens: a factory that listens by itself is told to use Listen.
func TestClusteredListens(t *testing.T) {
	results, err := conformance.Check(listensItself, conformance.Clustered(nil), conformance.Only("routing/slash"))
	if err != nil || len(results) != 1 || results[0].Status != "failed" || !strings.Contains(results[0].Output, "Listen or ServeHTTP") {
		t.Error(results, err)
	}
}

// listensItself is a factory that does not call Listen.
func listensItself(_ testing.TB, srv *sio.Server, _ conformance.Config) *conformance.Host {
	hs := httptest.NewServer(srv)
	return &conformance.Host{URL: hs.URL, Stop: hs.Close}
}
