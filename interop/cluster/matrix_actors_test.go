package cluster

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// target is whom an actor means.
type target struct {
	NS       string   `json:"ns,omitempty"` // "" is "/"
	Pattern  bool     `json:"pattern,omitempty"`
	Rooms    []string `json:"rooms,omitempty"`
	Except   []string `json:"except,omitempty"`
	Volatile bool     `json:"volatile,omitempty"`
	Local    bool     `json:"local,omitempty"`
	From     string   `json:"from,omitempty"` // the id of a socket here, which broadcasts
}

// actor is one who acts in a cluster. The first of args is the event's name. To add another
// kind of emitter, implement actor and append it to the actors of the world.
type actor interface {
	name() string
	kind() string
	emit(t target, args ...any) error
	// count emits the event num with the numbers from 0 to n-1, to one target after the other.
	count(n int, ts ...target) error
	join(t target, rooms ...string) error
	leave(t target, rooms ...string) error
	disconnect(t target, closes bool) error
	note(args ...any) error // to the servers
}

// asker is an actor that hears answers.
type asker interface {
	actor
	call(t target, wait time.Duration, args ...any) (answers, error)
	emitAndCall(t target, wait time.Duration, args, ask []any) (answers, error)
	askServers(args ...any) (answers, error)
	sockets(t target) ([]seen, error)
	sockets1(id string, args ...any) error // emits to the one that sockets yields with the id
	counted(t target) (int, error)
}

// server is an asker that has clients.
type server interface {
	asker
	url() string
	// noted waits until the server has noted args, or the time is over, and says how often.
	noted(wait time.Duration, args ...any) (int, error)
}

// answers are what has been answered, and by how many not.
type answers struct {
	Answers []any
	Silent  []string // the ids of clients that have not answered, "" for one without a known id
	Err     string   `json:"error"`
	missing *cluster.Missing
}

// seen is a socket as a server of the cluster sees it.
type seen struct {
	ID        string
	Rooms     []string
	Data      map[string]any
	Handshake int // how many of the usual keys
}

// js is a value that only JavaScript has.
type js string

// wired is v as rpc.mjs reads it.
func wired(v any) any {
	switch v := v.(type) {
	case []byte:
		return map[string]any{"$bin": v}
	case js:
		return map[string]any{"$js": string(v)}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = wired(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any)
		for k := range v {
			m[k] = wired(v[k])
		}
		return m
	}
	return v
}

// shown is v as rpc.mjs shows it.
func shown(v any) any {
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return strconv.Itoa(len(b)) + ":" + hex.EncodeToString(sum[:8])
	}
	switch v := v.(type) {
	case []byte:
		if len(v) > 100 {
			return "bin:" + digest(v)
		}
		return "bin:" + hex.EncodeToString(v)
	case string:
		if len(v) > 100 {
			return "text:" + digest([]byte(v))
		}
		return v
	case int:
		return float64(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = shown(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any)
		for k := range v {
			m[k] = shown(v[k])
		}
		return m
	}
	return v
}

// same reports whether two values are the same when they are shown.
func same(a, b any) bool { return reflect.DeepEqual(shown(a), shown(b)) }

// peer is a process of Node that is called.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu   sync.Mutex
	last int
	open map[int]chan reply
	dead error
}

type reply struct {
	Value json.RawMessage
	Error string
}

// startPeer starts a script of Node, which ends with the test.
func startPeer(t *testing.T, name string, args ...string) *peer {
	t.Helper()
	p := &peer{open: map[int]chan reply{0: make(chan reply, 1)}}
	ready := p.open[0]
	var out io.Reader
	p.cmd, p.in, out = script(t, append([]string{name}, args...)...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.read(out)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-ended
		_ = p.cmd.Wait()
	})
	select {
	case r := <-ready:
		if r.Error != "" {
			t.Fatalf("%s: %s", name, r.Error)
		}
	case <-time.After(patience):
		t.Fatalf("%s has not started", name)
	}
	return p
}

