package cluster

import "errors"

var (
	// ErrRequestTimeout: a node has not answered in time.
	ErrRequestTimeout = errors.New("cluster: request timed out")
	// ErrDown: the bus cannot be reached.
	ErrDown = errors.New("cluster: the bus is away")
	// ErrClosed: the node has left the cluster.
	ErrClosed = errors.New("cluster: closed")
)
