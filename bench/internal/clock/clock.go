//go:build linux

// Package clock reads CPU clocks, in nanoseconds where /proc/PID/stat has hundredths of a
// second.
package clock

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// read reads a clock by its id, of which every process and every thread has one.
func read(id int) (time.Duration, error) {
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, os.NewSyscallError("clock_gettime", errno)
	}
	return time.Duration(t.Nano()), nil
}

func must(used time.Duration, err error) time.Duration {
	if err != nil {
		panic(err)
	}
	return used
}

// Used is the CPU time that a process has used, user and system. It fails when there is no such
// process; one that has ended and that nobody has waited for still tells.
func Used(pid int) (time.Duration, error) { return read(^pid<<3 | 2) }

// Process is Used of a process that is there.
func Process(pid int) time.Duration { return must(Used(pid)) }

// Thread is the CPU time of the calling thread.
func Thread() time.Duration {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	return must(read(threadClock))
}
