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

func init() {
	const evil = "https://evil.example"
	get := func(query string, head ...string) func(c *Context) {
		return func(c *Context) {
			c.Must("GET", query+"&token="+secretQuery, "", append(head, "Cookie", "id="+secretCookie)...)
		}
	}
	at := func(path, query string) func(c *Context) {
		return func(c *Context) { c.At(mount+path).Must("GET", query, "") }
	}
	for _, row := range []struct {
		name, incident string
		text           []string // in one line of the log
		opts           func(o *sio.Options)
		do             func(c *Context)
	}{
		{"origin", sio.FailureOrigin, []string{"page " + evil + " is not listed in Options.Origins", "(Host was 127.0.0.1"}, nil, get(q4, "Origin", evil)},
		{"origin-of-a-websocket", sio.FailureOrigin, []string{"page " + evil + " is not listed in Options.Origins"}, nil, func(c *Context) { c.Upgrade(w4, "", "Origin", evil) }},
		{"origin-in-0.9", sio.FailureOrigin, []string{"page " + evil + " is not listed in Options.Origins"}, nil, func(c *Context) { c.At(mount+"/1/").Must("GET", "", "", "Origin", evil) }},
		{"origin-of-a-preflight", sio.FailureOrigin, []string{"page " + evil + " is not listed in Options.Origins"}, func(o *sio.Options) { o.Origins = []string{"https://app.example.com"} },
			func(c *Context) {
				c.Must("OPTIONS", q4, "", "Origin", evil, "Access-Control-Request-Method", "POST")
			}},
		{"origin-of-a-script", sio.FailureOrigin, []string{"page " + evil + " is not listed in Options.Origins"}, everything, get(q4+"&j=0", "Referer", evil+"/page?token="+secretQuery)},
		{"version", sio.FailureVersion, []string{"Unsupported protocol version"}, nil, get("EIO=5&transport=polling")},
		{"no-version", sio.FailureVersion, []string{"Options.AssumeEIO3"}, nil, get("transport=polling")},
		{"dialect", sio.FailureVersion, []string{"sio1 is not among Options.Dialects"}, func(o *sio.Options) { o.Dialects = []string{"eio4"} }, at("/1/", "")},
		{"session", sio.FailureSession, []string{"unknown session", "sticky"}, nil, get(q4 + "&sid=" + secretSID)},
		{"session-of-a-websocket", sio.FailureSession, []string{"unknown session", "sticky"}, nil, func(c *Context) { c.Upgrade(w4+"&sid="+secretSID, "") }},
		{"session-of-0.9", sio.FailureSession, []string{"unknown session", "sticky"}, nil, at("/1/xhr-polling/"+secretSID, "")},
		{"transport", sio.FailureTransport, []string{"jsonp is not among Options.Transports"}, nil, get(q4 + "&j=0")},
		{"transport-of-0.9", sio.FailureTransport, []string{"htmlfile is not among Options.Transports"}, nil, at("/1/htmlfile/"+secretSID, "")},
		{"upgrade-header", sio.FailureUpgrade, []string{"Upgrade header", "proxy"}, nil, get(w4)},
		{"post-too-large", sio.FailureTooLarge, []string{"Options.MaxPayload (100 bytes)"}, small, func(c *Context) {
			s := c.Polling()
			s.Post(strings.Repeat("4", 200))
		}},
		{"frame-too-large", sio.FailureTooLarge, []string{"Options.MaxPayload (100 bytes)"}, small, func(c *Context) {
			w, _ := c.WebSocket()
			w.Send(strings.Repeat("4", 200))
			w.End()
		}},
		{"limit", sio.FailureLimit, []string{"Options.MaxPending is reached"}, func(o *sio.Options) { o.MaxPending = 1 }, func(c *Context) {
			for c.Must("GET", q4, "").Status == 200 {
			}
		}},
		{"refused", sio.FailureRefused, []string{"members only"}, func(o *sio.Options) {
			o.OnHandshake = func(context.Context, *sio.Request, host.Exchange) error { return &sio.Error{Message: "members only"} }
		}, get(q4)},
	} {
		register(Case{Name: "notices/" + row.name, local: true, Rule: "what keeps a client out is in the log at the default level, once a minute and without secrets, with the option to set; OnError is told every time and Stats counts",
			Spec: "newcomer 4, 5, 11", opts: func(o *sio.Options) {
				withLedger(o)
				if row.opts != nil {
					row.opts(o)
				}
			}, run: func(c *Context) {
				c.server()
				for range 3 {
					row.do(c)
				}
				noted(c, row.incident, row.text)
			}})
	}
	register(Case{Name: "notices/flood", local: true, Rule: "a client that says something else every time does not fill the log", Spec: "newcomer 11", opts: withLedger, run: func(c *Context) {
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
	}})
}

func small(o *sio.Options) { o.MaxPayload = 100 }

// noted checks what three requests of a kind have left.
func noted(c *Context, incident string, text []string) {
	c.T.Helper()
	l := c.opts.Logger.Handler().(*ledger)
	c.Eventually("three incidents", func() bool {
		_, told := l.lines(incident)
		return told >= 3
	})
	lines, told := l.lines(incident)
	c.Want("OnError", told, 3)
	c.Want("Stats", c.Server.Stats().Failures[incident], 3)
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
	if found != 1 {
		c.T.Errorf("%d lines with %q in the log:\n%s", found, text, strings.Join(lines, "\n"))
	}
}
