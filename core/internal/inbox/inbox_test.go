package inbox

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// fake is a connection and an application. A task is a name; what it does is said by
// the functions in on, and by default nothing.
type fake struct {
	Inbox[string]
	on map[string]func()

	mu     sync.Mutex
	done   []string
	stalls []bool
	began  int // Begin without End
	busy   int // calls of WatchHandler
}

func newFake(count, bytes int) *fake {
	f := &fake{on: map[string]func(){}}
	f.Init(f, &Bounds{count, bytes})
	return f
}

func (f *fake) count(n *int, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n += by
}

func (f *fake) Begin()        { f.count(&f.began, 1) }
func (f *fake) End()          { f.count(&f.began, -1) }
func (f *fake) WatchHandler() { f.count(&f.busy, 1) }

func (f *fake) PauseHeartbeat(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stalls = append(f.stalls, on)
}

func (f *fake) Do(t string) {
	f.note(t)
	if fn := f.on[t]; fn != nil {
		fn()
		f.note(t + "'")
	}
}

func (f *fake) note(t string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, t)
}

// blocks has a task wait until the returned function is called.
func (f *fake) blocks(t string) (release func()) {
	ch := make(chan struct{})
	f.on[t] = func() { <-ch }
	return func() { close(ch) }
}

// want compares what has been done since the last time, when nothing goes on any more.
func (f *fake) want(t *testing.T, what, want string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := strings.Join(f.done, " "); got != want {
		t.Errorf("%s: done %q, want %q", what, got, want)
	}
	f.done = nil
}

// ends checks that nothing is left.
func (f *fake) ends(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if s := f.State(); s != (State{}) || f.taken {
		t.Errorf("left behind: %+v, turn taken: %v", s, f.taken)
	}
	for q := &f.first; q != nil; q = q.next {
		if q.busy || q.tasks != nil || q.key != "" {
			t.Errorf("a queue is left behind: %+v", q)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began != 0 {
		t.Errorf("%d workers have not ended", f.began)
	}
}

// TestBounds: how many tasks wait, and one more is with the reader. One always fits.
func TestBounds(t *testing.T) {
	for _, row := range []struct {
		what         string
		count, bytes int
		calls        int
		sizes        []int // of what is put, in order
		want         int   // of them wait; -1: all, and the reader is free
	}{
		{"one of any size", 5, 100, 0, []int{1000}, -1},
		{"nothing beside one that is too large", 5, 100, 0, []int{1000, 0}, 1},
		{"the last number", 3, 100, 0, []int{1, 1, 1}, -1},
		{"one more", 3, 100, 0, []int{1, 1, 1, 1}, 3},
		{"the last byte", 5, 100, 0, []int{50, 50}, -1},
		{"one byte more", 5, 100, 0, []int{50, 51}, 1},
		{"a bound of one", 1, 100, 0, []int{1, 1}, 1},
		{"number with a call", 2, 1 << 20, 1, slices.Repeat([]int{1}, 2*callsCount), -1},
		{"one more with a call", 2, 1 << 20, 1, slices.Repeat([]int{1}, 2*callsCount+1), 2 * callsCount},
		{"bytes with a call", 100, 100, 1, []int{399, 1}, -1},
		{"one byte more with a call", 100, 100, 1, []int{399, 2}, 1},
	} {
		t.Run(row.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(row.count, row.bytes)
				release := f.blocks("first")
				f.Push("a", "first")
				synctest.Wait()
				f.Calls(row.calls)
				read := false
				go func() {
					for i, size := range row.sizes {
						f.Put(fmt.Sprintf("key %d", i%3), size, "x")
					}
					read = true
				}()
				synctest.Wait()
				want := row.want
				if want < 0 {
					want = len(row.sizes)
				}
				bytes := 0
				for _, size := range row.sizes[:want] {
					bytes += size
				}
				stalled := len(row.sizes) - want
				if s := f.State(); s != (State{want, bytes, row.calls, stalled}) || read != (stalled == 0) {
					t.Errorf("%+v, all read: %v", s, read)
				}
				f.Calls(-row.calls)
				release()
				f.want(t, "all", "first first'"+strings.Repeat(" x", len(row.sizes)))
				if want := slices.Repeat([]bool{true, false}, len(f.stalls)/2); !slices.Equal(f.stalls, want) || (stalled > 0) != (len(want) > 0) {
					t.Errorf("the heartbeat was told %v", f.stalls)
				}
				f.ends(t)
			})
		})
	}
}

