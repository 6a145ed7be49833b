package attack

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

var engineRows = []Row{
	{ID: "E01", Sent: "texts that are no packet, and an empty one", Want: "1002, parse error", Run: engineEnds(1002, sio.ParseError, "8", "", "invalid")},
	{ID: "E02", Sent: "a ping from a client of 4.x", Want: "1002, transport error", Run: engineEnds(1002, sio.TransportError, "2")},
	{ID: "E03", Sent: "2probe on a websocket that is established", Want: "1002, transport error", Run: engineEnds(1002, sio.TransportError, "2probe")},
	{ID: "E04", Sent: "5, 3, 6 and 0 on a websocket that is established", Want: "ignored", Run: accepted([2]string{"5", ""}, [2]string{"3", ""}, [2]string{"6", ""}, [2]string{"0", ""})},
	{ID: "E05", Kind: quick, Sent: "10 000 pongs at once, and silence", Want: "ping timeout, no later than without them", Run: pongFlood, Elsewhere: "TestPongKeeps"},
	{ID: "E06", Kind: quick, Sent: "no pong", Want: "ping timeout, not before interval and timeout", Run: noPong, Elsewhere: "conformance: heartbeat/timeout, eio3/heartbeat"},
	{ID: "E07", Sent: "garbage behind the probe of an upgrade", Want: "the websocket is closed, polling goes on", Run: badProbe("2probe", "garbage")},
	{ID: "E08", Sent: "5 without a probe", Want: "accepted", Differs: "clients for ESP8266, ESP32 and PHP upgrade so; docs/protocol.md 4.3", Elsewhere: "conformance: clients/no-probe"},
	{ID: "E09", Sent: "a message in place of 5", Want: "the websocket is closed, polling goes on, the message is not handled", Run: badProbe("2probe", `42["mark","early"]`)},
	{ID: "E10", Sent: "a second upgrade beside the first, and behind it", Want: "the second is closed, the first goes on", Run: secondUpgrade, Elsewhere: "conformance: upgrade/second, upgrade/second-of-websocket"},
	{ID: "E11", Kind: quick, Sent: "30 upgrades of one session that say nothing, and 30 of one each", Want: "closed at UpgradeTimeout; one of a session at a time", Run: silentUpgrades},
	{ID: "E12", Sent: "an upgrade that breaks at each of its steps", Want: "nothing is lost or doubled; before 5 polling goes on", Run: brokenUpgrades, Elsewhere: "conformance: upgrade/interrupted, upgrade/post-in-flight"},
	{ID: "E13", Sent: "messages both ways during an upgrade", Want: "all, in order", Elsewhere: "conformance: upgrade/under-traffic"},
	{ID: "E14", Sent: "polls between the probe and 5", Want: "each is answered at once", Run: pollInUpgrade},
	{ID: "E15", Sent: "a noop that was meant for the poll", Want: "it never comes on the websocket", Elsewhere: "conformance: upgrade/steps"},
	{ID: "E16", Sent: "upgrades of sessions that end at the same moment", Want: "the websocket ends, nothing is left", Run: upgradeOfEnded},
	{ID: "E17", Sent: "an upgrade with the cookies of somebody else", Want: "403 where a session bridge is", Elsewhere: "conformance sessions: poll-with-foreign-session-refused",
		Differs: "without sessions the id is the only secret; Conn.OnExchange is the place for a rule of the application's own"},
	{ID: "E18", Sent: "a POST with the id of somebody else's session", Want: "403 where a session bridge is", Elsewhere: "conformance sessions: poll-with-foreign-session-refused",
		Differs: "as E17"},
	{ID: "E19", Sent: "400 ids at random and beside one that is known", Want: "400 1 for each; ids share no beginning", Run: guesses, Elsewhere: "conformance: handshake/sid-is-secret"},
	{ID: "E20", Sent: "a close packet, and events behind it", Want: "one disconnect; the events are not handled", Run: engineClose},
	{ID: "E21", Sent: "the server closes a client with a full queue", Want: "the session ends, nothing is left", Run: closedFull},
	{ID: "E22", Sent: "the maxPayload of the open packet", Want: "the number that is enforced, on each transport", Run: announced},
}

func engineEnds(code int, reason sio.Reason, list ...string) func(a *A) {
	return func(a *A) {
		for _, text := range list {
			w, id := a.joined()
			w.Send(text)
			a.want(fmt.Sprintf("close code of %q", text), w.End().Code, code)
			a.ends(id, reason)
		}
	}
}

func pongFlood(a *A) {
	w, id := a.joined()
	began := time.Now()
	_ = w.Raw([]byte(strings.Repeat(string(mask(0x81, "3")), 10_000)))
	a.ends(id, sio.PingTimeout)
	if d, most := time.Since(began), a.S.opts.PingInterval+a.S.opts.PingTimeout+2*time.Second; d > most {
		a.Errorf("after %v, want %v at most", d, most)
	}
}

func noPong(a *A) {
	w, _ := a.WebSocket()
	w.NoPong = true
	w.Send("40")
	id := id(w.Next())
	began := time.Now()
	a.ends(id, sio.PingTimeout)
	if d := time.Since(began); d < a.S.opts.PingTimeout {
		a.Errorf("after %v", d)
	}
}

