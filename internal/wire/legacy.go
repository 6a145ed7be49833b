package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// UTF16 is the number of UTF-16 units of s.
func UTF16(s string) int { return len(utf16.Encode([]rune(s))) }

// Frame3 is a packet in the text form of an Engine.IO 3 payload.
func Frame3(packets ...string) string {
	var b strings.Builder
	for _, p := range packets {
		b.WriteString(strconv.Itoa(UTF16(p)) + ":" + p)
	}
	return b.String()
}

// Split3 cuts a payload of Frame3.
func Split3(body string) (list []string) {
	units := utf16.Encode([]rune(body))
	for len(units) > 0 {
		i := 0
		for i < len(units) && units[i] != ':' {
			i++
		}
		n, err := strconv.Atoi(string(utf16.Decode(units[:i])))
		if err != nil || i+1+n > len(units) {
			return append(list, "malformed: "+string(utf16.Decode(units)))
		}
		list = append(list, string(utf16.Decode(units[i+1:i+1+n])))
		units = units[i+1+n:]
	}
	return list
}

// Frame1 is a payload of Socket.IO 0.9.
func Frame1(packets ...string) string {
	if len(packets) == 1 {
		return packets[0]
	}
	var b strings.Builder
	for _, p := range packets {
		b.WriteString("\ufffd" + strconv.Itoa(UTF16(p)) + "\ufffd" + p)
	}
	return b.String()
}

// Split1 cuts a payload of Frame1.
func Split1(body string) (list []string) {
	if !strings.HasPrefix(body, "\ufffd") {
		return []string{body}
	}
	units := utf16.Encode([]rune(body))
	for len(units) > 0 {
		i := 1
		for i < len(units) && units[i] != 0xfffd {
			i++
		}
		n, err := strconv.Atoi(string(utf16.Decode(units[1:i])))
		if err != nil || i+1+n > len(units) {
			return append(list, "malformed: "+string(utf16.Decode(units)))
		}
		list = append(list, string(utf16.Decode(units[i+1:i+1+n])))
		units = units[i+1+n:]
	}
	return list
}

// Session3 is an Engine.IO 3 polling session.
type Session3 struct {
	*Client
	Open  Open
	query string
	have  []string // packets that came and were not asked for yet
}

// Polling3 opens an Engine.IO 3 session; more is added to every query.
func (c *Client) Polling3(more ...string) *Session3 {
	c.TB.Helper()
	s := &Session3{Client: c, query: strings.Join(append([]string{"EIO=3&transport=polling"}, more...), "&")}
	a := c.Must("GET", s.query, "")
	s.have = Split3(a.Body)
	if a.Status != 200 || !strings.HasPrefix(s.have[0], "0") {
		c.TB.Fatalf("handshake: %v", a)
	}
	if err := json.Unmarshal([]byte(s.have[0][1:]), &s.Open); err != nil {
		c.TB.Fatalf("open packet %q: %v", a.Body, err)
	}
	s.have = s.have[1:]
	return s
}

// Query is the query of the session's requests.
func (s *Session3) Query() string { return s.query + "&sid=" + s.Open.SID }

// Get polls once.
func (s *Session3) Get() Answer { s.TB.Helper(); return s.Must("GET", s.Query(), "") }

// Hold polls in the background, and returns when the request is on its way.
func (s *Session3) Hold() <-chan Answer { return s.hold(context.Background(), s.Query()) }

// Post sends packets.
func (s *Session3) Post(packets ...string) Answer {
	s.TB.Helper()
	return s.Must("POST", s.Query(), Frame3(packets...))
}

// Take returns what came with the handshake and was not asked for yet, or the packets of one poll.
func (s *Session3) Take() (packets []string) {
	s.TB.Helper()
	if len(s.have) == 0 {
		a := s.Get()
		if a.Status != 200 {
			s.TB.Fatalf("poll: %v", a)
		}
		s.have = Split3(a.Body)
	}
	packets, s.have = s.have, nil
	return packets
}

// Next is the next packet other than pongs and noops.
func (s *Session3) Next() string {
	s.TB.Helper()
	for {
		for len(s.have) > 0 {
			p := s.have[0]
			s.have = s.have[1:]
			if p != "3" && p != "6" {
				return p
			}
		}
		a := s.Get()
		if a.Status != 200 {
			s.TB.Fatalf("poll: %v", a)
		}
		s.have = Split3(a.Body)
	}
}

