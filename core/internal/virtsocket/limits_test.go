package virtsocket

import (
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/siokit/siokit/core/host"
)

// TestDoors: each bound admits as many as it says and not one more, and a place
// that is left, or that is not pending any more, is free for another.
func TestDoors(t *testing.T) {
	var places [8]place
	d := doors{limits: Limits{Connections: 6, ConnectionsPerAddress: 4, Pending: 3, PendingPerAddress: 2}}
	enter := func(i int, address, want string) {
		t.Helper()
		if got := d.enter(&places[i], address); got != want {
			t.Errorf("place %d, address %q: %q, want %q", i, address, got, want)
		}
	}
	enter(0, "a", "")
	enter(1, "a", "")
	enter(2, "a", "MaxPendingPerAddress")
	enter(2, "b", "")
	enter(3, "c", "MaxPending")
	d.note(&places[0], settled)
	enter(3, "c", "MaxPending") // accepted, but the client has not come back
	d.note(&places[0], back)
	d.note(&places[0], back)
	enter(3, "a", "")
	for i := range 4 {
		d.note(&places[i], back)
		d.note(&places[i], settled)
	}
	enter(4, "a", "")
	enter(5, "a", "MaxConnectionsPerAddress")
	enter(5, "", "") // exempt from the bounds of an address alone
	enter(6, "d", "MaxConnections")
	d.leave(&places[0])
	d.leave(&places[0])
	enter(6, "d", "")
	if d.count() != 3 || d.total != 6 {
		t.Errorf("%d pending, %d in all; want 3, 6", d.count(), d.total)
	}
	for i := range places {
		d.leave(&places[i])
	}
	if d.total != 0 || d.pending != 0 || len(d.peers) != 0 {
		t.Errorf("after all have left: %d, %d pending, %d addresses", d.total, d.pending, len(d.peers))
	}
}

// TestDoorsForget: without a bound for the connections of an address, none is
// kept for longer than its sessions are pending.
func TestDoorsForget(t *testing.T) {
	d := doors{limits: Limits{PendingPerAddress: 1}}
	var places [100]place
	for i := range places {
		if option := d.enter(&places[i], strconv.Itoa(i)); option != "" {
			t.Fatal(option)
		}
		d.note(&places[i], settled)
		d.note(&places[i], back)
	}
	if len(d.peers) != 0 || d.count() != 0 || d.total != len(places) {
		t.Errorf("%d addresses, %d pending, %d in all", len(d.peers), d.count(), d.total)
	}
}

// TestPeerAddress: who is one client.
func TestPeerAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5000":            "192.0.2.1",
		"192.0.2.1":                 "192.0.2.1",
		"[::ffff:192.0.2.1]:5000":   "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"2001:db8:1:2::7":           "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
		"@":                         "",
		"":                          "",
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.RemoteAddr = remote
		got := "not served"
		host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
			got = PeerAddress(x)
			_ = x.Reply(200, nil)
		}), httptest.NewRecorder(), req, host.HTTPConfig{})
		if got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}
