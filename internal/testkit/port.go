package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Port returns a port of 127.0.0.1 on which nobody listens. It is below those that a system
// gives to connections, which could take the port before a server does, or while that restarts.
func Port(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
