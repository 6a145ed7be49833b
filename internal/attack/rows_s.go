package attack

import (
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
)

var (
	malformed = []sio.Reason{sio.MalformedPacket}
	misplaced = []sio.Reason{sio.ProtocolViolation}
)

// each makes lists of one packet each.
func each(packets ...string) (list [][]string) {
	for _, p := range packets {
		list = append(list, []string{p})
	}
	return list
}

var packetRows = []Row{
	{ID: "S01", Sent: "an empty packet and unknown types", Want: "the connection ends, malformed packet", Run: refused(malformed, each("4", "47", `49["mark"]`, "4a", "4-1")...)},
	{ID: "S02", Sent: "events that are no array with a name", Want: "as S01", Run: refused(malformed, each(`42{}`, `42"x"`, `42null`, `42[]`, `42[null]`, `42[true]`, `42[{}]`)...)},
	{ID: "S03", Sent: `an object with a toString of its own as the name`, Want: "as S01", Run: refused(malformed, each(`42[{"toString":"foo"}]`)...)},
	{ID: "S04", Sent: "the reserved names", Want: "as S01", Run: refused(malformed, each(`42["connect"]`, `42["disconnect"]`, `42["disconnecting"]`, `42["connect_error"]`, `42["newListener"]`, `42["removeListener"]`, `42["dis\u0063onnect"]`)...)},
	{ID: "S05", Sent: "names that mean something inside of Node's server", Want: "no handler, nothing happens", Run: accepted([2]string{`42["error","x"]`, ""}, [2]string{`42["connection"]`, ""}, [2]string{`42["new_namespace"]`, ""})},
	{ID: "S06", Sent: "names of inherited properties, an empty name, a long one, NUL, line breaks", Want: "no handler; the long name ends the connection", Run: all(accepted([2]string{`42["__proto__"]`, ""}, [2]string{`42["constructor"]`, ""},
		[2]string{`42["toString"]`, ""}, [2]string{`42["hasOwnProperty"]`, ""}, [2]string{`42[""]`, ""}, [2]string{`42["echo\n",1]`, ""}, [2]string{`42["echo\u0000",1]`, ""}, [2]string{"42[\"\u202eecho\"]", ""}),
		refused(malformed, each(`42["`+strings.Repeat("n", 64<<10)+`"]`)...))},
	{ID: "S07", Sent: "a number as the name", Want: "no handler", Run: accepted([2]string{`42[1,"x"]`, ""})},
	{ID: "S08", Sent: "JSON that breaks off, or with more behind it", Want: "as S01", Run: refused(malformed, each(`42["mark"`, `42["mark","a"]x`, `42["mark","a"]["b"]`, `42["mark",]`, `42["mark" "a"]`)...)},
	{ID: "S09", Sent: "JSON that is nested 20 000 and 65 deep", Want: "as S01", Run: refused(malformed, each(`42["echo",`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`]`,
		`42["echo",`+strings.Repeat("[", 65)+strings.Repeat("]", 65)+`]`, `42["echo",`+strings.Repeat(`{"a":`, 9_999)+"1"+strings.Repeat("}", 9_999)+`]`)...)},
	{ID: "S10", Sent: "as many small values as fit, for a handler that takes the raw text and one that decodes", Want: "answered; nothing is retained", Run: manyValues, Elsewhere: "TestManyArguments"},
	{ID: "S11", Sent: "10 000 keys, the same key twice, keys that differ by case", Want: "answered; placeholders with a key twice are refused", Run: manyKeys, Elsewhere: "TestOneMeaning"},
	{ID: "S12", Sent: "numbers that no float holds", Want: "kept as they are; an int64 is exact; an error to the sender where it does not fit", Run: numbers},
	{ID: "S13", Sent: "ack ids that are no whole numbers up to 2^53-1", Want: "as S01", Run: refused(malformed, each(`421e400["mark","x"]`, `4299999999999999999999["mark","x"]`, `42-1["mark","x"]`, `421.5["mark","x"]`, `429007199254740992["mark","x"]`)...),
		Differs: "leading zeros are accepted, as the Node server does (conformance: packets/accepted)"},
	{ID: "S14", Sent: "acks that nobody waits for, the same ack twice, a late ack", Want: "ignored; a call returns once", Run: strangeAcks},
	{ID: "S15", Sent: "acks that are no array", Want: "as S01", Run: refused(malformed, each(`431{}`, `431"x"`)...)},
	{ID: "S16", Sent: "an ack of other types, and of other length, than the call expects", Want: "an error to the caller, no panic", Run: wrongAcks},
	{ID: "S17", Sent: "events that ask for an ack and get none, or two", Want: "nothing is retained; the second is an error to the handler", Run: unansweredAcks},
	{ID: "S18", Sent: "questions of the server that are never answered, also by clients that leave", Want: "each call ends with an error; nothing is retained", Run: unansweredCalls, Elsewhere: "TestManyUnansweredCalls"},
	{ID: "S19", Sent: "CONNECT twice", Want: "the connection ends, protocol violation", Run: refused(misplaced, each("40")...)},
	{ID: "S20", Sent: "CONNECT twice while OnConnect runs", Want: "the connection ends, or one socket; OnConnect runs once", Run: connectTwice},
	{ID: "S21", Sent: "CONNECT to 40 namespaces", Want: "CONNECT_ERROR beyond MaxNamespaces, the others work", Run: manyNamespaces, Elsewhere: "conformance: connect/too-many, connect/too-often",
		Differs: "the connection stays also when a client asks again: JoinBurst bounds how often"},
	{ID: "S22", Sent: "auth payloads that are no object, and one of 20 kB", Want: "as S01", Run: refused(malformed, each("40/chat,[]", `40/chat,"x"`, "40/chat,null", `40/chat,{"a":"`+strings.Repeat("x", 20_000)+`"}`)...)},
	{ID: "S23", Sent: "EVENT, ACK and DISCONNECT for a namespace that was not joined", Want: "the connection ends, protocol violation", Run: refused(misplaced, each(`42/chat,["mark","x"]`, "43/chat,0[]", "41/chat,", `42/none,["mark","x"]`)...)},
	{ID: "S24", Sent: "CONNECT_ERROR from a client", Want: "the connection ends, protocol violation", Run: refused(misplaced, each(`44{"message":"x"}`)...)},
	{ID: "S25", Sent: "DISCONNECT with a payload; an event behind DISCONNECT", Want: "as S01; the event is not handled", Run: all(refused(malformed, each("41{}")...), engineClose)},
	{ID: "S26", Sent: "an event while OnConnect runs", Want: "the connection ends; the event is not handled", Run: earlyEvent, Elsewhere: "conformance: connect/event-before"},
	{ID: "S27", Sent: "two events at once, the handler of the first disconnects", Want: "the second is not handled", Run: kickFirst},
	{ID: "S28", Sent: "CONNECT with a forged pid and offset, and with an offset of 90 kB", Run: forgedRecovery, Elsewhere: "TestRecoveryRefused, TestRecoveryBound, TestHandoverRefused",
		Want: "a new socket; too large ends the connection. Options.Recovery is off by default; where it is on, the pid is a secret of the client, and a pid or an offset that no server knows is a new socket too; in a cluster at most 256 of them are asked for at once"},
	{ID: "S29", Sent: "a flood of broadcasts into the buffer for recovery", Elsewhere: "TestRecoveryRefused, TestRecoveryBounds, TestRecoveryTotal, TestHistoryBytes",
		Want: "Recovery.MaxEvents and MaxBytes bound what a namespace keeps, MaxTotalBytes what all keep together, MaxSessions bounds the clients that are away; who has missed a dropped event is a new client; mixin.History has bounds of its own"},
	{ID: "S30", Sent: "volatile events to a client that does not read", Want: "dropped and counted", Elsewhere: "TestVolatile, TestOutboxVolatile"},
	{ID: "S31", Sent: "MessagePack and other forms of a client's own parser", Want: "as S01: the server's parser alone counts", Run: refused(malformed, each("b\x82\xa4type\x02", `4{"type":2,"data":["mark"]}`)...)},
	{ID: "S32", Sent: "5 000 events at once", Want: "all handled in order; others are served meanwhile", Run: eventFlood, Elsewhere: "conformance: limits/inbox"},
	{ID: "S33", Sent: "namespaces with an escape, a query, slashes, dots, NUL, 10 kB", Want: "CONNECT_ERROR; the long one as S01", Run: strangeNamespaces},
}

