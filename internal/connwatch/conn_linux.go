package connwatch

import (
	"syscall"
	"unsafe"
)

const tcpEstablished = 1

// connected asks the kernel for the state of the connection, the first byte of
// its TCP_INFO: it is right under TLS and with pipelined bytes waiting, too.
func connected(fd uintptr) bool {
	info, err := syscall.GetsockoptInet4Addr(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
	return err != nil || info[0] == tcpEstablished
}

// unsent is how many bytes the peer has not acknowledged, sent or not.
func unsent(fd uintptr) int {
	var n int32
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0
	}
	return int(n)
}
