//go:build unix

package faults

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

func init() { children["files"] = childFiles }

func noFiles(t *testing.T) { process(t, "files") }

// childFiles has as few descriptors as possible.
func childFiles() {
	s, c := child()
	var was syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	control := joinQuietly(c)
	low := was
	low.Cur = 64
	must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	var conns []net.Conn
	failed := 0
	for range 100 {
		nc, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			failed++
			continue
		}
		conns = append(conns, nc)
	}
	if failed == 0 {
		panic("there are descriptors")
	}
	for range 20 {
		trip(control)
	}
	for _, nc := range conns {
		_ = nc.Close()
	}
	must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was))
	for from := time.Now(); ; {
		if w := joinQuietly(c); w != nil {
			trip(w)
			break
		}
		if time.Since(from) > patience {
			panic("nobody can connect")
		}
	}
	trip(control)
	fmt.Printf("all is well: %d connections, %d more without a descriptor\n", len(conns), failed)
}
