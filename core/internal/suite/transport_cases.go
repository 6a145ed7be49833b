package suite

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// The cases of RunTransport.

// arrivesUp: messages of both kinds arrive whole and in order.
func arrivesUp(t *testing.T, l *link, p Peer) {
	for i := range 500 {
		f := packet.Frame{Data: fmt.Appendf(nil, "message %d é€😀", i)}
		if i%10 == 0 {
			f = packet.Frame{Binary: true, Data: []byte{byte(i), 0xff, 0}}
		}
		if err := p.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		got, want := l.next(t), fmt.Sprintf("text message %d é€😀", i)
		if i%10 == 0 {
			want = "binary " + string([]byte{byte(i), 0xff, 0})
		}
		if got != want {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

// arrivesDown: what many send arrives in order of each, with binary, attachments and a large message.
func arrivesDown(t *testing.T, l *link, p Peer) {
	const senders, each = 8, 200
	for g := range senders {
		go func() {
			for i := range each {
				l.send(packet.TextMessage(fmt.Sprintf("%d %d", g, i)))
			}
		}()
	}
	var next [senders]int
	for range senders * each {
		f, err := p.Receive()
		if err != nil {
			t.Fatal(err)
		}
		var g, i int
		if n, _ := fmt.Sscanf(string(f.Data), "%d %d", &g, &i); n != 2 || f.Binary || i != next[g] {
			t.Fatalf("got %q, where sender %d is at %d", f.Data, g, next[g])
		}
		next[g]++
	}
	l.send(packet.BinaryMessage([]byte{1, 0, 0xff}))
	if f, err := p.Receive(); err != nil || !f.Binary || string(f.Data) != "\x01\x00\xff" {
		t.Errorf("binary: %v %v", f, err)
	}
	l.send(packet.TextMessage("header").Attach([]byte("one"), []byte("two")))
	for _, want := range []string{"header", "one", "two"} {
		if f, err := p.Receive(); err != nil || string(f.Data) != want || f.Binary != (want != "header") {
			t.Errorf("%q instead of %q: %v", f.Data, want, err)
		}
	}
	big := strings.Repeat("é", 300_000)
	l.send(packet.TextMessage(big))
	if f, err := p.Receive(); err != nil || string(f.Data) != big {
		t.Errorf("a large message: %d bytes, %v", len(f.Data), err)
	}
	l.settled(t)
}

// closes: Close lets what waits leave first.
func closes(t *testing.T, l *link, p Peer) {
	l.mu.Lock()
	for i := range 50 {
		l.queue = append(l.queue, packet.TextMessage(fmt.Sprint(i)))
	}
	l.mu.Unlock()
	l.conn.Close(transport.Normal, "enough")
	for i := range 50 {
		if f, err := p.Receive(); err != nil || string(f.Data) != fmt.Sprint(i) {
			t.Fatalf("what was queued before Close: message %d is %q, %v", i, f.Data, err)
		}
	}
	if f, err := p.Receive(); err == nil {
		t.Errorf("behind the close: %q", f.Data)
	}
	p.Close()
	l.lostOnce(t)
}

// closesAtOnce: a transport that is closed when it has begun is told its end, and a second Close does no harm.
func closesAtOnce(t *testing.T, l *link, p Peer) {
	l.conn.Close(transport.NoStatus, "")
	l.lostOnce(t)
	if f, err := p.Receive(); err == nil {
		t.Errorf("got %q", f.Data)
	}
	l.conn.Close(transport.Normal, "again") // must not harm
	l.conn.Flush()
}

// clientLeaves: a client that leaves in order is no fault.
func clientLeaves(t *testing.T, l *link, p Peer) {
	p.Close()
	if err := l.lostOnce(t); err != nil && !errors.Is(err, transport.ErrClosed) {
		t.Errorf("a client that leaves in order: %v", err)
	}
	l.conn.Flush()
}

// clientLost: what came before the network was lost counts.
func clientLost(t *testing.T, l *link, p Peer) {
	if err := p.Send(packet.Frame{Data: []byte("last")}); err != nil {
		t.Fatal(err)
	}
	if got := l.next(t); got != "text last" {
		t.Errorf("got %q", got)
	}
	p.Reset()
	l.lostOnce(t)
}

// linkRefuses: the error of Frame ends the connection, and is what Lost is told.
func linkRefuses(t *testing.T, l *link, p Peer) {
	l.mu.Lock()
	l.refuse = &transport.Error{Code: transport.ProtocolError, Text: "refused"}
	l.mu.Unlock()
	_ = p.Send(packet.Frame{Data: []byte("x")})
	var e *transport.Error
	if err := l.lostOnce(t); !errors.As(err, &e) || e.Text != "refused" {
		t.Errorf("the error of Frame has become %v", err)
	}
	if f, err := p.Receive(); err == nil {
		t.Errorf("got %q", f.Data)
	}
}

// detaches: a reader that is detached reads on while the message before is handled.
func detaches(t *testing.T, l *link, p Peer) {
	hold := make(chan struct{})
	defer close(hold)
	l.mu.Lock()
	l.hold = hold
	l.mu.Unlock()
	for _, m := range []string{"one", "two", "three"} {
		if err := p.Send(packet.Frame{Data: []byte(m)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"text one", "text two", "text three"} { // though the first is still being handled
		if got := l.next(t); got != want {
			t.Fatalf("%q instead of %q", got, want)
		}
	}
}

// tooBig: a message of the limit arrives, a larger one ends the connection.
func tooBig(t *testing.T, l *link, p Peer, limit int) {
	if limit == 0 {
		t.Skip("the transport has no limit")
	}
	if err := p.Send(packet.Frame{Data: make([]byte, limit)}); err != nil {
		t.Fatal(err)
	}
	if got := l.next(t); len(got) != len("text ")+limit {
		t.Errorf("a message of the limit: %d bytes", len(got))
	}
	_ = p.Send(packet.Frame{Data: make([]byte, limit+1)})
	var e *transport.Error
	if err := l.lostOnce(t); !errors.As(err, &e) || e.Code != transport.TooBig {
		t.Errorf("a larger one: %v", err)
	}
}
