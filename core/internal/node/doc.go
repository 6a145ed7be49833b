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
// order with what was said since. The time from the first loss to the first heartbeat
// interval without one is a gap, which is reported when it begins and when it ends.
//
// Another node is there from its Hello or Heartbeat until its Bye, or until nothing has come
// from it for three heartbeats.
//
// # Goroutines
//
//   - The publisher is the only one that calls Publish and Watch of the backend. It sends
//     heartbeats, gives up silent nodes and ends gaps.
//   - The backend's goroutine calls Receive, and through it the methods of the Host, in the
//     order of the messages. Nothing there waits: answers are published, and events for
//     servers are handed over.
//   - One goroutine for each namespace whose events for servers wait runs their handlers.
//   - Whoever makes a request waits in Request; each of its answers is handed over by the
//     backend's goroutine, with the request's lock held.
//
// Publish, Enter and Exit may be called by anybody, with any lock held that is not one of
// this package: they take one lock for a moment.
//
// # Locks
//
// queue.mu, interests.mu, members.mu, requests.mu and gaps.mu are never held together.
// request.mu is held while an answer is handed to the one who asked; inside it only
// members.mu is taken.
package node