func badProbe(texts ...string) func(a *A) {
	return func(a *A) {
		s := a.polling()
		id := id(s.Join(""))
		w := s.Probe()
		w.Send(texts...)
		w.End()
		s.Post(`42["echo",1]`)
		a.want("polling", s.Packets(1)[0], `42["echo",1]`)
		a.want("handled", len(a.S.marks(id)), 0)
	}
}

func secondUpgrade(a *A) {
	s := a.polling()
	s.Join("")
	first := s.Probe()
	first.Send("2probe")
	a.want("the first", first.Next(), "3probe")
	second := s.Probe()
	second.End()
	first.Send("5")
	a.lives(first)
	second = s.Probe()
	second.End()
	a.lives(first)
	_ = first.Conn.Close()
}

func silentUpgrades(a *A) {
	one := a.polling()
	one.Join("")
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { one.Probe().End() })
		wg.Go(func() {
			s := a.polling()
			s.Join("")
			s.Probe().End()
		})
	}
	wg.Wait()
	one.Post(`42["echo",1]`)
	a.want("polling", one.Packets(1)[0], `42["echo",1]`)
}

func brokenUpgrades(a *A) {
	for _, texts := range [][]string{nil, {"2probe"}, {"2probe", "5"}} {
		s := a.polling()
		id := id(s.Join(""))
		s.Post(`42["echo",1]`)
		w := s.Probe()
		w.Send(texts...)
		if len(texts) == 2 {
			a.want("probe", w.Next(), "3probe")
			a.want("what waited", w.Next(), `42["echo",1]`)
			w.Reset()
			a.ends(id, sio.TransportClose, sio.TransportError)
			continue
		}
		if len(texts) == 1 {
			a.want("probe", w.Next(), "3probe")
		}
		w.Reset()
		s.Post(`42["echo",2]`)
		a.want("by polling", s.Packets(2), []string{`42["echo",1]`, `42["echo",2]`})
	}
}

func pollInUpgrade(a *A) {
	s := a.polling()
	s.Join("")
	w := s.Probe()
	w.Send("2probe")
	a.want("probe", w.Next(), "3probe")
	began := time.Now()
	for range 5 {
		a.want("poll", s.Get(), "200 6")
	}
	if d := time.Since(began); d > 4*time.Second { // the next ping would answer them after 5 s
		a.Errorf("the polls took %v", d)
	}
	w.Send("5")
	a.lives(w)
	_ = w.Conn.Close()
}

func upgradeOfEnded(a *A) {
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			s := a.polling()
			s.Join("")
			var both sync.WaitGroup
			both.Go(func() { _, _ = a.Do(context.Background(), "POST", s.Query(), "1") })
			if w, got := a.Upgrade(w4+"&sid="+s.Open.SID, string(mask(0x81, "2probe"))+string(mask(0x81, "5"))); w != nil {
				_, _ = w.Read()
				_ = w.Conn.Close()
			} else if !answers(got, "400") {
				a.Errorf("got %v", got)
			}
			both.Wait()
		})
	}
	wg.Wait()
}

func guesses(a *A) {
	s := a.polling()
	s.Join("")
	known := s.Open.SID
	other := a.polling().Open.SID
	if known[:4] == other[:4] || len(known) < 27 {
		a.Errorf("ids %q and %q", known, other)
	}
	for i := range 400 {
		guess := known[:len(known)-1-i%8] + fmt.Sprintf("%08x", i)[8-1-i%8:]
		if guess == known {
			continue
		}
		if got := a.Must("POST", q4+"&sid="+guess, "40"); !answers(got, "400 1") {
			a.Errorf("%s: %v", guess, got)
		}
		if i%40 == 39 { // all of them may take longer than the session lives without a poll
			s.Post(`42["echo",1]`)
			a.want("the session itself", s.Packets(1)[0], `42["echo",1]`)
		}
	}
}

func engineClose(a *A) {
	w, id := a.joined()
	_ = w.Raw(append(mask(0x81, "41"), mask(0x81, `42["mark","behind"]`)...))
	a.ends(id, sio.ClientNamespace)
	a.want("handled", len(a.S.marks(id)), 0)
	_ = w.Conn.Close()
	s := a.polling()
	id2 := s.Join("")
	id = id2[strings.Index(id2, `"sid":"`)+7 : len(id2)-2]
	a.want("POST", s.Post("1\x1e"+`42["mark","behind"]`).Status, 200)
	a.ends(id, sio.TransportClose)
	a.want("handled", len(a.S.marks(id)), 0)
}

func closedFull(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	s.Post(`42["burst",20,10000]` + "\x1e" + `42["close"]`)
	a.ends(id, sio.ServerNamespace)
	w, id2 := a.joined()
	w.Send(`42["burst",20,10000]`, `42["close"]`)
	a.ends(id2, sio.ServerNamespace)
	_ = w.Conn.Close()
}

func announced(a *A) {
	s := a.polling()
	s.Join("")
	w, o := a.WebSocket()
	a.want("both", s.Open.MaxPayload, o.MaxPayload)
	a.want("the option", int64(o.MaxPayload), a.S.opts.MaxPayload)
	exact := func(more int) string {
		return `42["silent","` + strings.Repeat("x", o.MaxPayload-len(`42["silent",""]`)+more) + `"]`
	}
	w.Send("40")
	w.Next()
	w.Send(exact(0))
	a.lives(w)
	w.Send(exact(1))
	a.want("close code", w.End().Code, 1009)
	a.want("exactly", s.Post(exact(0)).Status, 200)
	a.want("one more", s.Post(exact(1)).Status, 413)
}
