// Package redisbus makes a cluster of Servers, and of processes of Socket.IO for Node, by
// means of Redis:
//
//	sio.Options{Cluster: redisbus.New(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, redisbus.Options{})}
//
// # Sharing a cluster with Node
//
// What is published is what the adapters for Node publish, byte for byte, so that processes
// of both kinds serve one application. [Options.Wire] says with which adapter: only nodes with
// the same adapter and the same prefix hear each other.
//
//   - [Classic]: createAdapter of @socket.io/redis-adapter 8 and 7, socket.io-redis 5 and 6 (see
//     [Options.CommonResponses]), and the emitters @socket.io/redis-emitter and socket.io-emitter
//     3 and later.
//   - [Sharded]: createShardedAdapter of @socket.io/redis-adapter 8; needs Redis 7.
//   - [Streams]: @socket.io/redis-streams-adapter 0.3.
//
// A process of Node ends when it receives a message of a wrong shape. Whoever may publish in
// the Redis can therefore end all processes of Node in the cluster: do not share the Redis with
// those you do not trust. A Server counts such a message as missed and goes on.
//
// What Node has no message for is published in channels of its own, PREFIX-siokit#..., to
// which Node does not listen. So are requests to, and answers of, nodes of siokit: they say which
// sockets are asked, so that it is known who has not answered. Of Node's clients only the number
// is known.
//
// # Channels
//
// A node subscribes to what it has use for and to nothing else: to a few channels for each
// namespace that is there, and, on the wires Classic and Sharded, to one channel for each room
// that has sockets on this node. Node subscribes to a pattern instead, and gets what is for
// rooms of others. There are never patterns here. A node listens to the channel of a room from a
// moment after the first socket has joined. What a Server emits behind a Target.Join reaches all
// the same; what a process of Node emits right behind its socketsJoin, and an emitter behind its,
// may not reach sockets here that are the first of this node in the room. With Node's sharded
// adapter it does not reach those of other processes of Node either. Nodes of siokit know each
// other by name; how many processes of Node listen to a namespace, and answer its requests, Redis
// counts.
//
// An emitter, see [sio.NewEmitter], subscribes to two channels of its own, and, in a namespace in
// which it asks, to those of answers while it waits for them. Redis does not count it. It does not
// read streams.
//
// # Connections
//
// There is one connection to receive and one to send, and on the wire Streams a third that
// reads the stream, whatever the number of namespaces and rooms. Messages arrive in the order
// in which Redis has taken them. On the wire Streams, as with Node's adapter, what is in the
// stream may overtake what is not: requests, their answers and events for servers. Each of the
// two keeps its order.
//
// When one of the connections fails, all are closed, the Server is told, and the Backend
// connects again, at first after 100 ms, later after up to 5 s. It subscribes to everything
// again before it says that Redis is there. What was published meanwhile is lost, but for the
// entries of streams: reading goes on behind the last entry that was read, and entries
// that Redis has dropped by then, the node's own among them, are counted as missed.
//
// A connection can be healthy and bring nothing, as after a failover. So when nothing has come
// for [Options.Probe] a message is published to the node itself, and when that does not come
// either the connections are closed.
//
// # Recovery
//
// With sio.Options.Recovery and the wire Streams a client that has lost its connection comes back
// to any node, and gets what it has missed from the stream; processes of Node with
// connectionStateRecovery take such a client, too, and what they do not promise is not promised then.
// Redis keeps the sessions of clients that are away, in keys that begin with [Options.Sessions], and
// in others beside them that begin with "siokit:". It takes one stream ([Options.Count]), and an
// [Options.MaxLen] that is enough for what is emitted in all namespaces while clients are away.
// docs/cluster.md of the project says what is promised.
//
// # History
//
// [NewHistory] is a store for the field Store of mixin.History, in a Redis: that of the bus, or
// another one. It is for any bus, and for one process too, whose history then outlives a restart.
//
//	history := &mixin.History{Store: redisbus.NewHistory(client, redisbus.HistoryOptions{})}
//
// # What was tested
//
// Redis 7.0, alone, behind Sentinel with a failover, and as a Redis Cluster of three servers; TLS,
// passwords, RESP2. Processes of Node with all three adapters and the emitter, and with
// socket.io-redis 6.1 and socket.io-emitter 3.2: the tests in the folder interop/cluster of the
// project print a table of what they share with Servers, in every direction. Other versions, Valkey,
// and the dialects of hosted services were not tried.
//
// On a Redis Cluster the wire Sharded has one connection for each server that has slots, and the
// order of channels in different slots is not kept, as with Node's adapter; one of these
// connections is probed. When a slot moves, or one of the servers fails, all connections are
// made anew. Several streams ([Options.Count]) are refused there. Node's option useShardedPubSub
// of the streams adapter has no counterpart.
package redisbus
