// Package host is the interface between siokit and a web framework. It is for authors of
// adapters. Applications use a finished adapter, and meet [Exchange] in hooks and in
// middleware.
//
// An adapter turns each request of its framework into an [Exchange] and gives it to a
// [Handler], which is a *sio.Server or an *eio.Server. The core does the rest, from the
// long poll to the websocket.
//
// # An adapter for a framework on net/http
//
//  1. Write a function Mount that registers the handler at a path with and without a
//     slash at its end, and at every path below, for every method. It must not redirect:
//     websockets follow no redirect. [Require] finds a nil argument at start-up.
//  2. For each request call [ServeHTTP] with the framework's writer and request, and the
//     path below the mount point. That makes the Exchange.
//  3. Give in [HTTPConfig] what the framework knows: its context, the route, its
//     parameters, the client's address behind proxies, values of middleware. [PlainValues]
//     and [Believes] help.
//  4. When ServeHTTP has returned, write nothing more: the connection may be a websocket.
//  5. Run the suite, conformance.Run. Its README shows a whole adapter with its test.
//
// # An adapter for another HTTP server
//
// Step 2 is an Exchange of your own. Make a new one for each request, call
// Handler.ServeExchange, and tell it when that has returned, so that Native is nil from
// then on. These functions do what is hard to get right:
//
//   - Query: [QueryValue].
//   - Body: [ReadBody], where the server has not read the body itself.
//   - Upgrade: [SwitchingProtocols] checks the request and makes the answer.
//   - Reply and Stream: a client that reads nothing for [StreamTimeout] must not keep the
//     answer; set a write deadline for each piece of it.
//
// Let a panic of ServeExchange pass on to the server; the core has recovered those of the
// application before. Application code may also end the goroutine (runtime.Goexit): close
// the connection then, as net/http does.
//
// # Memory
//
// What the methods of an Exchange return is kept as long as a connection lives. So strings
// and byte slices must be copies where the server uses their memory again, as fasthttp
// does. [Details] other than the URL need no copies: the core makes them, see there. An
// Exchange and what Native returns are valid until ServeExchange returns.
//
// # What a host cannot do
//
// A method that cannot do its part says so by an error and has then answered nothing; the
// core answers.
//
//   - Stream: an error that wraps [ErrNoStream]. The core logs it and answers 501 with its
//     text, so the text should name the writers that hold the pieces back.
//   - Upgrade: an error that wraps [ErrNoHijack], likewise logged and answered by 501. For
//     a request that is no opening handshake, one that wraps [ErrHandshake]: 400 or 426.
//   - Body: [ErrTooLarge] is answered by 413, [ErrTimeout] by 408.
//   - Gone: nil, when the host does not notice that a client leaves.
//
// # Optional interfaces
//
// An Exchange may implement [Detailer], [Prober] and [CookieHider]. New abilities will come
// as further interfaces of this kind: Exchange itself does not grow.
//
// Code that looks for one uses [As], which finds it also inside of a [Wrapper]. Therefore an
// exchange that wraps another one, as middleware of sio.Server.UseExchange makes it, must
// have an Unwrap. Without Unwrap what the host can do beyond Exchange is lost.
package host

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// Handler serves exchanges. *sio.Server and *eio.Server are Handlers. A Handler that
// also has a method Mounted(Mount) is told where it is mounted; see [Announce].
type Handler interface {
	// ServeExchange answers x: exactly one of Reply, Stream and Upgrade is called. It
	// returns when that is done, for a long poll as late as its answer.
	ServeExchange(x Exchange)
}

// HandlerFunc is a Handler in the form of a function, for middleware of
// sio.Server.UseExchange as http.HandlerFunc is for net/http.
type HandlerFunc func(x Exchange)

var _ Handler = HandlerFunc(nil)

// ServeExchange calls f.
func (f HandlerFunc) ServeExchange(x Exchange) { f(x) }

// Errors of an Exchange. Wrap them with what the host said: the core compares with
// errors.Is.
var (
	// ErrTooLarge of Body: the body is larger than the limit. Status 413.
	ErrTooLarge = errors.New("host: the request body is larger than allowed")
	// ErrTimeout of Body: the body did not arrive in time. Status 408.
	ErrTimeout = errors.New("host: the request body did not arrive in time")
	// ErrNoStream of Stream: the host keeps back what is written until the answer ends.
	// The text names the writers in the way. It is logged, and is the body of a 501.
	ErrNoStream = errors.New("host: cannot stream")
	// ErrNoHijack of Upgrade: the host does not hand out the connection. The text names
	// the writers in the way. It is logged, and is the body of a 501.
	ErrNoHijack = errors.New("host: cannot take over the connection")
	// ErrHandshake of Upgrade: the request is no opening handshake of RFC 6455. Status
	// 400, or what a method HTTPStatus() int of the error says: those of
	// SwitchingProtocols say 426 for a version other than 13.
	ErrHandshake = errors.New("host: not a websocket handshake")
	// ErrGone of Reply: the client has left and did not get the answer.
	ErrGone = errors.New("host: the client has left")
)

