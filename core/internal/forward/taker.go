package forward

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
)

// answerTimeout is how long the end that passes a request on may take to answer a question,
// beside the time that its client has for large bodies.
const answerTimeout = 30 * time.Second

// taker serves a connection of another node. Its goroutine reads.
type taker struct {
	f    *Forwarder
	c    *conn
	dead chan struct{} // closed when nothing is read any more
}

// serve serves one exchange after the other.
func (t *taker) serve() {
	var x *exchange
	handed := false
	defer func() {
		close(t.dead)
		if !handed {
			_ = t.c.Close()
		}
		if x != nil && !handed {
			x.leave()
		}
	}()
	_ = t.c.SetReadDeadline(time.Now().Add(takenIdleTimeout))
	for {
		f, err := t.c.receive()
		if err != nil {
			return
		}
		switch {
		case f.kind == request && (x == nil || x.over.Load()):
			_ = t.c.SetReadDeadline(time.Time{})
			h, ok := parseHead(f.data)
			if !ok {
				return
			}
			next := &exchange{taker: t, head: h, answers: make(chan frame, 1), gone: make(chan struct{})}
			x = next
			if !t.f.goes(func() { t.run(next) }) {
				return
			}
		case (f.kind == left || f.kind == hurry) && x != nil:
			x.present.Store(f.kind == hurry)
			x.leave()
		case f.kind == answer && x != nil && x.asking.CompareAndSwap(true, false):
			p := parser{data: f.data}
			handed = x.upgrading.Load() && p.err() == nil
			x.answers <- f
			if handed { // what follows is the websocket's
				return
			}
		default:
			return
		}
	}
}

// run serves one exchange.
func (t *taker) run(x *exchange) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			t.f.opts.Logger.Error("siokit: panic in a request that another node has passed on", "panic", p)
		}
		if !returned {
			_ = t.c.Close()
		}
	}()
	t.f.h.ServeExchange(x)
	returned = true
	if x.taken {
		return
	}
	x.over.Store(true)
	_ = t.c.SetReadDeadline(time.Now().Add(takenIdleTimeout))
	if t.c.send(over) != nil {
		_ = t.c.Close()
	}
}

// Passed is an exchange that another node has passed on. It is not passed on again.
type Passed interface {
	passed()
}

// exchange is a request that another node has passed on.
type exchange struct {
	*taker
	head
	changes []change // of headers, that the other end has not been told
	has     map[string]bool

	asking, upgrading, over atomic.Bool
	present                 atomic.Bool // the client is there, though gone is closed
	taken                   bool
	answers                 chan frame
	gone                    chan struct{}
	once                    sync.Once
}

var (
	_ host.Exchange    = (*exchange)(nil)
	_ host.Detailer    = (*exchange)(nil)
	_ host.CookieHider = (*exchange)(nil)
	_ host.Prober      = (*exchange)(nil)
	_ Passed           = (*exchange)(nil)
)

func (x *exchange) passed() {}

func (x *exchange) leave() { x.once.Do(func() { close(x.gone) }) }

var errSilent = errors.New("the node that has passed the request on does not answer")

// ask asks the other end and waits for the answer. The error of the host there is returned.
func (x *exchange) ask(k kind, wait time.Duration, parts ...[]byte) (*parser, error) {
	lost := func(err error) error {
		_ = x.c.Close()
		return fmt.Errorf("%w: %w", host.ErrGone, err)
	}
	x.asking.Store(true)
	if err := x.c.send(k, parts...); err != nil {
		return nil, lost(err)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case f := <-x.answers:
		return x.read(f)
	case <-timer.C:
		return nil, lost(errSilent)
	case <-x.dead:
		select {
		case f := <-x.answers: // the last that came
			return x.read(f)
		default:
			return nil, lost(net.ErrClosed)
		}
	}
}

// read reads an answer. What has panicked at the other end panics here: what is to be done then
// is the same for an exchange that was not passed on.
func (x *exchange) read(f frame) (*parser, error) {
	p := &parser{data: f.data}
	err := p.err()
	if errors.Is(err, errPanic) {
		panic(err)
	}
	return p, err
}

// Method implements host.Exchange.
func (x *exchange) Method() string { return x.method }

// Path implements host.Exchange.
func (x *exchange) Path() string { return x.path }

// Query implements host.Exchange.
func (x *exchange) Query(key string) string { return host.QueryValue(x.query, key) }

// RawQuery implements host.Exchange.
func (x *exchange) RawQuery() string { return x.query }

