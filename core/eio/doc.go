// Package eio is a bare Engine.IO server: messages in order over long polling and
// websockets, with heartbeats and the upgrade between the two, and nothing of
// Socket.IO on top. It is what the package engine.io is for Node. Use it for a
// protocol of your own; applications that want events, acks, rooms and namespaces
// use package sio.
//
//	server := eio.NewServer(&eio.Options{
//		OnConnection: func(s *eio.Socket) {
//			s.OnMessage(func(m eio.Message) { _ = s.Send(string(m.Data)) })
//			s.OnClose(func(reason string) { log.Print("gone: ", reason) })
//		},
//	})
//	mux.Handle("/engine.io/", server)
//
// Clients of both protocols, 3 and 4, are served by one Server: engine.io-client 1.x
// to 3.x speaks protocol 3, 4.x and later protocol 4. A Server is a host.Handler, so
// that the adapters mount it in every framework, and an http.Handler.
//
// # Order
//
// The functions of one Socket run one at a time: OnConnection, then OnMessage for
// each message in the order in which the client has sent them, then OnClose, once.
// Different sockets run concurrently. While a function runs, the messages behind it
// wait. When 64 of them wait, or four times Options.MaxPayload bytes, the server stops
// reading from the connection, and the client has to wait.
//
// # Bounds
//
// What waits for a client that does not keep up is bounded by
// Options.MaxQueueMessages and MaxQueueBytes; a client that reaches the bound is
// disconnected as a slow client. Connections are bounded as in package sio: in all, and
// for each address. Behind a proxy Options.Address says whose address that is.
package eio
