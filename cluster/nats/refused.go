package natsbus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/siokit/siokit/core/cluster"
)

// errUnfit is why a message was not published that is not one.
var errUnfit = errors.New("it cannot be encoded")

// refused is the error of a Publish that has published all messages but some, because of
// what these are or where they go, or of a Watch that has subscribed to all rooms but some.
type refused struct {
	lost  []int // indexes of messages, or of changes
	made  []int // of changes that have subscribed
	of    int
	what  string
	first string  // what was wrong with the first
	why   []error // with all of them
}

// The two.
const (
	notPublished  = "messages not published"
	notSubscribed = "changes of subscriptions not taken"
)

var _ cluster.Partial = (*refused)(nil)

func (r *refused) add(i int, m *cluster.Message, err error) {
	if r.lost = append(r.lost, i); len(r.lost) == 1 {
		r.first = fmt.Sprintf("a message of kind %v for the rooms %q of %q: %v", m.Kind, shortened(m.Rooms), m.Namespace, err)
	}
	r.because(err)
}

// because notes a reason, but not twice in a row.
func (r *refused) because(err error) {
	if last := len(r.why) - 1; last < 0 || r.why[last].Error() != err.Error() {
		r.why = append(r.why, err)
	}
}

// addRoom adds a change.
func (r *refused) addRoom(i int, c cluster.Interest, err error) {
	if r.lost = append(r.lost, i); len(r.lost) == 1 {
		r.first = fmt.Sprintf("the rooms %q of %q: %v", shortened([]string{c.Room}), c.Namespace, err)
	}
	r.because(err)
}

// denied adds the messages to subjects that the user may not publish to.
func (r *refused) denied(b *backend, ms []*cluster.Message, list []denial) {
	subjects := make(map[string]error)
	for _, d := range list {
		if d.publish {
			subjects[d.subject] = d.err
		}
	}
	if len(subjects) == 0 {
		return
	}
	unfit := slices.Clone(r.lost)
	for i, m := range ms {
		if err := subjects[b.subject(m)]; err != nil && !slices.Contains(unfit, i) {
			r.add(i, m, err)
		}
	}
	slices.Sort(r.lost)
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
	return fmt.Sprintf("natsbus: %d of %d %s; the first: %s", len(r.lost), r.of, r.what, r.first)
}

// Unwrap returns what was wrong with each.
func (r *refused) Unwrap() []error { return r.why }

// Unpublished are the indexes of the messages that were not published, or of the changes.
func (r *refused) Unpublished() []int { return r.lost }
