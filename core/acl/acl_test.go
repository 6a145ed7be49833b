package acl

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// subject is a socket without the rest of it.
type subject struct {
	mu sync.Mutex
	m  map[any]any
}

func (s *subject) Get(key any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key]
}

func (s *subject) GetOrSet(key any, mk func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[any]any)
	}
	if _, ok := s.m[key]; !ok {
		s.m[key] = mk()
	}
	return s.m[key]
}

func event(name string) Action { return Action{Kind: Event, Name: name} }

// TestGate walks one gate through its states; each row goes on from the one before.
func TestGate(t *testing.T) {
	g := NewGate(RecvConnect, "login", "message")
	s, other := &subject{}, &subject{}
	for _, row := range []struct {
		what    string
		do      func()
		allowed string // of: connect login say recv_message recv_json
	}{
		{"locked", func() {}, "recv_connect login recv_message recv_json"},
		{"allow", func() { g.Allow(s, "say") }, "recv_connect login say recv_message recv_json"},
		{"deny", func() { g.Deny(s, "login", RecvJSON) }, "recv_connect say recv_message"},
		{"deny what is not there", func() { g.Deny(s, "other") }, "recv_connect say recv_message"},
		{"lift", func() { g.Lift(s) }, "recv_connect login say recv_message recv_json"},
		{"deny when lifted", func() { g.Deny(s, "say", "message") }, "recv_connect login"},
		{"allow when lifted", func() { g.Allow(s, "say") }, "recv_connect login say"},
		{"reset", func() { g.Reset(s) }, "recv_connect login recv_message recv_json"},
	} {
		row.do()
		var got []string
		for _, name := range []string{RecvConnect, "login", "say", RecvMessage, RecvJSON} {
			kind := map[string]Kind{RecvConnect: Connect, RecvMessage: Message, RecvJSON: JSON}
			a := Action{Kind: Event, Name: name}
			if packetName(name) {
				if err := g.Check(context.Background(), s, a); !errors.Is(err, ErrDenied) {
					t.Errorf("%s, the event %s: %v", row.what, name, err)
				}
				a.Kind = kind[name]
			}
			err := g.Check(context.Background(), s, a)
			if (err == nil) != g.Allowed(s, name) || err != nil && !errors.Is(err, ErrDenied) {
				t.Errorf("%s, %s: %v", row.what, name, err)
			}
			if err == nil {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != row.allowed {
			t.Errorf("%s: %v instead of %s", row.what, got, row.allowed)
		}
		if other.Get(g) != nil || g.Allowed(other, "say") {
			t.Errorf("%s: another subject has changed", row.what)
		}
	}
	closed := NewGate()
	for _, a := range []Action{{Kind: Connect, Name: RecvConnect}, {Kind: Message, Name: RecvMessage}, event("x"), event("")} {
		if closed.Check(context.Background(), other, a) == nil {
			t.Errorf("a gate without a list lets %v in", a)
		}
	}
	if err := closed.Check(context.Background(), other, Action{Kind: Join, Name: "room"}); !errors.Is(err, ErrAbstain) {
		t.Errorf("rooms: %v", err)
	}
}

// TestGateConcurrently: rights may be changed from anywhere.
func TestGateConcurrently(t *testing.T) {
	g := NewGate()
	s := &subject{}
	var wg sync.WaitGroup
	for _, name := range strings.Split("abcdefgh", "") {
		wg.Go(func() {
			for range 100 {
				g.Allow(s, name)
				g.Deny(s, name)
				_ = g.Allowed(s, name)
			}
			g.Allow(s, name)
		})
	}
	wg.Wait()
	for _, name := range strings.Split("abcdefgh", "") {
		if !g.Allowed(s, name) {
			t.Errorf("the change of %s is lost", name)
		}
	}
}

func policy(err error) Policy {
	return PolicyFunc(func(context.Context, Subject, Action) error { return err })
}

func TestComposition(t *testing.T) {
	own := errors.New("own reason")
	yes, no, none, why := policy(nil), policy(ErrDenied), policy(ErrAbstain), policy(own)
	for _, row := range []struct {
		what string
		p    Policy
		want error
	}{
		{"all", All(yes, none, yes), nil},
		{"all, one refuses", All(yes, why, no), own},
		{"all of none", All(), ErrAbstain},
		{"all abstain", All(none, none), ErrAbstain},
		{"any", Any(no, yes), nil},
		{"any, none agrees", Any(none, why, no), own},
		{"any, all abstain", Any(none, none), ErrAbstain},
		{"any of none", Any(), ErrDenied},
		{"not yes", Not(yes), ErrDenied},
		{"not no", Not(why), nil},
		{"not none", Not(none), ErrAbstain},
		{"nested", All(Any(no, yes), Not(no)), nil},
	} {
		if err := row.p.Check(context.Background(), &subject{}, event("x")); !errors.Is(err, row.want) {
			t.Errorf("%s: %v instead of %v", row.what, err, row.want)
		}
	}
}

func TestRoomPrefix(t *testing.T) {
	p := RoomPrefix("user:", "team:")
	for _, row := range []struct {
		a    Action
		want error
	}{
		{Action{Kind: Join, Name: "user:7"}, nil},
		{Action{Kind: Join, Name: "team:"}, nil},
		{Action{Kind: Join, Name: "admin"}, ErrDenied},
		{event("user:7"), ErrAbstain},
		{event("admin"), ErrAbstain},
		{Action{Kind: Connect, Name: RecvConnect}, ErrAbstain},
	} {
		if err := p.Check(context.Background(), &subject{}, row.a); !errors.Is(err, row.want) {
			t.Errorf("%v: %v instead of %v", row.a, err, row.want)
		}
	}
}

func TestAuthenticated(t *testing.T) {
	p := Authenticated(func(_ context.Context, s Subject) bool { return s.Get("user") != nil })
	s := &subject{}
	if err := p.Check(context.Background(), s, event("x")); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	s.GetOrSet("user", func() any { return 1 })
	if err := p.Check(context.Background(), s, event("x")); err != nil {
		t.Error(err)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := RateLimit(4, time.Second)
		s, other := &subject{}, &subject{}
		count := func(n int) (ok int) {
			for range n {
				switch err := p.Check(context.Background(), s, event("x")); {
				case err == nil:
					ok++
				case !errors.Is(err, ErrLimited):
					t.Error(err)
				}
			}
			return ok
		}
		if n := count(10); n != 4 {
			t.Errorf("%d at once", n)
		}
		time.Sleep(500 * time.Millisecond) // the virtual clock
		if n := count(10); n != 2 {
			t.Errorf("%d after half a period", n)
		}
		time.Sleep(time.Hour)
		if n := count(10); n != 4 {
			t.Errorf("%d after an hour", n)
		}
		if err := p.Check(context.Background(), other, event("x")); err != nil {
			t.Errorf("another subject: %v", err)
		}
		for _, k := range []Kind{Connect, Join} {
			if err := p.Check(context.Background(), s, Action{Kind: k}); !errors.Is(err, ErrAbstain) {
				t.Errorf("kind %d: %v", k, err)
			}
		}
	})
}

// tab is a subject that shares a connection with others.
type tab struct {
	subject
	conn *subject
}

func (t *tab) Connection() Subject { return t.conn }

// TestRateLimitOfConnections: what one subject has used up, the next one of the
// same connection lacks, whatever kind of action it is.
func TestRateLimitOfConnections(t *testing.T) {
	conn := &subject{}
	for _, row := range []struct {
		p       Policy
		limited Kind
		free    Kind
	}{
		{RateLimit(3, time.Hour), Event, Connect},
		{RateLimit(3, time.Hour, Connect, Join), Connect, Event},
	} {
		for i := range 5 {
			s := &tab{conn: conn} // leaves and joins each time
			want := error(nil)
			if i >= 3 {
				want = ErrLimited
			}
			if err := row.p.Check(context.Background(), s, Action{Kind: row.limited}); err != want {
				t.Errorf("number %d of kind %d: %v", i, row.limited, err)
			}
			if err := row.p.Check(context.Background(), s, Action{Kind: row.free}); !errors.Is(err, ErrAbstain) {
				t.Errorf("kind %d: %v", row.free, err)
			}
		}
		if err := row.p.Check(context.Background(), &tab{conn: &subject{}}, Action{Kind: row.limited}); err != nil {
			t.Errorf("another connection: %v", err)
		}
	}
}

// TestWrongRules are seen at start-up.
func TestWrongRules(t *testing.T) {
	for what, f := range map[string]func(){
		"no events": func() { RateLimit(0, time.Second) },
		"no time":   func() { RateLimit(1, 0) },
		"no kind":   func() { RateLimit(1, time.Second, Join+1) },
		"nil":       func() { Authenticated(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			f()
		}()
	}
}

func BenchmarkGate(b *testing.B) {
	for _, row := range []struct {
		name string
		do   func(*Gate, Subject)
	}{{"initial", func(*Gate, Subject) {}}, {"changed", func(g *Gate, s Subject) { g.Allow(s, "x") }}} {
		b.Run(row.name, func(b *testing.B) {
			g, s := NewGate("echo"), &subject{}
			row.do(g, s)
			a := event("echo")
			b.ReportAllocs()
			for b.Loop() {
				if g.Check(context.Background(), s, a) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
