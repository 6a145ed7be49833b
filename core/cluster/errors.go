package cluster

import "errors"

var (
	// ErrRequestTimeout: a node has not answered in time.
	ErrRequestTimeout = errors.New("cluster: request timed out")
	// ErrDown: the bus cannot be reached.
	ErrDown = errors.New("cluster: the bus is away")
	// ErrGone: a node that was to answer is gone, and has not said that it leaves.
	ErrGone = errors.New("cluster: a node is gone")
	// ErrClosed: the node has left the cluster.
	ErrClosed = errors.New("cluster: closed")
)

// Partial is an error of Backend.Publish that says which messages are lost, or of
// Backend.Watch that says which changes the bus has not taken. All others are published, or
// taken. After an error of another kind none is.
type Partial interface {
	error
	// Unpublished are the indexes of the messages that are lost, or of the changes, in
	// ascending order.
	Unpublished() []int
}
