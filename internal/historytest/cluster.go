package historytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// The size of the cluster of Cluster.
const (
	nodes    = 3
	rooms    = 2
	writers  = 2  // on each node
	each     = 60 // events of a writer in each room
	clients  = 3  // in each room, at each node
	sessions = 6  // how often a client enters the room
	newRooms = 20 // that a socket enters as the first of its node
)

// Setup is a bus and a store for Cluster.
type Setup struct {
	Backend func() cluster.Backend    // for one more node
	Store   func() mixin.HistoryStore // one more client of the store
	Last    int                       // of the Histories
	Delay   time.Duration             // the store and the bus take up to so long more, by chance
}

// Cluster runs servers of one cluster on which events with numbers are emitted to rooms, while
// sockets enter and leave the rooms on all nodes. Whoever has entered gets every event of the
// room, from the first one that the store has sent on, exactly once, and those of one
// writer in their order.
func Cluster(t *testing.T, s Setup) {
	r := &run{T: t, Setup: s, positions: make(map[string]uint64)}
	for i := range nodes {
		r.start(i)
	}
	for _, srv := range r.servers { // all know each other, and their namespaces
		for deadline := time.Now().Add(patience); ; {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			got, err := sio.CallServers[bool](ctx, srv.Of("/"), "there")
			if cancel(); err == nil && len(got) == nodes-1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d answers, %v", len(got), err)
			}
		}
	}
	for i := range newRooms {
		if err := r.newRoom(i); err != nil {
			t.Fatalf("new room %d: %v", i, err) // what is lost is waited for long enough once
		}
	}
	var listening, writing sync.WaitGroup
	for i := range nodes * rooms * clients {
		listening.Go(func() {
			if err := r.client(i%nodes, i/nodes%rooms); err != nil {
				t.Errorf("client %d at node %d, room %d: %v", i, i%nodes, i/nodes%rooms, err)
			}
		})
	}
	for i := range nodes {
		for w := range writers {
			writing.Go(func() { r.write(i, w) })
		}
	}
	writing.Wait()
	for i := range nodes {
		for room := range rooms {
			r.emit(i, room, "end", i)
		}
	}
	listening.Wait()
	for _, s := range r.sessions {
		if err := r.check(s); err != nil {
			t.Errorf("%s: %v", s.what, err)
		}
	}
}

// run is one run of Cluster.
type run struct {
	*testing.T
	Setup
	servers   []*sio.Server
	histories []*mixin.History
	at        []*wire.Client

	mu        sync.Mutex
	positions map[string]uint64 // by room and event
	sessions  []session
}

// session is what one socket has got in a room between entering and leaving it.
type session struct {
	what string
	room int
	got  []string
	last bool // it has waited for all
}

func (r *run) start(i int) {
	srv := sio.NewServer(&sio.Options{Cluster: slowly(r.Backend(), r.Delay), MaxQueueMessages: 100_000, MaxQueueBytes: 64 << 20})
	h := &mixin.History{Store: &logged{r.Store(), r}, Last: r.Last, Bytes: 16 << 20, Timeout: patience}
	srv.Of("/").Mix(&mixin.Rooms{Enter: h.Join}, h)
	sio.ReplyServers(srv.Of("/"), "there", func(context.Context, sio.None) (bool, error) { return true, nil })
	hs := httptest.NewServer(srv)
	c := wire.New(r.T, hs.URL, "/socket.io/")
	c.Patience = patience
	r.Cleanup(func() {
		c.Close()
		_ = srv.Shutdown(context.Background())
		hs.Close()
	})
	r.servers, r.histories, r.at = append(r.servers, srv), append(r.histories, h), append(r.at, c)
}

func roomName(room int) string { return fmt.Sprint("room ", room) }

func (r *run) emit(node, room int, event string, args ...any) {
	if err := r.histories[node].Emit(r.servers[node].Of("/"), roomName(room), event, args...); err != nil {
		r.Errorf("node %d: %v", node, err)
	}
}

func (r *run) write(node, writer int) {
	for i := range each {
		for room := range rooms {
			r.emit(node, room, "e", node, writer, i)
		}
	}
}

// newRoom enters a room that the node has not heard of, while another node emits to it.
func (r *run) newRoom(i int) error {
	from, at, room := i%nodes, (i+1)%nodes, rooms+i
	w, _ := r.at[at].WebSocket()
	w.Send("40", fmt.Sprintf(`421["join",%q]`, roomName(room)))
	entered := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-entered:
				r.emit(from, room, "end", from)
				return
			default:
				r.emit(from, room, "e", from, 0, i)
			}
		}
	})
	var got []string
	for in := false; ; {
		m, err := w.Read()
		switch {
		case err != nil || strings.HasPrefix(m, "431[{"):
			if !in {
				close(entered)
			}
			return fmt.Errorf("%s, %w", m, err)
		case strings.HasPrefix(m, "431["):
			in = true
			close(entered)
		case strings.HasPrefix(m, "42["):
			got = append(got, m[2:])
		}
		if strings.HasPrefix(m, `42["end"`) {
			r.note(session{fmt.Sprintf("new room %d", i), room, got, true})
			return nil
		}
	}
}

