package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/netfault"
)

// journal makes a node whose clients can be recovered.
func journal(t *testing.T, b cluster.Backend, node string) (*peer, cluster.Journal) {
	t.Helper()
	j := b.(cluster.Journal)
	if !j.OpenJournal() {
		t.Fatal("no journal")
	}
	p := join(t, b, node)
	return p, j
}

// behind reads the journal: each message as its data, or its kind.
func behind(t *testing.T, j cluster.Journal, from uint64, namespaces ...string) (list []string, last uint64, err error) {
	t.Helper()
	last, err = j.After(t.Context(), from, namespaces, func(m *cluster.Message) error {
		if m.Position <= from {
			t.Errorf("%d behind %d", m.Position, from)
		}
		text := string(m.Data)
		if m.Kind != cluster.Emit {
			text = m.Kind.String()
		}
		list = append(list, text)
		return nil
	})
	return list, last, err
}

// TestJournal: all nodes see the same positions, also of what they have said themselves, and read
// the log behind each.
func TestJournal(t *testing.T) {
	r := startRedis(t)
	a, ja := journal(t, New(r.option(), Options{Wire: Streams}), "AAAAA")
	b, jb := journal(t, New(r.option(), Options{Wire: Streams}), "BBBBB")
	a.recorder.all, b.recorder.all = true, true
	raw := r.client()
	begin := ja.Reached()
	x, y, z := emit(`["x",1]`, "r"), emit(`["y"]`), emit(`["bin",{"_placeholder":true,"num":0}]`)
	x.Ticket, z.Attachments, z.Ticket = 7, [][]byte{{1}}, 8
	away := emit(`["elsewhere"]`)
	away.Namespace = "/other"
	a.say(&x, &away, &y, &z, &cluster.Message{Kind: cluster.LeaveAll, Namespace: "/"}, &cluster.Message{Kind: cluster.Gap, Ticket: 9})
	mine, theirs := a.next(t, 5), b.next(t, 5)
	for i, m := range theirs {
		if own := mine[i]; own.Position != m.Position || own.Kind != m.Kind || m.Position == 0 || i > 0 && m.Position <= theirs[i-1].Position {
			t.Errorf("%d: %+v, and %+v", i, own, m)
		}
	}
	if mine[0].Ticket != 7 || mine[1].Ticket != 0 || mine[2].Ticket != 8 || mine[4].Ticket != 9 || string(mine[1].Data) != `["y"]` {
		t.Errorf("%+v", mine)
	}
	ids, err := do(t, raw, "XRANGE", "socket.io", "-", "+").AsXRange()
	if err != nil || len(ids) != 6 || position(ids[0].ID) != mine[0].Position || entryID(mine[0].Position) != ids[0].ID {
		t.Errorf("%+v, %v", ids, err)
	}
	a.until(t, "all is reached", func() bool { return ja.Reached() == theirs[4].Position })
	for _, j := range []cluster.Journal{ja, jb} {
		list, last, err := behind(t, j, begin, "/")
		if want := []string{`["x",1]`, `["y"]`, `["bin",{"_placeholder":true,"num":0}]`, "LeaveAll", "Gap"}; err != nil || !slices.Equal(list, want) || last != theirs[4].Position {
			t.Errorf("%q, %d, %v", list, last, err)
		}
		list, last, err = behind(t, j, mine[0].Position, "/other", "/")
		if err != nil || len(list) != 5 || list[0] != `["elsewhere"]` || last != theirs[4].Position {
			t.Errorf("%q, %d, %v", list, last, err)
		}
		if list, last, err = behind(t, j, theirs[4].Position, "/"); err != nil || len(list) != 0 || last != theirs[4].Position {
			t.Errorf("%q, %d, %v", list, last, err)
		}
		if _, _, err = behind(t, j, theirs[4].Position+1, "/"); !errors.Is(err, cluster.ErrNotKept) {
			t.Error(err)
		}
	}
	stop := errors.New("stop")
	if _, err := jb.After(t.Context(), begin, []string{"/"}, func(*cluster.Message) error { return stop }); err != stop {
		t.Error(err)
	}
	// Of what was dropped nothing is behind the first that is kept.
	do(t, raw, "XTRIM", "socket.io", "MAXLEN", "4")
	if _, _, err := behind(t, jb, begin, "/"); !errors.Is(err, cluster.ErrNotKept) {
		t.Error(err)
	}
	if list, _, err := behind(t, jb, mine[1].Position, "/"); err != nil || len(list) != 3 {
		t.Errorf("%q, %v", list, err)
	}
	if _, _, err := behind(t, jb, mine[0].Position, "/"); !errors.Is(err, cluster.ErrNotKept) {
		t.Error(err)
	}
	do(t, raw, "DEL", "socket.io")
	if _, _, err := behind(t, jb, mine[1].Position, "/"); !errors.Is(err, cluster.ErrNotKept) {
		t.Error(err)
	}
}

