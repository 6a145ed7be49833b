package siofiber

import "golang.org/x/sys/unix"

const tcpEstablished = 1

// connected asks the kernel for the state of the connection: it is right for
// TLS and with pipelined bytes waiting, too.
func connected(fd uintptr) bool {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err != nil || info.State == tcpEstablished
}