// note notes what is to be checked in the end: positions may become known late.
func (r *run) note(s session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, s)
}

// client enters a room again and again, the last time until all has come.
func (r *run) client(node, room int) error {
	w, _ := r.at[node].WebSocket()
	w.Send("40")
	if m, err := w.Read(); err != nil || !strings.HasPrefix(m, "40{") {
		return fmt.Errorf("%s, %v", m, err)
	}
	name, id := roomName(room), 0
	ask := func(what string) (ack string) {
		id++
		w.Send(fmt.Sprintf(`42%d[%q,%q]`, id, what, name))
		return fmt.Sprintf(`43%d[%q]`, id, name)
	}
	for i := range sessions {
		last := i == sessions-1
		entered, left := ask("join"), ""
		var got []string
		for enough, ends := rand.N(2*writers*each), 0; ; {
			m, err := w.Read()
			if err != nil {
				return fmt.Errorf("session %d, %d events, %d ends: %w", i, len(got), ends, err)
			}
			if m == left {
				break
			}
			if m == entered {
				continue
			}
			if !strings.HasPrefix(m, "42[") {
				return errors.New(m)
			}
			got = append(got, m[2:])
			if strings.HasPrefix(m, `42["end"`) {
				ends++
			}
			if last && ends == nodes {
				break
			}
			if left == "" && !last && (len(got) > enough || ends == nodes) {
				left = ask("leave")
			}
		}
		r.note(session{fmt.Sprintf("session %d at node %d, room %d", i, node, room), room, got, last})
	}
	return nil
}

// check looks at what one socket has got in one session.
func (r *run) check(s session) error {
	prefix := roomName(s.room) + ": "
	seen := make(map[string]bool)
	next := make(map[string]int) // by writer
	first := ^uint64(0)
	for _, text := range s.got {
		p := r.positions[prefix+text]
		if p == 0 {
			return fmt.Errorf("%s was not kept", text)
		}
		if seen[text] {
			return fmt.Errorf("%s came twice", text)
		}
		seen[text] = true
		first = min(first, p)
		who, i := number(text)
		if n, ok := next[who]; ok && n != i {
			return fmt.Errorf("event %d of %s came where %d was due", i, who, n)
		}
		next[who] = i + 1
	}
	if !s.last {
		return nil
	}
	for text, p := range r.positions {
		if text, mine := strings.CutPrefix(text, prefix); mine && p >= first && !seen[text] {
			return fmt.Errorf("%s did not come", text)
		}
	}
	return nil
}

// number is the writer of an event, and the number that it has given it.
func number(text string) (writer string, i int) {
	var a [4]any
	_ = json.Unmarshal([]byte(text), &a)
	n, _ := a[3].(float64)
	return fmt.Sprint(a[0], a[1], a[2]), int(n)
}

// logged is a store that notes the positions.
type logged struct {
	mixin.HistoryStore
	r *run
}

func (l *logged) Append(ctx context.Context, key string, event []byte, keep mixin.HistoryBounds) (uint64, error) {
	pause(l.r.Delay)
	p, err := l.HistoryStore.Append(ctx, key, event, keep)
	var a sio.Args
	if e := a.UnmarshalBinary(event); e != nil {
		l.r.Error(e)
	}
	var list []string
	for i := range a.Len() {
		list = append(list, string(a.Raw(i)))
	}
	_, room, _ := strings.Cut(key, ",")
	l.r.mu.Lock()
	l.r.positions[room+": ["+strings.Join(list, ",")+"]"] = p
	l.r.mu.Unlock()
	pause(l.r.Delay) // before the event is emitted
	return p, err
}

func (l *logged) Last(ctx context.Context, key string) ([]mixin.HistoryEvent, error) {
	pause(l.r.Delay)
	defer pause(l.r.Delay)
	return l.HistoryStore.Last(ctx, key)
}

func pause(most time.Duration) {
	if most > 0 {
		time.Sleep(rand.N(most))
	}
}

// slow is a bus that takes its time.
type slow struct {
	cluster.Backend
	most time.Duration
}

func slowly(b cluster.Backend, most time.Duration) cluster.Backend {
	if most == 0 {
		return b
	}
	return &slow{b, most}
}

func (s *slow) Publish(ctx context.Context, ms []*cluster.Message) error {
	pause(s.most)
	return s.Backend.Publish(ctx, ms)
}

func (s *slow) Watch(ctx context.Context, changes []cluster.Interest) error {
	pause(8 * s.most) // most events of a new room come meanwhile
	return s.Backend.Watch(ctx, changes)
}
