package natsembed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/testkit"
)

func TestWhoGetsWhat(t *testing.T) {
	broker := startBroker(t, server.Options{})
	a, b, c := broker.node("aaaaa"), broker.node("bbbbb"), broker.node("c c.*")
	for _, m := range []*member{a, b, c} {
		m.awaitUp(t, 1)
	}
	b.watch("", "red")
	c.watch("blue") // in the room, and not in the namespace

	to := func(m *cluster.Message, node string) *cluster.Message { m.To = node; return m }
	acked := func(m *cluster.Message) *cluster.Message { m.ID = "id"; return m }
	a.send(
		emit("all"), emit("red", "red"), emit("blue", "blue"), emit("both", "red", "blue"), emit("nobody", "green"), emit("unnamed", ""),
		to(emit("to b", "x"), "bbbbb"), to(emit("to c", "y"), "c c.*"), acked(emit("acks", "red")),
		&cluster.Message{Kind: cluster.Join, Namespace: "/", Rooms: []string{"red"}, Names: []string{"more"}},
		&cluster.Message{Kind: cluster.Fetch, Namespace: "/never", ID: "1"},
		&cluster.Message{Kind: cluster.ServerEvent, Namespace: "/never", Data: []byte(`["e"]`)},
		&cluster.Message{Kind: cluster.Bye, ID: "end"},
	)
	bye := fmt.Sprint("kind ", uint8(cluster.Bye), " end")
	everybody := []string{"acks", fmt.Sprint("kind ", uint8(cluster.Fetch), " 1"), fmt.Sprint("kind ", uint8(cluster.ServerEvent), " "), bye}
	want := map[*member][]string{
		b: slices.Concat([]string{"all", "red", "both", "unnamed", "to b"}, everybody[:1], []string{fmt.Sprint("kind ", uint8(cluster.Join), " ")}, everybody[1:]),
		c: slices.Concat([]string{"blue", "to c"}, everybody),
	}
	for m, want := range want {
		m.awaitMessage(t, bye)
		if got := m.messages(); !slices.Equal(got, want) {
			t.Errorf("%s has got %q, want %q", m.name, got, want)
		}
	}
	for _, s := range a.messages() {
		if s == bye || s == "all" {
			t.Errorf("the publisher hears itself: %q", s)
		}
	}
}

func TestNames(t *testing.T) {
	broker := startBroker(t, server.Options{})
	names := []string{"a.b", "a b", "*", ">", "a.*.>", "\x00", "\r\nPUB x 0\r\n", "😀", strings.Repeat("x", 5000), strings.Repeat("x", 4999) + "y",
		strings.Repeat(".", 64), strings.Repeat(" ", 65), "~", "all", "r", "\t", "ä"}
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	namespaces := []string{"/"}
	for _, n := range names {
		namespaces = append(namespaces, "/"+n)
	}
	var want []string
	var ms []*cluster.Message
	for i, ns := range namespaces {
		for j, room := range append([]string{""}, names...) {
			if (i+j)%2 == 0 {
				if err := b.Watch(t.Context(), []cluster.Interest{{Namespace: ns, Room: room, On: true}}); err != nil {
					t.Fatal(err)
				}
				want = append(want, fmt.Sprintf("%d-%d", i, j))
			}
			m := emit(fmt.Sprintf("%d-%d", i, j), room)
			if room == "" {
				m.Rooms = nil
			}
			m.Namespace = ns
			ms = append(ms, m)
		}
	}
	a.send(ms...)
	a.send(&cluster.Message{Kind: cluster.Bye})
	b.awaitMessage(t, fmt.Sprint("kind ", uint8(cluster.Bye), " "))
	if got := b.messages(); !slices.Equal(got[:len(got)-1], want) {
		t.Errorf("got %d messages, want %d:\n%q\n%q", len(got)-1, len(want), got, want)
	}
}

