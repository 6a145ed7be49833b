package conformance

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// upgradeCases are about the way from polling to a websocket.
var upgradeCases = []testCase{
	{
		name: "upgrade/steps",
		rule: "probe, pong, noop for the waiting poll, upgrade",
		spec: "Engine.IO 4: Upgrade",
		run:  upgradeSteps,
	},
	{
		name: "upgrade/interrupted",
		rule: "an upgrade that is interrupted at any step loses, doubles and reorders nothing",
		spec: "docs/protocol.md 4.3",
		run:  upgradeInterrupted,
	},
	{
		name:  "upgrade/under-traffic",
		rule:  "1 000 numbered messages each way while the upgrade happens arrive in order",
		spec:  "docs/protocol.md 4.3",
		local: true,
		run:   upgradeUnderTraffic,
	},
	{
		name: "upgrade/post-in-flight",
		rule: "what a POST brings that was under way precedes what comes on the websocket",
		spec: "docs/protocol.md 4.3",
		need: []string{partialBody},
		run:  postInFlight,
	},
	{
		name: "upgrade/bad-probes",
		rule: "a candidate that neither probes nor upgrades is closed and polling goes on",
		spec: "docs/protocol.md 4.3",
		run:  upgradeBadProbes,
	},
	{
		name: "upgrade/second",
		rule: "a second websocket of a session is opened and closed without a code, during and after " +
			"an upgrade, and means nothing",
		spec: "Engine.IO 4: WebSocket; docs/protocol.md 4.3",
		run:  upgradeSecond,
	},
	{
		name: "upgrade/timeout",
		rule: "a silent candidate is closed, polling goes on",
		spec: "docs/protocol.md 4.3",
		slow: true,
		opts: func(o *sio.Options) { o.UpgradeTimeout = time.Second },
		run:  upgradeTimeout,
	},
}

func upgradeBadProbes(c *env) {
	s := c.Polling()
	s.Join("")
	for _, row := range [][]string{{"2"}, {"40"}, {"2probe", "40"}, {"2probe", "2probe"}, {"2probe", "x"}, {""}} {
		w := c.probe(s)
		w.Send(row...)
		w.End()
		s.Post(`42["echo",1]`)
		c.Want(fmt.Sprintf("polling after %q", row), s.Packets(1)[0], `42["echo",1]`)
	}
}

func upgradeSecond(c *env) {
	s := c.Polling()
	s.Join("")
	w := s.Probe()
	c.second(w4 + "&sid=" + s.Open.SID)
	w.Send("2probe")
	c.Want("pong", w.Next(), "3probe")
	w.Send("5", `42["echo",1]`)
	c.Want("echo", w.Next(), `42["echo",1]`)
	c.second(w4 + "&sid=" + s.Open.SID)
	c.Want("GET", s.Get(), `400 {"code":3,"message":"Bad request"}`)
	c.Want("POST", s.Post("42"), `400 {"code":3,"message":"Bad request"}`)
	w.Send(`42["echo",2]`)
	c.Want("still served", w.Next(), `42["echo",2]`)
}

func upgradeTimeout(c *env) {
	s := c.Polling()
	s.Join("")
	w := s.Probe()
	w.End()
	w = c.probe(s)
	w.Send("2probe")
	w.Next()
	w.End()
	s.Post(`42["echo",1]`)
	c.Want("polling", s.Packets(1)[0], `42["echo",1]`)
}

// probe opens a candidate, once the session has forgotten the one before: until
// then it is opened and closed at once.
func (c *env) probe(s *wire.Session) (w *wire.WS) {
	c.T.Helper()
	c.Eventually("room for another candidate", func() bool {
		w, _ = s.Upgrade(w4+"&sid="+s.Open.SID, "")
		if w == nil {
			return false
		}
		_ = w.Raw(wire.Frame(0x89, []byte("there?")))
		if p, err := w.Read(); err != nil || p != "control 8a there?" {
			_ = w.Conn.Close()
			return false
		}
		return true
	})
	return w
}

func upgradeSteps(c *env) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	c.holds()
	w := s.Probe()
	w.Send("2probe")
	c.Want("pong", w.Next(), "3probe")
	c.Want("waiting poll", <-held, "200 6")
	c.Want("poll meanwhile", s.Get(), "200 6")
	s.Post(`42["echo","via polling"]`)
	c.Want("messages stay on polling", s.Packets(1)[0], `42["echo","via polling"]`)
	s.Post(`42["echo","held back"]`)
	w.Send("5")
	c.Want("queue goes to the websocket", w.Next(), `42["echo","held back"]`)
	w.Send(`42["echo","via websocket"]`)
	c.Want("websocket", w.Next(), `42["echo","via websocket"]`)
}

