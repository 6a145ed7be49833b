package sio

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// slowGreeting is a backend whose Up comes when come is closed. A Hello is published when
// another node has answered it, so that the time for answers is never too short.
type slowGreeting struct {
	cluster.Backend
	come     chan struct{}
	once     sync.Once
	answered chan struct{}
}

func newSlowGreeting(b cluster.Backend) *slowGreeting {
	return &slowGreeting{Backend: b, come: make(chan struct{}), answered: make(chan struct{})}
}

func (b *slowGreeting) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return b.Backend.Start(ctx, node, slowReceiver{r, b})
}

func (b *slowGreeting) Publish(ctx context.Context, ms []*cluster.Message) error {
	err := b.Backend.Publish(ctx, ms)
	if ms[0].Kind == cluster.Hello {
		select {
		case <-b.answered:
		case <-ctx.Done():
		}
	}
	return err
}

type slowReceiver struct {
	cluster.Receiver
	b *slowGreeting
}

func (r slowReceiver) Up() {
	go func() {
		<-r.b.come
		r.Receiver.Up()
	}()
}

func (r slowReceiver) Receive(m *cluster.Message) {
	select {
	case <-r.b.come:
	default:
		return // not on the bus yet
	}
	r.Receiver.Receive(m)
	if m.Kind == cluster.Heartbeat {
		r.b.once.Do(func() { close(r.b.answered) })
	}
}

// TestForwardNew: a request that comes to a server which does not know the others yet is passed
// on, and not refused.
func TestForwardNew(t *testing.T) {
	sp := spreadOver(t, 1, nil, echoes)
	s := sp.c.Polling()
	s.Join("")
	bus := newSlowGreeting(sp.bus.Backend())
	b := NewServer(&Options{Cluster: bus, Forward: &Forward{Listen: "127.0.0.1:0", Secret: []byte(testSecret)}, Logger: sp.log.Logger()})
	sp.all = append(sp.all, b)
	var once sync.Once
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(bus.come) })
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(hs.Close)
	s.Client = wire.New(t, hs.URL, "/socket.io/")
	t.Cleanup(s.Client.Close)
	if a := s.Post(`42["echo","new"]`); a.String() != "200 ok" {
		t.Fatal(a)
	}
	if got := s.Packets(1)[0]; got != `42["echoed","new"]` {
		t.Error(got)
	}
}

// TestForwardNewWaits: a request waits only for a node that is unknown, and only while this
// one is new. Without Options.Forward the log says that the node of the session was found.
func TestForwardNewWaits(t *testing.T) {
	const found = "the load balancer needs sticky sessions"
	away := func(bus *cluster.Bus) cluster.Backend { bus.Cut(); return bus.Backend() }
	late := func(bus *cluster.Bus) cluster.Backend {
		b := newSlowGreeting(bus.Backend())
		time.AfterFunc(600*time.Millisecond, func() { close(b.come) })
		return b
	}
	for _, row := range []struct {
		name string
		bus  func(bus *cluster.Bus) cluster.Backend
		id   string // the name of the node, "" for that of the other one, "own"
		when time.Duration
		gone time.Duration
		took time.Duration
		log  bool // that the other node was found
	}{
		{name: "new", took: 300 * time.Millisecond, log: true},
		{name: "new, with a bus that comes late", bus: late, took: 900 * time.Millisecond, log: true},
		{name: "new, and the node is unknown", id: "nobod", took: 300 * time.Millisecond},
		{name: "an id of its own", id: "own"},
		{name: "the client leaves", id: "nobod", gone: 100 * time.Millisecond, took: 100 * time.Millisecond},
		{name: "settled", when: time.Second, log: true},
		{name: "settled, and the node is unknown", id: "nobod", when: time.Second},
		{name: "the bus is away", bus: away, when: 1},
		{name: "the bus says nothing", bus: func(*cluster.Bus) cluster.Backend { return silentBus{} }, took: time.Second},
		{name: "the bus has said nothing for long", bus: func(*cluster.Bus) cluster.Backend { return silentBus{} }, when: 5 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := cluster.NewBus()
				log := new(testkit.Log)
				a := NewServer(&Options{Cluster: bus.Backend(), Logger: log.Logger()})
				defer a.Shutdown(context.Background())
				time.Sleep(time.Second)
				mk := (*cluster.Bus).Backend
				if row.bus != nil {
					mk = row.bus
				}
				b := NewServer(&Options{Cluster: mk(bus), Logger: log.Logger()})
				defer b.Shutdown(context.Background())
				time.Sleep(row.when)
				name := row.id
				switch name {
				case "":
					name = a.node.Name()
				case "own":
					name = b.node.Name()
				}
				ctx := t.Context()
				if row.gone > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, row.gone)
					defer cancel()
				}
				r := httptest.NewRequestWithContext(ctx, "GET", "/socket.io/?EIO=4&transport=polling&sid="+name+strings.Repeat("x", virtsocket.IDLength-len(name)), nil)
				w := httptest.NewRecorder()
				began := time.Now()
				b.ServeHTTP(w, r)
				if took := time.Since(began); took != row.took {
					t.Errorf("that took %v", took)
				}
				if row.gone == 0 && (w.Code != 400 || !strings.Contains(w.Body.String(), "Session ID unknown")) {
					t.Error(w.Code, w.Body)
				}
				if got := log.String(); strings.Contains(got, found) != row.log {
					t.Error(got)
				}
			})
		})
	}
}