func manyValues(a *A) {
	w, _ := a.joined()
	for _, unit := range []string{`{"a":0},`, `{},`, `1,`} {
		n := 90_000 / len(unit)
		text := strings.TrimSuffix(strings.Repeat(unit, n), ",")
		w.Send(`421["echo",[` + text + `]]`)
		if got := w.Next(); got != `431[[`+text+`]]` {
			a.Errorf("%s: %.100s", unit, got)
		}
		w.Send(`422["any",[` + text + `]]`)
		if got := w.Next(); got != `432[[`+text+`]]` {
			a.Errorf("%s, decoded: %.100s", unit, got)
		}
	}
}

func manyKeys(a *A) {
	w, _ := a.joined()
	var b strings.Builder
	for i := range 8_000 {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	w.Send(`421["any",{` + b.String() + `"z":1}]`)
	a.want("keys", strings.HasPrefix(w.Next(), `431[{"k0":1`), true)
	w.Send(`422["echo",{"a":1,"a":2,"A":3}]`)
	a.want("as it came", w.Next(), `432[{"a":1,"a":2,"A":3}]`)
	a.lives(w)
	refused(malformed, each(`451-["mark",{"_placeholder":true,"num":0,"num":0}]`, `451-["mark",{"_placeholder":true,"_placeholder":true,"num":0}]`, `451-["mark",{"_PLACEHOLDER":true,"num":0}]`)...)(a)
}

func numbers(a *A) {
	w, _ := a.joined()
	for _, n := range []string{"1e400", "-0", "9007199254740993", strings.Repeat("9", 5000)} {
		w.Send(`421["echo",` + n + `]`)
		a.want(n, w.Next(), `431[`+n+`]`)
	}
	w.Send(`421["number",{"a":9007199254740993}]`)
	a.want("an int64", w.Next(), `431[9007199254740993]`)
	for _, n := range []string{"1e400", "9223372036854775808", "0.5", `"x"`} {
		w.Send(`421["number",{"a":` + n + `}]`)
		if got := w.Next(); !strings.HasPrefix(got, `431[{"error"`) {
			a.Errorf("%s: %s", n, got)
		}
	}
	a.lives(w)
}

func strangeAcks(a *A) {
	accepted([2]string{`43999["x"]`, ""}, [2]string{`43["x"]`, ""}, [2]string{"43", ""})(a)
	w, _ := a.joined()
	before := a.S.calls()
	w.Send(`42["ask"]`)
	got := w.Next()
	n := strings.TrimSuffix(strings.TrimPrefix(got, "42"), `["question"]`)
	w.Send("43"+n+"[1]", "43"+n+"[2]", "43"+n+`["x"]`)
	a.lives(w)
	a.eventually("the call", func() bool { return len(a.S.calls()) > len(before) })
	w.Send(`42["ask"]`)
	got = w.Next()
	n = strings.TrimSuffix(strings.TrimPrefix(got, "42"), `["question"]`)
	time.Sleep(a.S.opts.AckTimeout + 100*time.Millisecond)
	w.Send("43" + n + "[3]") // late
	a.lives(w)
}

// calls are the errors that calls of clients have returned so far.
func (s *server) calls() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error{}, s.called...)
}

