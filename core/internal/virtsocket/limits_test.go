package virtsocket

import (
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/siokit/siokit/core/host"
)

// TestLimiter: each bound admits as many as it says and not one more, and a slot
// that is left, or that is not pending any more, is free for another.
func TestLimiter(t *testing.T) {
	var slots [8]slot
	d := limiter{limits: Limits{Connections: 6, ConnectionsPerAddress: 4, Pending: 3, PendingPerAddress: 2}}
	enter := func(i int, address, want string) {
		t.Helper()
		if got := d.take(&slots[i], address); got != want {
			t.Errorf("slot %d, address %q: %q, want %q", i, address, got, want)
		}
	}
	enter(0, "a", "")
	enter(1, "a", "")
	enter(2, "a", "MaxPendingPerAddress")
	enter(2, "b", "")
	enter(3, "c", "MaxPending")
	d.note(&slots[0], settled)
	enter(3, "c", "MaxPending") // accepted, but the client has not come back
	d.note(&slots[0], back)
	d.note(&slots[0], back)
	enter(3, "a", "")
	for i := range 4 {
		d.note(&slots[i], back)
		d.note(&slots[i], settled)
	}
	enter(4, "a", "")
	enter(5, "a", "MaxConnectionsPerAddress")
	enter(5, "", "") // exempt from the bounds of an address alone
	enter(6, "d", "MaxConnections")
	d.giveBack(&slots[0])
	d.giveBack(&slots[0])
	enter(6, "d", "")
	if d.count() != 3 || d.total != 6 {
		t.Errorf("%d pending, %d in all; want 3, 6", d.count(), d.total)
	}
	for i := range slots {
		d.giveBack(&slots[i])
	}
	if d.total != 0 || d.pending != 0 || len(d.peers) != 0 {
		t.Errorf("after all have left: %d, %d pending, %d addresses", d.total, d.pending, len(d.peers))
	}
}

// TestLimiterForget: without a bound for the connections of an address, none is
// kept for longer than its sessions are pending.
func TestLimiterForget(t *testing.T) {
	d := limiter{limits: Limits{PendingPerAddress: 1}}
	var slots [100]slot
	for i := range slots {
		if option := d.take(&slots[i], strconv.Itoa(i)); option != "" {
			t.Fatal(option)
		}
		d.note(&slots[i], settled)
		d.note(&slots[i], back)
	}
	if len(d.peers) != 0 || d.count() != 0 || d.total != len(slots) {
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
