package redisbus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/redistest"
	"github.com/siokit/siokit/internal/testkit"
)

// freePort is a port that nobody has now.
func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(testkit.Port(t))
}

// startCluster starts a Redis Cluster of three servers, and returns when it serves.
func startCluster(t *testing.T) ([]*redis, rueidis.ClientOption) {
	t.Helper()
	var list []*redis
	var ports []string
	o := rueidis.ClientOption{DisableCache: true}
	for range 3 {
		port := freePort(t)
		r := startRedis(t, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "2000")
		list, ports = append(list, r), append(ports, port)
		o.InitAddress = append(o.InitAddress, r.Addr)
	}
	const slots = 1 << 14
	for i, r := range list {
		c := r.client()
		do(t, c, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1))
		for j, other := range list {
			if i != j {
				host, port, _ := net.SplitHostPort(other.Addr)
				do(t, c, "CLUSTER", "MEET", host, port, ports[j])
			}
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, r := range list {
		c := r.client()
		for {
			info, err := do(t, c, "CLUSTER", "INFO").ToString()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") && strings.Contains(info, "cluster_size:3") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(info)
			}
		}
	}
	return list, o
}

// TestCluster: on a Redis Cluster all wires do what they do elsewhere, but for the order of
// channels in different slots.
func TestCluster(t *testing.T) {
	servers, o := startCluster(t)
	for _, w := range []Wire{Classic, Sharded, Streams} {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprint(w, own), func(t *testing.T) {
				backend := func() cluster.Backend {
					if own {
						return New(o, Options{Wire: w, Prefix: fmt.Sprint(w, own)})
					}
					c, err := rueidis.NewClient(o)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(c.Close)
					return NewWith(c, Options{Wire: w, Prefix: fmt.Sprint(w, own)})
				}
				one, two := backend(), backend()
				logs := []bool{one.(cluster.Journal).OpenJournal(), two.(cluster.Journal).OpenJournal()}
				a, b := join(t, one, "AAAAA"), join(t, two, "BBBBB")
				for i := range 20 { // sessions are in all slots
					s := cluster.Session{ID: "s", PID: fmt.Sprintf("p%019d", i), Extra: []byte("ours")}
					if !logs[0] || !logs[1] {
						break
					}
					if err := one.(cluster.Journal).SaveSession(t.Context(), &s, time.Minute); err != nil {
						t.Fatal(err)
					}
					if x, err := two.(cluster.Journal).TakeSession(t.Context(), s.PID); err != nil || x == nil || x.ID != "s" || string(x.Extra) != "ours" {
						t.Fatal(x, err)
					}
				}
				if logs[0] != (w == Streams) {
					t.Errorf("a log: %v", logs)
				}
				if n, err := a.Backend.(cluster.Counter).Others(t.Context(), "/"); n != 0 || err != nil {
					t.Errorf("%d others, %v", n, err)
				}
				const rooms = 100
				var ms []*cluster.Message
				got := make(map[string]bool)
				for i := range rooms {
					room := "room" + strconv.Itoa(i)
					b.watch("/", room)
					m := emit(`["`+room+`"]`, room)
					ms = append(ms, &m)
				}
				all := emit(`["all"]`)
				a.say(append(ms, &all, &cluster.Message{Kind: cluster.Hello, ID: "h"}, &cluster.Message{Kind: cluster.Fetch, Namespace: "/", ID: "1"})...)
				for _, m := range b.next(t, rooms+3) {
					got[fmt.Sprint(m.Kind, string(m.Data))] = true
				}
				if len(got) != rooms+3 {
					t.Errorf("%d different messages", len(got))
				}
				b.say(&cluster.Message{Kind: cluster.Sockets, Namespace: "/", ID: "1", To: "AAAAA"})
				a.next(t, 1)
			})
		}
	}
	t.Run("several streams", func(t *testing.T) {
		b, rec := New(o, Options{Wire: Streams, Count: 2}), newRecorder("AAAAA")
		if err := b.Start(t.Context(), "AAAAA", rec); err != nil {
			t.Fatal(err)
		}
		rec.until(t, "down", func() bool { return rec.downs == 1 })
		if !strings.Contains(rec.errs[0].Error(), "not supported") {
			t.Error(rec.errs)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a slot moves", func(t *testing.T) {
		a, b := join(t, New(o, Options{Wire: Sharded}), "AAAAA"), join(t, New(o, Options{Wire: Sharded}), "BBBBB")
		slot, err := do(t, servers[0].client(), "CLUSTER", "KEYSLOT", "socket.io#/#").AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		owner := int(slot) * len(servers) >> 14
		id, err := do(t, servers[(owner+1)%len(servers)].client(), "CLUSTER", "MYID").ToString()
		if err != nil {
			t.Fatal(err)
		}
		for i := range servers { // the new owner first
			do(t, servers[(owner+1+i)%len(servers)].client(), "CLUSTER", "SETSLOT", strconv.Itoa(int(slot)), "NODE", id)
		}
		a.returns(1)
		b.returns(1)
		m := emit(`["x"]`)
		a.say(&m)
		b.next(t, 1)
	})
	t.Run("a server ends", func(t *testing.T) {
		a, b := join(t, New(o, Options{Wire: Sharded}), "AAAAA"), join(t, New(o, Options{Wire: Sharded}), "BBBBB")
		servers[2].Kill()
		a.until(t, "down", func() bool { return a.downs == 1 })
		b.until(t, "down", func() bool { return b.downs == 1 })
	})
}

