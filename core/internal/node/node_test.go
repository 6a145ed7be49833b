package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// peer is a node of a test with what its Host was told.
type peer struct {
	*Node
	log testkit.Log

	mu        sync.Mutex
	delivered []string // of each message the node and Data
	joined    []string // "+name" and "-name"
	byes      []string // of those that have said that they leave
	infos     []string // of those that have fallen silent
	gaps      []Gap
	untold    []string                    // the namespaces of each Gap
	ids       []string                    // the ids of the sockets that requests find
	rooms     []string                    // of each; one
	silent    bool                        // nobody acks
	acks      []func(data string)         // of the clients that were asked
	onEvent   func(m *cluster.Message)    // runs in ServerEvent
	onDeliver func(m *cluster.Message)    // runs in Deliver
	onJoined  func(name string)           // runs in Joined
	answer    func(answer func(d []byte)) // instead of one answer with the node's name
}

func (p *peer) Deliver(m *cluster.Message) {
	if p.onDeliver != nil {
		p.onDeliver(m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Kind == cluster.Gap {
		p.untold = append(p.untold, m.Node+" "+strings.Join(m.Names, ","))
		return
	}
	p.delivered = append(p.delivered, m.Node+" "+string(m.Data))
}

func (p *peer) Ask(m *cluster.Message, asked func([]string), acked func(string, []byte, [][]byte)) {
	p.Deliver(m)
	asked(p.ids)
	for _, id := range p.ids {
		if !p.silent {
			acked(id, []byte(`["`+id+`"]`), nil)
			continue
		}
		p.mu.Lock()
		p.acks = append(p.acks, func(data string) { acked(id, []byte(data), nil) })
		p.mu.Unlock()
	}
}

func (p *peer) Sockets(*cluster.Message) (list []cluster.Socket) {
	for _, id := range p.ids {
		s := cluster.Socket{ID: id, Rooms: []string{"r"}}
		if p.rooms != nil {
			s.Rooms = slices.Clone(p.rooms)
		}
		list = append(list, s)
	}
	return list
}
func (p *peer) Count(*cluster.Message) int { return len(p.ids) }
func (p *peer) Rooms(string) []string      { return slices.Clone(p.ids) }

func (p *peer) ServerEvent(m *cluster.Message, answer func([]byte, [][]byte)) {
	p.mu.Lock()
	onEvent, answers := p.onEvent, p.answer
	p.mu.Unlock()
	if onEvent != nil {
		onEvent(m)
	}
	p.Deliver(m)
	if answers != nil {
		answers(func(d []byte) { answer(d, nil) })
	} else if m.ID != "" {
		answer([]byte(`["`+p.Name()+`"]`), nil)
	}
}

func (p *peer) Question(m *cluster.Message, answer func([]byte, [][]byte)) {
	p.Deliver(m)
	answer([]byte(`["`+p.Name()+` alone"]`), nil)
}

func (p *peer) Joined(name string) {
	if p.change("+" + name); p.onJoined != nil {
		p.onJoined(name)
	}
}
func (p *peer) Silent(_, info string) { p.set(func() { p.infos = append(p.infos, info) }) }
func (p *peer) Left(name string, bye bool) {
	p.change("-" + name)
	p.set(func() {
		if bye {
			p.byes = append(p.byes, name)
		}
	})
}
func (p *peer) change(c string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.joined = append(p.joined, c)
}

// texts is what Deliver got of one node.
func (p *peer) texts(node string) (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.delivered {
		if from, text, _ := strings.Cut(d, " "); from == node {
			list = append(list, text)
		}
	}
	return list
}

func (p *peer) news() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.joined, " ")
}

// newsOf is what was said of one node.
func (p *peer) newsOf(name string) string {
	list := strings.Fields(p.news())
	return strings.Join(slices.DeleteFunc(list, func(n string) bool { return n[1:] != name }), " ")
}

func (p *peer) gapList() []Gap {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.gaps)
}

// untoldList is what was said of events that were lost.
func (p *peer) untoldList() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.untold)
}

const beat = time.Second

// newPeer returns a node that is not started.
func newPeer(b cluster.Backend, name string, opts ...func(o *Options)) *peer {
	p := new(peer)
	o := Options{
		Name: name, Info: "http://" + name, Heartbeat: beat, RequestTimeout: 5 * time.Second, PublishTimeout: 2 * time.Second, Linger: 5 * time.Second,
		MaxMessages: 1000, MaxBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(&p.log, nil)),
		Report: func(g Gap) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.gaps = append(p.gaps, g)
		},
	}
	for _, f := range opts {
		f(&o)
	}
	p.Node = New(b, p, o)
	return p
}

// start starts a node, which leaves at the end of the test.
func (p *peer) start(t *testing.T) *peer {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.leave(t) })
	return p
}

// set changes what the Host does.
func (p *peer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *peer) leave(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		t.Errorf("%s: Shutdown: %v", p.Name(), err)
	}
}

// nodes starts nodes with these names in one cluster, which watch the namespace "/" and
// know each other.
func nodes(t *testing.T, bus *cluster.Bus, names ...string) (list []*peer) {
	t.Helper()
	for _, name := range names {
		p := newPeer(bus.Backend(), name).start(t)
		p.Enter("/", "", false)
		list = append(list, p)
	}
	time.Sleep(settleTime)
	synctest.Wait()
	return list
}

func emit(data string, rooms ...string) *cluster.Message {
	return &cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: rooms, Data: []byte(data)}
}

// ask makes a request in a goroutine; done returns its answers, sorted, and its error.
func (p *peer) ask(ctx context.Context, m *cluster.Message) (done func() (answers []string, err error)) {
	var got []string
	var err error
	over := make(chan struct{})
	go func() {
		defer close(over)
		err = p.Request(ctx, m, func(m *cluster.Message) {
			switch m.Kind {
			case cluster.Counted, cluster.Asked:
				got = append(got, fmt.Sprint(m.Node, " ", m.Number))
			default:
				got = append(got, fmt.Sprintf("%s %s%d%v", m.Node, m.Data, len(m.Sockets), m.Names))
			}
		})
	}()
	return func() ([]string, error) {
		<-over
		slices.Sort(got)
		return got, err
	}
}

func missing(t *testing.T, err error, why error, names ...string) {
	t.Helper()
	m, ok := errors.AsType[*cluster.Missing](err)
	if !ok || !errors.Is(err, why) || !slices.Equal(m.Nodes, names) {
		t.Errorf("the error is %v; want one with the nodes %v because of %v", err, names, why)
	}
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
