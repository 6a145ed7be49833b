package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/siokit/siokit/internal/wire"
)

var recoveryRows = []Row{
	{ID: "K01", Kind: returns, Sent: "100 pids that are guessed: one that is known, with another end", Want: "a new session for each; the known pid is its client's still", Run: guessedPIDs, Elsewhere: "conformance: recovery/new"},
	{ID: "K02", Kind: returns, Sent: "pid and offset of another user, whose socket lives, and is away", Want: "a new session without an event of the other; the socket lives on, and its own client comes back", Run: stolenPID, Elsewhere: "TestRecoveryBound"},
	{ID: "K03", Kind: returns, Sent: "a pid of another namespace", Want: "a new session; the pid is good in its own namespace still", Run: pidElsewhere},
	{ID: "K04", Kind: returns, Sent: "pids and offsets that are numbers, lists, objects, null, empty, with a NUL, of 7 kB; of 20 kB and 1 MB", Want: "a new session; too large ends the connection, and the socket that has the pid lives on", Run: oddPIDs},
	{ID: "K05", Kind: returns, Sent: "a known pid with an offset that is negative, huge, ahead, of another epoch, spelt otherwise, with a NUL, of 10 kB, no text", Want: "a new session, and no event of the earlier one", Run: oddOffsets, Elsewhere: "TestRecoveryRefused"},
	{ID: "K06", Kind: crowded, Sent: "400 clients, each in a dynamic namespace of its own, that leave", Want: "MaxSessions of them are kept, with their namespaces; the one that left first is new, the last ones come back", Run: hundredsAway, Elsewhere: "TestRecoveryBounds, TestRecoveryManyAtOnce"},
	{ID: "K07", Kind: returns, Sent: "one pid from 50 connections at once", Want: "no two of them have the session; each other one is a new client, or its connection has ended; who asks next has the session, and what was missed once", Run: recoveryStorm,
		Differs: "a connection that comes later takes the session from one that came before: nothing tells a client whose connection has just broken again from another one with the same secret"},
	{ID: "K08", Kind: returns, Sent: "two tabs with one pid, which take the session from each other 50 times", Want: "one socket at any time; the connection before has ended; what was missed comes each time", Run: twoTabs, Elsewhere: "TestRecoveryTakeover"},
	{ID: "K09", Kind: returns, Sent: "two connections, each of which takes the other's session at the same moment", Want: "each has an answer or its end, and nothing is left", Run: crossedTakeovers},
	{ID: "K10", Kind: returns, Sent: "a client that reads nothing, and comes back 100 times with the same offset and 150 kB missed", Want: "one socket at any time, every connection before has ended, and memory is back", Run: neverReads},
	{ID: "K11", Kind: returns, Sent: "3 MB of events while a client is away, of which 1 MiB is kept", Want: "who has missed what is not kept is new; who has missed the last event gets it", Run: floodedLog, Elsewhere: "TestRecoveryRefused, TestRecoveryReports"},
	{ID: "K12", Kind: returns, Sent: "400 rooms that are joined, used and left", Want: "256 of them are remembered: with the newest offset the client comes back, with the first it is new", Run: leftRooms},
	{ID: "K13", Kind: returns, Sent: "a client that had the right to connect, and comes back without", Want: "CONNECT_ERROR; the session has ended", Run: rightGone, Elsewhere: "conformance: recovery/asked-again, TestRecoveryAsksAgain"},
	{ID: "K14", Kind: returns, Sent: "a look at the log behind refusals and panics of clients that come back", Want: "no pid is in it", Run: unloggedPIDs, Elsewhere: "TestRecoveryReports"},
	{ID: "K15", Kind: returns, Sent: "a pid by a client of 2.x, in the handshake and in CONNECT", Want: "a new session without a secret", Run: olderClient, Elsewhere: "conformance: recovery/older-clients"},
}

