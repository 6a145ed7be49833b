package testkit

import "time"

// Pause waits for what has no sign of its own, such as a request that a server keeps: 50 ms of
// a machine that keeps its times. Of a sleep that was late the other goroutines may have had
// nothing either, so that sleep does not count. Pause takes no longer than most and
// one nap.
func Pause(most time.Duration) {
	const nap, naps = 10 * time.Millisecond, 5
	end := time.Now().Add(most)
	for n := 0; n < naps && time.Now().Before(end); {
		from := time.Now()
		time.Sleep(nap)
		if time.Since(from) < nap+nap/2 {
			n++
		}
	}
}