func (p *peer) read(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		var m struct {
			ID int
			reply
		}
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		p.mu.Lock()
		if err != nil {
			p.dead = fmt.Errorf("the process has ended: %w", err)
			for _, c := range p.open {
				c <- reply{Error: p.dead.Error()}
			}
			p.open = nil
			p.mu.Unlock()
			return
		}
		if c := p.open[m.ID]; c != nil {
			delete(p.open, m.ID)
			c <- m.reply
		}
		p.mu.Unlock()
	}
}

// do calls what, with the fields of more, and decodes the value into out unless that is nil.
func (p *peer) do(out any, what string, more map[string]any) error {
	c := make(chan reply, 1)
	p.mu.Lock()
	if p.dead != nil {
		p.mu.Unlock()
		return p.dead
	}
	p.last++
	id := p.last
	p.open[id] = c
	m := map[string]any{"id": id, "do": what}
	for k, v := range more {
		m[k] = v
	}
	line, err := json.Marshal(m)
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case r := <-c:
		if r.Error != "" {
			return fmt.Errorf("%s: %s", what, r.Error)
		}
		if out != nil {
			return json.Unmarshal(r.Value, out)
		}
		return nil
	case <-time.After(3 * patience):
		return fmt.Errorf("%s: no answer of the process", what)
	}
}

// nodeActor is a process of Node, a server or an emitter.
type nodeActor struct {
	*peer
	called, of, at string
}

func (a *nodeActor) name() string { return a.called }
func (a *nodeActor) kind() string { return a.of }
func (a *nodeActor) url() string  { return a.at }

func (a *nodeActor) emit(t target, args ...any) error {
	return a.do(nil, "emit", map[string]any{"target": t, "args": wired(args)})
}

func (a *nodeActor) count(n int, ts ...target) error {
	return a.do(nil, "count", map[string]any{"n": n, "targets": ts})
}

func (a *nodeActor) join(t target, rooms ...string) error {
	return a.do(nil, "join", map[string]any{"target": t, "rooms": rooms})
}

func (a *nodeActor) leave(t target, rooms ...string) error {
	return a.do(nil, "leave", map[string]any{"target": t, "rooms": rooms})
}

func (a *nodeActor) disconnect(t target, closes bool) error {
	return a.do(nil, "disconnect", map[string]any{"target": t, "close": closes})
}

func (a *nodeActor) note(args ...any) error {
	return a.do(nil, "note", map[string]any{"args": wired(args)})
}

func (a *nodeActor) noted(wait time.Duration, args ...any) (n int, err error) {
	err = a.do(&n, "noted", map[string]any{"args": shown(args), "ms": wait.Milliseconds()})
	return n, err
}

func (a *nodeActor) call(t target, wait time.Duration, args ...any) (r answers, err error) {
	err = a.do(&r, "call", map[string]any{"target": t, "args": wired(args), "ms": wait.Milliseconds()})
	return r, err
}

func (a *nodeActor) emitAndCall(t target, wait time.Duration, args, ask []any) (r answers, err error) {
	err = a.do(&r, "emitAndCall", map[string]any{"target": t, "args": wired(args), "ask": wired(ask), "ms": wait.Milliseconds()})
	return r, err
}

func (a *nodeActor) askServers(args ...any) (r answers, err error) {
	err = a.do(&r, "askServers", map[string]any{"args": wired(args)})
	return r, err
}

func (a *nodeActor) sockets(t target) (list []seen, err error) {
	err = a.do(&list, "sockets", map[string]any{"target": t})
	return list, err
}

func (a *nodeActor) sockets1(id string, args ...any) error {
	return a.do(nil, "remote", map[string]any{"socket": id, "args": wired(args)})
}

// counted: Node has no count of its own (allSockets is of its own process since version 7 of the adapter).
func (a *nodeActor) counted(t target) (int, error) {
	list, err := a.sockets(t)
	return len(list), err
}

// emitter is an actor that is no server, and hears no answers.
type emitter struct{ actor }

