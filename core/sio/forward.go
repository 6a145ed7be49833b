package sio

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/forward"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// Forward is how the servers of a cluster pass requests on to each other. Each listens on a
// TCP port of its own for the others, whatever host its clients come to. With it a load
// balancer may send each request to any server: a session belongs to the server that has made
// it, and its id begins with the name of that server's node.
//
// The client's address, its headers and its body come along, and the answer goes back by the
// host where the request came: that host's middleware runs, and that of Server.UseExchange on
// that server. What the framework of that host keeps for a request stays there: on the server
// that has the session, Exchange.Native of the exchange in Conn.OnExchange is nil and
// Request.Values is empty. A handshake is never passed on, so OnHandshake always has both.
//
// When the server that has the session is gone, or does not answer, the client is told that
// its session is unknown, and connects again; see FailureForward.
//
// Each request that is passed on has a TCP connection of its own while it lasts, which a held
// poll and a websocket do. Both ends prove that they know Secret when a connection opens; what
// passes then is neither authenticated nor encrypted. The port belongs into a network of the
// servers' own, which keeps the rest.
type Forward struct {
	// Listen is the address on which the server takes what others pass on, host and port.
	// Port 0 is any free one.
	Listen string
	// Advertise is the address that the others dial; Listen. It is needed when Listen has
	// no host, or one that stands for all addresses of the machine.
	Advertise string
	// Secret is known to all servers of the cluster and to nobody else: whoever has it, or can
	// change what passes between two servers, can send requests in the name of any address. At
	// least 16 bytes, chosen at random.
	Secret []byte
}

// minForwardSecret is how many bytes the secret has at least.
const minForwardSecret = 16

// forwardSlack is how much longer than the longest poll an answer may take.
const forwardSlack = 30 * time.Second

// newNodeTime is for how long after a node was made, or has come to the bus, a request for a
// session of an unknown node waits for the others to say that they are there.
const newNodeTime = time.Second

// forwardInfo is what the nodes tell each other in front of the address.
const forwardInfo = "forward="

// checkForward panics for options that cannot work.
func (o *Options) checkForward() {
	f := o.Forward
	if f == nil {
		return
	}
	bad := ""
	switch h, _, err := net.SplitHostPort(f.Listen); {
	case o.Cluster == nil:
		bad = "it needs Options.Cluster"
	case len(f.Secret) < minForwardSecret:
		bad = fmt.Sprintf("the Secret has less than %d bytes", minForwardSecret)
	case err != nil:
		bad = "Listen: " + err.Error()
	case f.Advertise == "" && unspecified(h):
		bad = fmt.Sprintf("Listen is %q, which others cannot dial; set Advertise", f.Listen)
	case f.Advertise != "":
		if h, p, err := net.SplitHostPort(f.Advertise); err != nil || unspecified(h) || p == "" || p == "0" {
			bad = fmt.Sprintf("Advertise is %q, and not a host and a port", f.Advertise)
		}
	}
	if bad != "" {
		panic("sio: Options.Forward: " + bad)
	}
}

func unspecified(h string) bool {
	ip := net.ParseIP(h)
	return h == "" || ip != nil && ip.IsUnspecified()
}

// listenForward begins to listen for other nodes, and returns what they are told of this one.
func (s *Server) listenForward() (info string) {
	o := s.opts.Forward
	if o == nil {
		return ""
	}
	f, err := forward.Listen(o.Listen, forward.Options{
		Secret: slices.Clone(o.Secret), Logger: s.opts.Logger, Refused: s.refusedNode,
		Wait: s.opts.PingInterval + s.opts.PingTimeout + s.opts.Legacy.PollDuration + forwardSlack,
	})
	if err != nil {
		panic(fmt.Sprintf("sio: Options.Forward: %v", err))
	}
	s.forward = f
	if s.advertised = o.Advertise; s.advertised == "" {
		h, _, _ := net.SplitHostPort(o.Listen)
		_, port, _ := net.SplitHostPort(f.Addr().String())
		s.advertised = net.JoinHostPort(h, port)
	}
	return forwardInfo + s.advertised
}

