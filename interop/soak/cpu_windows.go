package main

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used, user and system.
func cpuTime() time.Duration {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		panic(err)
	}
	var start, end, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(process, &start, &end, &kernel, &user); err != nil {
		panic(err)
	}
	// Not Filetime.Nanoseconds, which takes a date and not a span. The unit is 100 ns.
	span := func(f syscall.Filetime) time.Duration {
		return time.Duration(int64(f.HighDateTime)<<32|int64(f.LowDateTime)) * 100
	}
	return span(kernel) + span(user)
}
