// Package virtsocket is the virtual socket: one for each client, which outlives any
// one transport. A [Hub] keeps the sessions of a server; a [Socket] is one session,
// with its outgoing queue, its heartbeat, and its way from one transport to another.
// The package knows no Socket.IO packets: with the engine half of a dialect alone it
// serves bare Engine.IO.
//
// # A message in, a message out
//
// In: a transport reads and calls [Socket.Frame] (a duplex transport) or
// [Socket.Unit] (the body of a POST), in incoming.go. The dialect decodes, the
// heartbeat takes note, and [Handler.Message] has the rest. Out: [Socket.Send] adds
// the message to the session's outbox and calls Flush of the transport. The
// transport takes what is queued with [Socket.Next], in one piece, writes it, and
// gives it back with [Socket.Sent].
//
// # The states of a session
//
//	           Accept            install           Close             Lost
//	handshake --------> waiting ---------> open ---------> closing ---------> gone
//	    |                  |                                                   ^
//	    +------------------+---------------------------------------------------+
//	      refused, closed, or the time until the first transport is over
//
// waiting: the session has no transport (Socket.conn is nil). In the older dialects
// the handshake is a request of its own, and the client may find the session here.
//
// open: the session has a transport. Messages move.
//
// closing: Socket.state is stateClosed. The handler has been told, nothing more is
// queued, and the transport sends what was queued and then says goodbye. A session
// that polls may linger here until a poll fetches that, or a timer ends it.
//
// gone: the transport has ended (Socket.gone), and the hub has forgotten the id.
//
// # The states of an upgrade
//
// In Engine.IO 3 and 4 a session that polls may move to a duplex transport once. The
// new connection is a candidate until then:
//
//	      request            upgrade packet             requests have ended
//	none ---------> probing ----------------> completing -----------------> done
//	 ^                 |                           |
//	 +-----------------+                           +--> the session ends
//	   the connection or its time has ended             (the connection has ended)
//
// While a candidate is probing, the session goes on polling; the probe makes a
// waiting poll return. A candidate that is completing waits until the requests under
// way have ended, because what they carry comes first. From then on polling refuses
// requests, so a candidate that is lost meanwhile ends the session.
//
// In the older dialects every request may replace the transport, and the newest one
// wins: startSwitch, leaveTransport, install, endSwitch (takeover.go).
//
// # Goroutines
//
//   - The reader of a duplex connection belongs to the transport. It calls Frame,
//     and application code may run on it.
//   - A request belongs to the host. A POST calls Unit, and must be answered soon:
//     Handler.Message is called without inline.
//   - The writer is whoever called Flush, and the transport lets one of them write at
//     a time. It calls Next, Sent and Unsent.
//   - The wheel is one goroutine for all timers of a hub. It calls Expired.
//   - The watch is one goroutine for a hub, as long as some handler runs. It ends the
//     waiting of messages behind a handler that takes long, tells the Handler of it
//     (Overdue), and hands the reading on.
//   - Flushers write what broadcasts have queued: at most GOMAXPROCS for a hub, as
//     long as there is something to write. What few sockets are to get may be written by
//     whoever ends a batch instead.
//
// The wheel, the watch and the flushers serve all sessions, so nothing that they call
// may wait for one client.
//
// # Who may call what, and when
//
//   - Send, SendVolatile, Close, Drop, Flush, EndPoll, Settle: anybody, at any time.
//   - Handle: [Options.Accept], before application code learns of the socket.
//   - Begin and End: in pairs, around what may send several messages. They need not
//     be on the same goroutine. What is sent in between may leave together, at the end.
//   - WatchHandler: inside such a pair, before application code runs. A pair without
//     it must be short, because nobody looks whether something waits for its end.
//   - AllowHandoff: inside Handler.Message with inline, once, as soon as the order of
//     the message is settled. From there on another goroutine may read the next one. It
//     tells the watch last: who is told of is not found out again, so a move must be
//     possible by then.
//   - Detach: anybody who is about to wait for something that the same client must
//     send. It has no effect on the reading before AllowHandoff.
//   - Fanout.Hurry, in place of Done: anybody who is about to wait for answers of others.
//   - AwaitPayloads: on a goroutine that Handler.Closed has started, before it refuses
//     what the transport brings. What waits for the client has been told of the end.
//   - PauseHeartbeat: whoever keeps Message waiting because the application does not
//     keep up, with true, and with false when it goes on.
//   - Frame, Unit, Next, Sent, Unsent, Lost: the transport, as transport.Link says.
//   - Message.Release: the outbox, once the message was sent or refused. Whoever has
//     called Send must not use a message made with reuse any more.
//
// # Locks
//
// A lock may be taken while one further up is held, and never the other way:
//
//	legacy.switching   the right to replace the transport; its holder may wait
//	watch.start
//	watchShard.mu
//	Socket.mu          state, transport, candidate, timers of one session
//	outbox.mu, limiter.mu, shard.mu, flusher.mu, replaceableLink.turn, the wheel's
//
// Those of the last line are leaves: nothing is called while one of them is held. No
// transport and no Handler is called with a mutex of this package held.
//
// # Invariants
//
//  1. A session has at most one transport. Socket.conn changes with Socket.mu held
//     and only while the session is open, and outbox.to changes with it.
//  2. Once Socket.state is stateClosed, nothing is added to the outbox.
//  3. Handler.Closed is called exactly once, by Close, or by Hub.accept when the
//     socket had no handler at the time of Close.
//  4. Messages leave in the order in which they were added. What a transport gives
//     back (Unsent) is first again.
//  5. The messages of a session are decoded by one goroutine at a time, in order.
//     The next transport is read when what the one before has read has its turn.
//  6. Whoever leaves work to somebody else can name who does it: a message that is
//     not flushed at once belongs to a batch that ends or is watched, to a flusher's
//     list, which has a goroutine or is parked while a batch is watched, or to the
//     transport that is still to come; and a session always has a timer or a transport
//     that ends it.
package virtsocket
