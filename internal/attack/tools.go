package attack

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

const (
	q4 = "EIO=4&transport=polling"
	w4 = "EIO=4&transport=websocket"
	q3 = "EIO=3&transport=polling"
	w3 = "EIO=3&transport=websocket"
)

// A is what a row works with.
type A struct {
	*probe
	*wire.Client
	S *server
}

func newA(p *probe, s *server) *A {
	c := wire.New(p, s.url, mount+"/")
	c.Trace, c.Patience = p.note, 15*time.Second
	c.HTTP.Timeout = c.Patience
	return &A{p, c, s}
}

// want compares what came with what must.
func (a *A) want(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		a.Errorf("%s: got %.500v, want %v", what, got, want)
	}
}

// eventually waits until f holds.
func (a *A) eventually(what string, f func() bool) {
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			a.Fatalf("never happened: %s", what)
		}
	}
}

// answers says whether an answer is one of those in want, which stand behind each other with a
// bar: a status, with the code of its body if there is one, such as "400 1|413".
func answers(got wire.Answer, want string) bool {
	var body struct{ Code *int }
	_ = json.Unmarshal([]byte(got.Body), &body)
	for _, w := range strings.Split(want, "|") {
		status, code, coded := strings.Cut(w, " ")
		if status == fmt.Sprint(got.Status) && (!coded || body.Code != nil && code == fmt.Sprint(*body.Code)) {
			return true
		}
	}
	return false
}

// polling opens a polling session that ends with the row.
func (a *A) polling() *wire.Session {
	s := a.Polling()
	a.Cleanup(func() { a.leave(s.Query()) })
	return s
}

// leave ends a polling session, and fetches what is left for it.
func (a *A) leave(query string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body := "1"
	if strings.Contains(query, "EIO=3") {
		body = "1:1"
	}
	if x, err := a.Do(ctx, "POST", query, body); err == nil && x.Status == 200 {
		return
	}
	for range 20 {
		if x, err := a.Do(ctx, "GET", query, ""); err != nil || x.Status != 200 {
			return
		}
	}
}

// id is the id of the socket that a CONNECT was answered with.
func id(answer string) string {
	i := strings.Index(answer, `"sid":"`)
	if i < 0 {
		return ""
	}
	answer = answer[i+len(`"sid":"`):]
	return answer[:strings.IndexByte(answer, '"')]
}

// joined opens a websocket, joins the default namespace, and returns the socket's id too.
func (a *A) joined() (*wire.WS, string) {
	w, _ := a.WebSocket()
	w.Send("40")
	got := w.Next()
	if id(got) == "" {
		a.Fatalf("connect: %s", got)
	}
	a.Cleanup(func() { _ = w.Conn.Close() })
	return w, id(got)
}

// ends waits for the end of a socket and checks its reason.
func (a *A) ends(id string, want ...sio.Reason) {
	a.eventually("the end of the socket", func() bool { _, ok := a.S.reason(id); return ok })
	if got, _ := a.S.reason(id); !slices.Contains(want, got) {
		a.Errorf("the reason: got %d %v, want %v", got, got, want)
	}
	a.S.mu.Lock()
	defer a.S.mu.Unlock()
	if n := len(a.S.reasons[id]); n != 1 {
		a.Errorf("OnDisconnect has run %d times", n)
	}
}

// lives checks that a websocket is served as before, and that nothing has come meanwhile: what was
// sent before, and has no answer, had none.
func (a *A) lives(w *wire.WS) {
	w.Send(`42["echo","alive"]`)
	a.want("the next frame", w.Next(), `42["echo","alive"]`)
}

// request is one request of a row, and its answers as in answers. SID in the query stands for a
// live session that polls.
type request struct {
	method, query, body, want string
	head                      []string
}

// requests makes each request beside a session that polls, which goes on.
func requests(list ...request) func(a *A) {
	return func(a *A) {
		s := a.polling()
		for _, r := range list {
			got, err := a.Do(context.Background(), r.method, strings.ReplaceAll(r.query, "SID", s.Open.SID), r.body, r.head...)
			if err != nil {
				a.Errorf("%s %.100s: %v", r.method, r.query, err)
			} else if !answers(got, r.want) {
				a.Errorf("%s %.100s: got %.300v, want %s", r.method, r.query, got, r.want)
			}
		}
		if got := s.Join(""); !strings.HasPrefix(got, "40{") {
			a.Errorf("the session beside: %s", got)
		}
	}
}

// upgrades asks for a websocket in each way and expects the answer beside it, never a 101.
func upgrades(list ...request) func(a *A) {
	return func(a *A) {
		s := a.polling()
		for _, r := range list {
			w, got := a.Upgrade(strings.ReplaceAll(r.query, "SID", s.Open.SID), r.body, r.head...)
			if w != nil || !answers(got, r.want) {
				a.Errorf("upgrade ?%.100s %.100q: got %.300v, want %s", r.query, r.head, got, r.want)
			}
		}
		if got := s.Join(""); !strings.HasPrefix(got, "40{") {
			a.Errorf("the session beside: %s", got)
		}
	}
}