// TestRestart: numbered messages, while the server goes and comes.
func TestRestart(t *testing.T) {
	broker := startBroker(t, server.Options{})
	a, b, c := broker.node("aaaaa"), broker.node("bbbbb"), broker.node("ccccc")
	for _, m := range []*member{a, b, c} {
		m.awaitUp(t, 1)
	}
	b.watch("room")
	c.watch("")

	const rounds = 5
	var refused, taken []int // by number
	next := 0
	batch := func() error {
		n := 1 + rand.IntN(40)
		var ms []*cluster.Message
		for i := range n {
			ms = append(ms, emit(fmt.Sprint(next+i), "room"), emit(fmt.Sprint(next+i)))
		}
		err := a.publish(ms...)
		for i := range n {
			if err != nil {
				refused = append(refused, next+i)
			} else {
				taken = append(taken, next+i)
			}
		}
		next += n
		return err
	}
	for round := range rounds {
		for range 50 {
			_ = batch()
		}
		stopped := make(chan struct{})
		go func() { broker.stop(); close(stopped) }()
		for batch() == nil { // under traffic
		}
		<-stopped
		for range 20 {
			if batch() == nil {
				t.Error("taken while there is no server")
			}
		}
		broker.start()
		for _, m := range []*member{a, b, c} {
			m.awaitUp(t, round+2)
		}
	}
	if err := batch(); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprint(next - 1)
	for _, m := range []*member{b, c} {
		m.awaitMessage(t, last)
		m.mu.Lock()
		got, log := map[int]bool{}, m.log
		before := -1
		for _, s := range m.got {
			var n int
			if _, err := fmt.Sscan(s, &n); err != nil {
				continue
			}
			if n <= before {
				t.Fatalf("%s: %d after %d", m.name, n, before)
			}
			got[n], before = true, n
		}
		if m.downs != rounds || m.lost != 0 {
			t.Errorf("%s: down %d times, lost %d", m.name, m.downs, m.lost)
		}
		m.mu.Unlock()
		unknown := 0
		for _, n := range taken {
			if !got[n] {
				unknown++
				if !atGap(log, n) {
					t.Errorf("%s: %d was taken, has not come, and no gap was told of", m.name, n)
				}
			}
		}
		t.Logf("%s: %d published, %d refused, %d lost with the server", m.name, next, len(refused), unknown)
	}
}

// atGap says whether a message with this number could have come where the log has a gap.
func atGap(log []string, missing int) bool {
	before, gap := -1, false
	for _, s := range log {
		var n int
		if s == "down" {
			gap = true
		} else if _, err := fmt.Sscan(s, &n); err == nil {
			if before < missing && missing < n {
				return gap
			}
			before, gap = n, false
		}
	}
	return false
}