// TestCallsMakeRoom: a reader that waits goes on when a call begins.
func TestCallsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 100)
		release := f.blocks("first")
		f.Push("a", "first")
		synctest.Wait()
		f.Put("a", 1, "1")
		go f.Put("a", 1, "2")
		synctest.Wait()
		if s := f.State(); s.Stalled != 1 {
			t.Errorf("%+v", s)
		}
		f.Calls(1)
		synctest.Wait()
		if s := f.State(); s.Stalled != 0 || s.Waiting != 2 {
			t.Errorf("with a call: %+v", s)
		}
		f.Calls(-1)
		release()
		f.want(t, "all", "first first' 1 2")
		f.ends(t)
	})
}

// TestOrder: without Overtake everything is done in the order in which it came, by one
// worker.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		release := f.blocks("a1")
		f.Push("a", "a1")
		for _, name := range []string{"b1", "a2", "c1", "b2", "a3"} {
			f.Put(name[:1], 1, name)
		}
		f.want(t, "while a1 is being done", "a1")
		if f.began != 1 {
			t.Errorf("%d workers", f.began)
		}
		release()
		f.want(t, "behind a1", "a1' b1 a2 c1 b2 a3")
		f.ends(t)
	})
}

// TestOvertake: what waits under other keys is done while a task takes long, whatever
// came first; its own key waits.
func TestOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		releaseA, releaseB := f.blocks("a1"), f.blocks("b1")
		f.Push("a", "a1")
		for _, name := range []string{"b1", "a2", "c1", "b2"} {
			f.Put(name[:1], 1, name)
		}
		f.want(t, "before", "a1")
		f.Overtake()
		f.want(t, "a1 is overtaken", "b1")
		f.Put("c", 1, "c2")
		f.want(t, "b1 has the turn", "")
		f.Overtake()
		f.want(t, "b1 is overtaken", "c1 c2")
		f.Put("c", 1, "c3")
		f.want(t, "nobody has the turn", "c3")
		f.Overtake() // of nobody
		releaseA()
		f.want(t, "the worker of a goes on", "a1' a2")
		f.Put("a", 1, "a3")
		f.want(t, "and another one after it", "a3")
		releaseB()
		f.want(t, "the worker of b", "b1' b2")
		f.ends(t)
	})
}

// TestOvertakenStays: a worker that was overtaken goes on with its key while another one
// has the turn, and leaves the other keys to that one.
func TestOvertakenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		releaseA, releaseB := f.blocks("a1"), f.blocks("b1")
		f.Push("a", "a1")
		f.Push("b", "b1")
		f.want(t, "before", "a1")
		f.Overtake()
		f.Push("c", "c1")
		f.Push("a", "a2")
		f.want(t, "b1 has the turn", "b1")
		releaseA()
		f.want(t, "a goes on, c waits for the turn", "a1' a2")
		f.Push("a", "a3")
		f.want(t, "a has no worker any more", "")
		releaseB()
		f.want(t, "the turn goes on", "b1' c1 a3")
		f.ends(t)
	})
}

// TestAlone: a task that is done alone waits for all before it, and all after it wait.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		releaseA, releaseB, release := f.blocks("a1"), f.blocks("b1"), f.blocks("*")
		f.Push("a", "a1")
		f.Push("b", "b1")
		f.want(t, "before", "a1")
		f.Overtake()
		f.want(t, "a1 is overtaken", "b1")
		f.Overtake()
		f.Push("a", "a2")
		f.Push(Alone, "*")
		f.Push("a", "a3")
		f.Push("c", "c1")
		f.want(t, "two are being done", "")
		if _, ok := f.Claim("c", 0); ok {
			t.Error("claimed in front of a task that is done alone")
		}
		if _, ok := f.Claim("d", 0); ok {
			t.Error("another key claimed in front of a task that is done alone")
		}
		releaseA()
		f.want(t, "one is being done", "a1' a2")
		releaseB()
		f.want(t, "none is", "b1' *")
		f.Overtake()
		f.Push("d", "d1")
		f.want(t, "while it is done alone", "")
		if _, ok := f.Claim("d", 0); ok {
			t.Error("claimed beside a task that is done alone")
		}
		f.Push(Alone, "**")
		release()
		f.want(t, "behind it", "*' a3 c1 d1 **")
		f.ends(t)
	})
}

