//go:build linux

// Package clock reads CPU clocks, in nanoseconds where /proc/PID/stat has hundredths of a
// second.
package clock

import (
	"syscall"
	"time"
	"unsafe"
)

// read reads a clock by its id, of which every process and every thread has one.
func read(id int) time.Duration {
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(t.Nano())
}

// Process is the CPU time that a process has used, user and system.
func Process(pid int) time.Duration { return read(^pid<<3 | 2) }

// Thread is that of the calling thread.
func Thread() time.Duration {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	return read(threadClock)
}