func guessedPIDs(a *A) {
	k := a.enter("")
	for i := range 100 {
		guess := k.like("")
		guess.pid = k.pid[:19-i%8] + fmt.Sprintf("%08x", i)[7-i%8:]
		if guess.pid == k.pid {
			continue
		}
		if guess.connect(guess.auth()) || guess.pid == k.pid {
			a.Errorf("%s is taken for a secret", guess.pid)
		}
		_ = guess.w.Conn.Close()
	}
	k.lives()
	k.leave()
	k.back()
}

func stolenPID(a *A) {
	ann := a.enter("", "user=ann")
	steal := func() {
		eve := ann.like("", "user=eve")
		if eve.connect(ann.auth()) {
			a.Errorf("another user has the session")
		}
		eve.event(`["recovery"]`)
		eve.lives() // and nothing is in front of the answer
		_ = eve.w.Conn.Close()
	}
	steal()
	ann.lives()
	ann.leave()
	_ = a.S.srv.Of("/").To(ann.sid).Emit("private")
	steal()
	ann.back()
	ann.event(`["private"]`)
}

func pidElsewhere(a *A) {
	k := a.enter("/back/k03,")
	for range 2 {
		for _, ns := range []string{"", "/chat,", "/back/k03-other,"} {
			if o := k.like(ns); o.connect(k.auth()) {
				a.Errorf("%s: the session of another namespace", ns)
			}
		}
		if k.sockets() == 1 {
			k.lives()
			k.leave()
		}
	}
	k.back()
}

