package attack

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/siokit/siokit/internal/testkit"
)

// levels are what must be back where it was when a row is over.
type levels struct {
	sessions, pending, sockets int
	goroutines                 int // of the project
	descriptors                int // -1 where they cannot be counted
	heap                       uint64
}

// What may remain: idle connections that the host closes in its own time, and what pools keep.
const (
	sparedDescriptors = 8
	sparedHeap        = 24 << 20
)

func (s *server) levels() levels {
	st := s.srv.Stats()
	l := levels{sessions: st.Sessions, pending: st.Pending, sockets: st.Sockets, descriptors: descriptors()}
	if left := testkit.Leaked(0, "attack.(*server).one", "attack.(*run).serve"); left != "" {
		l.goroutines = 1 + strings.Count(left, "\n\n")
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one put into the pools' victims
	runtime.ReadMemStats(&m)
	l.heap = m.HeapAlloc
	return l
}

// over says what of l is above before; "" when nothing is.
func (l levels) over(before levels) string {
	var list []string
	add := func(what string, now, then, spare int) {
		if now > then+spare {
			list = append(list, fmt.Sprintf("%d %s instead of %d", now, what, then))
		}
	}
	add("sessions", l.sessions, before.sessions, 0)
	add("pending sessions", l.pending, before.pending, 0)
	add("sockets", l.sockets, before.sockets, 0)
	add("goroutines", l.goroutines, before.goroutines, 0)
	add("descriptors", l.descriptors, before.descriptors, sparedDescriptors)
	add("bytes of heap", int(l.heap), int(before.heap), sparedHeap)
	return strings.Join(list, ", ")
}

// settle waits until the levels are back, and returns what is not.
func (s *server) settle(before levels) string {
	// Every clock of the server has run out by then.
	end := time.Now().Add(s.opts.PingInterval + s.opts.PingTimeout + s.opts.ConnectTimeout + 5*time.Second)
	for {
		left := s.levels().over(before)
		if left == "" || time.Now().After(end) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// descriptors counts the open files of the process, -1 where the system does not tell.
func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list)
}
