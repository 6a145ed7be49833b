package wheel

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type owner struct {
	mu    sync.Mutex
	times []time.Duration
	start time.Time
	again func(t *Timer, n int)
}

func (o *owner) Expired(t *Timer) {
	o.mu.Lock()
	o.times = append(o.times, time.Since(o.start))
	n := len(o.times)
	o.mu.Unlock()
	if o.again != nil {
		o.again(t, n)
	}
}

func (o *owner) fired() []time.Duration {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]time.Duration(nil), o.times...)
}

const res = 100 * time.Millisecond

func TestExpiry(t *testing.T) {
	for _, d := range []time.Duration{0, 1, res, 150 * time.Millisecond, 25 * time.Second, 80 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := New(res)
			time.Sleep(37 * time.Millisecond) // not on a tick
			o := &owner{start: time.Now()}
			var timer Timer
			w.Set(&timer, o, d)
			time.Sleep(d + 2*res)
			if f := o.fired(); len(f) != 1 || f[0] < d || f[0] > d+2*res {
				t.Errorf("%v: fired at %v", d, f)
			}
			time.Sleep(3 * res) // the goroutine ends by itself; the bubble would not
		})
	}
}

// TestEarlierClock: a wheel that was made by a clock that is ahead, that of the machine, works in a
// bubble, whose clock stands at the year 2000.
func TestEarlierClock(t *testing.T) {
	for _, d := range []time.Duration{1, res, 25 * time.Second, 10 * time.Minute} {
		w := New(res)
		synctest.Test(t, func(t *testing.T) {
			o := &owner{start: time.Now()}
			var timer, stopped Timer
			w.Set(&timer, o, d)
			w.Set(&stopped, o, d)
			w.Stop(&stopped)
			time.Sleep(d + 3*res)
			if f := o.fired(); len(f) != 1 || f[0] < d || f[0] > d+3*res {
				t.Errorf("%v: fired at %v", d, f)
			}
			time.Sleep(3 * res)
		})
	}
}

func TestStopAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(res)
		o := &owner{start: time.Now()}
		var a, b Timer
		w.Set(&a, o, time.Second)
		w.Set(&b, o, time.Second)
		w.Stop(&a)
		w.Stop(&a)
		for range 50 { // put off again and again
			time.Sleep(500 * time.Millisecond)
			w.Set(&b, o, time.Second)
		}
		if f := o.fired(); len(f) != 0 {
			t.Errorf("fired at %v", f)
		}
		time.Sleep(2 * time.Second)
		if f := o.fired(); len(f) != 1 {
			t.Errorf("fired at %v", f)
		}
	})
}

func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(res)
		o := &owner{start: time.Now()}
		o.again = func(t *Timer, n int) {
			if n < 5 {
				w.Set(t, o, time.Second)
			}
		}
		timers := make([]Timer, 1000)
		for i := range timers {
			w.Set(&timers[i], &owner{start: time.Now()}, time.Duration(i)*time.Millisecond*73)
		}
		var timer Timer
		w.Set(&timer, o, time.Second)
		time.Sleep(80 * time.Second)
		if f := o.fired(); len(f) != 5 || f[4] > 5*(time.Second+res) {
			t.Errorf("fired at %v", f)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	w := New(res)
	timers := make([]Timer, 10_000)
	o := &owner{}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		w.Set(&timers[i%len(timers)], o, 25*time.Second)
		i++
	}
	for i := range timers {
		w.Stop(&timers[i])
	}
}

// rearming sets its timer again while the wheel is about to tell it.
type rearming struct{ n atomic.Int64 }

func (r *rearming) Expired(*Timer) { r.n.Add(1) }

// TestSetWhileExpiring: a timer may be set at the moment at which it expires. The
// race detector is the judge.
func TestSetWhileExpiring(t *testing.T) {
	w := New(time.Microsecond)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var timer Timer
			owner := &rearming{}
			for owner.n.Load() < 200 {
				w.Set(&timer, owner, time.Microsecond)
			}
			w.Stop(&timer)
		})
	}
	wg.Wait()
}