// TestLateServer: a node that starts before there is a server.
func TestLateServer(t *testing.T) {
	broker := startBroker(t, server.Options{})
	broker.stop()
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.await(t, "down", func() bool { return a.downs == 1 })
	b.watch("room")
	if err := a.publish(emit("early", "room")); !errors.Is(err, cluster.ErrDown) {
		t.Errorf("published without a server: %v", err)
	}
	broker.start()
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	a.send(emit("late", "room"))
	b.awaitMessage(t, "late")
	if got := b.messages(); !slices.Equal(got, []string{"late"}) {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(b.log[:2], []string{"down", "up"}) {
		t.Errorf("told %q", b.log)
	}
}

// TestSlowReader: what a node does not take is dropped and counted, exactly.
func TestSlowReader(t *testing.T) {
	broker := startBroker(t, server.Options{})
	a := broker.node("aaaaa")
	b := &member{natsbus.New(broker.url(), &natsbus.Options{App: "test"}), newRecorder(), t, "bbbbb"}
	b.hold = make(chan struct{})
	b.start()
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	b.watch("room")
	const n = 200_000
	var ms []*cluster.Message
	for i := range n {
		ms = append(ms, emit(fmt.Sprint(i), "room"))
		if len(ms) == 1000 {
			a.send(ms...)
			ms = ms[:0]
		}
	}
	// What the server has for b comes after what it has had: b's own answer is behind it.
	if err := b.publish(&cluster.Message{Kind: cluster.Heartbeat}); err != nil {
		t.Fatal(err)
	}
	close(b.hold)
	b.await(t, "all", func() bool { return len(b.got)+b.lost >= n })
	a.send(emit("end", "room"))
	b.awaitMessage(t, "end")
	got := b.messages()
	t.Logf("%d of %d have come, %d lost", len(got)-1, n, b.lost)
	if len(got)-1+b.lost != n || b.lost == 0 || b.downs != 0 {
		t.Errorf("%d have come, %d lost, down %d times", len(got)-1, b.lost, b.downs)
	}
	if !slices.IsSortedFunc(got[:len(got)-1], func(x, y string) int {
		var i, j int
		_, _ = fmt.Sscan(x, &i)
		_, _ = fmt.Sscan(y, &j)
		return i - j
	}) {
		t.Error("not in order")
	}
}

func TestManyRooms(t *testing.T) {
	broker := startBroker(t, server.Options{})
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	var rooms []string
	for i := range 10_000 {
		rooms = append(rooms, fmt.Sprint("room ", i))
	}
	begin := broker.srv.NumSubscriptions()
	from := time.Now()
	b.watch(rooms...)
	t.Logf("subscribed to 10 000 rooms in %v", time.Since(from))
	if n := broker.srv.NumSubscriptions() - begin; n != 10_000 {
		t.Errorf("%d subscriptions", n)
	}
	a.send(emit("7777", "room 7777"), emit("other", "room 10000"), emit("9999", "room 9999"))
	b.awaitMessage(t, "9999")
	broker.stop()
	b.await(t, "down", func() bool { return b.downs == 1 })
	b.unwatch(rooms[:5000]...)
	broker.start()
	a.awaitUp(t, 2)
	b.awaitUp(t, 2)
	if n := broker.srv.NumSubscriptions() - begin; n != 5_000 {
		t.Errorf("%d subscriptions after the restart", n)
	}
	a.send(emit("gone", "room 4999"), emit("5000", "room 5000"))
	b.awaitMessage(t, "5000")
	b.unwatch(rooms...)
	if n := broker.srv.NumSubscriptions(); n != begin {
		t.Errorf("%d subscriptions, %d in the beginning", n, begin)
	}
	if got := b.messages(); !slices.Equal(got, []string{"7777", "9999", "5000"}) {
		t.Errorf("got %q", got)
	}
}

func TestMaxPayload(t *testing.T) {
	broker := startBroker(t, server.Options{MaxPayload: 10_000})
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	b.watch("room")
	big := strings.Repeat("x", 10_000)
	err := a.publish(emit("1", "room"), emit(big, "room"), emit("2", "room"), emit(big, "lobby"), &cluster.Message{Kind: 99}, emit("3", "room"))
	var lost cluster.Partial
	if !errors.Is(err, nats.ErrMaxPayload) || !errors.As(err, &lost) || len(lost.Unpublished()) != 3 {
		t.Errorf("the error is %v", err)
	}
	for _, text := range []string{"3 of 6", "room", "10000"} {
		if !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("%v does not say %q", err, text)
		}
	}
	b.awaitMessage(t, "3")
	if got := b.messages(); !slices.Equal(got[len(got)-3:], []string{"1", "2", "3"}) || a.downs+b.downs > 0 {
		t.Errorf("got %q, down %d and %d times", got, a.downs, b.downs)
	}
}

// TestServerRefuses: nats.go gives a connection up for good when the server says something that
// it does not know.
func TestServerRefuses(t *testing.T) {
	broker := startBroker(t, server.Options{MaxPayload: 10_000})
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	a.watch("back")
	broker.reload(func(o *server.Options) { o.MaxPayload = 1000 })
	// The client does not know of the new bound.
	if err := a.publish(emit(strings.Repeat("x", 5000), "room")); err == nil {
		t.Error("taken beyond the server's bound")
	}
	a.await(t, "down", func() bool { return a.downs == 1 })
	a.awaitUp(t, 2)
	b.send(emit("hello again", "back"))
	a.awaitMessage(t, "hello again")
}

