package virtsocket

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/ratelog"
	"github.com/siokit/siokit/core/internal/transport"
)

// Notice is something about a client that an operator should know. It holds no
// secret: no session id, no cookie, no value of a query.
type Notice struct {
	Name    string  // one of the constants
	Err     error   // what exactly it was
	Text    string  // what it was and which option is about it, for the log
	Remote  string  // address of the connection's peer
	Handler Handler // of the session; nil when there is none
}

// The names of notices.
const (
	NoticeOrigin    = "origin_refused"       // a page that may not talk to the server
	NoticeVersion   = "unsupported_version"  // a client of a generation that is not served
	NoticeSession   = "unknown_session"      // a session that has ended, or is in another process
	NoticeTransport = "unknown_transport"    // a transport that is not enabled, or none
	NoticeUpgrade   = "upgrade_stripped"     // a request for a websocket without its Upgrade header
	NoticeTooLarge  = "message_too_large"    // a message over MaxPayload, a query or headers over their bounds
	NoticeLimit     = "too_many_connections" // one of Limits is reached
	NoticeRefused   = "request_refused"      // application code refused
	NoticeRequest   = "bad_request"          // any other request that is not served
)

// Each kind of notice is logged once a minute with the same detail.
const (
	noticeEvery   = time.Minute
	noticeDetails = 32
)

// maxLogged is how many bytes of what a client says are logged.
const maxLogged = 128

// notices count and log what happens to requests.
type notices struct {
	log    *ratelog.Limiter
	counts map[string]*atomic.Int64 // by name; the map never changes
}

func newNotices() notices {
	n := notices{ratelog.New(noticeEvery, noticeDetails), make(map[string]*atomic.Int64)}
	for _, name := range []string{NoticeOrigin, NoticeVersion, NoticeSession, NoticeTransport, NoticeUpgrade, NoticeTooLarge, NoticeLimit, NoticeRefused, NoticeRequest} {
		n.counts[name] = new(atomic.Int64)
	}
	return n
}

// Notices counts the notices since the start, by name.
func (h *Hub) Notices() map[string]int64 {
	counts := make(map[string]int64, len(h.notices.counts))
	for name, n := range h.notices.counts {
		counts[name] = n.Load()
	}
	return counts
}

// notice counts, logs and reports. Two notices of a name with the same detail are
// one for the log.
func (h *Hub) notice(n Notice, detail string) {
	h.notices.counts[n.Name].Add(1)
	if n.Text != "" {
		if suppressed, ok := h.notices.log.Allow(n.Name, detail); ok {
			attrs := []any{"failure", n.Name, "remote", n.Remote}
			if suppressed > 0 {
				attrs = append(attrs, "suppressed", suppressed)
			}
			h.opts.Logger.Warn("siokit: "+n.Text, attrs...)
		}
	}
	if h.opts.Report != nil {
		h.opts.Report(n)
	}
}

// refuse answers a request that is not served.
func (h *Hub) refuse(x host.Exchange, d dialect.Dialect, r *dialect.Refusal) {
	h.opts.Logger.Debug("siokit: request refused", "error", r.Error(), "remote", x.RemoteAddr())
	h.refused(x, r)
	h.opts.Origins.headers(x)
	_ = d.Refuse(x, r)
}

