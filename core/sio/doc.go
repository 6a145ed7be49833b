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
// and acknowledges by hand. [Call] asks the client and waits for its ack.
//
// # Order and concurrency
//
// The packets of one connection are handled one at a time, in order; different
// connections run concurrently. Acks never wait, so a handler may Call its own
// client. [Concurrent] lets a handler overlap with itself. OnDisconnect runs
// once, last, with the rooms still there. While a handler does not return, up to
// 64 packets of its connection wait and then reading stops.
//
// What a handler emits leaves together with the other answers to what the
// client has sent in one go, at the latest a millisecond or two later.
//
// # Errors
//
// Only an [*Error] reaches a client, in the ack it asked for or as the event
// "error". Any other error is logged, and the client is told "internal". A panic
// is such an error. Events without a handler are answered, when an ack was asked
// for, with the code "refused".
//
// # Rooms
//
// A [Target] is a choice of sockets: [Namespace.To], [Socket.To],
// [Socket.Broadcast]. An event to many is encoded once.
//
// # Client generations
//
// Clients of Socket.IO 0.7 to 4.x share namespaces and rooms. What an
// application says reaches each in its own form: [Socket.Send] is a message or
// json packet for 0.9 and the event "message" for the others, a []byte is base64
// for 0.9, a failed event without an ack is the event "error" or an error packet.
// [Options].Dialects switches generations, [Options].Transports the transports of
// old browsers.
//
// # Limits
//
// Every limit is in [Options]. A client that does not read, sends too much or
// speaks no Socket.IO is disconnected with its own [Reason]; the others do not
// notice.
package sio
