//go:build unix && !linux

package siofiber

import "golang.org/x/sys/unix"

// connected looks whether an end of file is next to be read. Under TLS the
// peer's closing alert hides it; the heartbeat notices then.
func connected(fd uintptr) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n > 0 || err == unix.EAGAIN
}