// refused notes the refusal of a request.
func (h *Hub) refused(x host.Exchange, r *dialect.Refusal) {
	n := Notice{Name: NoticeRequest, Err: r, Remote: x.RemoteAddr()}
	detail := ""
	switch {
	case r.Cause == dialect.CauseShutdown || r.Cause == dialect.CauseReported:
		return
	case r.Cause == dialect.CauseOrigin:
		n.Name, n.Text = NoticeOrigin, foreignPage(x)
		detail = n.Text
	case r.Cause == dialect.CauseLimit:
		n.Name, n.Text, detail = NoticeLimit, "handshake refused: "+r.Context, r.Context
	case r.HostLimit > 0:
		n.Name, detail = NoticeTooLarge, "host"
		n.Text = fmt.Sprintf("a message larger than the host's own limit for bodies (%d bytes, http.MaxBytesReader) ended a connection; Options.MaxPayload is %d bytes", r.HostLimit, h.opts.MaxPayload)
	case r.Cause == dialect.CauseTooLarge && r.HTTPStatus() == http.StatusRequestEntityTooLarge:
		n.Name, n.Text = NoticeTooLarge, h.tooLarge()
	case r.Cause == dialect.CauseTooLarge: // its query or headers
		n.Name, n.Text, detail = NoticeTooLarge, "request refused: "+r.Error(), r.Context
	case r.Cause == dialect.CauseUpgrade:
		n.Name = NoticeUpgrade
		n.Text = "a request for a websocket has come without its Upgrade header, which a proxy must pass on (with Connection: upgrade): clients stay on polling"
	case r.Code == dialect.Forbidden:
		n.Name, n.Text, detail = NoticeRefused, "request refused by the application: "+printable(r.Text()), r.Text()
	case r.Code == dialect.UnsupportedVersion:
		n.Name, n.Text = NoticeVersion, "client refused: "+r.Text()+h.versionHint(x)
		detail = n.Text // the hint tells two mistakes apart
	case r.Code == dialect.UnknownSID:
		n.Name, n.Text = NoticeSession, unknownSession
	case r.Code == dialect.UnknownTransport:
		n.Name, n.Text = NoticeTransport, "request refused: "+r.Text()+transportHint(x)
		detail = n.Text
	case r.Cause != dialect.CauseQuiet:
		n.Text = "request refused: " + printable(r.Error())
		detail = n.Text
	}
	h.notice(n, detail)
}

const unknownSession = "unknown session: it has ended, or another process has it; with several processes each client needs to come to the same one (sticky sessions, or sio.Options.Forward)"

func (h *Hub) tooLarge() string {
	return fmt.Sprintf("a message larger than Options.MaxPayload (%d bytes) ended a connection", h.opts.MaxPayload)
}

// noteTooLarge notes why a session's transport has broken, where an operator can do
// something about it.
func (s *Socket) noteTooLarge(err error) {
	var te *transport.Error
	if !errors.As(err, &te) || te.Code != transport.TooBig {
		return
	}
	n := Notice{Name: NoticeTooLarge, Err: err, Text: s.hub.tooLarge(), Handler: s.handler}
	if r, ok := s.handler.(interface{ RemoteAddr() string }); ok {
		n.Remote = r.RemoteAddr()
	}
	s.hub.notice(n, "")
}

// foreignPage says which page was refused. Of a page no more than its origin is logged.
func foreignPage(x host.Exchange) string {
	hd := readHead(x)
	asked := " (Host was " + printable(x.Header("Host")) + ")"
	page := hd.origin
	if u, err := url.Parse(x.Header("Referer")); page == "" && err == nil && u.Host != "" {
		page = u.Scheme + "://" + u.Host
	}
	switch {
	case hd.origins > 1:
		return "a request with several Origin headers was refused" + asked
	case page == "":
		return "a page of another site, which its browser does not name, was refused; see Options.Origins" + asked
	case strings.Contains(page, "@"):
		return "a request whose Origin names a user, as no page's does, was refused" + asked
	}
	// The form that Options.Origins takes, without what may be a secret in a query.
	if page = canonical(page); schemeless(page) {
		scheme := "http"
		if x.TLS() != nil {
			scheme = "https"
		}
		page = scheme + "://" + page
	}
	return "page " + printable(page) + " is not listed in Options.Origins" + asked
}

// versionHint says what there is for clients that name no version.
func (h *Hub) versionHint(x host.Exchange) string {
	if x.Query("EIO") != "" || x.Query("transport") == "" {
		return ""
	}
	return " (no EIO in the query; Options.Legacy.AssumeEIO3 is for such clients of Socket.IO 1.x and 2.x)"
}

// transportHint says what is wrong with the request that pages of Node servers make.
func transportHint(x host.Exchange) string {
	if x.Method() == http.MethodGet && strings.HasSuffix(x.Path(), ".js") {
		return " (the client's script is not served here: pages load it from elsewhere)"
	}
	return ""
}

// printable is what a client said, fit for a log.
func printable(s string) string {
	if len(s) > maxLogged {
		s = s[:maxLogged] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
}

// preflight answers what a browser asks before a request to another origin. One
// that is answered no is a refusal that no further request follows.
func (h *Hub) preflight(x host.Exchange, hd head) bool {
	origins := &h.opts.Origins
	if len(origins.List) == 0 && origins.Allow == nil {
		return false
	}
	if x.Header("Origin") != "" && !origins.admit(x, hd) {
		h.refused(x, foreign())
	}
	return origins.preflight(x)
}
