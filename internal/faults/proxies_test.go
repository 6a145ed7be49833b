package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/netfault"
	"github.com/siokit/siokit/internal/wire"
)

// splitting: every byte is a segment of its own, or much comes in one.
func splitting(t *testing.T) {
	bytewise := func(b []byte, forward func([]byte) error) error {
		for i := range b {
			if err := forward(b[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	late := func(b []byte, forward func([]byte) error) error {
		time.Sleep(5 * time.Millisecond) // the network: what is sent meanwhile comes in one piece
		return forward(b)
	}
	for _, flow := range []netfault.Flow{bytewise, late} {
		s := serve(t, sio.Options{})
		p := netfault.NewFlows(t, s.addr, func(int) (up, down netfault.Flow) { return flow, flow })
		s.all(p.Addr, pick(20, 200))
	}
}

// holding: a proxy passes on a response when all of it is there.
func holding(t *testing.T) {
	s := serve(t, sio.Options{})
	p := netfault.NewFlows(t, s.addr, func(int) (up, down netfault.Flow) {
		var have bytes.Buffer
		return nil, func(b []byte, forward func([]byte) error) error {
			if b != nil {
				have.Write(b)
				return nil
			}
			return forward(have.Bytes())
		}
	})
	for _, d := range dialogues {
		if !strings.HasSuffix(d.name, "polling") {
			continue
		}
		c := s.client(p.Addr)
		c.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
		got := d.talk(c, 20)
		for i, text := range got {
			if want := fmt.Sprintf(`2["item",%d]`, i); text != want {
				t.Errorf("%s: number %d is %q", d.name, i, text)
			}
		}
		c.Close()
	}
	s.ordered()
}

// stripping: a proxy does not let a websocket through. The client goes on polling.
func stripping(t *testing.T) {
	for name, way := range map[string]func(b []byte) (pass []byte, answer string){
		"strips": func(b []byte) ([]byte, string) {
			b = bytes.Replace(b, []byte("Upgrade: websocket\r\n"), nil, 1)
			return bytes.Replace(b, []byte("Connection: Upgrade\r\n"), nil, 1), ""
		},
		"403": func([]byte) ([]byte, string) {
			return nil, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
		},
		"502": func([]byte) ([]byte, string) {
			return nil, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
		},
	} {
		s := serve(t, sio.Options{})
		p := netfault.NewFlows(t, s.addr, func(int) (up, down netfault.Flow) {
			var mu sync.Mutex
			refused := ""
			up = func(b []byte, forward func([]byte) error) error {
				if !bytes.Contains(b, []byte("Upgrade: websocket")) {
					return forward(b)
				}
				pass, answer := way(b)
				if answer == "" {
					return forward(pass)
				}
				mu.Lock()
				defer mu.Unlock()
				refused = answer
				// Something that has an answer, which is replaced.
				return forward([]byte("GET / HTTP/1.0\r\n\r\n"))
			}
			down = func(b []byte, forward func([]byte) error) error {
				mu.Lock()
				defer mu.Unlock()
				if refused == "" || b == nil {
					return forward(b)
				}
				if err := forward([]byte(refused)); err != nil {
					return err
				}
				return io.EOF
			}
			return up, down
		})
		c := s.client(p.Addr)
		sess := c.Polling()
		sess.Join("")
		for i := range 10 {
			sess.Post(fmt.Sprintf(`42["n",%d]`, i))
		}
		sess.Post(`42["burst",10]`)
		w, a := sess.Upgrade("EIO=4&transport=websocket&sid="+sess.Open.SID, "")
		if w != nil || a.Status < 400 {
			t.Fatalf("%s: %v", name, a)
		}
		for i, got := range sess.Packets(10) {
			if want := fmt.Sprintf(`42["item",%d]`, i); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		s.ordered()
		if name == "strips" && s.Stats().Failures[sio.FailureUpgrade] == 0 {
			t.Errorf("it is not counted: %v", s.Stats().Failures)
		}
	}
}

// repeats: a proxy sends a request once more, beside the first one.
func repeats(t *testing.T) {
	s := serve(t, sio.Options{})
	for range pick(5, 100) {
		c := s.client("")
		sess := c.Polling()
		sess.Join("")
		before := s.count()
		a, b := sess.Hold(), sess.Hold()
		first, second := <-a, <-b
		if first.Status == second.Status || first.Status+second.Status != 600 { // 200 and 400
			t.Fatalf("two polls: %v and %v", first, second)
		}
		s.await("the end", func() bool { return s.count() == before+1 })

		sess = c.Polling()
		sess.Join("")
		var wg sync.WaitGroup
		for range 2 { // in one order or the other, or one beside the other
			wg.Go(func() { _, _ = c.Do(context.Background(), "POST", sess.Query(), `42["n",0]`) })
		}
		wg.Wait()
		c.Close()
	}
	// One behind the other cannot be told from a client that says the same again: both are handled.
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, list := range s.got {
		if len(list) > 2 {
			t.Errorf("%s: %v", id, list)
		}
	}
}

// upgrades: numbers go both ways while clients upgrade, with random delays.
func upgrades(t *testing.T) {
	s := serve(t, sio.Options{MaxQueueMessages: 1 << 16})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := netfault.NewFlows(t, s.addr, func(n int) (up, down netfault.Flow) {
		one := func(way uint64) netfault.Flow {
			rnd := rand.New(rand.NewPCG(seed, uint64(n)<<1|way))
			return func(b []byte, forward func([]byte) error) error {
				time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond) // a network that takes its time
				return forward(b)
			}
		}
		return one(0), one(1)
	})
	for range pick(20, 1000) {
		upgradeOnce(t, s, p.Addr, 60)
	}
	s.ordered()
}

func upgradeOnce(t *testing.T, s *site, addr string, count int) {
	t.Helper()
	c := s.client(addr)
	defer c.Close()
	sess := c.Polling()
	sess.Join("")
	sess.Post(fmt.Sprintf(`42["burst",%d]`, count))
	var got []string
	take := func(body string) {
		for _, packet := range strings.Split(body, "\x1e") {
			if strings.HasPrefix(packet, "42") {
				got = append(got, packet)
			}
		}
	}
	probed := make(chan *wire.WS, 1)
	go func() {
		w := sess.Probe()
		w.Send("2probe")
		if _, err := w.Read(); err != nil {
			t.Error(err)
		}
		probed <- w
	}()
	sent := 0
	say := func() string { sent++; return fmt.Sprintf(`42["n",%d]`, sent-1) }
	var w *wire.WS
	for w == nil {
		poll := sess.Hold()
		sess.Post(say())
		select {
		case w = <-probed:
		case a := <-poll:
			take(a.Body)
			continue
		}
		sess.Post(say())
		a := <-poll // the server ends the poll with what there is, or with a noop
		if a.Status != 200 {
			t.Fatalf("%v", a)
		}
		take(a.Body)
	}
	w.Send("5", say(), say(), `42["burst",3]`)
	for len(got) < count+3 {
		got = append(got, w.Next())
	}
	for i, text := range got {
		want := fmt.Sprintf(`42["item",%d]`, i)
		if i >= count {
			want = fmt.Sprintf(`42["item",%d]`, i-count)
		}
		if text != want {
			t.Fatalf("number %d is %q", i, text)
		}
	}
	s.total += sent
	s.await("all numbers", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for _, list := range s.got {
			n += len(list)
		}
		return n == s.total
	})
}
