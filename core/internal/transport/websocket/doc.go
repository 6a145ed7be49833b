// Package websocket is the websocket transport: RFC 6455 on a raw connection
// whose opening handshake the host has done. One code path serves every host.
//
// A connection that waits for its client holds no buffer: reads take one from a
// pool when there is something to read. Whatever the link has queued leaves in
// one write, without blocking; a writer goroutine exists only while a client
// does not keep up.
//
// # States
//
// A Conn is open at first. It is closing when Close has been called, or when the
// client's close frame has come: the queue and a close frame still leave, and messages
// that arrive are dropped. It has ended when the connection is closed and the link has
// been told by Lost. Only Conn.end ends a connection, and only the first call tells the
// link.
//
// Beside that there are two roles, each held by one goroutine at a time.
//
//	reading | fixed     | Detach does nothing: the message has no place in the order yet
//	        | movable   | between Enter and the end of Link.Frame: Detach starts a goroutine
//	        |           | that reads on, and the holder stops when Frame returns
//	writing | idle      | nobody writes
//	        | writing   | whoever flushed writes, or a goroutine of the connection
//	        | again     | the same, and the queue is looked at once more before idle
//
// # Goroutines
//
// The host's goroutine that runs Serve reads until the connection ends, or until the
// role moves on. Flush writes on the goroutine of its caller, without blocking and up
// to flushBudget bytes; what is left is written by a goroutine that ends with the
// queue. Where the connection is no descriptor (TLS, a host's own type) every write,
// and what Close does, is on such a goroutine. The methods of a host's own type may
// panic there; guarded makes an error of that.
//
// Whoever takes a role gives it back, or hands it on, on every way out. The reader ends
// the connection when the start of the session, or the handling of a message, panics or
// ends the goroutine. The writer of a connection that has ended takes what is queued
// and drops it.
//
// Flush, Close and Detach may be called by any goroutine, also from inside of
// Link.Frame. Enter is for the goroutine that is inside of Link.Frame. The methods of
// reader, and Conn.current, belong to the holder of the reading role; said, out and
// budget to the holder of the writing role.
//
// # Locks, in their order
//
// Conn.moving is held while the reading role moves, Conn.patience while a read
// deadline is set, Conn.mu for what Close and the answers to pings share. None is
// held while another one is taken, or while the link is called, but for Link.Begin,
// which is called with Conn.moving held.
package websocket