// TestAloneBehindOvertaken: a worker that was overtaken does not go past a task that is
// done alone.
func TestAloneBehindOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		releaseA, releaseB := f.blocks("a1"), f.blocks("b1")
		f.Push("a", "a1")
		f.Push("b", "b1")
		f.want(t, "before", "a1")
		f.Overtake()
		f.Push(Alone, "*")
		f.Push("a", "a2")
		f.want(t, "b1 has the turn", "b1")
		releaseA()
		f.want(t, "a2 waits behind the one", "a1'")
		releaseB()
		f.want(t, "in order", "b1' * a2")
		f.ends(t)
	})
}

// TestClaim: the reader does its own task when nothing is in its way.
func TestClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		free := func(what, key string, want bool) {
			t.Helper()
			r, ok := f.Claim(key, 0)
			if ok != want {
				t.Errorf("%s: claimed %v", what, ok)
			}
			if ok {
				f.Release(r)
			}
		}
		free("nothing is there", "a", true)
		f.Calls(1)
		free("a call waits", "a", false)
		f.Calls(-1)

		release := f.blocks("a1")
		r, ok := f.Claim("a", 0)
		if !ok {
			t.Fatal("not free")
		}
		go f.Run(r, "a1")
		f.want(t, "the reader's own", "a1")
		free("somebody has the turn", "a", false)
		free("somebody has the turn, another key", "b", false)
		f.Overtake()
		free("overtaken", "a", false)
		free("overtaken, another key", "b", true)
		f.Put("a", 1, "a2")
		f.Put("a", 1, "a3")
		free("what waits is of another key", "b", true)
		release()
		f.want(t, "what waits", "a1' a2 a3")
		if f.began != 0 || f.busy != 2 {
			t.Errorf("%d workers, %d times busy", f.began, f.busy)
		}
		free("all is done", "a", true)
		f.Close()
		free("closed", "a", false)
		f.ends(t)
	})
}

// TestRelease: what has come meanwhile is done by another goroutine, also when the
// role was overtaken.
func TestRelease(t *testing.T) {
	for _, overtaken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(100, 100)
			r, _ := f.Claim("a", 0)
			f.Push("b", "b1")
			f.Push("a", "a1")
			if overtaken {
				f.Overtake()
				f.want(t, "b1 is not kept", "b1")
			}
			f.Release(r)
			f.want(t, "released", map[bool]string{false: "b1 a1", true: "a1"}[overtaken])
			f.ends(t)
		})
	}
}

// TestGoexit: a task that ends its goroutine ends nothing else.
func TestGoexit(t *testing.T) {
	for _, row := range []struct {
		what string
		key  string
		run  func(f *fake) // has "exit" done
	}{
		{"in a worker", "a", func(f *fake) { f.Push("a", "exit") }},
		{"alone", Alone, func(f *fake) { f.Push(Alone, "exit") }},
		{"in the reader", "a", func(f *fake) {
			r, _ := f.Claim("a", 0)
			go f.Run(r, "exit")
		}},
		{"overtaken", "a", func(f *fake) {
			f.Push("a", "exit")
			synctest.Wait()
			f.Overtake()
		}},
	} {
		t.Run(row.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(100, 100)
				ch := make(chan struct{})
				f.on["exit"] = func() { <-ch; runtime.Goexit() }
				row.run(f)
				synctest.Wait()
				f.Push(row.key, "a2")
				close(ch)
				f.want(t, "what waits", "exit a2")
				f.ends(t)
			})
		})
	}
}

// TestClose: a reader that waits for room is waited for, and its task goes before what
// is pushed then; nothing is put any more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 100)
		release := f.blocks("first")
		f.Push("a", "first")
		synctest.Wait()
		f.Put("a", 1, "1")
		for range 3 {
			go f.Put("a", 1, "waits")
		}
		synctest.Wait()
		f.Close()
		if s := f.State(); s.Stalled != 0 || s.Waiting != 4 {
			t.Errorf("%+v", s)
		}
		if f.Put("a", 1, "late") {
			t.Error("put into a closed inbox")
		}
		f.Push(Alone, "last")
		release()
		f.want(t, "all", "first first' 1 waits waits waits last")
		if !slices.Equal(f.stalls, []bool{true, false}) {
			t.Errorf("the heartbeat was told %v", f.stalls)
		}
		f.ends(t)
	})
}

