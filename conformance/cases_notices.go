package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// ledger is a log at the default level, and what OnError was told.
type ledger struct {
	slog.Handler
	mu   sync.Mutex
	text bytes.Buffer
	told []sio.Failure
}

func (l *ledger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines returns what was logged, and how often OnError was told an incident.
func (l *ledger) lines(name string) (lines []string, told int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range l.told {
		if in.Name == name && (in.Remote != "" || in.Request != nil) && in.Reason != "" {
			told++
		}
	}
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n"), told
}

func withLedger(o *sio.Options) {
	l := &ledger{}
	l.Handler = slog.NewTextHandler(io.Writer(l), nil)
	o.Logger = slog.New(l)
	o.OnError = func(in sio.Failure) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.told = append(l.told, in)
	}
}

// The secrets of the requests below, none of which may be logged.
const (
	secretSID    = "S3cretSessionIdOfSomebody"
	secretCookie = "S3cretCookieValue"
	secretQuery  = "S3cretQueryValue"
)

// evilPage is the origin of a page that no server has listed.
const evilPage = "https://evil.example"

// unlisted is what the log says about it.
var unlisted = []string{"page " + evilPage + " is not listed in Options.Origins"}

// getWith sends a GET request with secrets in its query and its cookie.
func getWith(query string, head ...string) func(c *env) {
	return func(c *env) {
		c.Must("GET", query+"&token="+secretQuery, "", append(head, "Cookie", "id="+secretCookie)...)
	}
}

// getAt sends a GET request to a path below the mount point.
func getAt(path, query string) func(c *env) {
	return func(c *env) { c.At(mount+path).Must("GET", query, "") }
}

// noticesRow is a client that is kept out, and what the log says about it.
type noticesRow struct {
	name, incident string
	text           []string // in one line of the log
	opts           func(o *sio.Options)
	do             func(c *env)
}

var noticesRows = []noticesRow{
	{"origin", sio.FailureOrigin, []string{unlisted[0], "(Host was 127.0.0.1"}, nil, getWith(q4, "Origin", evilPage)},
	{"origin-of-a-websocket", sio.FailureOrigin, unlisted, nil, func(c *env) { c.Upgrade(w4, "", "Origin", evilPage) }},
	{
		"origin-without-a-scheme", sio.FailureOrigin, []string{"://evil.example:4711 is not listed in Options.Origins"}, nil,
		getWith(q4, "Origin", "evil.example:4711"),
	},
	{
		"origin-with-a-query", sio.FailureOrigin, unlisted, nil,
		getWith(q4, "Origin", "wss://evil.example/socket.io/?EIO=3&token="+secretQuery),
	},
	{
		"origin-with-a-user", sio.FailureOrigin, []string{"names a user"}, nil,
		getWith(q4, "Origin", "https://"+secretQuery+"@evil.example"),
	},
	{"origin-in-0.9", sio.FailureOrigin, unlisted, nil, func(c *env) { c.At(mount+"/1/").Must("GET", "", "", "Origin", evilPage) }},
	{
		"origin-of-a-preflight",
		sio.FailureOrigin,
		unlisted,
		func(o *sio.Options) { o.Origins = []string{"https://app.example.com"} },
		noticesOriginOfAPreflightDo,
	},
	{
		"origin-of-a-script", sio.FailureOrigin, unlisted, everything,
		getWith(q4+"&j=0", "Referer", evilPage+"/page?token="+secretQuery),
	},
	{"version", sio.FailureVersion, []string{"Unsupported protocol version"}, nil, getWith("EIO=5&transport=polling")},
	{"no-version", sio.FailureVersion, []string{"Options.Legacy.AssumeEIO3"}, nil, getWith("transport=polling")},
	{
		"dialect", sio.FailureVersion, []string{"sio1 is not among Options.Dialects"},
		func(o *sio.Options) { o.Dialects = []string{"eio4"} }, getAt("/1/", ""),
	},
	{"session", sio.FailureSession, []string{"unknown session", "sticky"}, nil, getWith(q4 + "&sid=" + secretSID)},
	{
		"session-of-a-websocket", sio.FailureSession, []string{"unknown session", "sticky"}, nil,
		func(c *env) { c.Upgrade(w4+"&sid="+secretSID, "") },
	},
	{"session-of-0.9", sio.FailureSession, []string{"unknown session", "sticky"}, nil, getAt("/1/xhr-polling/"+secretSID, "")},
	{"transport", sio.FailureTransport, []string{"jsonp is not among Options.Transports"}, nil, getWith(q4 + "&j=0")},
	{
		"transport-of-0.9", sio.FailureTransport, []string{"htmlfile is not among Options.Transports"},
		nil, getAt("/1/htmlfile/"+secretSID, ""),
	},
	{"upgrade-header", sio.FailureUpgrade, []string{"Upgrade header", "proxy"}, nil, getWith(w4)},
	{
		"post-too-large",
		sio.FailureTooLarge,
		[]string{"Options.MaxPayload (100 bytes)"},
		small,
		noticesPostTooLargeDo,
	},
	{
		"frame-too-large",
		sio.FailureTooLarge,
		[]string{"Options.MaxPayload (100 bytes)"},
		small,
		noticesFrameTooLargeDo,
	},
	{
		"limit",
		sio.FailureLimit,
		[]string{"Options.MaxPending is reached"},
		func(o *sio.Options) { o.MaxPending = 1 },
		noticesLimitDo,
	},
	{
		"frame-too-large-in-an-upgrade",
		sio.FailureTooLarge,
		[]string{"Options.MaxPayload (100 bytes)"},
		small,
		noticesCandidateTooLargeDo,
	},
	{"handshake-by-post", sio.FailureRequest, []string{"Bad handshake method"}, nil, func(c *env) { c.Must("POST", q4, "1") }},
	{"session-of-another-protocol", sio.FailureRequest, []string{"protocol mismatch"}, nil, noticesProtocolMismatchDo},
	{
		"websocket-version", sio.FailureRequest, []string{"Sec-WebSocket-Version is not 13"}, nil,
		func(c *env) { c.Upgrade(w4, "", "Sec-WebSocket-Version", "8") },
	},
	{
		"transport-below-the-paths-of-0.9", sio.FailureTransport, []string{"Transport unknown"}, nil,
		getAt("/1/", "EIO=4&transport=carrier-pigeon"),
	},
	{"refused", sio.FailureRefused, []string{"members only"}, noticesRefusedOpts, getWith(q4)},
}