// refusedNode reports a connection to the port of Options.Forward that has proved nothing.
func (s *Server) refusedNode(remote string, err error) {
	if suppressed, ok := s.notices.Allow(FailureForward, "refused"); ok {
		s.opts.Logger.Warn("siokit: a connection to the port of Options.Forward was refused", "remote", remote, "error", err, "suppressed", suppressed)
	}
	s.report(Failure{Name: FailureForward, Err: err, Remote: remote, Reason: "a connection to the port of Options.Forward was refused"})
}

// sessionIn is the id in a request that has the form of a session's of a cluster, "" when
// there is none: in the query, or with clients before 1.0 in the path.
func sessionIn(x host.Exchange) string {
	if id := x.Query("sid"); sessionID(id) {
		return id
	}
	for part := range strings.SplitSeq(x.Path(), "/") {
		if sessionID(part) {
			return part
		}
	}
	return ""
}

func sessionID(id string) bool {
	return len(id) == virtsocket.IDLength && dialect.ValidSID(id)
}

// elsewhere passes a request on that names a session of another node. It reports false when
// there is no such node, or it has not answered: then the session is unknown.
func (s *Server) elsewhere(x host.Exchange) bool {
	id := sessionIn(x)
	if id == "" {
		return false
	}
	name := id[:node.NameLength]
	if name == s.node.Name() {
		return false
	}
	if _, again := host.As[forward.Passed](x); again {
		return false
	}
	info, there := s.infoOf(name, x)
	if !there {
		return false
	}
	address, takes := strings.CutPrefix(info, forwardInfo)
	if s.forward == nil || !takes {
		s.sticky(name)
		return false
	}
	answered, err := s.forward.Pass(x, name, address)
	if err != nil && s.life.Err() == nil { // after Shutdown it is no failure
		if suppressed, ok := s.notices.Allow(FailureForward, name); ok {
			s.opts.Logger.Warn("siokit: a request could not be passed on to the node that has its session", "node", name, "error", err, "suppressed", suppressed)
		}
		s.report(Failure{Name: FailureForward, Err: err, Remote: x.RemoteAddr(), Reason: "a request could not be passed on to node " + name})
	}
	return answered
}

// infoOf is what a node has said of itself. A node that is new does not know the others yet.
// It waits for them first, or clients would be told that sessions have ended which have not,
// whenever a server is started beside others.
func (s *Server) infoOf(name string, x host.Exchange) (info string, there bool) {
	if info, there = s.node.Info(name); there {
		return info, there
	}
	if s.forward != nil { // one that is silent on the bus alone
		if address, reached := s.forward.Address(name); reached {
			return forwardInfo + address, true
		}
	}
	if !s.node.Settled() {
		s.node.Await(newNodeTime, x.Gone())
	}
	return s.node.Info(name) // it may have been heard again between the two
}

// sticky says once that requests come to the wrong node.
func (s *Server) sticky(name string) {
	if s.unsticky.Swap(true) {
		return
	}
	why := "without Options.Forward on all servers"
	if s.forward != nil {
		why = "which has no Options.Forward"
	}
	s.opts.Logger.Error("siokit: a request has come for a session that another server has, "+why+
		": the load balancer needs sticky sessions, so that all requests of a client come to one server, or every server needs Options.Forward", "node", name)
}

// passedOn serves what other nodes pass on. Middleware has run where the request came.
type passedOn struct{ srv *Server }

var _ host.Handler = passedOn{}

// ServeExchange implements host.Handler.
func (p passedOn) ServeExchange(x host.Exchange) {
	if p.srv.exchange(p.srv.hub, x) != nil {
		p.srv.fail(x)
	}
}
