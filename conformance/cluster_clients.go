package conformance

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// clusterEnv is what a case of RunCluster works with.
type clusterEnv struct {
	T   *probe
	run *run
	*clusterNodes
	ns string // the case's own namespace

	mu      sync.Mutex
	seen    map[string]*sio.Socket // by the names of their clients
	ended   map[string]sio.Reason
	clients []*clusterClient
}

// The generations of clients, each at every node. Names of clients are such as "eio3@1".
var clusterGenerations = []string{"eio4", "eio3", "sio1"}

// of is the case's namespace at a node.
func (c *clusterEnv) of(node int) *sio.Namespace { return c.all()[node].Of(c.ns) }

// open connects a client of each generation at each of the nodes, to the case's namespace.
func (c *clusterEnv) open(nodes ...int) {
	c.T.Helper()
	for _, n := range nodes {
		c.serve(c.of(n))
		c.connect(n)
	}
	c.settle()
}

// serve registers what the clients of cases send and do.
func (c *clusterEnv) serve(ns *sio.Namespace) {
	ns.On("hello", sio.Handle(func(_ context.Context, s *sio.Socket, name string) error {
		s.Set("name", name)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[name] = s
		return nil
	}))
	ns.OnDisconnect(func(_ context.Context, s *sio.Socket, why sio.Reason) {
		name, _ := s.Get("name").(string)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended == nil {
			c.ended = make(map[string]sio.Reason)
		}
		c.ended[name] = why
	})
}

// connect connects the clients of one node, and waits until the server has heard of them.
func (c *clusterEnv) connect(node int) {
	c.T.Helper()
	for _, generation := range clusterGenerations {
		cl := c.client(node, generation)
		cl.send("hello", fmt.Sprintf("%q", cl.name))
		c.eventually("the server has seen "+cl.name, func() bool { return c.socket(cl.name) != nil })
	}
}

// settle waits until all nodes can reach all clients: what a node has answered, it has said
// after the bus was told of its rooms.
func (c *clusterEnv) settle() {
	c.T.Helper()
	for i := range c.all() {
		c.count("all clients", c.of(i).All(), len(c.clients))
	}
}

// count compares how many sockets a target has.
func (c *clusterEnv) count(what string, t sio.Target, want int) {
	c.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
	defer cancel()
	if got, err := t.Count(ctx); got != want || err != nil {
		c.T.Errorf("Count of %s\n got  %d, %v\n want %d", what, got, err, want)
	}
}

func (c *clusterEnv) socket(name string) *sio.Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[name]
}

func (c *clusterEnv) eventually(what string, f func() bool) {
	c.T.Helper()
	for until := time.Now().Add(c.run.patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			c.T.Fatalf("never happened: %s", what)
		}
	}
}

// names lists the clients that f chooses, all for nil.
func (c *clusterEnv) names(f func(name string) bool) (names []string) {
	for _, cl := range c.clients {
		if f == nil || f(cl.name) {
			names = append(names, cl.name)
		}
	}
	return names
}

// at chooses the clients of nodes.
func at(nodes ...int) func(name string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(nodes, func(n int) bool { return strings.HasSuffix(name, fmt.Sprint("@", n)) })
	}
}

// of chooses the clients of a generation.
func ofGeneration(generation string) func(name string) bool {
	return func(name string) bool { return strings.HasPrefix(name, generation) }
}

// join has sockets join rooms at their own nodes.
func (c *clusterEnv) join(who func(name string) bool, rooms ...string) {
	c.T.Helper()
	for _, name := range c.names(who) {
		c.socket(name).Join(rooms...)
	}
	c.settle()
}

// end is what closes the list of what clients get: it comes behind everything else that the
// same node has emitted.
const clusterEnd = "end"

// get reads what all clients get until the end, which node emits, and compares it. want says
// for a client what that is.
func (c *clusterEnv) get(node int, want func(name string) []string) {
	c.T.Helper()
	if err := c.of(node).Emit(clusterEnd); err != nil {
		c.T.Fatal(err)
	}
	c.got(want)
}

// got is get where the end was emitted.
func (c *clusterEnv) got(want func(name string) []string) {
	c.T.Helper()
	for _, cl := range c.clients {
		if got, want := cl.until(clusterEnd), want(cl.name); !slices.Equal(got, want) {
			c.T.Errorf("what %s got of the server\n got  %q\n want %q", cl.name, got, want)
		}
	}
}

// only is for clients that get these events when who chooses them, and nothing otherwise.
func only(who func(name string) bool, events ...string) func(name string) []string {
	return func(name string) []string {
		if who == nil || who(name) {
			return events
		}
		return nil
	}
}

// clusterClient is a client at one node.
type clusterClient struct {
	c    *clusterEnv
	name string // generation@node
	ns   string

	*wire.Client
	ws   *wire.WS
	eio3 *wire.Session3
	sio1 *wire.Session1
	over bool // the connection has ended
}