func TestGarbage(t *testing.T) {
	broker := startBroker(t, server.Options{})
	b := broker.node("bbbbb")
	b.awaitUp(t, 1)
	b.watch("", "room")
	var subjects []string
	foreign, err := nats.Connect(broker.url())
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	// The subjects are those in the package's documentation.
	subjects = append(subjects, "sio.test.nodes", "sio.test.node.bbbbb", "sio.test.Lw.all", "sio.test.Lw.r.cm9vbQ")
	payloads := [][]byte{nil, {0}, []byte("hello"), []byte(`{"a":1}`), {1, 1, 0}, {1, 1, 0, 255, 255, 255, 255, 15}, make([]byte, 100_000)}
	for range 200 {
		p := make([]byte, rand.IntN(100))
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		payloads = append(payloads, append([]byte{1, byte(rand.IntN(25)), 0}, p...))
	}
	var good []byte
	if good, err = cluster.Append(nil, emit("end", "room")); err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		payloads = append(payloads, good[:n])
	}
	sent := 0
	for _, s := range subjects {
		for _, p := range payloads {
			sent++
			if err := foreign.Publish(s, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := foreign.Publish(subjects[3], good); err != nil {
		t.Fatal(err)
	}
	b.awaitMessage(t, "end")
	if b.lost+len(b.messages())-1 != sent || b.lost < sent*9/10 || b.downs != 0 {
		t.Errorf("of %d lost %d, got %d", sent, b.lost, len(b.messages())-1)
	}
}

// TestWrongLogin: a refused login is told of, and tried again.
func TestWrongLogin(t *testing.T) {
	broker := startBroker(t, server.Options{Authorization: "secret"})
	a := broker.node("aaaaa", nats.Token("guess"))
	a.await(t, "down", func() bool { return a.downs == 1 })
	broker.stop()
	broker.opts.Authorization = "guess"
	broker.start()
	a.awaitUp(t, 1)
	if a.downs != 1 || !errors.Is(a.errs[0], cluster.ErrDown) || !errors.Is(a.errs[0], nats.ErrAuthorization) {
		t.Errorf("told %q, %v", a.log, a.errs)
	}
}

// TestForbidden: a subject that the user may not use.
func TestForbidden(t *testing.T) {
	broker := startBroker(t, server.Options{Users: []*server.User{{Username: "u", Password: "p",
		Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"sio.test.>"}, Deny: []string{"sio.test.*.r.>"}}}}}})
	a := broker.node("aaaaa", nats.UserInfo("u", "p"))
	a.awaitUp(t, 1)
	refusedRooms(t, a, nats.ErrPermissionViolation, []int{1}, "", "room")
	refusedRooms(t, a, nats.ErrPermissionViolation, []int{0}, "room") // it is tried again
	a.watch("")
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errs) > 0 || a.lost != 0 { // it is told once, by Watch
		t.Errorf("told %v, lost %d", a.errs, a.lost)
	}
}

// TestForbiddenBehindReconnect: what the server refuses with the next connection is told before that
// is up, and a Watch of all rooms tries it again, and nothing else.
func TestForbiddenBehindReconnect(t *testing.T) {
	users := func(deny ...string) []*server.User {
		return []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Allow: []string{"sio.test.>"}, Deny: deny}}}, {Username: "v", Password: "p"}}
	}
	broker := startBroker(t, server.Options{Users: users()})
	a, b := broker.node("aaaaa", nats.UserInfo("u", "p")), broker.node("bbbbb", nats.UserInfo("v", "p"))
	again := func(ups int) {
		t.Helper()
		a.awaitUp(t, ups)
		b.awaitUp(t, ups)
	}
	again(1)
	a.watch("", "good", "bad")
	broker.stop()
	a.await(t, "down", func() bool { return a.downs == 1 })
	a.watch("late") // without a connection
	broker.opts.Users = users("sio.test.Lw.r.YmFk", "sio.test.Lw.r.bGF0ZQ")
	broker.start()
	again(2)
	a.await(t, "both refusals", func() bool { return len(a.errs) == 3 })
	a.mu.Lock()
	if i, k := slices.Index(a.log, "lost 0"), slices.Index(a.log[1:], "up")+1; i < 0 || i > k || !errors.Is(a.errs[1], nats.ErrPermissionViolation) {
		t.Errorf("told %q, %v", a.log, a.errs)
	}
	a.mu.Unlock()
	for range 2 {
		refusedRooms(t, a, nats.ErrPermissionViolation, []int{1, 3}, "good", "bad", "", "late")
	}
	b.send(emit("x", "bad"), emit("y", "late"), emit("z", "good"), emit("end"))
	a.awaitMessage(t, "end")
	if got := a.messages(); !slices.Equal(got, []string{"z", "end"}) {
		t.Errorf("got %q", got)
	}
	broker.stop()
	a.await(t, "down", func() bool { return a.downs == 2 })
	// What every node needs, too.
	broker.opts.Users = users("sio.test.nodes")
	broker.start()
	again(3)
	err := a.Watch(t.Context(), []cluster.Interest{{Namespace: "/", Room: "good", On: true}})
	if _, ok := errors.AsType[cluster.Partial](err); ok || !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("without the subject of all nodes: %v", err)
	}
	broker.stop()
	a.await(t, "down", func() bool { return a.downs == 3 })
	broker.opts.Users = users()
	broker.start()
	again(4)
	a.watch("", "good", "bad", "late")
	b.send(emit("1", "bad"), emit("2", "late"), &cluster.Message{Kind: cluster.Heartbeat, ID: "i"}, emit("end 2"))
	a.awaitMessage(t, "end 2")
	if got := a.messages(); !slices.Equal(got[2:], []string{"1", "2", fmt.Sprint("kind ", uint8(cluster.Heartbeat), " i"), "end 2"}) {
		t.Errorf("got %q", got)
	}
}

