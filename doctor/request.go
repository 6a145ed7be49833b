package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// answer is an HTTP answer.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (a answer) short() string {
	body := strings.Join(strings.Fields(a.body), " ")
	if len(body) > 120 {
		body = body[:120] + "..."
	}
	return fmt.Sprintf("status %d %q", a.status, body)
}

// isRefusal reports whether an answer is the JSON with which Engine.IO refuses.
func (a answer) isRefusal() bool {
	var r struct {
		Code    *int
		Message *string
	}
	return json.Unmarshal([]byte(a.body), &r) == nil && r.Code != nil && r.Message != nil
}

// isFull reports whether an answer says that there are too many sessions.
func (a answer) isFull() bool { return a.status == http.StatusServiceUnavailable && a.isRefusal() }

// closes reports whether an answer to a poll says that the session has ended.
func (a answer) closes() bool {
	return a.status == http.StatusOK && slices.Contains(strings.Split(a.body, "\x1e"), "1")
}

// brings reports whether an answer to a poll brings a ping or a message.
func (a answer) brings() bool {
	return a.status == http.StatusOK && a.body != "" && strings.ContainsRune("24b", rune(a.body[0]))
}

// isOK reports whether a POST was taken.
func (a answer) isOK() bool { return a.status == http.StatusOK && strings.TrimSpace(a.body) == "ok" }

// do sends a request and waits for no longer than patience.
func (e *exam) do(ctx context.Context, patience time.Duration, method, query, body string, head ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := *e.url
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for k, vs := range e.Header {
		req.Header[k] = vs
	}
	if body != "" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	e.cookie(req)
	from := time.Now()
	resp, err := e.client.Do(req)
	if err != nil {
		return answer{took: time.Since(from)}, err
	}
	defer func() { _ = resp.Body.Close() }()
	e.keep(resp)
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, string(b), time.Since(from)}, err
}

// begin makes a handshake by polling. It ends the session before, which nobody needs any
// more: servers limit how many sessions an address has, and how many of them did nothing.
func (e *exam) begin(ctx context.Context, query string, head ...string) (answer, error) {
	e.leave(ctx)
	e.swap(nil) // a stranger comes
	a, err := e.do(ctx, e.Patience, "GET", eio4+"polling"+query, "", head...)
	if o, cure := opening(a.body); cure == "" {
		e.last = o.sid
	}
	return a, err
}

// leave ends the session that was opened last.
func (e *exam) leave(ctx context.Context) {
	if e.last != "" && e.scattered {
		e.quit(ctx, e.last)
	}
	if e.last != "" && !e.stuck {
		a, err := e.do(ctx, e.Patience, "POST", session(e.last), "1")
		if err == nil && a.isRefusal() { // it has ended by itself, and may be kept until a poll has heard so
			_, err = e.do(ctx, e.Patience, "GET", session(e.last), "")
		}
		e.stuck = err != nil
	}
	e.last = ""
}

// refusedSession tells that the server takes no more sessions.
func (e *exam) refusedSession(a answer) {
	if !e.full {
		e.note("the server takes no more sessions now, or none of this address (%s); its log says which limit is reached. What needs another session was not examined.", a.short())
	}
	e.full = true
}

// session is the query of a request in a session.
func session(sid string) string { return eio4 + "polling&sid=" + url.QueryEscape(sid) }

// connect is the packet that joins the namespace.
func (e *exam) connect() string {
	if e.Namespace == "/" {
		return "40" + e.Auth
	}
	return "40" + e.Namespace + "," + e.Auth
}

// isJoined reports what a message says about joining the namespace: whether it is
// the answer to connect, and whether it is yes.
func (e *exam) isJoined(m string) (answered, yes bool) {
	var after string
	switch {
	case strings.HasPrefix(m, "40"):
		after, yes = m[2:], true
	case strings.HasPrefix(m, "44"):
		after = m[2:]
	default:
		return false, false
	}
	if e.Namespace != "/" {
		return strings.HasPrefix(after, e.Namespace), yes
	}
	return !strings.HasPrefix(after, "/"), yes
}

// refusedNamespace tells that the doctor is not in the namespace.
func (e *exam) refusedNamespace(answer string) {
	e.note("the namespace %s refuses the doctor (%s), and a server ends a connection that is in none: polls and websockets can be held no longer than that. Name a namespace that lets the doctor in, and what it asks for (siodoctor -namespace, -auth, -cookie).",
		e.Namespace, strings.TrimPrefix(answer, "44"))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
