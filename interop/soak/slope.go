package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"time"
)

// sample is what the process takes at the end of an idle phase.
type sample struct {
	at         time.Duration // since the start
	heap       float64       // bytes of live objects, behind two collections
	goroutines float64
	files      float64 // descriptors
	cpu        float64 // milliseconds of CPU time for a second of the idle phase
}

// measure waits for an idle phase, and takes a sample.
func measure(started time.Time, idle time.Duration) sample {
	runtime.GC()
	before, from := cpuTime(), time.Now()
	time.Sleep(idle) // the phase itself: what is measured is what the process does in it
	took := time.Since(from)
	used := cpuTime() - before
	runtime.GC() // twice, for what finalizers and pools still hold
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{
		at: time.Since(started), heap: float64(m.HeapAlloc), goroutines: float64(runtime.NumGoroutine()),
		files: float64(files()), cpu: float64(used.Milliseconds()) / took.Seconds(),
	}
}

// files is how many descriptors are open.
func files() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		list, _ = os.ReadDir("/dev/fd")
	}
	return len(list)
}

// The rule of a verdict: a line is laid through the samples of the second half by least squares.
// The series is not flat when the line rises over that half by more than a share of the mean and
// an amount, and by more than three times the standard error of its slope, so that noise is no
// rise. A series of fewer than minSamples has no verdict.
const minSamples = 6

var series = []struct {
	name   string
	unit   string
	scale  float64
	share  float64 // of the mean
	amount float64
	of     func(s sample) float64
}{
	{"heap", "KiB", 1024, 0.03, 512 << 10, func(s sample) float64 { return s.heap }},
	{"goroutines", "", 1, 0.02, 8, func(s sample) float64 { return s.goroutines }},
	{"descriptors", "", 1, 0.02, 4, func(s sample) float64 { return s.files }},
	{"CPU at idle", "ms/s", 1, 0.25, 10, func(s sample) float64 { return s.cpu }},
}

// line is the least squares through points.
type line struct {
	mean, rise float64 // rise from the first point to the last
	noise      float64 // the standard error of rise
}

func fit(x, y []float64) (l line) {
	n := float64(len(x))
	var mx, my, sxx, sxy, rest float64
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	for i := range x {
		sxx, sxy = sxx+(x[i]-mx)*(x[i]-mx), sxy+(x[i]-mx)*(y[i]-my)
	}
	if len(x) < 3 || sxx == 0 {
		return line{mean: my}
	}
	slope := sxy / sxx
	for i := range x {
		d := y[i] - my - slope*(x[i]-mx)
		rest += d * d
	}
	span := x[len(x)-1] - x[0]
	return line{mean: my, rise: slope * span, noise: math.Sqrt(rest/(n-2)/sxx) * span}
}

// verdicts is a line of text for each series; flat says whether all are flat.
func verdicts(all []sample) (texts []string, flat bool) {
	half := all[len(all)/2:]
	if len(half) < minSamples {
		return []string{fmt.Sprintf("%d samples in the second half: too few for a verdict, %d are needed", len(half), minSamples)}, false
	}
	flat = true
	x := make([]float64, len(half))
	for i, s := range half {
		x[i] = s.at.Hours()
	}
	for _, k := range series {
		y := make([]float64, len(half))
		for i, s := range half {
			y[i] = k.of(s)
		}
		l := fit(x, y)
		bound, verdict := l.mean*k.share+k.amount, "flat"
		if l.rise > bound && l.rise > 3*l.noise {
			verdict, flat = "NOT FLAT", false
		}
		texts = append(texts, fmt.Sprintf("%-12s mean %10.1f %-4s  rises by %+9.1f (error %.1f, bound %.1f) in the second half, %+.1f an hour: %s",
			k.name, l.mean/k.scale, k.unit, l.rise/k.scale, l.noise/k.scale, bound/k.scale, l.rise/k.scale/(x[len(x)-1]-x[0]), verdict))
	}
	return texts, flat
}
