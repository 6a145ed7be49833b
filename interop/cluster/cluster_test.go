// Package cluster drives processes of Socket.IO for Node and a Backend in one cluster.
package cluster

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/redistest"
)

// process is a process of Node.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out chan map[string]any
}

// script starts a script of Node. The caller ends it.
func script(t *testing.T, args ...string) (cmd *exec.Cmd, in io.WriteCloser, out io.Reader) {
	t.Helper()
	cmd = exec.Command("node", args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in, out
}

func startNode(t *testing.T, wire, addr string) *process {
	t.Helper()
	p := launch(t, "node.mjs", wire, addr)
	p.next("ready")
	return p
}

// launch starts a script, which ends with the test.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	if os.Getenv("SIOKIT_INTEROP") != "1" {
		t.Skip("needs Node and npm ci; .ci/run installs them and sets SIOKIT_INTEROP=1")
	}
	p := &process{t: t, out: make(chan map[string]any, 1000)}
	var out io.Reader
	p.cmd, p.in, out = script(t, args...)
	go func() {
		defer close(p.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			m := map[string]any{"what": lines.Text()}
			_ = json.Unmarshal(lines.Bytes(), &m)
			p.out <- m
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

// do tells the process what to do.
func (p *process) do(what string, more string) {
	p.t.Helper()
	line := `{"do":"` + what + `"`
	if more != "" {
		line += "," + more
	}
	if _, err := io.WriteString(p.in, line+"}\n"); err != nil {
		p.t.Fatal(err)
	}
}

// next waits for something that the process says, and returns it.
func (p *process) next(what string) map[string]any {
	p.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-p.out:
			if !ok {
				p.t.Fatalf("the process has ended, before %s", what)
			}
			if m["what"] == "failed" {
				p.t.Fatalf("waiting for %s: %v", what, m)
			}
			if m["what"] == what {
				return m
			}
		case <-late:
			p.t.Fatalf("the process has not said %s", what)
		}
	}
}

// client connects a client of the process, in rooms, and returns its id.
func (p *process) client(name string, rooms ...string) string {
	p.t.Helper()
	list, _ := json.Marshal(rooms)
	p.do("client", fmt.Sprintf(`"name":%q,"rooms":%s`, name, list))
	return p.next("here")["id"].(string)
}

// event waits for an event that a client gets.
func (p *process) event(client string, want ...any) {
	p.t.Helper()
	m := p.next("event")
	if m["client"] != client || !reflect.DeepEqual(m["args"], want) {
		p.t.Errorf("event %v, not %v to %s", m, want, client)
	}
}

// node is a node with one socket, by its Backend alone.
type node struct {
	cluster.Backend
	t    *testing.T
	name string
	id   string

	mu    sync.Mutex
	got   chan *cluster.Message
	up    chan struct{}
	lost  []error
	asked map[string]bool       // the ids of the node's own requests
	reply chan *cluster.Message // what Receive wants to be published
}

func (n *node) Up()                 { close(n.up) }
func (n *node) Down(err error)      { n.t.Error("down:", err) }
func (n *node) Lost(_ int, e error) { n.mu.Lock(); n.lost = append(n.lost, e); n.mu.Unlock() }