// client connects a client of a generation to the case's namespace.
func (c *clusterEnv) client(node int, generation string) *clusterClient {
	c.T.Helper()
	cl := &clusterClient{c: c, name: fmt.Sprint(generation, "@", node), ns: c.ns}
	cl.Client = wire.New(c.T, c.all()[node].host.URL, mount+"/")
	cl.Client.Trace = func(line string) { c.T.note(cl.name + " " + line) }
	cl.Client.Patience, cl.HTTP.Timeout = c.run.patience, c.run.patience
	switch generation {
	case "eio4":
		cl.ws = cl.Client.Join(c.ns + ",")
	case "eio3":
		cl.eio3 = cl.Polling3("b64=1")
		cl.expect("40")
		cl.eio3.Post("40" + c.ns)
		cl.expect("40" + c.ns)
	case "sio1":
		cl.sio1 = cl.Polling1()
		cl.sio1.Send("1::" + c.ns)
		cl.expect("1::" + c.ns)
	}
	c.clients = append(c.clients, cl)
	return cl
}

func (cl *clusterClient) expect(want string) {
	cl.c.T.Helper()
	if got := cl.packet(); strings.TrimSuffix(got, ",") != want {
		cl.c.T.Fatalf("%s: %q instead of %q", cl.name, got, want)
	}
}

// packet is the next packet.
func (cl *clusterClient) packet() string {
	switch {
	case cl.ws != nil:
		return cl.ws.Next()
	case cl.eio3 != nil:
		return cl.eio3.Next()
	}
	for {
		if p := cl.sio1.Next(); p != "2::" {
			return p
		}
	}
}

// send sends an event with one argument.
func (cl *clusterClient) send(event, arg string) {
	cl.post(fmt.Sprintf("42%s,[%q,%s]", cl.ns, event, arg), fmt.Sprintf(`5::%s:{"name":%q,"args":[%s]}`, cl.ns, event, arg))
}

// post sends a packet, in the form of Socket.IO 1 and newer or of 0.9.
func (cl *clusterClient) post(packet, packet09 string) {
	switch {
	case cl.ws != nil:
		cl.ws.Send(packet)
	case cl.eio3 != nil:
		cl.eio3.Post(packet)
	default:
		cl.sio1.Send(packet09)
	}
}

// answer acks the question with an id.
func (cl *clusterClient) answer(id, arg string) {
	cl.post(fmt.Sprintf("43%s,%s[%s]", cl.ns, id, arg), fmt.Sprintf("6::%s:%s+[%s]", cl.ns, strings.TrimSuffix(id, "+"), arg))
}

// until reads events up to the one with this name, which is left out.
func (cl *clusterClient) until(end string) (list []string) {
	cl.c.T.Helper()
	for !cl.over {
		event, _ := cl.event()
		if event == end {
			break
		}
		list = append(list, event)
	}
	return list
}

// event is the next event, in a form that does not depend on the generation: the name and the
// arguments, binary ones in hex. The id is that of a question. A packet that ends the client's
// stay in the namespace is "left".
func (cl *clusterClient) event() (event, id string) {
	cl.c.T.Helper()
	p := cl.packet()
	if cl.sio1 != nil {
		return cl.event09(p)
	}
	if strings.TrimSuffix(p, ",") == "41"+cl.ns {
		cl.over = true
		return "left", ""
	}
	rest, binary := strings.CutPrefix(p, "42")
	parts := 0
	if !binary {
		if n, err := fmt.Sscanf(p, "45%d-", &parts); n != 1 || err != nil {
			return p, ""
		}
		_, rest, _ = strings.Cut(p, "-")
	}
	rest, ok := strings.CutPrefix(rest, cl.ns+",")
	open := strings.IndexByte(rest, '[')
	if !ok || open < 0 {
		return p, ""
	}
	var attachments [][]byte
	for range parts {
		text := strings.TrimPrefix(cl.packet(), "b")
		if cl.eio3 != nil {
			text = strings.TrimPrefix(text, "4")
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "an attachment that is " + text, ""
		}
		attachments = append(attachments, b)
	}
	return cl.words(rest[open:], attachments), rest[:open]
}

func (cl *clusterClient) event09(p string) (event, id string) {
	if p == "0::"+cl.ns {
		cl.over = true
		return "left", ""
	}
	parts := strings.SplitN(p, ":", 3)
	if len(parts) != 3 || parts[0] != "5" {
		return p, ""
	}
	body, ok := strings.CutPrefix(parts[2], cl.ns+":")
	var e struct {
		Name string
		Args []json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || !ok {
		return p, ""
	}
	name, _ := json.Marshal(e.Name)
	list, _ := json.Marshal(slices.Insert(e.Args, 0, json.RawMessage(name)))
	return cl.words(string(list), nil), parts[1]
}

// words are the elements of an event, with spaces between them.
func (cl *clusterClient) words(list string, attachments [][]byte) string {
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(list), &raw); err != nil {
		return "no event: " + list
	}
	var words []string
	for _, r := range raw {
		var text string
		var p struct {
			Placeholder bool `json:"_placeholder"`
			Num         int
		}
		switch {
		case string(r) != "null" && json.Unmarshal(r, &text) == nil:
		case json.Unmarshal(r, &p) == nil && p.Placeholder && p.Num >= 0 && p.Num < len(attachments):
			text = hex.EncodeToString(attachments[p.Num])
		default:
			text = string(r)
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

func hexOf(b []byte) string    { return hex.EncodeToString(b) }
func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