// goActor is a Server of siokit, or an Emitter.
type goActor struct {
	called, of string
	namespace  func(path string) *sio.Namespace
}

// isGo reports whether an actor is one of siokit.
func isGo(a actor) bool { return a.kind() != "node" && a.kind() != "emitter" }

// startGoEmitter starts an Emitter, which ends with the test.
func startGoEmitter(t *testing.T, name, addr string, o redisbus.Options) *goActor {
	t.Helper()
	e := sio.NewEmitter(redisbus.New(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, o), &sio.EmitterOptions{
		OnError: func(f sio.Failure) { t.Errorf("%s: %s %s %v", name, f.Name, f.Reason, f.Err) },
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("Close of %s: %v", name, err)
		}
	})
	return &goActor{called: name, of: "goemitter", namespace: e.Of}
}

// goServer is a Server of siokit on net/http.
type goServer struct {
	goActor
	at      string
	srv     *sio.Server
	http    *http.Server
	stopped sync.Once

	mu    sync.Mutex
	notes []any
	come  chan struct{} // closed, and made anew, at each note
}

const dynamic = "/dyn/{id}"

func startGoServer(t *testing.T, name, addr string, o redisbus.Options) *goServer {
	t.Helper()
	a := &goServer{goActor: goActor{called: name, of: "siokit"}, come: make(chan struct{})}
	a.srv = sio.NewServer(&sio.Options{
		Cluster: redisbus.New(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, o),
		OnError: func(f sio.Failure) { t.Errorf("%s: %s %s %v", name, f.Name, f.Reason, f.Err) },
	})
	a.namespace = func(path string) *sio.Namespace {
		if path == dynamic {
			return a.srv.OfPattern(path)
		}
		return a.srv.Of(path)
	}
	for _, path := range []string{"/", "/bye", dynamic} {
		n := a.namespace(path)
		n.On("join", sio.Reply(func(_ context.Context, s *sio.Socket, rooms []string) (string, error) {
			s.Join(rooms...)
			return s.ID(), nil
		}))
		n.On("say", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error {
			var room, event string
			if err := ev.Args.Bind(&room, &event); err != nil {
				return err
			}
			return ev.Socket.To(room).Emit(event, ev.Args.Slice(2))
		}))
		sio.HandleServers(n, "note", a.take)
		sio.ReplyServers(n, "ask servers", func(_ context.Context, x any) (map[string]any, error) {
			return map[string]any{"by": name, "x": x}, nil
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.srv.Mount(mux, "/socket.io")
	a.http = &http.Server{Handler: mux}
	a.at = "http://" + l.Addr().String()
	go func() { _ = a.http.Serve(l) }()
	t.Cleanup(func() { a.stop(t) })
	return a
}

// stop shuts the server down; again it does nothing.
func (a *goServer) stop(t *testing.T) {
	t.Helper()
	a.stopped.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := a.srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown of %s: %v", a.called, err)
		}
		_ = a.http.Close()
	})
}

func (a *goServer) take(_ context.Context, args sio.Args) error {
	list := make([]any, args.Len())
	dst := make([]any, len(list))
	for i := range list {
		dst[i] = &list[i]
	}
	if err := args.Bind(dst...); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, shown(list))
	close(a.come)
	a.come = make(chan struct{})
	return nil
}

func (a *goActor) name() string { return a.called }
func (a *goActor) kind() string { return a.of }

func (a *goActor) target(t target) (sio.Target, error) {
	ns := t.NS
	if ns == "" {
		ns = "/"
	}
	if t.Pattern {
		ns = dynamic
	}
	n := a.namespace(ns)
	to := n.All()
	if t.From != "" {
		s := n.Socket(t.From)
		if s == nil {
			return to, errors.New("there is no such socket here")
		}
		to = s.Broadcast()
	}
	if t.Rooms != nil {
		to = to.To(t.Rooms...)
	}
	if t.Except != nil {
		to = to.Except(t.Except...)
	}
	if t.Volatile {
		to = to.Volatile()
	}
	if t.Local {
		to = to.Local()
	}
	return to, nil
}