// TestTooManyBehindReconnect: the server does not say which subscriptions are too many: all are tried
// again, first those that every node needs.
func TestTooManyBehindReconnect(t *testing.T) {
	broker := startBroker(t, server.Options{})
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	a.watch("1", "2", "3", "4", "5")
	broker.opts.MaxSubs = 5 // two are for the node
	const rounds = 4        // nats.go subscribes in another order each time
	for round := 1; round <= rounds; round++ {
		broker.stop()
		a.await(t, "down", func() bool { return a.downs == round })
		if round > 1 {
			a.watch("4", "5") // they were refused before
		}
		told := a.told()
		broker.start()
		a.awaitUp(t, round+1)
		b.awaitUp(t, round+1)
		a.await(t, "two refusals", func() bool { return len(a.errs) == told+2 })
		tooManyRooms(t, a, []int{3, 4}, "1", "2", "3", "4", "5")
		end := &cluster.Message{Kind: cluster.Answer, To: "aaaaa", ID: fmt.Sprint(round), Data: []byte("[1]")}
		b.send(emit("x", "4"), emit("1", "1"), emit("y", "5"), emit("2", "2"), emit("3", "3"), end)
		a.awaitMessage(t, say(end))
		if got := a.messages(); !slices.Equal(got[4*(round-1):4*round-1], []string{"1", "2", "3"}) {
			t.Errorf("got %q", got)
		}
	}
}

// TestTooManyLate: what nats.go hands on when Watch does not wait for it any more takes no room away
// that the server has taken before, and is told; then the rooms are tried again that it may be about.
func TestTooManyLate(t *testing.T) {
	broker := startBroker(t, server.Options{MaxSubs: 5}) // two are for the node
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	a := broker.node("aaaaa", nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { <-goOn }))
	defer release()
	b := broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	a.watch("1")
	told := a.told()
	handed := watchRooms(t, a, nats.ErrMaxSubscriptionsExceeded, "2", "3", "4", "5") // the handler holds up the second refusal
	if len(handed) > 1 {
		t.Errorf("refused %v", handed)
	}
	release()
	a.await(t, "what comes late", func() bool { return len(a.errs) == told+2-len(handed) })
	a.send(&cluster.Message{Kind: cluster.Heartbeat}) // what it has ended, it has ended now
	end := func(s string) *cluster.Message {
		return &cluster.Message{Kind: cluster.Answer, To: "aaaaa", ID: s, Data: []byte("[1]")}
	}
	b.send(emit("1", "1"), end("x"))
	a.awaitMessage(t, say(end("x")))
	tooManyRooms(t, a, []int{3, 4}, "1", "2", "3", "4", "5")
	b.send(emit("5", "5"), emit("4", "4"), emit("3", "3"), emit("2", "2"), emit("1", "1"), end("y"))
	a.awaitMessage(t, say(end("y")))
	if got, want := a.messages(), []string{"1", say(end("x")), "3", "2", "1", say(end("y"))}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// watchRooms watches rooms, of which the server may not take some, and returns which.
func watchRooms(t *testing.T, m *member, why error, rooms ...string) []int {
	t.Helper()
	var changes []cluster.Interest
	for _, r := range rooms {
		changes = append(changes, cluster.Interest{Namespace: "/", Room: r, On: true})
	}
	err := m.Watch(t.Context(), changes)
	p, ok := errors.AsType[cluster.Partial](err)
	switch {
	case err == nil:
		return nil
	case !ok || !errors.Is(err, why):
		t.Fatalf("Watch: %v", err)
	}
	return p.Unpublished()
}

// tooManyRooms watches rooms, which are more than the server takes, until Watch has said which. Of
// what Watch has not waited for, on a machine that is slow, each refusal is told by Lost.
func tooManyRooms(t *testing.T, m *member, want []int, rooms ...string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		told := m.told()
		got := watchRooms(t, m, nats.ErrMaxSubscriptionsExceeded, rooms...)
		late := len(want) - len(got)
		if slices.Equal(got, want) && m.told() == told {
			return
		}
		if late < 0 || time.Now().After(end) {
			t.Fatalf("Watch has refused %v, want %v", got, want)
		}
		m.await(t, "what Watch has not waited for", func() bool { return len(m.errs) >= told+late })
	}
}

