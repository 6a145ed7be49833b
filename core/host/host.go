// Package host is the interface between siokit and a web framework. It is for authors of
// adapters; applications use a finished adapter.
//
// An adapter turns each request of its framework into an [Exchange] and gives it to a
// [Handler]. The core does the rest, from the long poll to the websocket. A framework on
// net/http needs no Exchange of its own: [ServeHTTP] takes its writer and request.
package host

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// Handler serves exchanges. *sio.Server, *sio.Namespace and *eio.Server are Handlers.
type Handler interface {
	// ServeExchange answers x: exactly one of Reply, Stream and Upgrade is called.
	ServeExchange(x Exchange)
}

// HandlerFunc is a Handler in the form of a function.
type HandlerFunc func(x Exchange)

var _ Handler = HandlerFunc(nil)

func (f HandlerFunc) ServeExchange(x Exchange) { f(x) }

// Caps are abilities that some hosts have and others have not.
type Caps uint8

// The abilities that Exchange.Caps reports.
const (
	CapStream    Caps = 1 << iota // Stream delivers bytes before the end of the answer
	CapWebSocket                  // Upgrade can take over the connection
	CapGone                       // Gone fires when the client leaves during the exchange
	CapDeadlines                  // the host's write deadline can be lifted for a held answer
)

// Has reports whether all of want are among c.
func (c Caps) Has(want Caps) bool { return c&want == want }

// Errors of an Exchange. They are wrapped with what the host said.
var (
	ErrTooLarge  = errors.New("host: the request body is larger than allowed")
	ErrTimeout   = errors.New("host: the request body did not arrive in time")
	ErrNoHijack  = errors.New("host: cannot take over the connection")
	ErrNoStream  = errors.New("host: cannot stream")
	ErrHandshake = errors.New("host: not a websocket handshake")
	ErrGone      = errors.New("host: the client has left")
)

// UpgradeOptions are the parts of the websocket opening handshake that the core decides.
type UpgradeOptions struct {
	// Protocols are the subprotocols that the server speaks; the first one that
	// the client offers among them is chosen. Nil: the first one that the client
	// offers, whatever it is. Empty but not nil: none.
	Protocols []string
}

// Exchange is one HTTP request and its answer.
//
// Strings and byte slices that its methods return must be copies: the core keeps what
// it gets. An Exchange is valid until ServeExchange returns. Exactly one of Reply, Stream
// and Upgrade is called with success. The functions given to Stream and Upgrade may run
// before the call returns (net/http) or after ServeExchange has returned (fasthttp), and
// must not use the Exchange.
type Exchange interface {
	// Method is the request method in upper case.
	Method() string
	// Path is the part of the path below the mount point, decoded, without outer slashes.
	Path() string
	// Query is the first value of a query parameter, "" when absent.
	Query(key string) string
	// RawQuery is the query as it was sent, without the question mark.
	RawQuery() string
	// Header is the first value of a request header, "" when absent.
	Header(key string) string
	// EachHeader calls f for every value of every request header, Host included.
	EachHeader(f func(key, value string))
	// Body reads the request body. ErrTooLarge is returned before reading when
	// the announced length is over limit (bytes), else as soon as it is crossed;
	// ErrTimeout when the body does not arrive in time.
	Body(limit int64) ([]byte, error)
	// RemoteAddr is the address of the connection's peer, not what a proxy claims;
	// on net/http a middleware may have replaced it.
	RemoteAddr() string
	// TLS is the state of the connection, nil without TLS.
	TLS() *tls.ConnectionState
	// SetHeader and AddHeader change a header of the answer.
	SetHeader(key, value string)
	AddHeader(key, value string)
	// HasHeader reports whether the answer has the header already, set by the host.
	HasHeader(key string) bool
	// Reply answers with a whole body. An error means that the client did not
	// get it; not every host can tell.
	Reply(status int, body []byte) error
	// Stream answers with a body that run writes piece by piece. A host that keeps
	// the pieces back until the end returns an error that wraps ErrNoStream and
	// names the writers in the way; then run was not called and nothing was
	// answered, and the caller replies 501 with that text.
	Stream(status int, run func(Stream)) error
	// Upgrade does the opening handshake of RFC 6455, with the cookies that the
	// host set on the 101, and hands the raw connection to run. br holds the
	// bytes that arrived with the handshake and ends behind them; nil: none did.
	// The connection belongs to run, for longer than run itself if it likes,
	// until it is closed. On an error nothing was answered, and the caller may
	// still Reply.
	Upgrade(opts UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error
	// Gone is closed when the client leaves; nil when the host cannot tell.
	Gone() <-chan struct{}
	// Caps are the abilities of this host, and the chain of its writers for error texts.
	Caps() (Caps, string)
	// Native is the framework's context (*gin.Context, echo.Context, *http.Request,
	// *fiber.Ctx; in newer versions *echo.Context and fiber.Ctx). It is recycled when ServeExchange returns: never keep it.
	Native() any
}

// StreamTimeout is how long the client of a stream may read nothing; 10 s. A host must
// let Write or Flush fail after it.
const StreamTimeout = 10 * time.Second

// Stream is an answer in pieces.
type Stream interface {
	io.Writer
	Flush() error
}

// Prober is an Exchange that can look at the connection at once and say whether the
// client is still there. A host implements it when its Gone is late.
type Prober interface {
	// Present reports false when the client is known to have left.
	Present() bool
}
