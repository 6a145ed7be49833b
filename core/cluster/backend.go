package cluster

import "context"

// Backend carries messages between the nodes of a cluster: it is the seam to Redis, NATS
// or another bus. One Backend belongs to one Server.
//
// What it promises is little. A message reaches every node that it is for at most once.
// What one node publishes arrives in its order, at each of the others. Emit without an ID,
// Join, Leave, LeaveAll, Disconnect, Close and CloseTransport need reach only the nodes that
// watch the namespace, and one of them that is for a single room only those that watch the
// room. A message with a To need reach that node alone. What has no namespace, and every
// request, reaches all nodes of siokit, whatever they watch, and of other nodes all that
// Counter counts. Nothing is stored, but by a Journal: what is published while the bus is away is
// lost, and the Backend says so, by an error of Publish where it knows, and by Receiver.Lost where
// it does not.
type Backend interface {
	// Start connects to the bus as the node with this name and hands to r what other
	// nodes publish. It may return before the bus can be reached: then it goes on trying,
	// and tells r when it has succeeded. An error means that it never will. The goroutines
	// that it starts end with Close. It is called once.
	Start(ctx context.Context, node string, r Receiver) error
	// Publish sends messages, in their order, and returns when the bus has taken them or
	// ctx has ended. The messages, and what they hold, are the caller's again when it
	// returns. An error means that some or all of them may be lost; Publish never sends
	// them again. It is called by one goroutine.
	Publish(ctx context.Context, ms []*Message) error
	// Watch says which rooms have sockets on this node, by what has changed. A Backend that
	// has a channel for each room subscribes and unsubscribes; it keeps the set, and
	// subscribes to all of it again after a time without the bus. An error means that the bus
	// may not have taken the changes, or those of them that a Partial names: nothing may come
	// for these rooms. It is reported, and the same is said again now and then, until there is
	// no error: then the Backend tries once more. What the bus refuses at another time, as when all
	// is subscribed to again, is for Receiver.Lost. It is called by one goroutine, the one that
	// calls Publish: what it says of a room holds for what is published afterwards, by this
	// node and, once Watch has returned, by others. So it waits until the bus has taken it,
	// unless the bus is away.
	Watch(ctx context.Context, changes []Interest) error
	// Close leaves the bus, and returns when nothing more is handed to the Receiver, or ctx
	// has ended; then the goroutines that are left end soon. A Publish or Watch that goes on
	// meanwhile returns. Close may be called without a Start, after one that has failed, and
	// again, also while it runs. The Receiver does not call it.
	Close(ctx context.Context) error
}

// Interest is a room that has begun, or ceased, to have sockets on a node.
type Interest struct {
	// Namespace is the namespace with its slash.
	Namespace string
	// Room is the room; "" is about the namespace itself, which has begun or ceased to be
	// there.
	Room string
	// Socket: Room is the id of a socket, which names its node (see Message.To).
	Socket bool
	// On says that there are sockets now.
	On bool
}

// Receiver is what a Backend hands messages to, with one call of its methods at a time.
type Receiver interface {
	// Receive takes a message of another node, or one of the node's own, which is ignored, but
	// for those of a Journal.
	// It returns soon; m and what it holds are the Backend's again then. It changes nothing
	// of it but keeps strings. A Backend calls it from one goroutine, in the order in which
	// the messages have come.
	Receive(m *Message)
	// Up and Down say whether the bus can be reached. Between Down and Up messages of other
	// nodes may have been lost. Before it calls Up a Backend has subscribed again to all that
	// it watches. One that reaches the bus in Start calls Up once.
	Up()
	Down(err error)
	// Lost says that n messages of other nodes were dropped, or could not be understood;
	// err says why. With an error n may be 0: some may be missing, and nobody knows how many,
	// because the bus has refused a subscription, say. What the error of a Watch says is not said
	// here again. After a call with 0 Watch is told of all rooms again, and tries those that were
	// refused. A Backend that knows of a refusal before Up calls Lost before Up.
	Lost(n int, err error)
}

// Lagger is a Backend that knows when its Receiver is behind. A node whose messages wait, or
// were dropped, cannot be heard: while the Receiver is behind no node is given up because
// nothing has come from it.
type Lagger interface {
	// Behind reports whether the Receiver has not had all that had come when Behind was
	// called before, or something was dropped since because too much waited. It waits for
	// nothing. One goroutine calls it, once with each heartbeat.
	Behind() bool
}

// Counter is a Backend that knows how many nodes of other kinds listen to a namespace, such
// as processes of Node: they have no heartbeats, so nobody knows them by name.
type Counter interface {
	// Others is the number of nodes of other kinds that listen to the namespace now; an error
	// means that the bus cannot say. It is asked for each request before the request is
	// published, which then waits for so many answers besides those of the nodes that are
	// known. Several goroutines may call it at once.
	Others(ctx context.Context, namespace string) (int, error)
}

// Unordered is a Backend that does not keep the order of what a node publishes, or not by each of
// its ways: what is for all nodes may overtake what is for a room. A client that comes back to
// another node is not recovered there, since nobody could say that all its events have come.
type Unordered interface {
	// Unordered reports whether that is so now. Several goroutines may call it at once.
	Unordered() bool
}

// AnswerWatcher is a Backend for which it makes a difference that a node serves nobody, as an
// emitter does: because answers come in channels of each namespace, or because it reads what is for
// sockets without being asked to. Any other Backend is not told, and Watch is not called.
type AnswerWatcher interface {
	// WatchAnswers is called once, before Start, for a node that serves nobody. Watch names no
	// rooms then, and those namespaces in which the node makes requests: the Backend subscribes to
	// what may be an answer to them and not to what is for those who serve the namespace, so that
	// no Counter counts this node. Messages to this node, Hello, Heartbeat and Bye come as to any
	// other; requests of others, which are for all nodes, may come too, and are ignored.
	WatchAnswers()
}

// SocketWatcher is a Backend that has to know the id of each socket of the node, because
// nodes of another kind, which do not know that the id names its node, use a channel for
// it. For other backends Watch has no Interest with Socket.
type SocketWatcher interface {
	// WatchSockets does nothing.
	WatchSockets()
}