// TestQueuesAreForgotten: very many keys leave nothing behind, and one key at a time
// needs one queue.
func TestQueuesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1000, 1000)
		for i := range 100 {
			f.Push(fmt.Sprint(i), "x")
			synctest.Wait()
		}
		if f.first.next != nil {
			t.Error("a queue for each of the keys")
		}
		release := f.blocks("first")
		f.Push("first", "first")
		for i := range 100 {
			f.Push(fmt.Sprint(i), "x")
		}
		release()
		synctest.Wait()
		if f.first.next != nil {
			t.Error("the queues of the busiest moment are kept")
		}
		f.ends(t)
	})
}

// TestOvertakenBytes: what was overtaken counts until its end, so that the bytes of all
// keys together are bounded, and a reader that waits for them goes on then.
func TestOvertakenBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		bytes := func(what string, want int) {
			t.Helper()
			if n := f.State().Bytes; n != want {
				t.Errorf("%s: %d bytes", what, n)
			}
		}
		releaseA, releaseB, releaseC := f.blocks("a"), f.blocks("b"), f.blocks("c")
		f.Put("a", 60, "a")
		f.want(t, "first", "a")
		bytes("one is being done", 0)
		f.Overtake()
		bytes("nothing is done beside it", 0)
		r, ok := f.Claim("b", 60)
		if !ok {
			t.Fatal("not claimed below the bound")
		}
		go f.Run(r, "b")
		f.want(t, "beside it", "b")
		bytes("one is done beside another", 60)
		f.Overtake()
		if _, ok := f.Claim("c", 1); ok {
			t.Error("claimed beyond the bound")
		}
		bytes("twice is once", 120)
		go f.Put("c", 1, "c")
		f.want(t, "the reader waits", "")
		if n := f.State().Stalled; n != 1 {
			t.Errorf("%d readers wait", n)
		}
		releaseA()
		f.want(t, "there is room", "a' c")
		bytes("b is still being done", 60)
		f.Push("b", "b2")
		f.Put("b", 7, "b3")
		releaseB()
		f.want(t, "its worker goes on without the turn", "b' b2 b3")
		bytes("only c is being done, which others were done beside", 1)
		releaseC()
		f.want(t, "the last", "c'")
		f.ends(t)
	})
}

// TestOvertakenGoesOn: the next task of a worker that was overtaken counts as well.
func TestOvertakenGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		first, second, other := f.blocks("a1"), f.blocks("a2"), f.blocks("b")
		f.Put("a", 10, "a1")
		f.Put("a", 20, "a2")
		f.Put("b", 40, "b")
		f.want(t, "before", "a1")
		f.Overtake()
		f.want(t, "a1 is overtaken", "b")
		first()
		f.want(t, "two keys", "a1' a2")
		if n := f.State().Bytes; n != 60 {
			t.Errorf("%d bytes", n)
		}
		second()
		f.want(t, "a has ended", "a2'")
		other()
		f.want(t, "the end", "b'")
		f.ends(t)
	})
}

// TestManyKeys: with more keys than there are queues, all keep their order, and nothing
// is claimed in front of what may be of its key.
func TestManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, 100)
		release := f.blocks("first")
		f.Push(Alone, "first")
		synctest.Wait()
		want := "first first'"
		for i := range 3 * 5 * maxQueues {
			name := fmt.Sprint(i % (5 * maxQueues))
			f.Push(name, name)
			want += " " + name
		}
		n := 0
		for q := &f.first; q != nil; q = q.next {
			n++
		}
		if n > maxQueues+2 {
			t.Errorf("%d queues", n)
		}
		release()
		f.want(t, "all", want)
		f.ends(t)

		var releases []func()
		for i := range maxQueues + 1 {
			name := fmt.Sprint(i)
			releases = append(releases, f.blocks(name))
			f.Push(name, name)
			synctest.Wait()
			f.Overtake()
		}
		f.Push("one more", "more") // with the last one in the shared queue
		if _, ok := f.Claim("one more", 0); ok {
			t.Error("claimed in front of its own")
		}
		releases[0]()
		synctest.Wait()
		f.Push("one more", "more") // now there would be a queue for it
		releases[maxQueues]()
		f.Overtake()
		synctest.Wait()
		if g := strings.Join(f.done, " "); !strings.HasSuffix(g, " 0' 64' more more") {
			t.Error(g)
		}
		for _, release := range releases[1:maxQueues] {
			release()
		}
		f.ends(t)
	})
}

