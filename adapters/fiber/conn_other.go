//go:build !unix

package siofiber

import (
	"errors"
	"net"
	"syscall"
)

var errNoDuplicate = errors.New("siofiber: connections cannot be duplicated on this system")

func duplicateRaw(syscall.RawConn) (net.Conn, error) { return nil, errNoDuplicate }

// connected cannot be known here; the heartbeat notices.
func connected(uintptr) bool { return true }
