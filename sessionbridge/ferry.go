package sessionbridge

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"runtime/debug"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// ferry changes a session in a cookie on the polls of its connection, one change
// after the other. Each takes two polls: one that shows the cookie as it is, so
// that nothing that an HTTP handler has written or ended is overwritten, and
// whose answer carries the change; and the next, which shows that it has arrived.
type ferry struct {
	s       *Session
	conn    *sio.Conn
	enc     CookieEncoder
	visitor *visitor

	mu   sync.Mutex
	jobs []*job
}

// job is one change.
type job struct {
	f     func(v Values) error
	sent  string // the cookie that the client should have now
	after Values
	tries int
	done  chan error // holds one
}

// panicked is a panic of a job's function on its way to Update's caller: the
// function runs in a poll, which has nothing to do with it.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

func (j *job) call(v Values) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return j.f(v)
}

// update is Session.Update.
func (y *ferry) update(ctx context.Context, f func(v Values) error) error {
	if !y.polls() {
		return ErrReadOnly
	}
	j := &job{f: f, done: make(chan error, 1)}
	y.mu.Lock()
	y.jobs = append(y.jobs, j)
	y.mu.Unlock()
	y.conn.EndPoll() // the poll that is held has the cookie as it was
	select {
	case err := <-j.done:
		if p, ok := err.(*panicked); ok {
			panic(p.Error())
		}
		return err
	case <-y.conn.Context().Done():
		return ErrDestroyed
	case <-ctx.Done():
		y.drop(j)
		return ctx.Err()
	}
}

// polls reports whether the client polls: only then is there an answer to ride on.
func (y *ferry) polls() bool { return y.conn.Transport() == "polling" }

func (y *ferry) drop(j *job) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for i, o := range y.jobs {
		if o == j {
			y.jobs = append(y.jobs[:i:i], y.jobs[i+1:]...)
			return
		}
	}
}

// visit sees every request of the connection.
func (y *ferry) visit(x host.Exchange) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if x.Query("transport") != "polling" { // an upgrade: nothing rides any more
		for _, j := range y.jobs {
			j.done <- ErrReadOnly
		}
		y.jobs = nil
		return nil
	}
	if x.Method() != http.MethodGet {
		return nil
	}
	r := sio.NewRequest(x)
	for len(y.jobs) > 0 {
		sent, err := y.step(x, r, y.jobs[0])
		if sent {
			y.conn.EndPoll() // or the answer would be held
			return nil
		}
		y.jobs[0].done <- err
		y.jobs = y.jobs[1:]
	}
	return nil
}

// step takes a job as far as this poll takes it. It reports whether the poll's
// answer carries a cookie now; else the job is over.
func (y *ferry) step(x host.Exchange, r *sio.Request, j *job) (sent bool, err error) {
	now, all, err := y.visitor.decode(r)
	if err != nil {
		return false, ErrDestroyed // logged out meanwhile
	}
	if j.sent != "" && y.carries(r, j) {
		y.s.keep(j.after)
		return false, nil
	}
	if j.tries++; j.tries > y.s.b.opts.Retries {
		return false, ErrConflict
	}
	after := maps.Clone(now)
	if after == nil {
		after = Values{}
	}
	if err := j.call(after); err != nil {
		return false, err
	}
	if reflect.DeepEqual(now, after) {
		y.s.keep(after)
		return false, nil
	}
	c, err := y.enc.Encode(r, after)
	if err != nil {
		return false, err
	}
	if err := y.visitor.changes(all, now, after); err != nil {
		return false, err
	}
	x.AddHeader("Set-Cookie", c.String())
	j.sent, j.after = c.Name+"="+c.Value, after
	return true, nil
}

// carries reports whether the client has the cookie that it was sent.
func (y *ferry) carries(r *sio.Request, j *job) bool {
	for _, c := range (&http.Request{Header: r.Header}).Cookies() {
		if c.Name+"="+c.Value == j.sent {
			return true
		}
	}
	return false
}
