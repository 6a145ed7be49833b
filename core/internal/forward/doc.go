// Package forward passes requests on from one node of a cluster to the node that has their
// session. It knows nothing of sessions: whoever calls Pass has found the node and its
// address.
//
// # An exchange at two ends
//
// The request stays with the host on which it came, because it is this host that answers.
// The node that has the session sees a [host.Exchange] whose methods ask the other end: for
// the body, to reply, to stream, to take the connection over. So a request that was passed on
// is served as one that was not, on every host: limits of the host's own, its cookies, the
// opening handshake of a websocket and its errors are those of the host. Middleware runs
// where the request came. What the host knows beyond HTTP is passed on as far as it is plain
// text; there is no framework's context at the other end.
//
// # On the wire
//
// A TCP connection serves one exchange at a time, and then the next. It begins with proofs
// that both ends know the secret (auth.go). Then there are frames: one byte that says what
// it is, four bytes of length, and the rest. The passing end sends a request; then the other
// end asks and the passing end answers, one question at a time, until the end. The passing
// end may say meanwhile that the client has left. When a connection has become a websocket,
// its bytes go both ways as they are, and the TCP connection ends with it.
//
// # What ends
//
// Every question has a time in which it must be answered, and so has the whole of a held
// poll. A websocket has none: its session has heartbeats. The connections to a node end when
// the node has left the cluster (Left). One that has fallen silent on the bus (Silent) may be
// cut off from the bus alone: the connections to it end when it cannot be reached, or proves
// nothing, and meanwhile requests are passed on to it as before. TCP's own probes end
// connections to a machine that is silent.
package forward