func (a *goActor) emit(t target, args ...any) error {
	to, err := a.target(t)
	if err != nil {
		return err
	}
	return to.Emit(args[0].(string), args[1:]...)
}

func (a *goActor) count(n int, ts ...target) error {
	for i := range n {
		if err := a.emit(ts[i%len(ts)], "num", i); err != nil {
			return err
		}
	}
	return nil
}

func (a *goActor) join(t target, rooms ...string) error {
	to, err := a.target(t)
	to.Join(rooms...)
	return err
}

func (a *goActor) leave(t target, rooms ...string) error {
	to, err := a.target(t)
	to.Leave(rooms...)
	return err
}

func (a *goActor) disconnect(t target, closes bool) error {
	to, err := a.target(t)
	if closes {
		to.CloseConns()
	} else {
		to.Disconnect()
	}
	return err
}

func (a *goActor) note(args ...any) error { return a.namespace("/").EmitServers("note", args...) }

func (a *goServer) url() string { return a.at }

func (a *goServer) noted(wait time.Duration, args ...any) (int, error) {
	late := time.After(wait)
	for {
		n := 0
		a.mu.Lock()
		come := a.come
		for _, note := range a.notes {
			if same(note, args) {
				n++
			}
		}
		a.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-come:
		case <-late:
			return 0, nil
		}
	}
}

func (a *goActor) call(t target, wait time.Duration, args ...any) (r answers, err error) {
	to, err := a.target(t)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	list, err := sio.CallAll[sio.Args](ctx, to, args[0].(string), args[1:]...)
	for _, x := range list {
		switch {
		case x.Err == nil:
			var first any
			if x.Value.Len() > 0 {
				if err := x.Value.Slice(0).Bind(&first); err != nil {
					return r, err
				}
			}
			r.Answers = append(r.Answers, shown(first))
		case errors.Is(x.Err, sio.ErrAckTimeout):
			r.Silent = append(r.Silent, x.ID)
		default:
			return r, x.Err
		}
	}
	return r, r.miss(err)
}

// miss notes an error that says who has not answered.
func (r *answers) miss(err error) error {
	if err == nil {
		return nil
	}
	r.Err = err.Error()
	if errors.As(err, &r.missing) {
		return nil
	}
	return err
}

func (a *goActor) emitAndCall(t target, wait time.Duration, args, ask []any) (answers, error) {
	if err := a.emit(t, args...); err != nil {
		return answers{}, err
	}
	return a.call(t, wait, ask...)
}

func (a *goActor) askServers(args ...any) (r answers, err error) {
	list, err := sio.CallServers[any](context.Background(), a.namespace("/"), args[0].(string), args[1:]...)
	for _, x := range list {
		refused, ok := errors.AsType[*sio.Error](x.Err)
		switch {
		case x.Err == nil:
			r.Answers = append(r.Answers, shown(x.Value))
		case ok: // as Node sees the same
			r.Answers = append(r.Answers, map[string]any{"error": map[string]any{"code": refused.Code, "message": refused.Message}})
		default:
			return r, x.Err
		}
	}
	return r, r.miss(err)
}

func (a *goActor) sockets(t target) (list []seen, err error) {
	to, err := a.target(t)
	if err != nil {
		return nil, err
	}
	for s, err := range to.Sockets(context.Background()) {
		if err != nil {
			return list, err
		}
		rooms := s.Rooms()
		slices.Sort(rooms)
		list = append(list, seen{ID: s.ID(), Rooms: rooms})
	}
	return list, nil
}

func (a *goActor) sockets1(id string, args ...any) error {
	for s, err := range a.namespace("/").All().Sockets(context.Background()) {
		if err != nil {
			return err
		}
		if s.ID() == id {
			return s.Emit(args[0].(string), args[1:]...)
		}
	}
	return errors.New("there is no such socket")
}

func (a *goActor) counted(t target) (int, error) {
	to, err := a.target(t)
	if err != nil {
		return 0, err
	}
	return to.Count(context.Background())
}