// Receive answers as a Server with one socket in the room go.
func (n *node) Receive(m *cluster.Message) {
	if m.Node == n.name || m.To != "" && m.To != n.name {
		return
	}
	n.mu.Lock()
	asked := n.asked[m.ID]
	n.mu.Unlock()
	if m.Kind >= cluster.Sockets && m.Kind <= cluster.Acked && !asked {
		return // for somebody else: all hear the common channel of responses
	}
	c := *m
	c.Data, c.Rooms, c.Except, c.Names = slices.Clone(m.Data), slices.Clone(m.Rooms), slices.Clone(m.Except), slices.Clone(m.Names)
	c.Sockets = nil
	for _, s := range m.Sockets {
		c.Sockets = append(c.Sockets, cluster.Socket{ID: s.ID, Rooms: slices.Clone(s.Rooms), Data: slices.Clone(s.Data), Handshake: slices.Clone(s.Handshake)})
	}
	c.Attachments = nil
	for _, a := range m.Attachments {
		c.Attachments = append(c.Attachments, slices.Clone(a))
	}
	answer := cluster.Message{Namespace: m.Namespace, To: m.Node, ID: m.ID}
	switch {
	case m.Kind == cluster.Fetch:
		answer.Kind, answer.OnlyIDs = cluster.Sockets, m.OnlyIDs
		answer.Sockets = []cluster.Socket{{ID: n.id, Rooms: []string{n.id, "go"}, Data: []byte(`{"from":"go"}`)}}
		n.reply <- &answer
	case m.Kind == cluster.ListRooms:
		answer.Kind, answer.Names = cluster.Rooms, []string{n.id, "go"}
		n.reply <- &answer
	case m.Kind == cluster.ServerEvent && m.ID != "":
		answer.Kind, answer.Data = cluster.Answer, []byte(`["go answers"]`)
		n.reply <- &answer
	case m.Kind == cluster.Emit && m.ID != "":
		answer.Kind, answer.Number, answer.Names = cluster.Asked, 1, []string{n.id}
		n.reply <- &answer
		ack := answer
		ack.Kind, ack.Data = cluster.Acked, []byte(`["go acks"]`)
		n.reply <- &ack
	}
	n.got <- &c
}

func (n *node) say(m *cluster.Message) {
	n.t.Helper()
	m.Node, m.Namespace = n.name, "/"
	if m.Kind < cluster.Sockets {
		n.mu.Lock()
		n.asked[m.ID] = true
		n.mu.Unlock()
	}
	if err := n.Publish(n.t.Context(), []*cluster.Message{m}); err != nil {
		n.t.Errorf("Publish %v: %v", m.Kind, err)
	}
}

// expect waits for a message of a kind, which is the next.
func (n *node) expect(k cluster.Kind) *cluster.Message {
	n.t.Helper()
	select {
	case m := <-n.got:
		if m.Kind != k {
			n.t.Fatalf("%v has come, not %v: %+v", m.Kind, k, m)
		}
		return m
	case <-time.After(20 * time.Second):
		n.t.Fatalf("%v has not come; lost: %v", k, n.lost)
		return nil
	}
}

// answered publishes the answers of the node's Receive, n of them.
func (n *node) answer(count int) {
	n.t.Helper()
	for range count {
		select {
		case m := <-n.reply:
			n.say(m)
		case <-time.After(20 * time.Second):
			n.t.Fatal("nothing was asked")
		}
	}
}

