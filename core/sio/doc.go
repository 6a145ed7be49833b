// Package sio is a Socket.IO server. An application makes a Server, registers
// typed handlers on its namespaces, and mounts it with the adapter of its web
// framework, or as an http.Handler:
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	io.Mount(mux, "/socket.io") // net/http; siogin.Mount(router, "/socket.io", io) for gin
//
// The sections below teach one way for each thing. The section "Other styles" names the
// others, for those who come from gevent-socketio.
//
// # Namespaces
//
// [Server.Of] returns a namespace by name; "/" is the default one. Handlers, rooms and
// policies belong to a namespace. A client has one [Socket] in each namespace that it
// joins, and one [Conn] that these sockets share.
//
// [Server.OfPattern] registers handlers for many namespaces, such as "/project/{id}".
// Each is made when its first client joins, and removed when its last client leaves.
// Of("/project/7") addresses those who are in that namespace then, and keeps nothing
// alive.
//
// # Events
//
// [Namespace.On] registers the handler of an event. [Handle] and [Reply] make a handler of
// a function; the types of the function decide how the arguments are decoded:
//
//	chat.On("say", sio.Handle(func(ctx context.Context, s *sio.Socket, text string) error {
//		return s.To("lobby").Emit("said", text)
//	}))
//	chat.On("add", sio.Reply(func(ctx context.Context, s *sio.Socket, n sio.Args2[int, int]) (int, error) {
//		return n.A + n.B, nil // the ack
//	}))
//
// [Socket.Emit] sends an event to a client. [Call] sends an event and waits for the
// client's ack. A []byte travels as binary, anywhere in the arguments.
//
// # Rooms and targets
//
// [Socket.Join] puts a socket into rooms. A [Target] is a choice of sockets:
// [Namespace.To], [Namespace.All], [Socket.To], [Socket.Broadcast] and [Socket.Volatile]
// begin one, and [Target.Except] and [Target.Volatile] refine it. [Target.Emit] encodes
// an event once, however many clients get it. [CallAll] asks every socket of a target and
// says which did not answer. Package mixin lets clients join rooms themselves.
//
// # The life of a client
//
// [Options.OnHandshake] decides about the HTTP request that opens a connection.
// [Namespace.OnConnect] decides about each client that joins the namespace: it reads the
// auth payload with [Socket.Auth], and an error refuses the client.
// [Namespace.OnConnected] runs when the client knows that it has joined, and
// [Namespace.OnDisconnect] once, last, with the [Reason] and a context that lives for
// five seconds. [Socket.Disconnect] takes a client out of the namespace, [Conn.Close] out
// of all. [Server.Shutdown] ends the server.
//
// # Values
//
// A [Key] is a typed place for a value with each socket, connection or namespace. A
// package variable holds the key:
//
//	var nick = sio.NewKey[string]("nick")
//
//	nick.Set(s, "ann")
//	name, ok := nick.Get(s)
//
// # Access
//
// [Namespace.Guard] adds policies of package acl: gates that are opened socket by socket
// and event by event, rate limits, rules for rooms, and compositions of these. Policies
// are asked before anything is decoded, for joining and for every kind of packet. To the
// client a refused event looks like one that does not exist.
//
// # Errors
//
// Only an [*Error] reaches a client, in the ack that the client asked for or as the event
// "error". [Error.WithCause] adds an error for the log, which the client does not see. Any
// other error is logged, and the client gets the code "internal". A panic is
// treated as such an error. An event without a handler is answered with the code "refused"
// when the client asked for an ack. [Options.OnError] is told of each [Failure].
//
// # Options and limits
//
// [Options] has a default for every field, and nil options are all defaults. Every limit
// is there. A client that does not read, sends too much, or does not speak Socket.IO is
// disconnected with a [Reason] that says so; other clients do not notice.
//
// # Order and concurrency
//
// The events of one socket are handled one at a time, in order. Different sockets run
// concurrently, also those that one client has in several namespaces: a handler that
// takes longer than 50 milliseconds, or waits for an ack of its client, does not keep
// the client out of another namespace. Whatever the handlers of several namespaces
// share, such as the values of a [Conn], needs a lock. Acks do not wait for handlers, so a
// handler may [Call] its own client. [Concurrent] lets a handler overlap with itself.
// OnDisconnect runs once, last, and the socket is still in its rooms.
//
// While a handler does not return, up to Options.MaxInbox packets of its connection wait,
// those of all namespaces together; then the server stops reading from the connection. A
// client that sends more than that to a namespace with a slow handler keeps itself out of
// the others.
//
// What was received before the client left is still handled. The socket is disconnected
// then, and the handler's context lives up to five seconds longer than the socket's. After
// Disconnect and CloseTransport nothing more of the socket is handled.
//
// What a handler emits leaves together with the other answers to the packets that were
// read together, at the latest five milliseconds later. [Target.Emit] says what else does.
//
// # Middleware
//
// [Namespace.Use] wraps the handlers of one namespace, [Server.Use] those of all, and
// [Namespace.On] takes middleware for one event. [Server.UseExchange] wraps HTTP
// exchanges. [Namespace.OnAny] and [Namespace.OnAnyOutgoing] see events and cannot refuse
// them.
//
// # Contract
//
// [Server.Contract] lists the events with the types of their arguments and acks;
// [DeclareEvent] and [DeclareCall] declare those that the server sends. Package typescript
// writes the contract for the official client.
//
// # Several processes
//
// With [Options.Cluster] several processes are one server: what is emitted to a [Target]
// reaches the clients of all, and Join, Leave, Disconnect, [Target.Sockets] and [CallAll] are
// about all. [Options.Forward] lets the requests of a client come to any of them.
// [Namespace.EmitServers] and [CallServers] are events between servers. docs/cluster.md says
// what is promised, and what is lost when.
//
// # Client generations
//
// Clients of Socket.IO 0.7 to 4.x share namespaces and rooms, and handlers need not know
// which is which. What an application sends reaches each client in the form of its
// protocol: a []byte is base64 for 0.9, and a failed event without an ack is the event
// "error" or an error packet. [Options.Dialects] switches generations,
// [Options.Transports] the transports of old browsers, and [Legacy] has the options for
// old clients.
//
// # Other styles
//
// gevent-socketio has two styles for handlers that are not the usual way here.
//
// In the class style each socket has a value of its own, and handlers are methods of that
// value: [Stateful] makes the values, [Method] and [MethodReply] the handlers. A type that
// registers its own handlers is a [Mixin].
//
// In the blocking style one function serves each socket: [Namespace.Loop] runs the
// function, which calls [Socket.Recv] or ranges over [Socket.Events].
//
// Clients of 0.9 also send messages, which have no event name. [Namespace.OnMessage] and
// [Namespace.OnJSON] register their handlers, [Socket.Send], [Socket.SendJSON],
// [CallMessage] and [CallJSON] send them. Newer clients see the event "message".
//
// [HandlerFunc] is for code that does not know the types, such as a proxy: it takes the
// arguments as they came, and acknowledges with [Event.Ack]. [Socket.Set] and [Socket.Get]
// take keys of any type, like a context.
package sio