// all runs several attacks of one row.
func all(list ...func(a *A)) func(a *A) {
	return func(a *A) {
		for _, f := range list {
			f(a)
		}
	}
}

// bodies posts each body to a session of its own, which must end with the reason, and be unknown
// then.
func bodies(want string, reason sio.Reason, list ...string) func(a *A) {
	return func(a *A) {
		for _, body := range list {
			s := a.polling()
			id := id(s.Join(""))
			if got := s.Post(body); !answers(got, want) {
				a.Errorf("POST %.60q: got %v, want %s", body, got, want)
			}
			a.ends(id, reason)
			a.leave(s.Query())
			if got := s.Get(); !answers(got, "400 1") {
				a.Errorf("behind %.60q: %v", body, got)
			}
		}
	}
}

// refused sends the packets of each list on a websocket, and in a POST, by a client in the default
// namespace. The socket must end with one of the reasons.
func refused(reasons []sio.Reason, list ...[]string) func(a *A) {
	return func(a *A) {
		for _, packets := range list {
			w, id := a.joined()
			for _, p := range packets {
				if b, ok := strings.CutPrefix(p, "b"); ok {
					w.SendBinary([]byte(b))
				} else {
					w.Send(p)
				}
			}
			if e := w.End(); e.Code != 1002 && e.Code != 1008 && e.Code != 1000 {
				a.Errorf("%.80q: closed with %d", packets, e.Code)
			}
			a.ends(id, reasons...)
		}
		for _, packets := range list {
			s := a.polling()
			id := id(s.Join(""))
			body := strings.Join(packets, "\x1e")
			for i := range packets {
				if b, ok := strings.CutPrefix(packets[i], "b"); ok {
					body = strings.Join(append(slices.Clone(packets[:i]), "b"+base64text(b)), "\x1e")
				}
			}
			if got := s.Post(body); got.Status != 200 && got.Status != 400 {
				a.Errorf("POST %.80q: %v", packets, got)
			}
			a.ends(id, reasons...)
			a.leave(s.Query())
		}
	}
}

// accepted sends each packet on one websocket, and expects the answer and nothing behind it; ""
// means none.
func accepted(list ...[2]string) func(a *A) {
	return func(a *A) {
		w, _ := a.joined()
		for _, p := range list {
			w.Send(p[0])
			if p[1] != "" {
				a.want(p[0], w.Next(), p[1])
			}
			a.lives(w)
		}
	}
}

// frames sends bytes behind the join, and expects one of the close codes.
func frames(codes []int, list ...[]byte) func(a *A) {
	return func(a *A) {
		for _, f := range list {
			w, id := a.joined()
			_ = w.Raw(f)
			if e := w.End(); !slices.Contains(codes, e.Code) {
				a.Errorf("% .20x: closed with %d, want %v", f, e.Code, codes)
			}
			a.ends(id, sio.TransportError, sio.TransportClose, sio.ParseError)
		}
	}
}

// dial opens a connection that ends with the row.
func (a *A) dial() *net.TCPConn {
	c, err := net.Dial("tcp", strings.TrimPrefix(a.S.url, "http://"))
	if err != nil {
		a.Fatalf("%v", err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	a.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// raw writes text on a connection of its own and reads the answer. Status 0 means that the
// connection ended without one.
func (a *A) raw(text string) wire.Answer {
	c := a.dial()
	defer c.Close()
	return a.rawOn(c, text)
}

func (a *A) rawOn(c net.Conn, text string) wire.Answer {
	a.note(fmt.Sprintf("> %.300q", text))
	go func() { _, _ = io.WriteString(c, text) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "GET"})
	if err != nil {
		a.note("< " + err.Error())
		return wire.Answer{}
	}
	defer resp.Body.Close()
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(resp.Body)
	}
	a.note(fmt.Sprintf("< %d %.300s", resp.StatusCode, body))
	return wire.Answer{Status: resp.StatusCode, Body: string(body), Header: resp.Header}
}

// host is the authority of the server.
func (a *A) host() string { return strings.TrimPrefix(a.S.url, "http://") }

// raws sends each text; HOST in it stands for the server's authority.
func raws(want string, list ...string) func(a *A) {
	return func(a *A) {
		for _, text := range list {
			text = strings.ReplaceAll(text, "HOST", a.host())
			if got := a.raw(text); !answers(got, want) {
				a.Errorf("%.100q: got %v, want %s", text, got, want)
			}
		}
	}
}

func base64text(b string) string { return base64.StdEncoding.EncodeToString([]byte(b)) }

// mask is the frame of a client.
func mask(b0 byte, payload string) []byte { return wire.Frame(b0, []byte(payload)) }
