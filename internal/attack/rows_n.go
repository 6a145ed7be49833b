package attack

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

var namespaceRows = []Row{
	{ID: "N01", Sent: "an event that the gate does not list", Want: "not handled; the answer is that for an event without a handler", Run: gated("mark", "none")},
	{ID: "N02", Sent: "a gate without a list", Want: "nobody gets in", Elsewhere: "conformance: acl/closed"},
	{ID: "N03", Sent: "names that differ by a space, an underline, a line break, case", Want: "not handled", Run: gated("echo ", "_echo", "echo\\n", "ECHO", " echo")},
	{ID: "N04", Sent: "names of exported Go methods", Want: "not handled", Run: gated("Emit", "Close", "String", "Initialize", "Disconnect", "ID")},
	{ID: "N05", Sent: "messages, acks and errors around the gate", Want: "every kind passes it", Run: aroundGate, Elsewhere: "conformance: acl/table"},
	{ID: "N06", Sent: "rights of one socket are lifted", Want: "the other's are as before", Elsewhere: "conformance: acl/table"},
	{ID: "N07", Sent: "a right is taken while events wait", Want: "they are refused", Elsewhere: "conformance: acl/at-once"},
	{ID: "N08", Sent: "a look at the wire while OnConnect runs", Want: "no CONNECT before it has returned", Run: connectLast, Elsewhere: "conformance: connect/answer-first"},
	{ID: "N09", Sent: "OnConnect fails with an internal error", Want: "CONNECT_ERROR without the error's text", Run: refusals},
	{ID: "N10", Sent: "OnConnect panics; blocks; its client leaves", Want: "CONNECT_ERROR; its context ends; nothing is left", Run: brokenConnects},
	{ID: "N11", Sent: "names of dynamic namespaces without end", Want: "bounded for each client and in all; forgotten when empty", Run: dynamicNames, Elsewhere: "conformance: connect/dynamic-bound"},
	{ID: "N12", Sent: "one dynamic namespace that 20 clients join and leave at once", Want: "one at a time, nobody is lost", Run: comeAndGo, Elsewhere: "TestDynamicConcurrently"},
	{ID: "N13", Sent: "a join of the room that is another socket's id", Want: "possible for the application alone; clients do not choose rooms without mixin.Rooms", Elsewhere: "TestRooms, TestOwnRoom"},
	{ID: "N14", Sent: "5 000 rooms, and 5 000 joins and leaves", Want: "the table of rooms is empty afterwards", Run: manyRooms, Elsewhere: "TestManyRooms"},
	{ID: "N15", Sent: "broadcasts, joins and leaves inside of callbacks", Want: "no deadlock", Elsewhere: "TestEachReenters"},
	{ID: "N16", Sent: "rooms that nobody is in, empty names, unknown exceptions", Want: "nobody gets it", Run: emptyRooms, Elsewhere: "TestTargets"},
	{ID: "N17", Sent: "100 times DISCONNECT and CONNECT", Want: "a new socket each time, one answer to each event", Run: comeBack},
	{ID: "N18", Sent: "the id of a socket as the id of a session", Want: "400 1", Run: publicID},
	{ID: "N19", Sent: "two clients at once", Want: "neither gets what the other's are", Run: strangers},
	{ID: "N20", Sent: "pages for administrators, metrics with text of clients", Want: "-", None: "there are none; Stats has the names of failures alone, which are constants"},
}

// gated sends events that a gate does not list, and one that nobody handles.
func gated(names ...string) func(a *A) {
	return func(a *A) {
		w, _ := a.WebSocket()
		w.Send("40/shut,")
		if got := w.Next(); !strings.HasPrefix(got, "40/shut,") {
			a.Fatalf("connect: %s", got)
		}
		w.Send(`42/shut,7["nobody-handles-this",1]`)
		want := w.Next()
		for _, n := range names {
			w.Send(`42/shut,7["` + n + `","x"]`)
			a.want(n, w.Next(), want)
		}
		w.Send(`42/shut,7["echo","x"]`)
		a.want("echo", w.Next(), `43/shut,7["x"]`)
		_ = w.Conn.Close()
	}
}

func aroundGate(a *A) {
	w, _ := a.WebSocket()
	w.Send("40/shut,")
	sid := id(w.Next())
	w.Send(`43/shut,1["x"]`, `42/shut,["mark","x"]`, `451-/shut,["mark",`+holder+`]`)
	w.SendBinary([]byte("x"))
	w.Send(`42/shut,7["echo","x"]`)
	for {
		got := w.Next()
		if got == `43/shut,7["x"]` {
			break
		}
		if !strings.Contains(got, "refused") {
			a.Errorf("got %s", got)
		}
	}
	_ = w.Conn.Close()
	a.want("handled", len(a.S.marks(sid)), 0)
}