// refusedRooms watches rooms, some of which the server does not take.
func refusedRooms(t *testing.T, m *member, why error, want []int, rooms ...string) {
	t.Helper()
	var changes []cluster.Interest
	for _, r := range rooms {
		changes = append(changes, cluster.Interest{Namespace: "/", Room: r, On: true})
	}
	err := m.Watch(t.Context(), changes)
	if p, ok := errors.AsType[cluster.Partial](err); !ok || !errors.Is(err, why) || !slices.Equal(p.Unpublished(), want) {
		t.Errorf("Watch: %v, want %v for %v", err, why, want)
	}
}

// TestTooManySubscriptions: those that are too many are told, each time, and tried again.
func TestTooManySubscriptions(t *testing.T) {
	broker := startBroker(t, server.Options{MaxSubs: 5}) // two are for the node
	a, b := broker.node("aaaaa"), broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	a.watch("1", "2")
	for range 2 {
		tooManyRooms(t, a, []int{1, 2}, "3", "4", "5")
		a.unwatch("3")
	}
	a.unwatch("1", "2")
	a.watch("3", "4", "5")
	// What leaves with the same call makes room, and what came and has left again takes none.
	changes := []cluster.Interest{{Room: "6", On: true}, {Room: "7", On: true}, {Room: "3"}, {Room: "7"}}
	for i := range changes {
		changes[i].Namespace = "/"
	}
	if err := a.Watch(t.Context(), changes); err != nil {
		t.Error(err)
	}
	b.send(emit("w", "3"), emit("x", "6"), emit("y", "4"), emit("z", "7"), emit("end", "5"))
	a.awaitMessage(t, "end")
	if got := a.messages(); !slices.Equal(got, []string{"x", "y", "end"}) {
		t.Errorf("got %q", got)
	}
}

// TestForbiddenPublish: what the user may not publish is lost, and nothing else.
func TestForbiddenPublish(t *testing.T) {
	broker := startBroker(t, server.Options{Users: []*server.User{
		{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"sio.test.*.r.>"}}}},
		{Username: "v", Password: "p"},
	}})
	a, b := broker.node("aaaaa", nats.UserInfo("u", "p")), broker.node("bbbbb", nats.UserInfo("v", "p"))
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	b.watch("", "1", "2")
	for i := range 3 {
		err := a.publish(emit("all"), emit("x", "1"), emit("all"), emit("y", "2"), emit("x", "1"))
		if p, ok := errors.AsType[cluster.Partial](err); !ok || !errors.Is(err, nats.ErrPermissionViolation) || !slices.Equal(p.Unpublished(), []int{1, 3, 4}) {
			t.Errorf("%d: %v", i, err)
		}
		a.send(emit("all"))
	}
	a.send(emit("end"))
	b.awaitMessage(t, "end")
	if got := b.messages(); len(got) != 10 {
		t.Errorf("got %q", got)
	}
	// What it cannot publish does not make it deaf.
	a.watch("")
	b.send(emit("to a"))
	a.awaitMessage(t, "to a")
	if len(a.errs) != 0 {
		t.Errorf("told %v", a.errs)
	}
}

// TestBehind: a node is behind while its Receiver does not take what comes.
func TestBehind(t *testing.T) {
	broker := startBroker(t, server.Options{})
	a := broker.node("aaaaa")
	b := &member{natsbus.New(broker.url(), &natsbus.Options{App: "test", Connect: quick()}), newRecorder(), t, "bbbbb"}
	b.hold = make(chan struct{})
	b.start()
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	b.watch("room")
	l := b.Backend.(cluster.Lagger)
	if l.Behind() {
		t.Error("behind at first")
	}
	a.send(emit("x", "room"))
	testkit.Until(t, patience, "behind", l.Behind)
	close(b.hold)
	b.awaitMessage(t, "x")
	testkit.Until(t, patience, "no longer behind", func() bool { return !l.Behind() })
	if _, ok := natsembed.New(nil).(cluster.Lagger); !ok {
		t.Error("natsembed does not tell")
	}
}

