package doctor

import (
	"context"
	"net/http"
	"time"
)

// both posts while a poll is held: a CONNECT for a namespace that does not exist,
// which every server answers.
//
// Where requests wait for each other, the POST gets through when the poll has ended. On a busy
// machine a poll may end by chance while the POST is under way, so it is tried three times before
// that is a finding.
func (e *exam) both(ctx context.Context) outcome {
	joined := e.joined
	for tries := 3; e.posts && e.together(ctx, joined, tries == 1); tries-- {
		o, ok := e.reopen(ctx)
		if !ok {
			break
		}
		e.open, joined = o, false
	}
	return goOn
}

// together is one try of both. It reports whether another one has to decide, which the last does
// not.
func (e *exam) together(ctx context.Context, joined, last bool) (again bool) {
	held, cancel := context.WithCancel(ctx)
	defer cancel()
	poll, early := e.hang(held)
	if early.brings() { // no fault: the ping, or the namespace talks; who has joined nothing hears little
		o, ok := e.reopen(ctx)
		if !ok {
			return false
		}
		e.open, joined = o, false
		poll, early = e.hang(held)
	}
	if poll == nil && !joined && early.closes() {
		return false // the server does not keep those who are in no namespace
	}
	if poll == nil {
		e.find("A poll is held until there is something to say. A timeout of the host cuts it off at once, or another client uses the session.", "a poll was not held: %s", early.short())
		return false
	}
	a, err := e.do(ctx, e.Patience, "POST", session(e.open.sid), "40/siokit-doctor,")
	const lock = "Requests of one client wait for each other: a session middleware with a lock, a limit of concurrent requests, or a proxy. Exclude the route."
	if err != nil {
		e.find(lock, "a POST while a poll is held is not answered: %v", err)
		return false
	}
	waited := func() bool {
		if !last && a.took < 5*time.Second {
			return true
		}
		e.find(lock, "a POST was answered after %v, when the poll had ended", a.took.Round(10*time.Millisecond))
		return false
	}
	if a.isRefusal() && a.took > 100*time.Millisecond { // the session has ended, and only then the POST got through
		return waited()
	}
	if a.status != http.StatusOK {
		e.find("Requests of one client are limited: exclude the route from the rate or concurrency limit.", "a POST while a poll is held: %s", a.short())
		e.limited = true
		return false
	}
	select {
	case p := <-poll:
		switch {
		case p.status != http.StatusOK:
			e.find("A middleware ends held answers. Exclude the route.", "the held poll: %s", p.short())
		case p.body == "2" && a.took > 100*time.Millisecond: // the ping ended it, and only then the POST got through
			return waited()
		}
	case <-time.After(e.Patience):
		e.find("Answers are kept back: a middleware or proxy buffers them until they are large or over. Exclude the route, and turn off buffering in the proxy (nginx: proxy_buffering off).", "a held poll was not answered when there was something to say")
	}
	return false
}

// hang polls, and returns the poll while it is held, or the answer that came early.
func (e *exam) hang(ctx context.Context) (<-chan answer, answer) {
	poll := make(chan answer, 1)
	go func() {
		a, err := e.do(ctx, e.hold(e.open.interval)+e.Patience, "GET", session(e.open.sid), "")
		if err != nil {
			a.body = err.Error()
		}
		poll <- a
	}()
	select {
	case a := <-poll:
		return nil, a
	case <-time.After(300 * time.Millisecond):
		return poll, answer{}
	}
}
