//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// loop is the least that a server can do: one thread, one buffer, epoll.
type loop struct {
	epoll, listener int
	all             map[int]*peer
	broadcast       bool
}

// peer is a connection, with what its socket has not taken yet.
type peer struct {
	fd   int
	rest []byte
}

func serveTCP(addr string, broadcast bool) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !at.Addr().Is4() {
		return fmt.Errorf("-addr: want an IPv4 address and a port, not %q", addr)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return err
	}
	if err := syscall.Listen(fd, 4096); err != nil {
		return err
	}
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	l := &loop{epoll: ep, listener: fd, all: map[int]*peer{}, broadcast: broadcast}
	if err := l.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN); err != nil {
		return err
	}
	return l.run()
}

func (l *loop) watch(op, fd int, events uint32) error {
	return syscall.EpollCtl(l.epoll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

func (l *loop) run() error {
	events := make([]syscall.EpollEvent, 512)
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.EpollWait(l.epoll, events, -1)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for _, ev := range events[:n] {
			fd := int(ev.Fd)
			if fd == l.listener {
				l.accept()
				continue
			}
			p := l.all[fd]
			if p == nil {
				continue // closed by an event before in this batch
			}
			if ev.Events&syscall.EPOLLOUT != 0 {
				l.write(p, nil)
			}
			if ev.Events&^syscall.EPOLLOUT != 0 {
				l.read(p, buf)
			}
		}
	}
}

func (l *loop) accept() {
	for {
		fd, _, err := syscall.Accept4(l.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		l.all[fd] = &peer{fd: fd}
		if l.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN) != nil {
			l.close(l.all[fd])
		}
	}
}

func (l *loop) read(p *peer, buf []byte) {
	n, err := syscall.Read(p.fd, buf)
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
	case err != nil || n == 0:
		l.close(p)
	case l.broadcast:
		for _, other := range l.all {
			l.write(other, buf[:n])
		}
	default:
		l.write(p, buf[:n])
	}
}

// write sends what is left from before and then data; what the socket does not take waits
// for the loop to say that it can be written to.
func (l *loop) write(p *peer, data []byte) {
	waited := len(p.rest) > 0
	if waited {
		p.rest = append(p.rest, data...)
		data = p.rest
	}
	for len(data) > 0 {
		n, err := syscall.Write(p.fd, data)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			l.close(p)
			return
		}
		data = data[n:]
	}
	p.rest = append(p.rest[:0:0], data...)
	if waits := len(p.rest) > 0; waits != waited {
		events := uint32(syscall.EPOLLIN)
		if waits {
			events |= syscall.EPOLLOUT
		}
		_ = l.watch(syscall.EPOLL_CTL_MOD, p.fd, events)
	}
}

func (l *loop) close(p *peer) {
	delete(l.all, p.fd)
	_ = syscall.Close(p.fd)
}
