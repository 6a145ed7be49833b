package cluster

import (
	"encoding/json"
	"slices"
	"time"
)

// Kind says what a [Message] is about.
type Kind uint8

// The kinds. Those of the first group are for the sockets of a target: of the sockets in
// any of Rooms, or of all sockets of the namespace when Rooms is empty, those that are in
// none of Except. A node does what it is told in the order in which the messages come.
const (
	// Emit is an event, Data and Attachments. With an ID the acks of the clients are
	// wanted: the answers are one Asked, then an Acked for each client.
	Emit Kind = iota + 1
	// Join and Leave are about the rooms in Names.
	Join
	Leave
	// LeaveAll is about all rooms.
	LeaveAll
	// Disconnect takes the sockets out of the namespace.
	Disconnect
	// Close ends the connections of the sockets.
	Close
	// CloseTransport ends the transports of the sockets, whose clients come back.
	CloseTransport

	// Fetch asks for the sockets of the target; the answer is Sockets.
	Fetch
	// Count asks how many sockets the target has; the answer is Counted.
	Count
	// ListRooms asks for all rooms of the namespace, with the ids of its sockets; the
	// answer is Rooms. siokit does not ask, and answers.
	ListRooms
	// ServerEvent is an event for the servers themselves, Data and Attachments. With an ID
	// an answer is wanted, which is Answer.
	ServerEvent

	// Sockets is the answer to Fetch, in Message.Sockets. With more than one message can hold
	// there are several: Number is that of all sockets.
	Sockets
	// Counted is the answer to Count, in Number.
	Counted
	// Rooms is the answer to ListRooms, in Names.
	Rooms
	// Answer is the answer to a ServerEvent: the arguments in Data and Attachments. As the
	// answer to another request it says why the node cannot answer, as an error for clients.
	Answer
	// Asked says how many clients an Emit with an ID was sent to, in Number, and in Names the
	// ids of their sockets. With more ids than one message can hold there are several: Number is
	// that of all.
	Asked
	// Acked is the ack of one client: the arguments in Data and Attachments. One without Data
	// says that the client has left, and is not to be waited for.
	Acked

	// Hello is what a node says when it comes, and again after a time without the bus;
	// every other node answers with Heartbeat soon, well within 300 ms. One that serves nobody
	// asks so who is there.
	Hello
	// Heartbeat says that the node is there.
	Heartbeat
	// Bye says that the node leaves.
	Bye

	// Gap says that events of the node were not published, in the namespaces in Names or, when
	// there are none, in any. The node says so as soon as it can. In a Journal it says that what
	// the log has up to here is not complete.
	Gap
)

// Message is what one node of a cluster says to others. Which of the fields count
// depends on its Kind.
type Message struct {
	Kind Kind
	// Node is who says it: 5 characters of a-z, A-Z, 0-9, - and _ for a node of siokit,
	// anything else for others, "" or "emitter" for those that serve nobody.
	Node string
	// To is the one node that the message is for, "" for all: answers have it, and an
	// Emit to one socket whose id names its node.
	To string
	// Namespace is the namespace with its slash; "" for Hello, Heartbeat, Bye and Gap.
	Namespace string
	// ID tells a request from others of the same node, and its answers from those of
	// others; "" for what is no request. No two requests have the same one, whoever makes
	// them. That of a Hello, Heartbeat, Bye or Gap is the same as long as the node lives, and no
	// other node's: by it two nodes with one name are found out.
	ID string

	// Rooms and Except are the target.
	Rooms  []string
	Except []string
	// Volatile: a client that does not keep up may miss the event.
	Volatile bool
	// Single: exactly one client is asked, and nobody need say how many there are: the first
	// Acked is the last.
	Single bool
	// Timeout is how long the acks of an Emit are waited for.
	Timeout time.Duration

	// Names are the rooms of Join, Leave and the answer Rooms, the ids of the sockets that
	// an Asked speaks of, and the id of the socket whose ack an Acked is; processes of Node
	// do not say these ids. Those of a Gap are namespaces.
	Names []string
	// Data is JSON: for Emit and ServerEvent an array of the event's name and its
	// arguments, for Answer and Acked an array of arguments. A binary argument is a
	// placeholder, {"_placeholder":true,"num":N}, for the Nth of Attachments.
	Data        []byte
	Attachments [][]byte
	// Sockets is the answer to Fetch. OnlyIDs: nothing but their ids is wanted.
	Sockets []Socket
	OnlyIDs bool
	// Number is the answer to Count, how many clients were asked, and, in a Sockets that is a
	// part of an answer, how many sockets the whole has.
	Number int
	// Info is what a Hello or Heartbeat says of the node: its address for forwarded
	// requests, "" for none.
	Info string

	// Position is where the message stands in the log of a Journal; 0: it does not. Positions
	// rise, and are the same on all nodes.
	Position uint64
	// Ticket is a number that the node itself has given a message which it has appended to a
	// Journal: the node gets the message back with it. Other nodes may see 0.
	Ticket uint64
}

// Clone returns a copy that shares nothing with m but strings.
func (m *Message) Clone() *Message {
	c := *m
	c.Rooms, c.Except, c.Names = slices.Clone(m.Rooms), slices.Clone(m.Except), slices.Clone(m.Names)
	c.Data = slices.Clone(m.Data)
	c.Attachments = slices.Clone(m.Attachments)
	for i, a := range c.Attachments {
		c.Attachments[i] = slices.Clone(a)
	}
	c.Sockets = slices.Clone(m.Sockets)
	for i, s := range c.Sockets {
		c.Sockets[i] = Socket{ID: s.ID, Rooms: slices.Clone(s.Rooms), Data: slices.Clone(s.Data), Handshake: slices.Clone(s.Handshake)}
	}
	return &c
}

// Socket is a socket as another node sees it.
type Socket struct {
	ID    string
	Rooms []string
	// Data is what the application declares of the socket, as JSON; nil for nothing.
	Data json.RawMessage
	// Handshake is the handshake as the servers for Node describe it, as JSON; nil for
	// nothing.
	Handshake json.RawMessage
}
