package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Port returns a port of 127.0.0.1 on which nobody listens.
func Port(t testing.TB) int {
	t.Helper()
	port, ok := FreePort()
	if !ok {
		t.Fatal("no port is free")
	}
	return port
}

// FreePort is Port without a test. The port is below those that a system gives to connections,
// which could take it before a server does, or while that restarts.
func FreePort() (port int, ok bool) {
	for range 100 {
		port := 12_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			return port, true
		}
	}
	return 0, false
}
