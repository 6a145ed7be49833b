package attack

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// known is what a client knows of its session.
type known struct {
	a                *A
	ns               string   // "", or the name of a namespace with its comma
	query            []string // of the handshake
	w                *wire.WS
	sid, pid, offset string
}

// enter connects a client that can come back.
func (a *A) enter(ns string, query ...string) *known {
	k := &known{a: a, ns: ns, query: query}
	k.connect("")
	k.event(`["recovery"]`)
	return k
}

// like is another client with the secrets of this one.
func (k *known) like(ns string, query ...string) *known {
	return &known{a: k.a, ns: ns, query: query, sid: k.sid, pid: k.pid, offset: k.offset}
}

// auth is what the client sends when it comes back.
func (k *known) auth() string { return fmt.Sprintf(`{"pid":%q,"offset":%q}`, k.pid, k.offset) }

// open opens a new connection, which ends with the row.
func (k *known) open() {
	k.w, _ = k.a.WebSocket(k.query...)
	conn := k.w.Conn
	k.a.Cleanup(func() { _ = conn.Close() })
}

// connect joins the namespace over a new connection, and reports whether the client has come back.
func (k *known) connect(auth string) bool {
	k.open()
	k.w.Send("40" + k.ns + auth)
	got := k.w.Next()
	sid, pid := id(got), secret(got)
	if !strings.HasPrefix(got, "40"+k.ns+"{") || sid == "" || len(pid) != 20 {
		k.a.Fatalf("connect with %.200s: %.200s", auth, got)
	}
	same := pid == k.pid
	if same != (sid == k.sid) {
		k.a.Errorf("the id is %s and was %s, the secret is that of before: %v", sid, k.sid, same)
	}
	k.sid, k.pid = sid, pid
	return same
}

// secret is the pid of an answer to CONNECT.
func secret(answer string) string {
	_, rest, _ := strings.Cut(answer, `"pid":"`)
	pid, _, _ := strings.Cut(rest, `"`)
	return pid
}

// event reads the next event and keeps its offset.
func (k *known) event(want string) {
	got := k.w.Next()
	_, text, _ := strings.Cut(got, "[")
	var args []any
	if err := json.Unmarshal([]byte("["+text), &args); err != nil || len(args) < 2 {
		k.a.Fatalf("got %.200s instead of %s", got, want)
	}
	offset, _ := args[len(args)-1].(string)
	list, _ := json.Marshal(args[:len(args)-1])
	if string(list) != want || offset == "" {
		k.a.Errorf("got %.200s instead of %s with an offset", got, want)
	}
	k.offset = offset
}

// lives checks that the socket is served.
func (k *known) lives() {
	k.w.Send("42" + k.ns + `1["echo","alive"]`)
	if got, want := k.w.Next(), "43"+k.ns+`1["alive"]`; got != want {
		k.a.Errorf("got %s instead of %s", got, want)
	}
}

// takeover is how long the server waits for the end of a client's earlier socket: core/sio.takeoverTime.
const takeover = time.Second

// back has the client come back, also while its earlier socket lives. On a busy machine the end of
// that socket may take longer than the server waits: then the client is a new one by right, and
// tries again.
func (k *known) back() {
	for range 10 {
		next, began := k.like(k.ns, k.query...), time.Now()
		if next.connect(k.auth()) {
			k.w = next.w
			return
		}
		if d := time.Since(began); d < takeover {
			k.a.Fatalf("%s: the client is a new one, after %v", k.path(), d)
		}
		next.leave()
		k.a.eventually("the end of the earlier socket", k.gone)
	}
	k.a.Fatalf("%s: the client does not come back", k.path())
}

// leave resets the connection, and waits until the socket has ended.
func (k *known) leave() {
	before := k.a.S.ended(k.sid)
	k.w.Reset()
	k.a.eventually("the end of the socket", func() bool { return k.a.S.ended(k.sid) > before && k.gone() })
}

// gone reports whether the namespace has no socket of the client.
func (k *known) gone() bool {
	n := k.a.S.srv.Lookup(k.path())
	return n == nil || n.Socket(k.sid) == nil
}

// ended is how often OnDisconnect has run for an id.
func (s *server) ended(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reasons[id])
}

func (k *known) path() string { return "/" + strings.Trim(k.ns, "/,") }

// emit emits to all clients of the namespace.
func (k *known) emit(event string, args ...any) {
	n := k.a.S.srv.Lookup(k.path())
	if n == nil {
		k.a.Fatalf("there is no namespace %s", k.path())
	}
	_ = n.Emit(event, args...)
}

// sockets is how many sockets the namespace has.
func (k *known) sockets() int {
	if n := k.a.S.srv.Lookup(k.path()); n != nil {
		return n.Len()
	}
	return 0
}
