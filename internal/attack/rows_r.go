package attack

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

var resourceRows = []Row{
	{ID: "R01", Sent: "a client that does not read 10 MB of events", Want: "slow client at the bound of its queue; others are served", Run: unreadEvents, Elsewhere: "conformance: limits/slow-reader"},
	{ID: "R02", Sent: "a client that does not poll, and 1 MB for it", Want: "slow client at the bound of its queue", Run: unpolled, Elsewhere: "conformance: limits/slow-poller"},
	{ID: "R03", Sent: "small events behind a large one", Want: "heartbeats are not held up", Elsewhere: "conformance: limits/one-big-message, TestStallPings"},
	{ID: "R04", Kind: quick, Sent: "a handler that blocks, with events behind it", Want: "heartbeats go on; the handler's context ends with the client", Run: blockedHandler, Elsewhere: "conformance: events/blocked-handler, heartbeat/full-inbox"},
	{ID: "R05", Sent: "handlers that panic", Want: "an error to the client, everything goes on", Run: panics, Elsewhere: "conformance: events/panic, panics, panics/exchange"},
	{ID: "R06", Sent: "a handler that ends its goroutine or the process", Want: "the one event fails; os.Exit ends the process", Elsewhere: "TestGoexit, TestErrorsThatExit"},
	{ID: "R07", Sent: "200 clients that connect and leave", Want: "nothing is left", Run: comeAndLeave},
	{ID: "R08", Kind: few, Sent: "more connections than one address may have", Want: "503 with Retry-After", Run: manyOfOne, Elsewhere: "conformance: limits/connections, limits/pending"},
	{ID: "R09", Sent: "no descriptor is left", Want: "-", None: "connections are accepted by net/http or fasthttp, which log and try again; what the server has open lives on"},
	{ID: "R10", Sent: "many clients with one interval", Want: "their pings are spread", Elsewhere: "TestHeartbeatsSpread, TestHerd"},
	{ID: "R11", Sent: "more memory than the process may have", Want: "-", None: "the server bounds what each client and all handshakes may hold (docs/limits.md), and does not look at the memory of the process"},
	{ID: "R12", Sent: "a client that leaves with a full queue", Want: "what waited is freed", Run: fullQueue, Elsewhere: "TestArgumentsAreFreed"},
	{ID: "R13", Sent: "one event of many megabytes by the application", Want: "sent whole", Differs: "the bound is on what waits: one event larger than the bound passes, so that an application can send what it must",
		Elsewhere: "conformance: limits/one-big-message"},
	{ID: "R14", Sent: "readers whose consumer has gone", Want: "no goroutine is left", Elsewhere: "TestEndWakesWaiters, TestLeavesNothing"},
	{ID: "R15", Sent: "ends of every kind at the same moment", Want: "OnDisconnect runs once", Run: everyEnd, Elsewhere: "conformance: lifecycle/once"},
	{ID: "R16", Sent: "handshakes while the server is shut down", Want: "503, no panic", Elsewhere: "TestShutdownInAccept, conformance: lifecycle/shutdown"},
	{ID: "R17", Sent: "1 000 bad requests and packets", Want: "a few lines of log", Run: logFlood, Elsewhere: "conformance: notices/flood"},
	{ID: "R18", Sent: "patterns that take long for a text of the client", Want: "-", None: "OfPattern has segments and no regular expressions, and nothing else matches text of clients"},
	{ID: "R19", Sent: "names of rooms that collide or sort badly", Want: "-", None: "the maps of Go are seeded, and nothing that clients name is sorted"},
	{ID: "R20", Sent: "1 000 clients that ask for compression", Want: "none is agreed on", Elsewhere: "conformance: websocket/header-forms", Run: noDeflate},
}

func unreadEvents(a *A) {
	w, id := a.joined()
	w.Send(`42["burst",1000,10000]`)
	a.ends(id, sio.SlowClient)
	_ = w.Conn.Close()
}

func unpolled(a *A) {
	s := a.polling()
	id := id(s.Join(""))
	s.Post(`42["burst",100,10000]`)
	a.ends(id, sio.SlowClient)
}

func blockedHandler(a *A) {
	w, id := a.joined()
	w.Send(`42["block"]`)
	a.want("the handler runs", w.Next(), `42["blocked"]`)
	for range 20 {
		w.Send(`42["mark","x"]`)
	}
	// Two intervals and the timeout: without heartbeats the session would end.
	end := time.Now().Add(2*a.S.opts.PingInterval + a.S.opts.PingTimeout)
	go func() { _, _ = w.Read() }() // answers the pings
	for time.Now().Before(end) {
		if r, ended := a.S.reason(id); ended {
			a.Fatalf("the socket has ended: %v", r)
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = w.Conn.Close()
	a.ends(id, sio.TransportClose, sio.TransportError)
}

func panics(a *A) {
	w, _ := a.joined()
	for range 5 {
		w.Send(`421["panic"]`)
		if got := w.Next(); !strings.HasPrefix(got, `431[{"error"`) || strings.Contains(got, "asked for") {
			a.Errorf("got %s", got)
		}
	}
	a.lives(w)
}

func comeAndLeave(a *A) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 25 {
				switch {
				case i%2 == 0:
					w, _ := a.joined()
					if j%2 == 0 {
						w.Reset()
					} else {
						_ = w.Conn.Close()
					}
				default:
					s := a.Polling()
					if j%2 == 0 {
						s.Join("")
					}
					s.Post("1")
				}
			}
		})
	}
	wg.Wait()
}

func manyOfOne(a *A) {
	refused := 0
	for range 40 {
		w, got := a.Upgrade(w4, "")
		switch {
		case w != nil:
			a.Cleanup(func() { _ = w.Conn.Close() })
		case answers(got, "503") && got.Header.Get("Retry-After") != "":
			refused++
		default:
			a.Errorf("got %v", got)
		}
	}
	a.want("refused", refused, 40-30+1) // the control client counts
}

func fullQueue(a *A) {
	for range 10 {
		w, _ := a.joined()
		w.Send(`42["burst",20,10000]`)
		w.Reset()
	}
}

func everyEnd(a *A) {
	for i := range 30 {
		w, id := a.joined()
		var wg sync.WaitGroup
		wg.Go(func() { _ = w.Raw(append(mask(0x81, `42["kick"]`), mask(0x81, `42["close"]`)...)) })
		wg.Go(func() {
			if s := a.S.srv.Of("/").Socket(id); s != nil {
				s.Disconnect()
			}
		})
		wg.Go(func() {
			if s := a.S.srv.Of("/").Socket(id); s != nil && i%2 == 0 {
				s.Conn().CloseTransport()
			}
		})
		wg.Go(func() {
			if i%3 == 0 {
				w.Reset()
			}
		})
		wg.Wait()
		a.ends(id, sio.ServerNamespace, sio.ServerTransportClose, sio.TransportClose, sio.TransportError)
		_ = w.Conn.Close()
	}
}

func logFlood(a *A) {
	before := strings.Count(a.S.log.String(), "\n")
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for j := range 100 {
				_, _ = a.Do(context.Background(), "GET", fmt.Sprintf("%s&sid=%020d", q4, i*100+j), "")
			}
		})
	}
	wg.Wait()
	if n := strings.Count(a.S.log.String(), "\n") - before; n > 200 {
		a.Errorf("%d lines of log", n)
	}
}
