//go:build !unix

package connwatch

import (
	"net"
	"syscall"
)

func duplicate(syscall.RawConn) (net.Conn, error) { return nil, ErrNoDescriptor }

// connected cannot be known here; the heartbeat notices.
func connected(uintptr) bool { return true }

// unsent cannot be known here.
func unsent(uintptr) int { return 0 }
