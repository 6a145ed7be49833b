//go:build unix

package connwatch

import (
	"net"
	"os"
	"syscall"
)

func duplicate(raw syscall.RawConn) (net.Conn, error) {
	fd := -1
	var err error
	if e := raw.Control(func(old uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, err = syscall.Dup(int(old)); err == nil {
			syscall.CloseOnExec(fd)
		}
	}); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() //nolint:errcheck // a descriptor of a connection, nothing was written
	return net.FileConn(f)
}
