package polling

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// TestTable holds doc.go to its table, for clients that upgrade (Newest is false).
func TestTable(t *testing.T) {
	const refused, kept = "refused", ""
	for _, row := range []struct {
		state                                             state
		get, waiting, post, closes, closesAtOnce, retires string
	}{
		{open, kept, kept, "read", "lingering", "ended", "retired"},
		{held, "6", "6", "read", "lingering", "ended", "retired"},
		{retired, refused, "6", refused, "retired", "ended", "retired"},
		{lingering, "61", "1", refused, "lingering", "ended", "retired"},
		{closing, "1", "1", refused, "closing", "ended", "closing"},
		{ending, refused, "1", refused, "ending", "ended", "ending"},
		{ended, refused, "1", refused, "ended", "ended", "ended"},
	} {
		make := func() *poll {
			p := Transport{}.New(quiet{}, transport.PollOptions{Name: Name, Noop: packet.TextMessage("6")}).(*poll)
			p.Goodbye(packet.TextMessage("1"))
			p.state = row.state
			return p
		}
		after := func(f func(p *poll)) string {
			p := make()
			f(p)
			return stateNames[p.state]
		}
		synctest.Test(t, func(t *testing.T) {
			p := make()
			if got := answer(p, func(x host.Exchange) error { return p.Get(x, transport.PollRequest{Payloads: joined{}}) }); got != row.get {
				t.Errorf("%s: a GET that comes: %q", stateNames[row.state], got)
			}
			p = make()
			g := &get{p: p}
			p.waiter = waits
			if row.state == held || row.state == retired {
				p.waiter = released
			}
			last, err := g.verdict(false, false)
			if got, _ := (joined{}).AppendPayload(nil, last); string(got) != row.waiting || err != nil {
				t.Errorf("%s: the GET that waits: %q, %v", stateNames[row.state], got, err)
			}
			p = make()
			p.opts.Newest, p.tickets = true, 1 // one has come before, and leaves
			p.state = open
			waited := errors.New("it still waits")
			go func() { waited = p.take() }()
			synctest.Wait()
			p.mu.Lock()
			p.state = row.state
			p.turn = 1
			p.changed.Broadcast()
			p.mu.Unlock()
			synctest.Wait()
			if (waited == nil) != (row.state <= retired) || waited != nil && !errors.Is(waited, transport.ErrClosed) {
				t.Errorf("%s: a POST that has waited: %v", stateNames[row.state], waited)
			}
			p = make()
			post := "read"
			if err := p.take(); errors.Is(err, transport.ErrClosed) {
				post = refused
			}
			if post != row.post {
				t.Errorf("%s: a POST: %s", stateNames[row.state], post)
			}
		})
		if got := after(func(p *poll) { p.Close(transport.Normal, "") }); got != row.closes {
			t.Errorf("%s: Close: %s", stateNames[row.state], got)
		}
		if got := after(func(p *poll) { p.Close(transport.NoStatus, "") }); got != row.closesAtOnce {
			t.Errorf("%s: Close at once: %s", stateNames[row.state], got)
		}
		if got := after((*poll).Retire); got != row.retires {
			t.Errorf("%s: Retire: %s", stateNames[row.state], got)
		}
	}
}

var stateNames = [...]string{"open", "held", "retired", "lingering", "closing", "ending", "ended"}

// answer is what a request is answered with, "refused" when it is not, and nothing
// when the request waits: then the client leaves.
func answer(p *poll, serve func(x host.Exchange) error) string {
	x := &client{gone: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- serve(x) }()
	synctest.Wait()
	select {
	case err := <-done:
		if err != nil {
			return "refused"
		}
		return x.body
	default:
	}
	close(x.gone)
	<-done
	return ""
}

// client is a request that takes its answer, and leaves when gone is closed.
type client struct {
	host.Exchange
	gone chan struct{}
	body string
}

func (c *client) Gone() <-chan struct{}    { return c.gone }
func (c *client) SetHeader(string, string) {}
func (c *client) Reply(_ int, b []byte) error {
	c.body = string(b)
	return nil
}

// joined is a codec whose payload is all messages, one behind the other.
type joined struct{ plain }

func (joined) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	for _, m := range ms {
		dst = append(dst, m.Data()...)
	}
	return dst, "text/plain"
}

// TestEndWakesWaiters: whoever waits for another request of a session learns of
// the session's end at once. When another transport takes over, the session goes on: a
// POST that waits for its turn has it, and Retire waits for that POST too.
func TestEndWakesWaiters(t *testing.T) {
	for name, end := range map[string]func(p *poll){
		"close":         func(p *poll) { p.Close(transport.Normal, "") },
		"close at once": func(p *poll) { p.Close(transport.NoStatus, "") },
		"retire":        nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := Transport{}.New(quiet{}, transport.PollOptions{Name: Name, Newest: true}).(*poll)
			free := make(chan struct{})
			slow := &slowBody{free: free}
			go func() { _ = p.Post(slow, transport.PollRequest{Payloads: plain{}}, 10) }()
			synctest.Wait()
			second := make(chan error, 1)
			go func() { second <- p.Post(slow, transport.PollRequest{Payloads: plain{}}, 10) }()
			awaited := make(chan bool, 1)
			go func() { p.Await(time.Hour); awaited <- true }()
			synctest.Wait()
			start := time.Now()
			retired := make(chan bool, 1)
			if end != nil {
				end(p)
				if err := <-second; !errors.Is(err, transport.ErrClosed) {
					t.Errorf("%s: a POST behind another: %v", name, err)
				}
			} else {
				go func() { p.Retire(); retired <- true }()
			}
			<-awaited
			if d := time.Since(start); d != 0 {
				t.Errorf("%s: they waited for %v", name, d)
			}
			synctest.Wait()
			if end == nil && len(second)+len(retired) != 0 {
				t.Error("retire: nothing waits for the first POST")
			}
			close(free)
			if end != nil {
				return
			}
			<-retired
			synctest.Wait()
			select {
			case err := <-second:
				if err != nil {
					t.Errorf("retire: a POST behind another: %v", err)
				}
			default:
				t.Error("retire: it returned before the POST that waited")
			}
			if err := p.Post(slow, transport.PollRequest{Payloads: plain{}}, 10); !errors.Is(err, transport.ErrClosed) {
				t.Errorf("retire: a POST that comes afterwards: %v", err)
			}
		})
	}
}

// slowBody is a request whose body comes late.
type slowBody struct {
	host.Exchange
	free chan struct{}
}

func (*slowBody) Header(string) string { return "" }
func (s *slowBody) Body(int64) ([]byte, error) {
	<-s.free
	return nil, nil
}
