package testkit

import "time"

// Stopwatch measures how long something takes on a machine that may stand still: a nap that is late
// counts for no more than on a busy machine. What is measured may stand still in the same moments.
type Stopwatch struct {
	stop, over chan struct{}
	total      time.Duration
}

const stopwatchNap = 10 * time.Millisecond

// counted is what a nap, or a part of one, counts for.
func counted(nap time.Duration) time.Duration { return min(nap, 10*stopwatchNap) }

// NewStopwatch begins to measure. It has a goroutine, which ends with Stop.
func NewStopwatch() *Stopwatch {
	w := &Stopwatch{stop: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(w.over)
		tick := time.NewTicker(stopwatchNap)
		defer tick.Stop()
		for from := time.Now(); ; {
			stopped := false
			select {
			case <-tick.C:
			case <-w.stop:
				stopped = true
			}
			now := time.Now()
			w.total += counted(now.Sub(from))
			if from = now; stopped {
				return
			}
		}
	}()
	return w
}

// Stop ends the measurement, and returns how long that was without what does not count. It is called
// once.
func (w *Stopwatch) Stop() time.Duration {
	close(w.stop)
	<-w.over
	return w.total
}
