// Package sio is a Socket.IO server. An application makes a [Server], registers
// typed handlers on its namespaces, and mounts it with the adapter of its web
// framework, or as an http.Handler:
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	mux.Handle("/socket.io/", io)
//
// # Handlers
//
// [Handle] and [Reply] turn a function into a [Handler]; the types of its
// arguments decide how an event is decoded. [HandlerFunc] takes raw arguments
// and acknowledges by hand. [Call] asks a client and waits for its ack, [CallAll]
// asks many and says who did not answer. Messages, which have no event name, go
// to [Namespace.OnMessage] and [Namespace.OnJSON].
//
// In the style of classes a handler is a method: of a type that registers itself
// as a [Mixin], or, with [Stateful] and [Method], of a value that each socket has
// of its own. In the blocking style a function serves each socket: [Namespace.Loop]
// with [Socket.Recv] or [Socket.Events].
//
// # Namespaces
//
// [Server.Of] is a namespace by its name, [Server.OfPattern] and [Server.OfFunc]
// stand for many that come and go. [Namespace.OnConnect] may refuse a client, with
// data; [Namespace.OnConnected] and [Namespace.OnDisconnect] follow its life. A
// [Key] is a typed place for a value with each socket or namespace.
//
// # Access
//
// [Namespace.Guard] adds policies of package acl: gates that are opened socket by
// socket and event by event, rate limits, rules for rooms, compositions. They are
// asked before anything is decoded, for joining and for every kind of packet. A
// refusal looks like an event that does not exist.
//
// # Middleware
//
// At three levels: [Server.UseExchange] around HTTP exchanges, [Server.Use] and
// [Namespace.Use] around handlers, and more for single events in [Namespace.On].
// [Namespace.OnAny] and [Namespace.OnAnyOutgoing] watch.
//
// # Order and concurrency
//
// The packets of one connection are handled one at a time, in order; different
// connections run concurrently. Acks never wait, so a handler may Call its own
// client. [Concurrent] lets a handler overlap with itself. OnDisconnect runs
// once, last, with the rooms still there. While a handler does not return, up to
// Options.MaxInbox packets of its connection wait and then reading stops.
//
// What was received before the client left is handled, although the socket is
// disconnected then, with a context that lives five seconds longer than the
// socket's. After Disconnect and CloseTransport nothing more of the socket is handled.
//
// What a handler emits leaves together with the other answers to what the
// client has sent in one go, at the latest a millisecond or two later.
//
// # Errors
//
// Only an [*Error] reaches a client, in the ack it asked for or as the event
// "error". Any other error is logged, and the client is told "internal". A panic
// is such an error. Events without a handler are answered, when an ack was asked
// for, with the code "refused". Options.OnError is told of each as an [Failure].
//
// # Rooms
//
// A [Target] is a choice of sockets: [Namespace.To], [Namespace.All], [Socket.To],
// [Socket.Broadcast]. An event to many is encoded once. What clients may do about
// rooms themselves is in package mixin.
//
// # Contract
//
// [Server.Contract] says which events there are, with the types of arguments and acks;
// [DeclareEvent] and [DeclareCall] declare those of the server. Package typescript writes all of
// it for the official client.
//
// # Client generations
//
// Clients of Socket.IO 0.7 to 4.x share namespaces and rooms. What an
// application says reaches each in its own form: [Socket.Send] is a message or
// json packet for 0.9 and the event "message" for the others ([CallMessage] asks for
// its ack), a []byte is base64 for 0.9, a failed event without an ack is the event "error" or an error packet.
// [Options].Dialects switches generations, [Options].Transports the transports of
// old browsers.
//
// # Limits
//
// Every limit is in [Options]. A client that does not read, sends too much or
// speaks no Socket.IO is disconnected with its own [Reason]; the others do not
// notice.
package sio
