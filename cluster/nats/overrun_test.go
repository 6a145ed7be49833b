package natsbus

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fakeServer speaks as much of the protocol as one client needs. The tests with a real server
// are in package natsembed.
type fakeServer struct {
	net.Listener
	wg sync.WaitGroup

	mu   sync.Mutex
	conn net.Conn
	sids map[string]string // by subject
	log  []string          // what was subscribed to, with a plus sign, and unsubscribed from, with a minus sign
	pong chan struct{}
	// subscribed and published are what the server says to a subscription, and to a message.
	subscribed, published func(subject string) string
}

func startFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{Listener: l, sids: make(map[string]string), pong: make(chan struct{}, 1)}
	s.wg.Go(s.serve)
	t.Cleanup(func() {
		_ = l.Close()
		s.wg.Wait()
	})
	return s
}

func (s *fakeServer) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conn = c
		s.mu.Unlock()
		s.say("INFO {\"server_id\":\"x\",\"version\":\"2.15.2\",\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n")
		for in := bufio.NewScanner(c); in.Scan(); {
			switch f := strings.Fields(in.Text()); {
			case len(f) == 3 && f[0] == "SUB":
				s.mu.Lock()
				s.sids[f[1]] = f[2]
				s.log = append(s.log, "+"+f[1])
				say := s.subscribed
				s.mu.Unlock()
				if say != nil {
					s.say(say(f[1]))
				}
			case len(f) == 2 && f[0] == "UNSUB":
				s.mu.Lock()
				for subject, sid := range s.sids {
					if sid == f[1] {
						s.log = append(s.log, "-"+subject)
					}
				}
				s.mu.Unlock()
			case len(f) == 3 && f[0] == "PUB":
				in.Scan() // a message without the end of a line in it
				if s.published != nil {
					s.say(s.published(f[1]))
				}
			case len(f) == 1 && f[0] == "PING":
				s.say("PONG\r\n")
			case len(f) == 1 && f[0] == "PONG":
				s.pong <- struct{}{}
			}
		}
		_ = c.Close()
	}
}

func (s *fakeServer) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.conn.Write([]byte(text))
}

// send sends messages, and returns when the client has read them.
func (s *fakeServer) send(n int, payload []byte, subjects ...string) {
	s.say(s.messages(n, payload, subjects...) + "PING\r\n")
	<-s.pong
}

func (s *fakeServer) messages(n int, payload []byte, subjects ...string) string {
	var b strings.Builder
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		subject := subjects[i%len(subjects)]
		fmt.Fprintf(&b, "MSG %s %s %d\r\n%s\r\n", subject, s.sids[subject], len(payload), payload)
	}
	return b.String()
}

// tally is a Receiver that counts.
type tally struct {
	mu        sync.Mutex
	got, lost int
	told      int // Lost without a number
	up        chan struct{}
	news      chan struct{}
}

func (r *tally) count(got, lost int) {
	r.mu.Lock()
	r.got += got
	r.lost += lost
	r.mu.Unlock()
	signal(r.news)
}

func (r *tally) Receive(*cluster.Message) { r.count(1, 0) }
func (r *tally) Up()                      { signal(r.up) }
func (r *tally) Down(error)               {}
func (r *tally) Lost(n int, _ error) {
	if n == 0 {
		r.mu.Lock()
		r.told++
		r.mu.Unlock()
	}
	r.count(0, n)
}

// TestOverrun: the channel to nats.go is full, because the goroutine that reads it does not
// run. What nats.go drops is counted, exactly.
func TestOverrun(t *testing.T) {
	s := startFakeServer(t)
	b := New("nats://"+s.Addr().String(), nil).(*backend)
	r := &tally{up: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	if err := b.Start(t.Context(), "aaaaa", r); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	<-r.up
	payload, err := cluster.Append(nil, &cluster.Message{Kind: cluster.Heartbeat, Node: "other"})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, subjects := range [][]string{{"sio.default.nodes"}, {"sio.default.nodes", "sio.default.node.aaaaa"}, {"sio.default.node.aaaaa"}} {
		for _, n := range []int{chanSize + 1000, 5, 2 * chanSize, chanSize / 2} {
			total += n
			b.queue.mu.Lock()
			s.send(n, payload, subjects...)
			b.queue.mu.Unlock()
			late := time.After(20 * time.Second)
			for done := false; !done; {
				r.mu.Lock()
				got, lost := r.got, r.lost
				r.mu.Unlock()
				if done = got+lost == total; done {
					t.Logf("%d sent: %d have come, %d lost", total, got, lost)
					break
				}
				select {
				case <-r.news:
				case <-late:
					t.Fatalf("%d sent: %d have come, %d lost", total, got, lost)
				}
			}
		}
	}
	if r.lost < 3*chanSize {
		t.Errorf("only %d lost", r.lost)
	}
}