func oddPIDs(a *A) {
	k := a.enter("/back/k04,")
	long := strings.Repeat("x", 7000)
	for _, auth := range []string{
		`{"pid":1,"offset":2}`, `{"pid":null,"offset":null}`, `{"pid":true}`, `{"pid":"","offset":""}`, `{"offset":` + quoted(k.offset) + `}`,
		`{"pid":[` + quoted(k.pid) + `],"offset":` + quoted(k.offset) + `}`, `{"pid":{"pid":` + quoted(k.pid) + `},"offset":` + quoted(k.offset) + `}`,
		`{"pid":` + quoted(k.pid+"\x00") + `,"offset":` + quoted(k.offset) + `}`, `{"pid":"\u0000","offset":"\u0000"}`,
		`{"pid":` + quoted(long) + `,"offset":` + quoted(long) + `}`,
	} {
		if o := k.like(k.ns); o.connect(auth) {
			a.Errorf("the session is given for %.100s", auth)
		}
	}
	for _, size := range []int{20_000, 1_000_000} {
		for _, auth := range []string{`{"pid":"` + strings.Repeat("x", size) + `"}`, `{"pid":` + quoted(k.pid) + `,"offset":"` + strings.Repeat("0", size) + `"}`} {
			o := k.like(k.ns)
			o.open()
			o.w.Send("40" + k.ns + auth)
			o.w.End()
		}
	}
	k.lives()
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func oddOffsets(a *A) {
	for i := range 16 {
		k := a.enter("/back/k05,")
		k.leave()
		k.emit("missed")
		epoch, digits := k.offset[:6], k.offset[6:]
		list := []string{
			`"-1"`, quoted("-" + k.offset), quoted(epoch + "-" + digits), quoted(epoch + "+" + digits), quoted(epoch + "0" + digits),
			quoted(epoch + "zzzzzzzzzzzzzzzzzzzz"), quoted(epoch + "zzzz"), quoted("______" + digits), quoted(digits), quoted(epoch),
			quoted(k.offset + "\x00"), quoted(k.offset + " "), quoted(epoch + strings.Repeat("1", 10_000)),
			"1", `[` + quoted(k.offset) + `]`, "null",
		}
		if k.connect(`{"pid":` + quoted(k.pid) + `,"offset":` + list[i] + `}`) {
			a.Errorf("the offset %.100s is taken, where %s is right", list[i], k.offset)
		}
		k.event(`["recovery"]`)
		k.lives()
	}
}

func hundredsAway(a *A) {
	const most = 50 // MaxSessions
	early := a.enter("/back/k06-early,")
	early.leave()
	var mu sync.Mutex
	var all, late []*known
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				k := a.enter(fmt.Sprintf("/back/k06-%d-%d,", i, j))
				k.leave()
				mu.Lock()
				all = append(all, k)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := range most - 10 {
		late = append(late, a.enter(fmt.Sprintf("/back/k06-late-%d,", i)))
	}
	for _, k := range late {
		k.leave()
	}
	kept := 0
	a.eventually("the end of the namespaces", func() bool {
		kept = 0
		for _, k := range append(all, late...) {
			if a.S.srv.Lookup(k.path()) != nil {
				kept++
			}
		}
		return kept <= most
	})
	if kept < len(late) {
		a.Errorf("%d namespaces are kept for %d sessions", kept, most)
	}
	if early.connect(early.auth()) {
		a.Errorf("the session that was away for longest is kept")
	}
	for _, k := range late {
		k.back()
	}
}

// storming is what came to one of many connections with one secret.
type storming struct {
	*known
	answer string // to CONNECT; "" when the connection has ended before
	missed int
	alive  bool
}

// listen reads the answer to an event that asks for one, or the end.
func (s *storming) listen() {
	s.w.Send("42" + s.ns + `1["echo","alive"]`)
	for {
		got, err := s.w.Read()
		switch {
		case err != nil:
			return
		case strings.HasPrefix(got, "43"):
			s.alive = true
			return
		case strings.Contains(got, `["missed",`):
			s.missed++
		}
	}
}

func recoveryStorm(a *A) {
	k := a.enter("/back/k07,")
	k.leave()
	k.emit("missed")
	all := make([]*storming, 50)
	for i := range all {
		all[i] = &storming{known: k.like(k.ns)}
		all[i].open()
	}
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() {
			s.w.Send("40" + s.ns + s.auth())
			s.answer, _ = s.w.Read()
		})
	}
	wg.Wait() // no answer is due, so nobody takes the session any more
	for _, s := range all {
		wg.Go(s.listen)
	}
	wg.Wait()
	have := 0
	for _, s := range all {
		switch {
		case secret(s.answer) == k.pid && s.alive:
			have++
			a.want("the missed event", s.missed, 1)
		case secret(s.answer) == k.pid || s.answer == "" && !s.alive: // another one has taken the session
		case !s.alive:
			a.Errorf("a new client has ended: %s", s.answer)
		case s.missed > 0:
			a.Errorf("a new client has an event of another session")
		}
	}
	if have > 1 {
		a.Errorf("%d connections have the session", have)
	}
	k.back() // who has ended the socket of the last one, and was too late itself, has not ended the session
	k.event(`["missed"]`)
	k.lives()
}

func twoTabs(a *A) {
	k := a.enter("/back/k08,")
	for i := range 50 {
		k.emit("n", i) // the tab does not read
		before := k.w
		k.back()
		a.want("sockets", k.sockets(), 1)
		k.event(fmt.Sprintf(`["n",%d]`, i))
		before.End()
	}
	k.lives()
}

func crossedTakeovers(a *A) {
	for range 5 {
		x, y := a.enter("/back/k09-x,"), a.enter("/back/k09-y,")
		var wg sync.WaitGroup
		for _, pair := range [][2]*known{{x, y}, {y, x}} {
			one, other := pair[0], pair[1]
			wg.Go(func() {
				one.w.Send("40" + other.ns + other.auth())
				var end *wire.CloseError
				if got, err := one.w.Read(); err != nil && !errors.As(err, &end) || err == nil && !strings.HasPrefix(got, "40"+other.ns+"{") {
					a.Errorf("got %s, %v", got, err)
				}
			})
		}
		wg.Wait()
		for _, k := range []*known{x, y} {
			k.connect(k.auth()) // comes back or is new
			k.leave()
		}
	}
}

