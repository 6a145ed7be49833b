package sio

import (
	"bufio"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
)

// neverRuns is an exchange of middleware that answers, and loses what it is given to run.
type neverRuns struct{ host.Exchange }

func (neverRuns) Stream(int, func(host.Stream)) error { return nil }

func (neverRuns) Upgrade(host.UpgradeOptions, func(net.Conn, *bufio.Reader)) error { return nil }

// TestNothingIsWaitedForInVain: what middleware loses is run in the end, once, with
// something that has ended.
func TestNothingIsWaitedForInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, runs := inside{Exchange: neverRuns{}}, make(chan error, 4)
		_ = x.Stream(http.StatusOK, func(s host.Stream) {
			_, err := s.Write([]byte("x"))
			runs <- err
			runs <- s.Flush()
		})
		_ = x.Upgrade(host.UpgradeOptions{}, func(c net.Conn, _ *bufio.Reader) {
			_, err := c.Read(make([]byte, 1))
			runs <- err
		})
		time.Sleep(host.StreamTimeout - time.Second)
		if len(runs) > 0 {
			t.Error("too early")
		}
		time.Sleep(2 * time.Second)
		for range 3 {
			if err := <-runs; err == nil {
				t.Error("what is run has not ended")
			}
		}
	})
}

// later is an exchange of a host that runs what it is given after the answer.
type later struct {
	host.Exchange
	conn net.Conn
	runs chan func()
}

func (x later) Stream(_ int, run func(host.Stream)) error {
	x.runs <- func() { run(noStream{}) }
	return nil
}

func (x later) Upgrade(_ host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	x.runs <- func() { run(x.conn, nil) }
	return nil
}

// TestHostNeedsNoRecover: what a host is given to run does not panic and does not end the
// host's goroutine, for a stream; the connection is closed, the failure named, and what
// waits behind the middleware is told.
func TestHostNeedsNoRecover(t *testing.T) {
	for name, code := range map[string]func(){"panic": func() { panic("middleware") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var log testkit.Log
			told := make(chan Failure, 4)
			s := NewServer(&Options{Logger: log.Logger(), OnError: func(in Failure) { told <- in }})
			defer func() { _ = s.Shutdown(t.Context()) }()
			conn, peer := net.Pipe()
			defer func() { _ = peer.Close() }()
			x := later{conn: conn, runs: make(chan func(), 1)}
			waits := make(chan struct{}, 2)
			outer := &tracked{Exchange: x, srv: s}
			inner := inside{outer, outer}

			outer.offered = inner.offer(func() { waits <- struct{}{} })
			if err := outer.Stream(http.StatusOK, func(host.Stream) { code() }); err != nil {
				t.Fatal(err)
			}
			(<-x.runs)()
			<-waits

			outer.offered = inner.offer(func() { waits <- struct{}{} })
			if err := outer.Upgrade(host.UpgradeOptions{}, func(net.Conn, *bufio.Reader) { code() }); err != nil {
				t.Fatal(err)
			}
			go (<-x.runs)()
			<-waits
			if _, err := conn.Write([]byte("x")); err == nil {
				t.Error("the connection is open")
			}
			for range 2 {
				if in := <-told; in.Name != FailurePanic || in.Where != "UseExchange" {
					t.Errorf("told %+v", in)
				}
			}
		})
	}
}

// TestRunOnce: middleware that runs twice what it was given starts no second session, and
// a refused Upgrade starts none.
func TestRunOnce(t *testing.T) {
	conn, peer := net.Pipe()
	defer func() { _ = peer.Close() }()
	x, n := later{conn: conn, runs: make(chan func(), 1)}, 0
	outer := &tracked{Exchange: x}
	if err := (inside{x, outer}).Upgrade(host.UpgradeOptions{}, func(net.Conn, *bufio.Reader) { n++ }); err != nil {
		t.Fatal(err)
	}
	run := <-x.runs
	run()
	run()
	outer.offered.withdraw()
	if n != 1 {
		t.Errorf("run %d times", n)
	}
}
