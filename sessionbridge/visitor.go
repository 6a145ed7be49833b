package sessionbridge

import (
	"maps"
	"reflect"
	"sync"

	"github.com/siokit/siokit/core/sio"
)

// visitor tells whether a request comes from the visitor who opened the connection,
// where the session is in the cookie. The cookie is another one after every save, so
// what it holds is compared:
//
//   - With Options.UserKey and somebody logged in, the user must be the same. What else
//     the session holds may change.
//   - Otherwise everything that the session held at the handshake must be there
//     unchanged. What is added does not matter, unless the session was empty: an
//     empty one tells nobody apart, so it must stay empty.
//
// What the ferry changes is expected, from the moment when it is sent on: the cookie
// of before may still arrive.
type visitor struct {
	dec  CookieBackend
	user string

	mu  sync.Mutex
	may []Values // what the cookie may hold: as it was, and as the ferry has changed it
}

// decode returns what handlers see of a request's session, and all that it holds.
func (v *visitor) decode(r *sio.Request) (seen, all Values, err error) {
	seen, hidden, err := v.dec.Decode(r)
	if err != nil {
		return nil, nil, err
	}
	all = make(Values, len(seen)+len(hidden))
	maps.Copy(all, seen)
	maps.Copy(all, hidden)
	return seen, all, nil
}

// start remembers the visitor of the handshake, and returns what handlers see.
func (v *visitor) start(r *sio.Request) (Values, error) {
	seen, all, err := v.decode(r)
	if err == nil {
		v.may = []Values{all}
	}
	return seen, err
}

// check refuses the request of another visitor.
func (v *visitor) check(r *sio.Request) error {
	_, now, err := v.decode(r)
	if err != nil {
		if gone(err) {
			err = errAnother
		}
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, was := range v.may {
		if v.same(was, now) {
			return nil
		}
	}
	return errAnother
}

func (v *visitor) same(was, now Values) bool {
	if v.user != "" {
		user := was[v.user]
		if !reflect.DeepEqual(user, now[v.user]) {
			return false
		}
		if user != nil {
			return true
		}
	}
	if len(was) == 0 {
		return len(now) == 0
	}
	for name, value := range was {
		if have, ok := now[name]; !ok || !reflect.DeepEqual(have, value) {
			return false
		}
	}
	return true
}

// changes says that a cookie goes to the client in the answer to a request whose session
// holds now. In the cookie the values before have become those after.
func (v *visitor) changes(now, before, after Values) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, was := range v.may {
		if !v.same(was, now) {
			continue
		}
		next := maps.Clone(was)
		if next == nil {
			next = Values{}
		}
		expect := func(name string) {
			_, told := was[name]
			value, there := after[name]
			switch {
			case !told && name != v.user && len(was) > 0: // it does not tell who this is
			case there:
				next[name] = value
			default:
				delete(next, name)
			}
		}
		for name, value := range before {
			if have, ok := after[name]; !ok || !reflect.DeepEqual(have, value) {
				expect(name)
			}
		}
		for name := range after {
			if _, ok := before[name]; !ok {
				expect(name)
			}
		}
		v.may = []Values{was, next}
		return nil
	}
	return errAnother // the check of the same request has passed: cannot be
}
