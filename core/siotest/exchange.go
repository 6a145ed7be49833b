package siotest

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	keptLines  = 1000 // of the exchange of one test, at least
	shownLines = 40   // the latest ones of the connection, and as many of all
)

// exchange is what the visitors of one test have sent and received, in order.
type exchange struct {
	from time.Time

	mu    sync.Mutex
	conns int // numbers that were given to connections
	lines []line
	gone  int // so many were dropped
}

// line is one of the connection conn; 0 is none.
type line struct {
	conn int
	text string
}

var exchanges = struct {
	sync.Mutex
	of map[testing.TB]*exchange
}{of: map[testing.TB]*exchange{}}

// exchangeOf returns the exchange of a test, which all visitors of that test share.
func exchangeOf(t testing.TB) *exchange {
	if !reflect.ValueOf(t).Comparable() { // no key of a map: a wrapper that the application has made
		return &exchange{from: time.Now()}
	}
	exchanges.Lock()
	defer exchanges.Unlock()
	x := exchanges.of[t]
	if x == nil {
		x = &exchange{from: time.Now()}
		exchanges.of[t] = x
		t.Cleanup(func() {
			exchanges.Lock()
			defer exchanges.Unlock()
			delete(exchanges.of, t)
		})
	}
	return x
}

// number is that of a new connection; the first is 1.
func (x *exchange) number() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conns++
	return x.conns
}

// note adds a line.
func (x *exchange) note(conn int, format string, args ...any) {
	who := "  "
	if conn > 0 {
		who = fmt.Sprintf("#%d", conn)
	}
	text := fmt.Sprintf("%9.3fs %s %s", time.Since(x.from).Seconds(), who, clip(fmt.Sprintf(format, args...)))
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lines = append(x.lines, line{conn, text}); len(x.lines) >= 2*keptLines {
		n := len(x.lines) - keptLines
		x.gone += n
		x.lines = append([]line(nil), x.lines[n:]...)
	}
}

// show is what a failure of the connection shows: its latest lines, and the latest of all
// connections, in order.
func (x *exchange) show(conn int) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	shown := make([]bool, len(x.lines))
	own := 0
	for i := len(x.lines) - 1; i >= 0; i-- {
		mine := x.lines[i].conn == conn
		if mine {
			own++
		}
		shown[i] = mine && own <= shownLines || len(x.lines)-i <= shownLines
	}
	if len(x.lines) == 0 {
		return "Nothing was sent."
	}
	var b strings.Builder
	b.WriteString("The exchange, > sent and < received")
	if conn > 0 {
		fmt.Fprintf(&b, "; this is #%d", conn)
	}
	b.WriteByte(':')
	left := x.gone
	for i, l := range x.lines {
		if !shown[i] {
			left++
			continue
		}
		if left > 0 {
			fmt.Fprintf(&b, "\n           (%d lines are left out)", left)
			left = 0
		}
		b.WriteString("\n" + l.text)
	}
	return b.String()
}