func wrongAcks(a *A) {
	w, _ := a.joined()
	for _, answer := range []string{`["x"]`, `[]`, `[{}]`, `[[1]]`, `[null]`, `[1,2,3]`, `[1e400]`} {
		w.Send(`42["ask"]`)
		got := w.Next()
		w.Send("43" + strings.TrimSuffix(strings.TrimPrefix(got, "42"), `["question"]`) + answer)
		a.lives(w)
	}
}

func unansweredAcks(a *A) {
	w, _ := a.joined()
	for i := range 200 {
		w.Send(fmt.Sprintf(`42%d["silent"]`, i))
	}
	w.Send(`42777["twice"]`)
	for {
		if got := w.Next(); strings.HasPrefix(got, "43777") {
			a.want("ack", got, `43777["once"]`)
			break
		}
	}
	a.lives(w)
	a.S.mu.Lock()
	defer a.S.mu.Unlock()
	if n := len(a.S.acked); n == 0 || a.S.acked[n-1] == nil {
		a.Errorf("a second ack: %v", a.S.acked)
	}
}

func unansweredCalls(a *A) {
	before := len(a.S.calls())
	for i := range 20 {
		w, _ := a.joined()
		w.Send(`42["ask"]`)
		w.Next()
		if i%2 == 0 {
			_ = w.Conn.Close()
		}
	}
	a.eventually("the calls", func() bool { return len(a.S.calls()) >= before+20 })
}