func noticesCases() (cases []testCase) {
	for _, row := range noticesRows {
		cases = append(cases, testCase{
			name: "notices/" + row.name,
			rule: "what keeps a client out is in the log at the default level, once a minute and without " +
				"secrets, with the option to set; OnError is told every time and Stats counts",
			spec:  "docs/protocol.md 9.4",
			local: true,
			opts:  func(o *sio.Options) { noticesOptions(o, row) },
			run:   func(c *env) { notices(c, row) },
		})
	}
	return cases
}

func noticesOriginOfAPreflightDo(c *env) {
	c.Must("OPTIONS", q4, "", "Origin", evilPage, "Access-Control-Request-Method", "POST")
}

func noticesPostTooLargeDo(c *env) {
	s := c.Polling()
	s.Post(strings.Repeat("4", 200))
}

func noticesFrameTooLargeDo(c *env) {
	w, _ := c.WebSocket()
	w.Send(strings.Repeat("4", 200))
	w.End()
}

func noticesCandidateTooLargeDo(c *env) {
	s := c.Polling()
	w := c.probe(s)
	w.Send(strings.Repeat("4", 200))
	w.End()
}

func noticesProtocolMismatchDo(c *env) {
	c.Must("GET", "EIO=3&transport=polling&sid="+c.Polling().Open.SID, "")
}

func noticesLimitDo(c *env) {
	for c.Must("GET", q4, "").Status == 200 {
	}
}

func noticesRefusedOpts(o *sio.Options) {
	o.OnHandshake = func(context.Context, *sio.Request, host.Exchange) error { return &sio.Error{Message: "members only"} }
}

func noticesOptions(o *sio.Options, row noticesRow) {
	withLedger(o)
	if row.opts != nil {
		row.opts(o)
	}
}

func notices(c *env, row noticesRow) {
	c.server()
	for range 3 {
		row.do(c)
	}
	noted(c, row.incident, row.text)
}

// noticesFloodCases are about the size of the log.
var noticesFloodCases = []testCase{
	{
		name:  "notices/flood",
		rule:  "a client that says something else every time does not fill the log",
		spec:  "docs/protocol.md 9.4",
		local: true,
		opts:  withLedger,
		run:   noticesFlood,
	},
}

func noticesFlood(c *env) {
	c.server()
	for i := range 200 {
		c.Must("GET", q4, "", "Origin", fmt.Sprintf("https://evil%d.example", i))
	}
	l := c.opts.Logger.Handler().(*ledger)
	lines, told := l.lines(sio.FailureOrigin)
	c.Want("OnError", told, 200)
	if len(lines) < 2 || len(lines) > 100 {
		c.T.Errorf("%d lines for 200 origins", len(lines))
	}
}

func small(o *sio.Options) { o.MaxPayload = 100 }

// noted checks what three requests of a kind have left.
func noted(c *env, incident string, text []string) {
	c.T.Helper()
	l := c.opts.Logger.Handler().(*ledger)
	c.Eventually("three incidents", func() bool {
		_, told := l.lines(incident)
		return told >= 3
	})
	lines, told := l.lines(incident)
	c.Want("OnError", told, 3)
	c.Want("Stats", c.stats().Failures[incident], 3)
	found := 0
	for _, line := range lines {
		all := true
		for _, t := range text {
			all = all && strings.Contains(line, t)
		}
		if all && (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=INFO")) {
			found++
		}
		for _, secret := range []string{secretSID, secretCookie, secretQuery} {
			if strings.Contains(line, secret) {
				c.T.Errorf("a secret in the log: %s", line)
			}
		}
	}
	if found < 1 || found > len(c.servers()) { // one minute's line of each server
		c.T.Errorf("%d lines with %q in the log:\n%s", found, text, strings.Join(lines, "\n"))
	}
}
