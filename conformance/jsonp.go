package conformance

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// jsonpSession speaks jsonp of Engine.IO as the official clients do.
type jsonpSession struct {
	query string
	index int
	first string // the payload of the handshake
	last  string // the latest answer as it came
}

var sidOf = regexp.MustCompile(`"sid":"([^"]+)"`)

func (c *env) jsonp(query string, index int) *jsonpSession {
	c.T.Helper()
	s := &jsonpSession{query: query, index: index}
	s.first = s.next(c)
	m := sidOf.FindStringSubmatch(s.first)
	if m == nil {
		c.T.Fatalf("handshake: %s", s.last)
	}
	s.query += "&sid=" + m[1]
	return s
}

// next polls and returns the payload.
func (s *jsonpSession) next(c *env) string {
	c.T.Helper()
	for {
		a := c.Must("GET", s.query, "")
		s.last = a.Body
		if a.Status != 200 || a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/javascript") {
			c.T.Fatalf("poll: %v %v", a, a.Header)
		}
		payload := called(c, a.Body, fmt.Sprintf("___eio[%d](", s.index), ");")
		if payload != "6" && payload != "1:6" {
			return payload
		}
	}
}

// called is the argument of the one call that a script consists of.
func called(c *env, script, before, after string) string {
	c.T.Helper()
	arg, ok := strings.CutPrefix(script, before)
	arg, ok2 := strings.CutSuffix(arg, after)
	var text string
	if err := json.Unmarshal([]byte(arg), &text); !ok || !ok2 || err != nil {
		c.T.Fatalf("not a call of %s: %s", before, script)
	}
	return text
}

// post sends a payload as the clients' form does.
func (s *jsonpSession) post(c *env, payload string) {
	c.T.Helper()
	payload = strings.ReplaceAll(payload, `\n`, "\\\n")
	payload = strings.ReplaceAll(payload, "\n", `\n`)
	a := c.Must("POST", s.query, "d="+url.QueryEscape(payload), "Content-Type", "application/x-www-form-urlencoded")
	if a.String() != "200 ok" {
		c.T.Fatalf("post: %v", a)
	}
}
