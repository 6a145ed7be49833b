package cluster

import (
	"fmt"
	"strings"
)

// Missing is the error of a request that not every node has answered. What the others have
// answered is there all the same.
type Missing struct {
	// Nodes are the names of those that have not answered, as far as they are known.
	Nodes []string
	// Others is how many more there are.
	Others int
	// Err is why nobody waits for them any more: the error of a context, ErrRequestTimeout,
	// ErrDown, ErrGone or ErrClosed, or what the bus has said.
	Err error
}

// Error says who is missing.
func (m *Missing) Error() string {
	var who []string
	if len(m.Nodes) > 0 {
		who = append(who, "no answer from the nodes "+strings.Join(m.Nodes, ", "))
	}
	if m.Others > 0 {
		who = append(who, fmt.Sprintf("no answer from %d nodes without a known name", m.Others))
	}
	if len(who) == 0 {
		who = append(who, "not every answer has come")
	}
	return fmt.Sprintf("cluster: %s: %v", strings.Join(who, "; "), m.Err)
}

// Unwrap returns Err.
func (m *Missing) Unwrap() error { return m.Err }
