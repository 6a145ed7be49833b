package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Journal is a Backend whose bus is a log. The bus keeps, for a while, what is published for
// sockets, and hands it to all nodes in one order, the node that has published it among them. It
// also keeps the sessions of clients that are away. So a client can come back to any node, see
// sio.Options.Recovery.
//
// In the log are messages of the kinds Emit without an ID, Join, Leave, LeaveAll, Disconnect,
// Close, CloseTransport and Gap, of all namespaces. A position is the place of one of them.
type Journal interface {
	// OpenJournal is called once, before Start, by a node whose clients can be recovered. It
	// reports false when the bus is no log with the options that it has; then nothing else of the
	// interface is called. From then on messages that are in the log are handed to the Receiver
	// with their Position, and those that the node itself has published, too, with their Ticket: of
	// such a one Kind, Node, Namespace, Position and Ticket are enough. A message of the log
	// without a Position has a place that no position can say.
	OpenJournal() bool
	// Reached is the position up to which everything that the node watches was handed to the
	// Receiver, 0 before the bus was reached for the first time. It does not wait.
	Reached() uint64
	// After calls each with the messages behind a position, in their order: those with one of
	// the namespaces, and those without a namespace. It returns the position up to which it has
	// read: whatever was in the log when it was called is not behind that. The message is
	// After's again when each returns; an error of each ends it. ErrNotKept: the log may have
	// dropped messages that were behind the position.
	After(ctx context.Context, position uint64, namespaces []string, each func(m *Message) error) (uint64, error)
	// SaveSession keeps a session for a while, in place of one with the same PID, unless that one
	// has more Moves, or had when it was taken, as long as it would be kept: then nothing changes,
	// and there is no error. ErrDown and ErrClosed mean that it is not kept; after any other error it
	// may be.
	SaveSession(ctx context.Context, s *Session, keep time.Duration) error
	// TakeSession returns a session, which is not kept any more: of several who ask, one gets
	// it. Without such a session it returns nil and no error. pid is what a client has sent,
	// and consists of 20 characters of a-z, A-Z, 0-9, - and _.
	TakeSession(ctx context.Context, pid string) (*Session, error)
}

// ErrNotKept: the log of a Journal does not have everything behind a position any more.
var ErrNotKept = errors.New("cluster: the log does not go back so far")

// Session is what a Journal keeps of a client that is away.
type Session struct {
	// ID is the id of the client's socket, PID the secret by which the client asks for the
	// session.
	ID, PID string
	// Rooms are those of the socket, its id among them.
	Rooms []string
	// Data is what servers of another kind keep with a socket, as JSON; nil for nothing.
	Data json.RawMessage
	// Extra is what siokit needs besides; nil when a server of another kind has saved the
	// session. Such servers do not see it.
	Extra []byte
	// Moves is how often a node of siokit has taken the session, and kept it for its client. So a
	// node that was cut off does not save what is older in place of what is newer.
	Moves uint64
}
