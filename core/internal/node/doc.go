// Package node is the engine of a cluster: it says to other nodes what their sockets
// are to be sent and told, and has done on this node what others say. The bus is a
// cluster.Backend, and what is done here is done by a Host, the Server of package sio.
//
// # States
//
// A Node is made, started, and shut down, once each. While it runs the bus is up or down;
// the backend says which. While it is down nothing is kept for it: what is published is
// lost at once and counted. A message reaches another node at most once, and in order; to
// send later what was said long ago would be neither what the application meant nor in
// order with what was said since. A gap is the time from the first loss, or from the moment
// when the bus went away, to the last loss, or the moment when the bus was back. It is
// reported when it begins, and when nothing was lost for a heartbeat. While the bus does not
// take a room that has sockets here, which it is told again and again, it goes on. What the bus refuses
// at another time than when it is told, as behind a reconnect, the backend says without naming it
// (Lost with the number 0): then it is told of all rooms, and names what is refused.
//
// What a gap means for others is two things. Messages of others may be missing here (Deaf): while
// the bus is away, and until nothing was dropped, or not subscribed to, for a heartbeat. And events of
// this node are missing at others: they are told (untold) when what was published before them has
// left, and the bus is there.
//
// Another node is there from its Hello or Heartbeat until its Bye, or until nothing has come
// from it for three heartbeats, in which this node was not behind (cluster.Lagger). One that leaves with a Bye owes no answers. One that falls
// silent, or whose name another process has taken, is missed by every request that waits
// for it.
//
// An emitter, see Options, is not there for others: it says Hello by the name of all emitters,
// hears who answers, and says nothing more about itself. What it publishes before the bus was
// first reached, or could not be, waits in the queue.
//
// With a cluster.Journal, see Node.Append, the Host also gets what this node itself has published,
// in the order of the log, and is told at once of what is lost: it has to send events that it has
// kept back.
//
// # Goroutines
//
//   - The publisher is the only one that calls Publish and Watch of the backend. It says that
//     the node is there, and gives up silent nodes. It calls Appender.Unpublished.
//   - The reporter tells the Host which nodes there are, and the application of gaps. It
//     waits for application code, and nobody waits for it.
//   - The backend's goroutine calls Receive, and through it the methods of the Host, in the
//     order of the messages. Nothing there waits: answers are published, and events for
//     servers are handed over.
//   - One goroutine for each namespace whose events for servers wait runs their handlers, and
//     one for each kind of siokit's own events.
//   - Whoever makes a request waits in Request; each of its answers is handed over by the
//     backend's goroutine, with the request's lock held.
//   - Whoever calls Listening waits there for the publisher.
//
// Publish, Enter and Exit may be called by anybody, with any lock held that is not one of
// this package: they take one lock for a moment, and call nobody.
//
// # Locks
//
// A request's mu is held while an answer is handed to the one who asked, who may call
// Publish, Enter and Exit; that of emitter is held while Enter and Exit are called. Otherwise
// no lock of this package is held while another is taken. No lock is held while the Host, the
// backend or the application is called.
package node
