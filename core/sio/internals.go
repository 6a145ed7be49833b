package sio

// What follows is for those who change this package: the states of a socket, the
// goroutines and what each may call, and the locks in their order. The way of a packet
// is: Message (client.go) reads it; the inbox (package inbox) gives it a turn; Do
// (inbox.go) does it; packet (client.go) finds out what it is; connect (join.go) joins a
// namespace, event (client.go) finds the handler, serve runs it.
//
// # The states of a socket
//
//	                 welcome                close
//	stateConnecting ---------> stateConnected ---------> stateDisconnected
//	       |                                              ^
//	       +----------------------------------------------+
//	         close: a refusal, Disconnect in OnConnect, or the end of the connection
//
// Socket.state changes under Socket.mu, and is read without. What the server sends to a
// socket that is connecting waits in Socket.early; welcome sends it behind the answer.
// Two more things happen to a socket that is disconnected:
//
//   - heard: the connection has ended, and what the client had sent before is still
//     handled, with client.lateContext. It is written before the state, like why: the
//     reason of the end, if it was connected.
//   - over: OnDisconnect has run, or is running; client.end sets it. The end of a socket
//     is a task (task.end), but a CONNECT that comes before, and the last task of all,
//     do not wait for it: they call client.end themselves.
//
// A socket with a time of ExpireAt has a timer in the wheel (expiry.go). Socket.mu decides
// between a renewal and the end: expiry.told says that it is too late.
//
// What the application does to a connection while a socket is connecting is in
// shutout.go: barred says that nothing is handled any more, leaving that no namespace is
// joined any more.
//
// # The tasks of a connection
//
// Everything that must keep an order is a task in client.inbox: a packet other than an
// ack, the OnDisconnect of a socket, the end of the connection; and what must not be done
// beside a handler, as the values of RestoredKeys are encoded (task.freeze). The key of a
// task is its namespace, so within one namespace the order is that of arrival:
//
//	CONNECT, events, DISCONNECT, OnDisconnect, CONNECT, ...
//
// and nothing else is promised between two namespaces. Four tasks are done alone
// (inbox.Alone), behind everything before them and in front of everything behind them:
//
//   - the default namespace's CONNECT that the server makes by itself in the older
//     protocols, for a client of 1.x or 2.x has no other namespace before that one;
//   - the DISCONNECT from the default namespace where that ends all of them
//     (dialect.Rules.RootEndsConn);
//   - the task that ends the connection in Shutdown, see below;
//   - the last task, which ends the sockets that were connecting, and has Shutdown
//     no longer wait for the client.
//
// When the connection ends, Closed ends the contexts and calls of all sockets at once,
// waits for what was read but has no turn yet (AwaitPayloads, Inbox.Close), puts
// OnDisconnect of each socket behind what waits for that socket, and the last task behind
// all of it.
//
// What waits is text (Packet.Clone, Packet.Restore). It is bounded over all namespaces,
// with the bytes of events whose handlers were overtaken; see package inbox.
//
// # Shutdown
//
// Server.Shutdown (drain.go) gives each connection a turn to leave. In its turn
// client.takeLeave closes the inbox, when no payload of a POST is half in it: what is put
// afterwards is dropped, so only acks are still taken; of a DISCONNECT it is noted that the
// client has left (Socket.parted). Behind all that is in the inbox takeLeave puts a task of
// its own, done alone (client.left), which waits for what Concurrent has
// started and for a Loop to wait in Recv, and has the session end when the queue is written
// (virtsocket.Socket.Finish). The session ends as always from there on. When a connection
// ends before, these tasks are still done, and end nothing. When the time for answers is
// over, turns.end closes the session.
//
// # Goroutines
//
// For one connection there are
//
//   - the reader: the goroutine that calls Message. Over a websocket one at a time;
//     over polling, that of each POST. It may wait only for room in the inbox. A reader
//     of a websocket (inline) may become a worker. From AllowHandoff on, another
//     goroutine can be the reader.
//   - workers: they do tasks, and are the only goroutines that run handlers, OnConnect
//     and OnDisconnect (or have them run, by Server.apart, and wait). At most one worker
//     is inside a namespace at a time. So fields that are written in tasks of one
//     namespace only (Socket.over) need no lock.
//   - the end: the goroutine of Closed.
//   - what the application starts: Socket.Go, Loop, Concurrent.
//
// A handler that has run for 50 milliseconds, or that waits for an ack, keeps nobody
// else: client.Overdue and client.waiting have another worker do what waits for other
// namespaces (Overtake) and another goroutine read (virtsocket.Socket.Detach). Whoever
// begins a task tells the watch of it before (WatchHandler, AllowHandoff), so each is found
// out. So workers are at most as many as the namespaces that the client has joined or is
// joining, and one that has the turn.
//
// A server of a cluster has the goroutines of package node, and those of its backend. What
// other nodes say is done in the backend's goroutine, which calls clusterHost: it may take
// the locks below, and waits for nothing. Calls of OnError for what other nodes say, and
// the requests of CallAll, have goroutines of their own.
//
// Acks are handled by the reader itself and never wait. Closed, Expired and Overdue are
// called by the timer wheel, the watch, or with locks held: they block for nothing.
//
// # Locks, in their order
//
// Whoever holds one may take those below it, never one above it.
//
//	Namespace.mu               registration; middleware is constructed under it
//	handover.beside            for reading while an event is emitted to several namespaces
//	Socket.roomsMu             the rooms of a socket
//	recoverable.storing        a session that is being stored; no lock is held when it is taken
//	recoveryLog.mu             what a namespace has emitted; held while it is queued. That of a
//	                           pattern is above those of its namespaces
//	Server.mu                  namespaces that exist
//	common.mu                  registration for all namespaces
//	rooms.mu and its shards    the sockets of a namespace and of a room
//	joinedFrom.mu              what is held back from a member of a room
//	Socket.mu                  state changes, early messages, calls
//	client.mu                  the sockets of a connection, what has become of it
//	Inbox.mu, Conn.mu          leaves of this package
//	recovery.mu, relayed.mu, newRooms.mu, Emitter.mu
//	                           leaves too: nothing is called with them held
//	the locks of package node  Enter, Exit, Publish and Deaf may be called with any lock held
//	virtsocket's own           below all of them: Send and Close may be called with
//	                           Socket.mu held, PauseHeartbeat with Inbox.mu
//
// Server.tellNodes is held while the functions of OnServer run, in order with what they are
// told; it is taken with no other lock held. Otherwise no handler or hook runs with a lock
// held, but for the construction of middleware.