// upgradeInterrupted kills the candidate after each step, with messages both ways.
func upgradeInterrupted(c *env) {
	steps := []string{"tcp", "101", "probe sent", "probe answered", "waiting poll ended", "post in flight"}
	for _, step := range steps {
		s := c.Polling()
		s.Join("")
		var got []string
		n := 0
		echo := func() { s.Post(fmt.Sprintf(`42["echo",%d]`, n)); n++ }
		echo()
		if step != "tcp" {
			w := s.Probe()
			echo()
			switch step {
			case "probe sent":
				w.Send("2probe")
			case "probe answered":
				w.Send("2probe")
				w.Next()
			case "waiting poll ended":
				got = append(got, s.Packets(n)...)
				held := s.Hold()
				c.holds()
				w.Send("2probe")
				w.Next()
				c.Want(step, <-held, "200 6")
			case "post in flight":
				w.Send("2probe")
				w.Next()
				echo()
			}
			w.Reset()
			echo()
		} else {
			w, _ := s.Upgrade(w4+"&sid="+s.Open.SID, "")
			w.Reset()
		}
		echo()
		got = append(got, s.Packets(n-len(got))...)
		for i, p := range got {
			if want := fmt.Sprintf(`42["echo",%d]`, i); p != want {
				c.T.Errorf("after %q: message %d is %s", step, i, p)
			}
		}
		// And then an upgrade that succeeds.
		w := c.probe(s)
		w.Send("2probe")
		w.Next()
		w.Send("5", `42["echo","done"]`)
		c.Want("upgraded after "+step, w.Next(), `42["echo","done"]`)
		// After the upgrade packet the websocket is the session.
		w.Reset()
		c.ends(1)
	}
}

func upgradeUnderTraffic(c *env) {
	const count = 1000
	s := c.Polling()
	s.Join("")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { c.emitNumbered(ctx, count) })
	var down []string
	take := func(body string) {
		for _, p := range strings.Split(body, "\x1e") {
			if strings.HasPrefix(p, `42["down"`) {
				down = append(down, p)
			}
		}
	}
	up := 0
	post := func(n int) {
		var b []string
		for range n {
			b = append(b, fmt.Sprintf(`42["n",%d]`, up))
			up++
		}
		c.Want("post", s.Post(strings.Join(b, "\x1e")), "200 ok")
	}
	for range 5 {
		post(20)
		take(s.Get().Body)
	}
	w := s.Probe()
	post(20)
	w.Send("2probe")
	for { // as the client does: poll until the probe is answered and the poll has ended
		post(5)
		take(s.Get().Body)
		if up > 200 {
			break
		}
	}
	c.Want("pong", w.Next(), "3probe")
	w.Send("5")
	go func() {
		for i := up; i < count; i++ {
			w.Send(fmt.Sprintf(`42["n",%d]`, i))
		}
	}()
	for len(down) < count {
		p, err := w.Read()
		if err != nil {
			c.T.Fatalf("after %d messages: %v", len(down), err)
		}
		take(p)
	}
	wg.Wait()
	inOrder(c, down, count)
}

// emitNumbered emits the event down with 0, 1 and so on, 20 in a burst.
func (c *env) emitNumbered(ctx context.Context, count int) {
	c.settle()
	for i := range count {
		if ctx.Err() != nil {
			return
		}
		_ = c.of("/").Emit("down", i)
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// inOrder verifies that the numbered messages of both directions came once and in order.
func inOrder(c *env, down []string, count int) {
	for i, p := range down {
		if want := fmt.Sprintf(`42["down",%d]`, i); p != want {
			c.T.Fatalf("down %d is %s", i, p)
		}
	}
	c.Eventually("all events", func() bool { return len(c.handled()) == count })
	for i, n := range c.handled() {
		if n != i {
			c.T.Fatalf("up %d is %d", i, n)
		}
	}
}

// postInFlight tries a few times: nothing tells from outside that half a body has
// arrived, and an upgrade that is quicker finds no request under way.
func postInFlight(c *env) {
	var last []int
	for i := range 5 {
		s := c.Polling()
		s.Join("")
		w := s.Probe()
		w.Send("2probe")
		c.Want("pong", w.Next(), "3probe")
		pr, pw := io.Pipe()
		first := c.slowPost(s, context.Background(), pr)
		_, _ = fmt.Fprintf(pw, `42["n",%d`, 2*i)
		c.holds()
		w.Send("5", fmt.Sprintf(`42["n",%d]`, 2*i+1))
		c.holds()
		_, _ = pw.Write([]byte(`]`))
		_ = pw.Close()
		<-first
		w.Send(`42["echo","end"]`)
		c.Want("then", w.Next(), `42["echo","end"]`)
		last = c.handled()
		if n := len(last); n >= 2 && last[n-2] == 2*i && last[n-1] == 2*i+1 {
			return
		}
	}
	c.T.Errorf("never was what the POST brought handled first; handled: %v", last)
}
