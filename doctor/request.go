package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	from := time.Now()
	resp, err := e.client.Do(req)
	if err != nil {
		return answer{took: time.Since(from)}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, string(b), time.Since(from)}, err
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