// TestHandlers: those of the application are called.
func TestHandlers(t *testing.T) {
	broker := startBroker(t, server.Options{})
	calls := newRecorder()
	note := func(s string) nats.ConnHandler { return func(*nats.Conn) { calls.note(s, func() {}) } }
	a := broker.node("aaaaa", nats.ConnectHandler(note("connected")), nats.ReconnectHandler(note("reconnected")), nats.ClosedHandler(note("closed")),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { calls.note("disconnected", func() {}) }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { calls.note("error", func() {}) }),
		nats.NoCallbacksAfterClientClose(), nats.NoReconnect(), nats.ReconnectBufSize(1<<20), nats.MaxReconnects(1))
	a.awaitUp(t, 1)
	broker.stop()
	a.await(t, "down", func() bool { return a.downs == 1 })
	if err := a.publish(emit("x")); !errors.Is(err, cluster.ErrDown) {
		t.Errorf("published while the server was away: %v", err)
	}
	broker.start()
	a.awaitUp(t, 2)
	a.leave()
	if want := []string{"connected", "disconnected", "reconnected", "disconnected", "closed"}; !slices.Equal(calls.log, want) {
		t.Errorf("called %q, want %q", calls.log, want)
	}
}

func TestMisuse(t *testing.T) {
	ctx := context.Background()
	r := newRecorder()
	for what, b := range map[string]cluster.Backend{
		"app":    natsbus.New(nats.DefaultURL, &natsbus.Options{App: "a.b"}),
		"url":    natsbus.New("nats://[::1", nil),
		"option": natsbus.New(nats.DefaultURL, &natsbus.Options{Connect: []nats.Option{func(*nats.Options) error { return errors.New("no") }}}),
	} {
		if err := b.Start(ctx, "aaaaa", r); err == nil {
			t.Errorf("%s: started", what)
		} else {
			t.Log(err)
		}
		if err := b.Close(ctx); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}
	b := natsbus.New(nats.DefaultURL, nil)
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Start(ctx, "aaaaa", r); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("started after Close: %v", err)
	}
	if err := b.Publish(ctx, []*cluster.Message{emit("x")}); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("published after Close: %v", err)
	}
}

// TestSilentServer: a server that is dead without a word is noticed.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, server.Options{})
	proxy := netfault.New(t, fmt.Sprint("127.0.0.1:", broker.port))
	a := join(t, "aaaaa", natsbus.New("nats://"+proxy.Addr, &natsbus.Options{App: "test", Connect: quick()}))
	a.awaitUp(t, 1)
	proxy.Freeze()
	watch := testkit.NewStopwatch()
	a.await(t, "down", func() bool { return a.downs == 1 })
	if d := watch.Stop(); d > 8*time.Second {
		t.Errorf("noticed after %v", d)
	}
	if err := a.Publish(t.Context(), []*cluster.Message{emit("x")}); !errors.Is(err, cluster.ErrDown) {
		t.Errorf("published: %v", err)
	}
	proxy.Heal()
	a.awaitUp(t, 2)
}

// TestStuckServer: a server that reads no more, while a node has much to say. Publish returns,
// and what it has not said to be lost arrives.
func TestStuckServer(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, server.Options{})
	proxy := netfault.New(t, fmt.Sprint("127.0.0.1:", broker.port))
	// A Publish that has begun before the connection broke waits for the next attempt to connect, which
	// may take so long with a server that is silent.
	const attempt = 2 * time.Second
	a := join(t, "aaaaa", natsbus.New("nats://"+proxy.Addr, &natsbus.Options{App: "test", Connect: append(quick(), nats.Timeout(attempt))}))
	b := broker.node("bbbbb")
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	b.watch("room")
	proxy.Freeze()
	big := strings.Repeat("x", 500_000)
	published := 0
	for a.up() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		watch := testkit.NewStopwatch()
		err := a.Publish(ctx, []*cluster.Message{emit(big, "room"), emit(big, "room"), emit(big, "room"), emit(big, "room")})
		cancel()
		if err == nil {
			published++
		}
		if d := watch.Stop(); d > 5*time.Second+attempt { // 5 s are for a write
			t.Errorf("Publish has taken %v", d)
		}
	}
	if published > 0 {
		t.Errorf("%d taken by a server that reads nothing", published)
	}
	proxy.Heal()
	a.awaitUp(t, 2)
	a.send(emit("end", "room"))
	b.awaitMessage(t, "end")
}

// told is how many errors Lost and Down had.
func (r *recorder) told() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.errs)
}

func (r *recorder) up() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ups > r.downs
}