func connectTwice(a *A) {
	for _, texts := range [][]string{{"40/twice,", "40/twice,"}, {"40/twice,", "40/twice,", `42/twice,["mark","x"]`}} {
		before := a.S.asks("/twice") // no other row goes there
		w, _ := a.WebSocket()
		w.Send(texts...)
		connected := 0
		for {
			got, err := w.Read()
			if err != nil {
				break
			}
			if strings.HasPrefix(got, "40/twice,") {
				if connected++; connected == 1 {
					time.AfterFunc(500*time.Millisecond, func() { _ = w.Conn.Close() })
				}
			}
		}
		if connected > 1 || a.S.asks("/twice") > before+1 {
			a.Errorf("%d sockets, OnConnect has run %d times", connected, a.S.asks("/twice")-before)
		}
	}
}

func (s *server) asks(ns string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[ns]
}

func manyNamespaces(a *A) {
	w, _ := a.joined()
	refused, joined := 0, 0
	for i := range 40 {
		w.Send(fmt.Sprintf("40/dyn/a%d,", i))
		switch got := w.Next(); {
		case strings.HasPrefix(got, "40/dyn/a"):
			joined++
		case strings.HasPrefix(got, "44/dyn/a") && strings.Contains(got, "Too many namespaces"):
			refused++
		default:
			a.Errorf("got %s", got)
		}
	}
	a.want("joined", joined, 31) // the default namespace counts
	a.want("refused", refused, 9)
	a.lives(w)
	_ = w.Conn.Close()
}

func earlyEvent(a *A) {
	w, _ := a.WebSocket()
	w.Send("40/slow,", `42/slow,["echo","early"]`)
	for {
		got, err := w.Read()
		if err != nil {
			break
		}
		if strings.Contains(got, "early") {
			// An event behind the CONNECT waits for its answer, and is handled behind it.
			_ = w.Conn.Close()
			break
		}
		if strings.HasPrefix(got, "42") {
			a.Errorf("got %s", got)
		}
	}
}

func kickFirst(a *A) {
	for _, what := range []string{"kick", "close", "drop"} {
		w, id := a.joined()
		_ = w.Raw(append(mask(0x81, `42["`+what+`"]`), mask(0x81, `42["mark","second"]`)...))
		a.ends(id, sio.ServerNamespace, sio.ServerTransportClose)
		a.want("handled", len(a.S.marks(id)), 0)
		_ = w.Conn.Close()
	}
}

func forgedRecovery(a *A) {
	seen := map[string]bool{}
	for range 3 {
		w, _ := a.WebSocket()
		w.Send(`40{"pid":"xxxxxxxxxxxxxxxxxxxx","offset":""}`)
		got := w.Next()
		if id := id(got); id == "" || seen[id] || strings.Contains(got, "xxxx") {
			a.Errorf("connect: %s", got)
		} else {
			seen[id] = true
		}
		_ = w.Conn.Close()
	}
	w, _ := a.WebSocket()
	w.Send(`40{"pid":"x","offset":"` + strings.Repeat("o", 90_000) + `"}`)
	w.End()
}

func eventFlood(a *A) {
	w, id := a.joined()
	var b strings.Builder
	for i := range 5000 {
		b.Write(mask(0x81, fmt.Sprintf(`42["mark","%d"]`, i)))
	}
	_ = w.Raw([]byte(b.String()))
	other, _ := a.joined()
	a.lives(other)
	a.eventually("all events", func() bool { return len(a.S.marks(id)) == 5000 })
	for i, got := range a.S.marks(id) {
		if got != fmt.Sprint(i) {
			a.Errorf("event %d is %s", i, got)
			break
		}
	}
}

func strangeNamespaces(a *A) {
	w, _ := a.joined()
	for _, ns := range []string{"/ns%2C", "//", "/../chat", "/chat/", "/\x00", "/CHAT", "/.", "/#", "/chat%00"} {
		w.Send("40" + ns + ",")
		if got := w.Next(); !strings.HasPrefix(got, "44"+ns+",") {
			a.Errorf("%q: %.200s", ns, got)
		}
	}
	a.lives(w)
	refused(malformed, each("40/"+strings.Repeat("n", 10_000)+",", "42/"+strings.Repeat("n", 10_000)+`,["mark"]`)...)(a)
}