func connectLast(a *A) {
	w, _ := a.WebSocket()
	began := time.Now()
	w.Send("40/slow,")
	if got := w.Next(); !strings.HasPrefix(got, "40/slow,") || time.Since(began) < 150*time.Millisecond {
		a.Errorf("after %v: %s", time.Since(began), got)
	}
	_ = w.Conn.Close()
}

func refusals(a *A) {
	w, _ := a.joined()
	for token, want := range map[string]string{"wrong": `44/auth,{"message":"unauthorized"}`, "fail": ""} {
		w.Send(`40/auth,{"token":"` + token + `"}`)
		got := w.Next()
		if want != "" && got != want || !strings.HasPrefix(got, "44/auth,") || strings.Contains(got, "hunter2") {
			a.Errorf("%s: %s", token, got)
		}
	}
	a.lives(w)
}

func brokenConnects(a *A) {
	w, _ := a.joined()
	w.Send(`40/auth,{"token":"panic"}`)
	if got := w.Next(); !strings.HasPrefix(got, "44/auth,") || strings.Contains(got, "asked for") {
		a.Errorf("panic: %s", got)
	}
	a.lives(w)
	for range 10 {
		w, _ := a.WebSocket()
		w.Send("40/slow,")
		w.Reset()
	}
}

func dynamicNames(a *A) {
	for i := range 10 {
		w, _ := a.joined()
		for j := range 30 {
			ns := fmt.Sprintf("/dyn/%d-%d", i, j)
			w.Send("40" + ns + ",")
			if got := w.Next(); !strings.HasPrefix(got, "40"+ns) {
				a.Errorf("%s: %s", ns, got)
			}
		}
		_ = w.Conn.Close()
	}
	a.eventually("the end of the namespaces", func() bool { return a.S.srv.Lookup("/dyn/0-0") == nil && a.S.srv.Lookup("/dyn/9-29") == nil })
}

func comeAndGo(a *A) {
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			w, _ := a.WebSocket()
			defer w.Conn.Close()
			for range 20 {
				w.Send("40/dyn/shared,")
				if got := w.Next(); !strings.HasPrefix(got, `40/dyn/shared,{"sid"`) {
					a.Errorf("got %s", got)
					return
				}
				w.Send("41/dyn/shared,")
			}
		})
	}
	wg.Wait()
	a.eventually("the end of the namespace", func() bool { return a.S.srv.Lookup("/dyn/shared") == nil })
}

func manyRooms(a *A) {
	w, _ := a.joined()
	before := len(a.S.srv.Of("/").Rooms())
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf(`"n14-%d"`, i))
	}
	list := "[" + strings.Join(names, ",") + "]"
	w.Send(`421["join",` + list + `]`)
	w.Next()
	for range 5 {
		w.Send(`422["leave",`+list+`]`, `423["join",`+list+`]`)
		w.Next()
		w.Next()
	}
	if n := len(a.S.srv.Of("/").Rooms()); n < 5000 {
		a.Errorf("%d rooms", n)
	}
	_ = w.Conn.Close()
	a.eventually("the end of the rooms", func() bool {
		for r := range a.S.srv.Of("/").Rooms() {
			if strings.HasPrefix(r, "n14-") {
				return false
			}
		}
		return true
	})
	_ = before
}

func emptyRooms(a *A) {
	w, _ := a.joined()
	w.Send(`421["join",["n16"]]`)
	w.Next()
	for _, room := range []string{"", "n16 ", "n16\\u0000", "*", "N16"} {
		w.Send(`422["say","` + room + `","x"]`)
		if got := w.Next(); !strings.HasPrefix(got, "432") {
			a.Errorf("room %q: %s", room, got)
		}
	}
	w.Send(`423["say","n16","x"]`)
	a.want("the room", w.Next(), `42["said","x"]`)
	_ = w.Conn.Close()
}

func comeBack(a *A) {
	w, _ := a.joined()
	seen := map[string]bool{}
	for range 60 { // JoinBurst is 64
		w.Send("40/chat,")
		sid := id(w.Next())
		if sid == "" || seen[sid] {
			a.Errorf("the id %q", sid)
			return
		}
		seen[sid] = true
		w.Send(`42/chat,["echo",1]`, "41/chat,")
		a.want("echo", w.Next(), `42/chat,["echo",1]`)
	}
	a.lives(w)
}

func publicID(a *A) {
	s := a.polling()
	sid := id(s.Join(""))
	requests(request{"GET", q4 + "&sid=" + sid, "", "400 1", nil}, request{"POST", q4 + "&sid=" + sid, "40", "400 1", nil})(a)
	if sid == s.Open.SID {
		a.Errorf("the socket has the id of its session")
	}
}

func strangers(a *A) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := a.polling()
			s.Join("")
			for j := range 10 {
				want := fmt.Sprintf(`42["echo","%d of %d"]`, j, i)
				s.Post(want)
				a.want("echo", s.Packets(1)[0], want)
			}
		})
	}
	wg.Wait()
}
