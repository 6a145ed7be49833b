//go:build unix

package siofiber

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNoDuplicate = errors.New("siofiber: the connection has no descriptor of its own")

// duplicateRaw makes a connection of a duplicated descriptor: closing the one
// that fasthttp holds does not end it.
func duplicateRaw(raw syscall.RawConn) (net.Conn, error) {
	var fd int
	var err error
	if e := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	return net.FileConn(f)
}