// TestSentinel: the master ends, and the nodes go to the one that takes its place.
func TestSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("a failover takes some seconds")
	}
	master := startRedis(t)
	host, port, _ := net.SplitHostPort(master.Addr)
	startRedis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	sentinel := &redis{redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor m %s %s 1\nsentinel down-after-milliseconds m 500\nsentinel failover-timeout m 3000\n", host, port)), t}
	c := sentinel.client()
	for deadline := time.Now().Add(30 * time.Second); ; { // until it knows the replica
		list, err := do(t, c, "SENTINEL", "REPLICAS", "m").ToArray()
		if err == nil && len(list) == 1 {
			if m, err := list[0].AsStrMap(); err == nil && m["master-link-status"] == "ok" {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("sentinel does not know the replica")
		}
	}
	o := rueidis.ClientOption{InitAddress: []string{sentinel.Addr}, DisableCache: true, Sentinel: rueidis.SentinelOption{MasterSet: "m"}}
	for _, w := range []Wire{Classic, Streams} {
		a, b := join(t, New(o, Options{Wire: w, Prefix: w.String()}), "AAAAA"), join(t, New(o, Options{Wire: w, Prefix: w.String()}), "BBBBB")
		m := emit(`["before"]`)
		a.say(&m)
		b.next(t, 1)
		defer func() {
			a.returns(1)
			b.returns(1)
			m := emit(`["after"]`)
			for a.try(&m) != nil {
				a.reach()
			}
			b.until(t, "a message by the new master", func() bool { return len(b.ms) > 0 && string(b.ms[len(b.ms)-1].Data) == `["after"]` })
		}()
	}
	master.Kill()
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	startRedis(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert"), "--tls-key-file", filepath.Join(dir, "key"),
		"--tls-ca-cert-file", filepath.Join(dir, "cert"), "--tls-auth-clients", "no", "--requirepass", "secret")
	roots := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	o := rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + port}, Password: "secret", TLSConfig: &tls.Config{RootCAs: roots}}
	a, b := join(t, New(o, Options{}), "AAAAA"), join(t, New(o, Options{}), "BBBBB")
	m := emit(`["x"]`)
	a.say(&m)
	b.next(t, 1)
	// A wrong password is told, and tried again.
	o.Password = "wrong"
	rec := newRecorder("CCCCC")
	c := New(o, Options{})
	if err := c.Start(t.Context(), "CCCCC", rec); err != nil {
		t.Fatal(err)
	}
	rec.until(t, "down", func() bool { return rec.downs == 1 })
	if !strings.Contains(rec.errs[0].Error(), "WRONGPASS") {
		t.Error(rec.errs)
	}
	if err := c.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
