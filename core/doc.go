// Package core is the map of the framework-agnostic core; it holds no code.
//
// A request becomes a host.Exchange in an adapter. virtsocket.Hub asks the
// dialects which of them it belongs to, and finds or opens the client's virtual
// socket. A transport moves bytes for it: polling answers single requests,
// websocket owns a connection. The dialect turns messages into engine units and
// Socket.IO packets; package sio brings these to namespaces and their handlers.
// Transports made of single requests share one mechanics, package polling; what
// is their own is the form of an answer.
//
// On the way out a packet is encoded once for each dialect (packet.Message),
// queued as a reference with every receiver, and written by whoever holds the
// writing role of the connection.
//
//	host        the seam to a web framework
//	packet      what travels; below it the codecs socketio and engineio
//	dialect     client generations: eio4, eio3, sio1, sio06
//	transport   how bytes move: polling, websocket, jsonp, htmlfile, multipart; flashpolicy
//	virtsocket  sessions, queues, heartbeat, upgrade, reasons
//	sio         what applications import
package core