func neverReads(a *A) {
	k := a.enter("/back/k10,")
	k.leave()
	for range 15 {
		k.emit("missed", strings.Repeat("x", 10_000))
	}
	var before []*wire.WS
	for range 100 {
		k.back()
		a.want("sockets", k.sockets(), 1)
		before = append(before, k.w)
	}
	for _, w := range before[:len(before)-1] {
		w.End()
	}
}

func floodedLog(a *A) {
	first := a.enter("/back/k11,")
	first.leave()
	for range 3000 {
		first.emit("flood", strings.Repeat("x", 1000))
	}
	last := a.enter(first.ns)
	last.leave()
	last.emit("last")
	last.back() // the event is kept
	last.event(`["last"]`)
	if first.connect(first.auth()) {
		a.Errorf("a client comes back without what is not kept")
	}
	first.event(`["recovery"]`)
	first.lives()
}

func leftRooms(a *A) {
	k := a.enter("/back/k12,")
	first := k.offset
	for i := range 400 {
		room := fmt.Sprintf("k12-%d", i)
		k.w.Send("42" + k.ns + `1["join",["` + room + `"]]`)
		k.w.Next()
		_ = a.S.srv.Lookup(k.path()).To(room).Emit("used")
		k.event(`["used"]`)
		k.w.Send("42" + k.ns + `1["leave",["` + room + `"]]`)
		k.w.Next()
	}
	k.leave()
	k.back()
	k.leave()
	if k.offset = first; k.connect(k.auth()) {
		a.Errorf("the client comes back, and 144 rooms are not remembered")
	}
}

func rightGone(a *A) {
	k := &known{a: a, ns: "/auth,"}
	k.connect(`{"token":"right"}`)
	k.event(`["recovery"]`)
	k.leave()
	with := func(token string) string { return strings.TrimSuffix(k.auth(), "}") + `,"token":"` + token + `"}` }
	k.open()
	k.w.Send("40" + k.ns + with("wrong"))
	a.want("the answer", k.w.Next(), `44/auth,{"message":"unauthorized"}`)
	if k.connect(with("right")) {
		a.Errorf("the session has outlived a refusal")
	}
}

func unloggedPIDs(a *A) {
	var pids []string
	for _, token := range []string{"wrong", "panic", "fail"} {
		k := &known{a: a, ns: "/auth,"}
		k.connect(`{"token":"right"}`)
		k.event(`["recovery"]`)
		k.leave()
		pids = append(pids, k.pid)
		k.open()
		k.w.Send("40" + k.ns + strings.TrimSuffix(k.auth(), "}") + `,"token":"` + token + `"}`)
		if got := k.w.Next(); !strings.HasPrefix(got, "44/auth,") || strings.Contains(got, k.pid) {
			a.Errorf("%s: %s", token, got)
		}
	}
	text := a.S.log.String()
	if !strings.Contains(text, "OnConnect, asked for") {
		a.Errorf("the panic is not logged")
	}
	for _, pid := range pids {
		if strings.Contains(text, pid) {
			a.Errorf("a pid is in the log")
		}
	}
}

func olderClient(a *A) {
	k := a.enter("/chat,")
	s := a.Polling3("pid="+k.pid, "offset="+k.offset)
	a.Cleanup(func() { a.leave(s.Query()) })
	a.want("the default namespace", s.Next(), "40")
	s.Post("40/chat?pid=" + k.pid + "&offset=" + k.offset)
	if got := s.Next(); !strings.HasPrefix(got, "40/chat") || strings.Contains(got, k.pid) {
		a.Errorf("got %s", got)
	}
	s.Post(`42/chat,1["echo","x"]`)
	a.want("an ack", s.Next(), `43/chat,1["x"]`)
	k.lives()
}
