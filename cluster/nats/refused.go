package natsbus

import (
	"errors"
	"fmt"

	"github.com/siokit/siokit/core/cluster"
)

// errUnfit is why a message was not published that is not one.
var errUnfit = errors.New("it cannot be encoded")

// refused is the error of a Publish that has published all messages but some, because of
// what these are.
type refused struct {
	n, of int
	first error
}

func (r *refused) add(m *cluster.Message, err error) {
	if r.n++; r.n == 1 {
		r.first = fmt.Errorf("a message of kind %v for the rooms %q of %q: %w", m.Kind, shortened(m.Rooms), m.Namespace, err)
	}
}

// shortened are rooms for an error text.
func shortened(rooms []string) []string {
	var short []string
	for _, r := range rooms[:min(len(rooms), 3)] {
		short = append(short, r[:min(len(r), maxToken)])
	}
	return short
}

// Error names the first of the messages.
func (r *refused) Error() string {
	return fmt.Sprintf("natsbus: %d of %d messages not published; the first: %v", r.n, r.of, r.first)
}

// Unwrap returns what was wrong with the first.
func (r *refused) Unwrap() error { return r.first }

// Lost is how many messages were not published.
func (r *refused) Lost() int { return r.n }