// Handshake1 opens a session of Socket.IO 0.9 and returns its id.
func (c *Client) Handshake1(query string) string {
	c.TB.Helper()
	a := c.At(c.Path+"1/").Must("GET", query, "")
	sid, _, ok := strings.Cut(a.Body, ":")
	if a.Status != 200 || !ok {
		c.TB.Fatalf("handshake: %v", a)
	}
	return sid
}

// Session1 is a polling session of Socket.IO 0.9.
type Session1 struct {
	*Client
	SID  string
	have []string
}

// Polling1 opens a session of Socket.IO 0.9 and attaches to it.
func (c *Client) Polling1() *Session1 {
	c.TB.Helper()
	sid := c.Handshake1("")
	s := &Session1{Client: c.At(c.Path + "1/xhr-polling/" + sid), SID: sid}
	if a := s.Must("GET", "", ""); a.String() != "200 1::" {
		c.TB.Fatalf("first poll: %v", a)
	}
	return s
}

// Hold polls in the background, and returns when the request is on its way.
func (s *Session1) Hold() <-chan Answer { return s.hold(context.Background(), "") }

// Send posts packets and expects the usual answer.
func (s *Session1) Send(packets ...string) {
	s.TB.Helper()
	if a := s.Must("POST", "", Frame1(packets...)); a.String() != "200 1" {
		s.TB.Fatalf("post: %v", a)
	}
}

// Next is the next packet other than noops.
func (s *Session1) Next() string {
	s.TB.Helper()
	for {
		for len(s.have) > 0 {
			p := s.have[0]
			s.have = s.have[1:]
			if p != "8::" {
				return p
			}
		}
		a := s.Must("GET", "", "")
		if a.Status != 200 {
			s.TB.Fatalf("poll: %v", a)
		}
		s.have = Split1(a.Body)
	}
}

// Stream is an answer that does not end.
type Stream struct {
	Answer
	c    *Client
	end  context.CancelFunc
	got  chan []byte
	have []byte
}

// Stream sends a GET and reads its answer as it comes.
func (c *Client) Stream(query string) *Stream {
	c.TB.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(c.tells(ctx, c.Path+"?"+query), "GET", c.Base+c.Path+"?"+query, nil)
	if err != nil {
		c.TB.Fatal(err)
	}
	c.need(query)
	if c.Need != nil {
		c.Need("streaming")
	}
	c.note("> GET %s?%s, as a stream", c.Path, query)
	late := time.AfterFunc(c.patience(), cancel)
	resp, err := (&http.Client{Transport: c.HTTP.Transport}).Do(req)
	late.Stop()
	if err != nil {
		c.TB.Fatal(err)
	}
	s := &Stream{Answer: Answer{Status: resp.StatusCode, Header: resp.Header}, c: c, end: cancel, got: make(chan []byte)}
	c.TB.Cleanup(cancel)
	go func() {
		defer close(s.got)
		defer func() { _ = resp.Body.Close() }()
		for {
			b := make([]byte, 4096)
			n, err := resp.Body.Read(b)
			if n > 0 {
				c.note("< a piece of the stream: %s", clip(string(b[:n])))
				select {
				case s.got <- b[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// Until reads until end has come and returns everything up to there.
func (s *Stream) Until(end string) string {
	s.c.TB.Helper()
	timeout := time.After(s.c.patience())
	for {
		if i := bytes.Index(s.have, []byte(end)); i >= 0 {
			out := string(s.have[:i+len(end)])
			s.have = s.have[i+len(end):]
			return out
		}
		select {
		case b, ok := <-s.got:
			if !ok {
				s.c.TB.Fatalf("the stream ended behind %q; wanted %q", s.have, end)
			}
			s.have = append(s.have, b...)
		case <-timeout:
			s.c.TB.Fatalf("the stream has only %q; wanted %q", s.have, end)
		}
	}
}

// End waits for the end of the stream and returns the rest.
func (s *Stream) End() string {
	s.c.TB.Helper()
	timeout := time.After(s.c.patience())
	for {
		select {
		case b, ok := <-s.got:
			if !ok {
				return string(s.have)
			}
			s.have = append(s.have, b...)
		case <-timeout:
			s.c.TB.Fatalf("the stream does not end; so far %q", s.have)
		}
	}
}

// Close leaves.
func (s *Stream) Close() { s.end() }
