// Package core holds no code. It is the root of the framework-independent packages:
//
//	sio         a Socket.IO server: what applications import
//	eio         a bare Engine.IO server, for messages without Socket.IO
//	host        the interface between siokit and a web framework
//	acl         policies: what a socket may do
//	mixin       ready bundles of handlers: rooms, presence, history, relays
//	typescript  the events of a server as types for the official client
//
// Packages below internal implement the protocols. docs/architecture.md in the
// repository is the map, with the way of one event through the files.
package core