// TestNothingIsAllocated where the reader handles what it reads.
func TestNothingIsAllocated(t *testing.T) {
	var b Inbox[int]
	b.Init(idle{}, &Bounds{1, 1})
	if n := testing.AllocsPerRun(100, func() {
		if r, ok := b.Claim("/", 0); ok {
			b.Run(r, 1)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type idle struct{}

func (idle) Begin()              {}
func (idle) End()                {}
func (idle) WatchHandler()       {}
func (idle) PauseHeartbeat(bool) {}
func (idle) Do(int)              {}

func BenchmarkClaim(b *testing.B) {
	var in Inbox[int]
	in.Init(idle{}, &Bounds{1, 1})
	for b.Loop() {
		r, _ := in.Claim("/", 0)
		in.Run(r, 1)
	}
}

// model checks the promises while many goroutines use an inbox.
type model struct {
	idle
	t       *testing.T
	in      Inbox[item]
	done    atomic.Int64
	running [keys]atomic.Int32
	all     atomic.Int32 // tasks that are being done
	last    [keys]int    // the number that was done last
	end     func()       // does the last task
}

const keys = 4 // the last one is Alone

type item struct{ key, n int }

func (m *model) Do(it item) {
	if it.n == 0 {
		m.end()
		return
	}
	if m.running[it.key].Add(1) != 1 {
		m.t.Errorf("two tasks of key %d at once", it.key)
	}
	all := m.all.Add(1)
	if it.key == keys-1 && all != 1 || it.key != keys-1 && m.running[keys-1].Load() != 0 {
		m.t.Errorf("a task beside one that is done alone")
	}
	if it.n != m.last[it.key]+1 {
		m.t.Errorf("key %d: %d behind %d", it.key, it.n, m.last[it.key])
	}
	m.last[it.key] = it.n
	defer func() {
		m.all.Add(-1)
		m.running[it.key].Add(-1)
		m.done.Add(1)
	}()
	switch rand.IntN(8) {
	case 0:
		m.in.Overtake()
		runtime.Gosched()
	case 1:
		m.in.Calls(1)
		m.in.Overtake()
		runtime.Gosched()
		m.in.Calls(-1)
	case 2:
		runtime.Goexit()
	}
}

// TestModel: whatever happens, each key keeps its order, nothing runs beside a task
// that is done alone, and everything is done.
func TestModel(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	name := [keys]string{"a", "b", "c", Alone}
	for range 20 {
		m := &model{t: t}
		m.in.Init(m, &Bounds{3, 100})
		var next [keys]int
		put := func(key int, inline bool) {
			next[key]++
			it := item{key, next[key]}
			if inline && key != keys-1 {
				if r, ok := m.in.Claim(name[key], rand.IntN(60)); ok {
					read := make(chan struct{})
					go func() { // the goroutine may be ended, or be overtaken
						defer close(read)
						m.in.Run(r, it)
					}()
					if rand.IntN(2) == 0 {
						<-read
					}
					return
				}
			}
			m.in.Put(name[key], rand.IntN(60), it)
		}
		stop := make(chan struct{})
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.in.Overtake()
					runtime.Gosched()
				}
			}
		})
		for range rounds {
			put(rand.IntN(keys*8)%(keys+3)%keys, rand.IntN(2) == 0)
		}
		m.in.Close()
		end := make(chan struct{})
		m.end = func() { close(end) }
		m.in.Push(Alone, item{keys - 1, 0})
		<-end
		close(stop)
		if n := m.done.Load(); n != int64(rounds) {
			t.Errorf("%d of %d tasks are done", n, rounds)
		}
		watch.Wait()
	}
}