// TestJournalLong: what is behind a position comes in several parts, and while more is added.
func TestJournalLong(t *testing.T) {
	r := startRedis(t)
	a, j := journal(t, New(r.option(), Options{Wire: Streams}), "AAAAA")
	begin := j.Reached()
	const n = 5*readCount + 7
	for i := range n {
		m := emit(fmt.Sprintf(`["n",%d]`, i))
		a.say(&m)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				m := emit(`["more"]`)
				a.say(&m)
			}
		}
	}()
	list, last, err := behind(t, j, begin, "/")
	close(stop)
	<-done
	if err != nil || len(list) < n || last <= begin {
		t.Fatalf("%d, %v", len(list), err)
	}
	for i, text := range list[:n] {
		if text != fmt.Sprintf(`["n",%d]`, i) {
			t.Fatalf("%d: %s", i, text)
		}
	}
}

// TestJournalSessions: sessions have the form of Node's, and go to one of those who ask for them.
func TestJournalSessions(t *testing.T) {
	r := startRedis(t)
	_, ja := journal(t, New(r.option(), Options{Wire: Streams}), "AAAAA")
	_, jb := journal(t, New(r.option(), Options{Wire: Streams}), "BBBBB")
	raw := r.client()
	pid := strings.Repeat("p", 20)
	s := cluster.Session{ID: "s", PID: pid, Rooms: []string{"s", "r"}, Data: []byte(`{"a":1}`), Extra: []byte("ours")}
	if err := ja.SaveSession(t.Context(), &s, time.Minute); err != nil {
		t.Fatal(err)
	}
	text, err := do(t, raw, "GET", "sio:session:"+pid).ToString()
	if err != nil || text != "hKNzaWShc6NwaWS0cHBwcHBwcHBwcHBwcHBwcHBwcHClcm9vbXOSoXOhcqRkYXRhgaFhAQ==" {
		t.Error(text, err)
	}
	if ms, err := do(t, raw, "PTTL", "sio:session:"+pid).AsInt64(); err != nil || ms < 50_000 || ms > 60_000 {
		t.Error(ms, err)
	}
	got := make(chan *cluster.Session, 20)
	for i := range 20 {
		j := []cluster.Journal{ja, jb}[i%2]
		go func() {
			s, err := j.TakeSession(context.Background(), pid)
			if err != nil {
				t.Error(err)
			}
			got <- s
		}()
	}
	found := 0
	for range 20 {
		if x := <-got; x != nil {
			if found++; x.ID != "s" || x.PID != pid || !slices.Equal(x.Rooms, s.Rooms) || string(x.Data) != `{"a":1}` || string(x.Extra) != "ours" {
				t.Errorf("%+v", x)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d have got it", found)
	}
	if n, _ := do(t, raw, "DBSIZE").AsInt64(); n != 1 {
		t.Errorf("%d keys are left", n)
	}
	beside := "siokit:{sio:session:" + pid + "}"
	if moves, err := do(t, raw, "GET", beside).ToString(); moves != "0 " || err != nil {
		t.Errorf("%q, %v", moves, err)
	}
	if ms, err := do(t, raw, "PTTL", beside).AsInt64(); err != nil || ms < 50_000 || ms > 60_000 {
		t.Error(ms, err)
	}
	// What Node has had meanwhile keeps what siokit knows of it.
	if err := ja.SaveSession(t.Context(), &s, time.Minute); err != nil {
		t.Fatal(err)
	}
	do(t, raw, "DEL", "sio:session:"+pid)
	if x, err := jb.TakeSession(t.Context(), pid); x != nil || err != nil {
		t.Error(x, err)
	}
	do(t, raw, "SET", "sio:session:"+pid, text, "PX", "60000")
	if x, err := jb.TakeSession(t.Context(), pid); err != nil || x == nil || string(x.Extra) != "ours" {
		t.Error(x, err)
	}
	do(t, raw, "SET", "sio:session:"+pid, text)
	if x, err := jb.TakeSession(t.Context(), pid); err != nil || x == nil || x.Extra != nil {
		t.Error(x, err)
	}
	// What was put back for Node's client is Node's still.
	if err := ja.SaveSession(t.Context(), &cluster.Session{ID: "s", PID: pid, Rooms: s.Rooms}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if x, err := jb.TakeSession(t.Context(), pid); err != nil || x == nil || x.Extra != nil {
		t.Error(x, err)
	}
	// The newer one stays, also while Node has it.
	older, newer := s, s
	newer.Moves, newer.Extra, newer.Rooms = 10, []byte("newer, 2 words"), []string{"s", "new"}
	older.Moves = 9
	save := func(x *cluster.Session) {
		t.Helper()
		if err := ja.SaveSession(t.Context(), x, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	save(&older)
	save(&newer)
	save(&older)
	if x, err := jb.TakeSession(t.Context(), pid); err != nil || x == nil || x.Moves != 10 || string(x.Extra) != "newer, 2 words" || !slices.Equal(x.Rooms, newer.Rooms) {
		t.Error(x, err)
	}
	save(&older) // when the newer one was taken, too
	if x, err := jb.TakeSession(t.Context(), pid); x != nil || err != nil {
		t.Error(x, err)
	}
	save(&newer)
	do(t, raw, "DEL", "sio:session:"+pid)
	save(&older)
	if x, err := jb.TakeSession(t.Context(), pid); x != nil || err != nil {
		t.Error(x, err)
	}
	save(&newer)
	if ms, err := do(t, raw, "PTTL", "siokit:{sio:session:"+pid+"}").AsInt64(); err != nil || ms < 50_000 || ms > 60_000 {
		t.Error(ms, err)
	}
	do(t, raw, "SET", "siokit:{sio:session:"+pid+"}", "no number")
	if x, err := jb.TakeSession(t.Context(), pid); err == nil {
		t.Errorf("%+v", x)
	}
	for _, bad := range []string{"", "*", "wA==", strings.Replace(text, "cHBw", "cXFx", 1)} {
		do(t, raw, "SET", "sio:session:"+pid, bad)
		if x, err := jb.TakeSession(t.Context(), pid); err == nil {
			t.Errorf("%q: %+v", bad, x)
		}
	}
}

// TestJournalResumes: a node that was cut off is told by the log what it has said, and what others
// have.
func TestJournalResumes(t *testing.T) {
	r := startRedis(t)
	p := netfault.New(t, r.Addr)
	a, _ := journal(t, New(at(p.Addr), Options{Wire: Streams}), "AAAAA")
	b, jb := journal(t, New(r.option(), Options{Wire: Streams}), "BBBBB")
	a.recorder.all = true
	x, y := emit(`["x"]`), emit(`["y"]`)
	x.Ticket = 1
	a.say(&x)
	first := a.next(t, 1)[0]
	p.Cut()
	a.until(t, "down", func() bool { return a.downs == 1 })
	if _, err := a.Backend.(cluster.Journal).TakeSession(t.Context(), strings.Repeat("p", 20)); !errors.Is(err, cluster.ErrDown) {
		t.Error(err)
	}
	b.say(&y)
	p.Heal()
	a.returns(1)
	got := a.next(t, 1)[0]
	if string(got.Data) != `["y"]` || got.Position <= first.Position {
		t.Errorf("%+v", got)
	}
	b.until(t, "reached", func() bool { return jb.Reached() == got.Position })
}

// TestNoJournal: what has no order between all nodes is no journal.
func TestNoJournal(t *testing.T) {
	for _, o := range []Options{{}, {Wire: Sharded}, {Wire: Streams, Count: 2}, {Wire: Streams, MaxLen: -1}} {
		if New(at("127.0.0.1:1"), o).(cluster.Journal).OpenJournal() {
			t.Errorf("%+v", o)
		}
	}
}

// TestPosition: ids that a position cannot say have none, and positions order as ids do.
func TestPosition(t *testing.T) {
	last := uint64(0)
	for _, id := range []string{"0-1", "1-0", "1-4194303", "2-0", "1795643376327-0", "1795643376327-1", "4398046511103-4194303"} {
		p := position(id)
		if p <= last || entryID(p) != id {
			t.Errorf("%s is %d, and %s", id, p, entryID(p))
		}
		last = p
	}
	for _, id := range []string{"1-4194304", "4398046511104-0", "x"} {
		if p := position(id); p != 0 {
			t.Errorf("%s is %d", id, p)
		}
	}
}
