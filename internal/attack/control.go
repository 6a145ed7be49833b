package attack

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// control is the client that every row leaves alone. It was there before, and must go on.
type control struct {
	s  *server
	ws *wire.WS

	sending sync.Mutex
	sent    int

	mu    sync.Mutex
	got   int
	wrong string
	more  chan struct{} // renewed with each message
	ended chan struct{}
}

// expected is how many messages the control client must get behind each row.
const expected = 20

func newControl(t testing.TB, s *server) *control {
	c := &control{s: s, more: make(chan struct{}), ended: make(chan struct{})}
	client := wire.New(t, s.url, mount+"/")
	client.Patience = time.Hour // between two messages
	c.ws = client.Join("/control,")
	go c.read()
	return c
}

// read takes the messages, which must be the numbers in their order.
func (c *control) read() {
	defer close(c.ended)
	for {
		m, err := c.ws.Read()
		c.mu.Lock()
		want := fmt.Sprintf(`42/control,["tick",%d]`, c.got+1)
		switch {
		case err != nil:
			c.wrong = fmt.Sprintf("the control client has ended: %v", err)
		case m != want && c.wrong == "":
			c.wrong = fmt.Sprintf("the control client got %s instead of %s", m, want)
		}
		c.got++
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// check sends the control client its next messages, and waits for them.
func (c *control) check(p *probe) {
	c.sending.Lock()
	defer c.sending.Unlock()
	for range expected {
		c.sent++
		if err := c.s.srv.Of("/control").Emit("tick", c.sent); err != nil {
			p.Errorf("emit to the control client: %v", err)
			return
		}
	}
	late := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		got, wrong, more := c.got, c.wrong, c.more
		c.mu.Unlock()
		switch {
		case wrong != "":
			p.Errorf("%s", wrong)
			return
		case got >= c.sent:
			return
		}
		select {
		case <-more:
		case <-late:
			p.Errorf("the control client has %d of %d messages", got, c.sent)
			return
		}
	}
}

func (c *control) stop() {
	_ = c.ws.Conn.Close()
	<-c.ended
}