func startGo(t *testing.T, o redisbus.Options, addr string) *node {
	t.Helper()
	n := &node{t: t, name: "GoGo1", id: "GoGo1-abcdefghijklmn", got: make(chan *cluster.Message, 1000), reply: make(chan *cluster.Message, 1000), up: make(chan struct{}), asked: make(map[string]bool)}
	n.Backend = redisbus.New(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, o)
	if err := n.Start(t.Context(), n.name, n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	<-n.up
	watch := []cluster.Interest{{Namespace: "/", On: true}, {Namespace: "/", Room: "go", On: true}}
	if _, ok := n.Backend.(cluster.SocketWatcher); ok {
		watch = append(watch, cluster.Interest{Namespace: "/", Room: n.id, Socket: true, On: true})
	}
	if err := n.Watch(t.Context(), watch); err != nil {
		t.Fatal(err)
	}
	return n
}

// both waits until both nodes have subscribed.
func both(t *testing.T, n *node) {
	t.Helper()
	for {
		k, err := n.Backend.(cluster.Counter).Others(t.Context(), "/")
		if err != nil {
			t.Fatal(err)
		}
		if k == 1 {
			return
		}
	}
}

// TestOldNode: socket.io-redis, which listens to the common channel of responses alone.
func TestOldNode(t *testing.T) {
	r := redistest.Start(t)
	p := startNode(t, "old", r.Addr)
	n := startGo(t, redisbus.Options{CommonResponses: true}, r.Addr)
	both(t, n)
	id := p.client("x", "r1", "r2")
	broadcasts(t, p, n, id)
	rooms(t, p, n)
	fetches(t, p, n, id, redisbus.Classic)
	p.do("emitter", `"rooms":["go"],"args":["em",1]`)
	is(t, n.expect(cluster.Emit), `["em",1]`)
	foreign(t, p, n)
	if len(n.lost) > 0 {
		t.Error(n.lost)
	}
}

func TestNode(t *testing.T) {
	for _, w := range []redisbus.Wire{redisbus.Classic, redisbus.Sharded, redisbus.Streams} {
		t.Run(w.String(), func(t *testing.T) {
			r := redistest.Start(t)
			p := startNode(t, w.String(), r.Addr)
			n := startGo(t, redisbus.Options{Wire: w}, r.Addr)
			both(t, n)
			id := p.client("x", "r1", "r2")
			broadcasts(t, p, n, id)
			rooms(t, p, n)
			fetches(t, p, n, id, w)
			serverEvents(t, p, n)
			asks(t, p, n, id)
			if w == redisbus.Classic {
				emitters(t, p, n)
			}
			foreign(t, p, n)
			if len(n.lost) > 0 {
				t.Error(n.lost)
			}
			// Node takes the last place, and closes as usual.
			n.say(&cluster.Message{Kind: cluster.Disconnect, Rooms: []string{"r1"}})
			if m := p.next("gone"); m["reason"] != "io server disconnect" {
				t.Error(m)
			}
			p.do("end", "")
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func is(t *testing.T, m *cluster.Message, data string, attachments ...string) {
	t.Helper()
	if string(m.Data) != data || len(m.Attachments) != len(attachments) {
		t.Errorf("%s with %d attachments, not %s", m.Data, len(m.Attachments), data)
		return
	}
	for i, a := range attachments {
		if string(m.Attachments[i]) != a {
			t.Errorf("attachment %q, not %q", m.Attachments[i], a)
		}
	}
}

func broadcasts(t *testing.T, p *process, n *node, id string) {
	p.do("emit", `"args":["text",1,-5,300,70000,1.5,null,"é€",{"a":[true]}]`)
	is(t, n.expect(cluster.Emit), `["text",1,-5,300,70000,1.5,null,"é€",{"a":[true]}]`)
	p.event("x", "text", 1.0, -5.0, 300.0, 70000.0, 1.5, nil, "é€", map[string]any{"a": []any{true}})
	p.do("emit", `"rooms":["go"],"args":["bin","hex:0102"]`)
	m := n.expect(cluster.Emit)
	is(t, m, `["bin",{"_placeholder":true,"num":0}]`, "\x01\x02")
	if !slices.Equal(m.Rooms, []string{"go"}) {
		t.Errorf("rooms %q", m.Rooms)
	}
	p.do("emit", `"rooms":["`+n.id+`"],"args":["to a socket"]`)
	is(t, n.expect(cluster.Emit), `["to a socket"]`)

	n.say(&cluster.Message{Kind: cluster.Emit, Data: []byte(`["text",1,-5,300,70000,1.5,null,"é€",{"a":[true]}]`)})
	p.event("x", "text", 1.0, -5.0, 300.0, 70000.0, 1.5, nil, "é€", map[string]any{"a": []any{true}})
	n.say(&cluster.Message{Kind: cluster.Emit, Rooms: []string{"r1"}, Data: []byte(`["bin",{"deep":{"_placeholder":true,"num":0}}]`), Attachments: [][]byte{{1, 255}}})
	p.event("x", "bin", map[string]any{"deep": "hex:01ff"})
	n.say(&cluster.Message{Kind: cluster.Emit, Except: []string{"r2"}, Data: []byte(`["not for x"]`)})
	n.say(&cluster.Message{Kind: cluster.Emit, Rooms: []string{"r3", "r1"}, Volatile: true, Data: []byte(`["several"]`)})
	p.event("x", "several")
	n.say(&cluster.Message{Kind: cluster.Emit, Rooms: []string{id}, Data: []byte(`["to the socket"]`)})
	p.event("x", "to the socket")
}

func rooms(t *testing.T, p *process, n *node) {
	n.say(&cluster.Message{Kind: cluster.Join, Rooms: []string{"r1"}, Names: []string{"new"}})
	n.say(&cluster.Message{Kind: cluster.Leave, Names: []string{"r2"}})
	n.say(&cluster.Message{Kind: cluster.Emit, Rooms: []string{"r2", "other"}, Data: []byte(`["left"]`)})
	n.say(&cluster.Message{Kind: cluster.Emit, Rooms: []string{"new", "other"}, Data: []byte(`["joined"]`)})
	p.event("x", "joined")
	p.do("join", `"rooms":["go"],"except":["nobody"],"names":["a","b"]`)
	if m := n.expect(cluster.Join); !slices.Equal(m.Rooms, []string{"go"}) || !slices.Equal(m.Except, []string{"nobody"}) || !slices.Equal(m.Names, []string{"a", "b"}) {
		t.Errorf("%+v", m)
	}
	p.do("leave", `"names":["a"]`)
	if m := n.expect(cluster.Leave); len(m.Rooms) != 0 || !slices.Equal(m.Names, []string{"a"}) {
		t.Errorf("%+v", m)
	}
	p.do("disconnect", `"rooms":["go"],"close":false`)
	n.expect(cluster.Disconnect)
	p.do("disconnect", `"rooms":["go"],"close":true`)
	n.expect(cluster.Close)
}

func fetches(t *testing.T, p *process, n *node, id string, w redisbus.Wire) {
	p.do("fetch", `"rooms":["go"]`)
	n.expect(cluster.Fetch)
	n.answer(1)
	if m := p.next("fetched"); fmt.Sprint(m["sockets"]) != "[map[data:map[from:go] id:"+n.id+" rooms:["+n.id+" go]]]" {
		t.Errorf("%v", m)
	}
	n.say(&cluster.Message{Kind: cluster.Fetch, ID: "fetch1", Rooms: []string{"r1"}})
	m := n.expect(cluster.Sockets)
	if m.ID != "fetch1" || m.To != n.name || len(m.Sockets) != 1 || m.Sockets[0].ID != id || string(m.Sockets[0].Data) != `{"from":"node"}` || !slices.Contains(m.Sockets[0].Rooms, "new") ||
		!strings.Contains(string(m.Sockets[0].Handshake), `"headers"`) {
		t.Errorf("%+v", m)
	}
	if w != redisbus.Classic {
		return
	}
	n.say(&cluster.Message{Kind: cluster.Fetch, ID: "fetch0", OnlyIDs: true})
	if m := n.expect(cluster.Sockets); len(m.Sockets) != 1 || m.Sockets[0].ID != id {
		t.Errorf("%+v", m)
	}
	p.do("rooms", "")
	n.expect(cluster.ListRooms)
	n.answer(1)
	if m := p.next("rooms"); !strings.Contains(fmt.Sprint(m["rooms"]), "go") {
		t.Errorf("%v", m)
	}
	n.say(&cluster.Message{Kind: cluster.ListRooms, ID: "rooms1"})
	if m := n.expect(cluster.Rooms); !slices.Contains(m.Names, "new") {
		t.Errorf("%+v", m)
	}
}

func serverEvents(t *testing.T, p *process, n *node) {
	p.do("serverEvent", `"args":["sse",1,"two"]`)
	is(t, n.expect(cluster.ServerEvent), `["sse",1,"two"]`)
	p.do("question", `"args":["sse",2]`)
	is(t, n.expect(cluster.ServerEvent), `["sse",2]`)
	n.answer(1)
	if m := p.next("answers"); fmt.Sprint(m["answers"]) != "[go answers]" {
		t.Errorf("%v", m)
	}
	n.say(&cluster.Message{Kind: cluster.ServerEvent, Data: []byte(`["question",7]`)})
	if m := p.next("server event"); fmt.Sprint(m["args"]) != "[7]" {
		t.Errorf("%v", m)
	}
	n.say(&cluster.Message{Kind: cluster.ServerEvent, ID: "ask1", Data: []byte(`["question",8]`)})
	m := n.expect(cluster.Answer)
	if is(t, m, `["node:8"]`); m.ID != "ask1" || m.To != n.name {
		t.Errorf("%+v", m)
	}
}

func asks(t *testing.T, p *process, n *node, id string) {
	p.do("ask", `"args":["ask",3]`)
	is(t, n.expect(cluster.Emit), `["ask",3]`)
	n.answer(2)
	p.event("x", "ask", 3.0)
	if m := p.next("acks"); fmt.Sprint(m["acks"]) != "[go acks x:3]" {
		t.Errorf("%v", m)
	}
	n.say(&cluster.Message{Kind: cluster.Emit, ID: "ask2", Timeout: 3 * time.Second, Rooms: []string{"r1"}, Data: []byte(`["ask",4]`)})
	if m := n.expect(cluster.Asked); m.Number != 1 || m.ID != "ask2" {
		t.Errorf("%+v", m)
	}
	is(t, n.expect(cluster.Acked), `["x:4"]`)
	p.event("x", "ask", 4.0)
	n.say(&cluster.Message{Kind: cluster.Emit, ID: "ask3", Timeout: 3 * time.Second, Rooms: []string{"nobody"}, Data: []byte(`["ask",5]`)})
	if m := n.expect(cluster.Asked); m.Number != 0 {
		t.Errorf("%+v", m)
	}
	n.say(&cluster.Message{Kind: cluster.Emit, ID: "ask4", Timeout: 3 * time.Second, Rooms: []string{id}, Single: true, Data: []byte(`["ask",6]`)})
	for {
		select {
		case m := <-n.got:
			if m.Kind == cluster.Asked {
				continue // Node need not say it
			}
			is(t, m, `["x:6"]`)
			p.event("x", "ask", 6.0)
			return
		case <-time.After(20 * time.Second):
			t.Fatal("no ack")
		}
	}
}

func emitters(t *testing.T, p *process, n *node) {
	p.do("emitter", `"rooms":["go"],"args":["em","hex:01"]`)
	is(t, n.expect(cluster.Emit), `["em",{"_placeholder":true,"num":0}]`, "\x01")
	p.do("emitterJoin", `"rooms":["go"],"names":["r5"]`)
	if m := n.expect(cluster.Join); !slices.Equal(m.Names, []string{"r5"}) || m.Node != "" {
		t.Errorf("%+v", m)
	}
	p.do("emitterServerEvent", `"args":["sse",1]`)
	is(t, n.expect(cluster.ServerEvent), `["sse",1]`)
}

// foreign: what is siokit's own does not reach Node, which lives on.
func foreign(t *testing.T, p *process, n *node) {
	for _, m := range []*cluster.Message{
		{Kind: cluster.LeaveAll, Rooms: []string{"r1"}}, {Kind: cluster.CloseTransport}, {Kind: cluster.Count, ID: "c"},
		{Kind: cluster.Counted, ID: "c", To: "Other", Number: 1}, {Kind: cluster.Emit, To: "Other", Rooms: []string{"r1"}, Data: []byte(`["own"]`)},
		{Kind: cluster.ServerEvent, Data: []byte(`["connection"]`)},
	} {
		n.say(m)
	}
	hello := &cluster.Message{Kind: cluster.Hello, Node: n.name, ID: "h"}
	if err := n.Publish(t.Context(), []*cluster.Message{hello}); err != nil {
		t.Error(err)
	}
	n.say(&cluster.Message{Kind: cluster.Emit, Rooms: []string{"r1"}, Data: []byte(`["still here"]`)})
	p.event("x", "still here")
}