// UpgradeOptions are the parts of the websocket opening handshake that the core decides.
// An Exchange passes them to [SwitchingProtocols].
type UpgradeOptions struct {
	// Protocols are the subprotocols that the server speaks; the first one that
	// the client offers among them is chosen. Nil: the first one that the client
	// offers, whatever it is. Empty but not nil: none.
	Protocols []string
}

// Exchange is one HTTP request and its answer.
//
// Strings and byte slices that its methods return must be copies, where the host uses their
// memory again: the core keeps what it gets. An Exchange is valid until ServeExchange
// returns, and is used by one goroutine at a time. Exactly one of Reply, Stream and Upgrade
// is called with success. The functions given to Stream and Upgrade may run before the call
// returns (net/http) or after ServeExchange has returned (fasthttp), and must not use the
// Exchange.
type Exchange interface {
	// Method is the request method in upper case.
	Method() string
	// Path is the part of the path below the mount point, decoded, without outer
	// slashes; "" for the mount point itself.
	Path() string
	// Query is the first value of a query parameter, decoded, "" when absent or badly
	// escaped; see QueryValue.
	Query(key string) string
	// RawQuery is the query as it was sent, without the question mark.
	RawQuery() string
	// Header is the first value of a request header, "" when absent. The case of key
	// does not matter, whatever was sent. Host is among the headers.
	Header(key string) string
	// EachHeader calls f for every value of every request header, Host included.
	EachHeader(f func(key, value string))
	// Body reads the request body. ErrTooLarge is returned before reading when
	// the announced length is over limit (bytes), else as soon as it is crossed;
	// ErrTimeout when the body does not arrive in time. It is called at most once.
	Body(limit int64) ([]byte, error)
	// RemoteAddr is the address of the connection's peer, not what a proxy claims;
	// on net/http a middleware may have replaced it.
	RemoteAddr() string
	// TLS is the state of the connection, nil without TLS.
	TLS() *tls.ConnectionState
	// SetHeader replaces a header of the answer.
	SetHeader(key, value string)
	// AddHeader adds a value to a header of the answer.
	AddHeader(key, value string)
	// HasHeader reports whether the answer has the header already, set by the host.
	HasHeader(key string) bool
	// Reply answers with a whole body. An error means that the client did not
	// get it; not every host can tell. A host that keeps body after Reply copies it.
	// A client that has read nothing for StreamTimeout is given up.
	Reply(status int, body []byte) error
	// Stream answers with a body that run writes piece by piece. Each piece must be on
	// its way to the client when Flush returns.
	//
	// A host that keeps the pieces back until the end returns an error that wraps
	// ErrNoStream and names the writers in the way, such as "host: cannot stream: the
	// timeout middleware collects the answer". Then it has not called run and has
	// answered nothing; the core logs the error and replies 501 with that text. The host
	// finds this out before it calls run, by asking its writers.
	Stream(status int, run func(Stream)) error
	// Upgrade does the opening handshake of RFC 6455, with the cookies that the host
	// has set on the 101, and hands the raw connection to run, without a deadline of
	// the host. br holds the bytes that arrived with the handshake, and ends behind
	// them; br is nil when there were none. From then on the connection belongs to the
	// caller, who closes it, perhaps long after run has returned.
	//
	// A host that has returned nil must call run, because a session waits for it; when
	// the connection is lost, with a closed one. On an error nothing was answered, and
	// the caller may still Reply.
	Upgrade(opts UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error
	// Gone is closed when the client leaves; nil when the host cannot tell. A host
	// whose Gone may have other reasons implements Prober too.
	Gone() <-chan struct{}
	// Native is the framework's context (*gin.Context, echo.Context, *http.Request,
	// *fiber.Ctx; in newer versions *echo.Context and fiber.Ctx). It is recycled when
	// ServeExchange returns: never keep it. From then on Native is nil.
	Native() any
}

// StreamTimeout is how long a client may read nothing of an answer: 10 s for each 64 KiB. A
// host must give the client up after it, so that nobody keeps the memory of an answer by not
// reading it: Reply fails where it can tell, Write or Flush of a Stream fail.
const StreamTimeout = 10 * time.Second

// Stream is an answer in pieces. What Write got is on its way to the client when Flush has
// returned; the caller may use the slice again after Write. Both fail when the client reads
// nothing for [StreamTimeout].
type Stream interface {
	io.Writer
	Flush() error
}

// Prober is an Exchange that can look at the connection at once and say whether the
// client is still there. A host implements it when its Gone is late, or is closed for
// other reasons too, such as the host's own shutdown.
type Prober interface {
	// Present reports false when the client is known to have left.
	Present() bool
}