// Header implements host.Exchange.
func (x *exchange) Header(key string) string { return x.header(key) }

// EachHeader implements host.Exchange.
func (x *exchange) EachHeader(f func(key, value string)) {
	for _, kv := range x.headers {
		f(kv[0], kv[1])
	}
}

// HideCookies implements host.CookieHider.
func (x *exchange) HideCookies() {
	kept := x.headers[:0]
	for _, kv := range x.headers {
		if !strings.EqualFold(kv[0], "Cookie") {
			kept = append(kept, kv)
		}
	}
	x.headers = kept
}

// Body implements host.Exchange.
func (x *exchange) Body(limit int64) ([]byte, error) {
	limit = min(limit, maxFrame-piece)
	p, err := x.ask(askBody, answerTimeout, binary.AppendUvarint(nil, uint64(max(0, limit))))
	if err != nil {
		return nil, err
	}
	if int64(len(p.data)) > limit {
		return nil, host.ErrTooLarge
	}
	return p.data, nil
}

// RemoteAddr implements host.Exchange.
func (x *exchange) RemoteAddr() string { return x.remote }

// TLS implements host.Exchange.
func (x *exchange) TLS() *tls.ConnectionState { return x.tls }

// Details implements host.Detailer.
func (x *exchange) Details() host.Details { return x.details }

// SetHeader implements host.Exchange.
func (x *exchange) SetHeader(key, value string) { x.change(change{false, key, value}) }

// AddHeader implements host.Exchange.
func (x *exchange) AddHeader(key, value string) { x.change(change{true, key, value}) }

func (x *exchange) change(c change) {
	x.changes = append(x.changes, c)
	if x.has == nil {
		x.has = make(map[string]bool)
	}
	k := strings.ToLower(c.key)
	x.has[k] = c.value != "" || c.add && x.has[k]
}

// HasHeader implements host.Exchange.
func (x *exchange) HasHeader(key string) bool {
	if has, ok := x.has[strings.ToLower(key)]; ok {
		return has
	}
	p, err := x.ask(askHeader, answerTimeout, appendText(nil, key))
	return err == nil && p.number() == 1
}

// told returns the changes of headers for the other end.
func (x *exchange) told() []byte {
	b := appendChanges(nil, x.changes)
	x.changes = nil
	return b
}

// Reply implements host.Exchange.
func (x *exchange) Reply(status int, body []byte) error {
	head := append(binary.AppendUvarint(nil, uint64(status)), x.told()...)
	_, err := x.ask(askReply, answerTimeout+patience(len(body)), head, body)
	return err
}

// Stream implements host.Exchange.
func (x *exchange) Stream(status int, run func(host.Stream)) error {
	_, err := x.ask(askStream, answerTimeout, binary.AppendUvarint(nil, uint64(status)), x.told())
	if err == nil {
		run(&stream{x: x})
	}
	return err
}

// stream is the answer in pieces. Each is acknowledged by the other end.
type stream struct {
	x    *exchange
	data []byte
}

// Write implements host.Stream.
func (s *stream) Write(p []byte) (int, error) {
	if s.data = append(s.data, p...); len(s.data) >= piece {
		if err := s.Flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Flush implements host.Stream.
func (s *stream) Flush() error {
	_, err := s.x.ask(askWrite, answerTimeout+patience(len(s.data)), s.data)
	s.data = s.data[:0]
	return err
}

// Upgrade implements host.Exchange. The host at the other end does the opening handshake.
func (x *exchange) Upgrade(opts host.UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error {
	n := uint64(0) // 0: none were given
	if opts.Protocols != nil {
		n = uint64(len(opts.Protocols)) + 1
	}
	b := binary.AppendUvarint(nil, n)
	for _, p := range opts.Protocols {
		b = appendText(b, p)
	}
	x.upgrading.Store(true)
	_, err := x.ask(askUpgrade, answerTimeout, b, x.told())
	x.upgrading.Store(false)
	if err != nil {
		return err
	}
	x.taken = true
	<-x.dead // the reader has ended
	_ = x.c.SetDeadline(time.Time{})
	go run(x.c.Conn, x.c.rest())
	return nil
}

// Gone implements host.Exchange.
func (x *exchange) Gone() <-chan struct{} { return x.gone }

// Present implements host.Prober: the host where the request came may be about to stop.
func (x *exchange) Present() bool { return x.present.Load() }

// Native implements host.Exchange: the framework's context is at the other end.
func (x *exchange) Native() any { return nil }
