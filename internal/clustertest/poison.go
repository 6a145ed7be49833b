package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// killers are messages that end a process of Node, or cut off its clients, and others that no
// form has.
func killers() (list []string) {
	const opts = "\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"
	packet := func(typ string) string { return "\x83\xa4type" + typ + "\xa4data\x91\xa1x\xa3nsp\xa1/" }
	good := "\x93\xa1u" + packet("\x02") + opts
	adapter := func(data string) string { return `{"type":3,"data":` + data + `,"uid":"u","nsp":"/"}` }
	list = []string{
		"", "\x00\x00", "\xc0", "\xc1", "hello", "{", "{}", "[]", "null", `"x"`, "1",
		"\x92\xa1u" + packet("\x02"), "\x93\xa1u" + packet("\x02") + "\xc0", "\x83" + good[1:], "\x81\xa1u\xa1x", // without opts, a map
		"\x93\xa1u\x82\xa4type\x02\xa3nsp\xa1/" + opts, "\x93\xa1u\xc0" + opts, // without data, without packet
		"\x93\xa1u" + packet("\x05") + opts, "\x93\xa1u" + packet("\x01") + opts, "\x93\xa1u" + packet("\x2a") + opts,
		"\x93\xa1u\x83\xa4type\x02\xa4data\x91\xa7connect\xa3nsp\xa1/" + opts, "\x93\xa1u\x83\xa4type\x02\xa4data\x90\xa3nsp\xa1/" + opts,
		good + "\x00", "\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", strings.Repeat("[", 10_000), strings.Repeat("\x91", 10_000),
		`{"uid":"u","type":5,"requestId":"1"}`, `{"uid":"u","type":6}`, `{"uid":"u","type":99}`, `{"type":8,"requestId":"1","clientCount":-1}`,
		`{"uid":"u","type":2,"rooms":["r"]}`, `{"requestId":"1"}`, `{"requestId":"1","sockets":7}`, `{"type":7,"requestId":"1","packet":null,"opts":{}}`,
		adapter("null"), adapter("{}"), adapter(`{"packet":{"type":2,"data":["x"]}}`), adapter(`{"packet":{"type":2},"opts":{"rooms":[],"except":[],"flags":{}}}`),
		adapter(`{"packet":{"type":1,"data":["x"]},"opts":{"rooms":[],"except":[],"flags":{}}}`), adapter(`{"packet":{"type":2,"data":["x"]},"opts":{"rooms":7}}`),
		`{"type":99,"data":{},"uid":"u","nsp":"/"}`, "\x01", "\x01\x01\x00", "\x01\xff\x00\x00", "\x01\x01\x00\xff\xff\xff\xff\x0f", "\x02\x01\x00\x00\x00\x00\x00",
	}
	for n := range len(good) {
		list = append(list, good[:n])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		b := make([]byte, 1+random.IntN(60))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		b[0] |= 0xe0 // no form begins so
		list = append(list, string(b))
	}
	return list
}

// Poison publishes what no node sends, between numbered events, on each channel of the bus: all
// that is known to end a process of Node, truncated messages, and random bytes. publish publishes
// one payload on every channel of these nodes, and returns how often it is heard: once for each
// node and channel.
//
// All good events arrive, once and in order. Each piece of poison is counted as often as it is
// heard, in one incident of each node. Well-formed events that would cut clients off are
// failures, each.
func Poison(t *testing.T, bus Bus, publish func(names []string, payload string) (heard int)) {
	ns := []*Node{Serve(t, 0, bus.Backend()), Serve(t, 1, bus.Backend())}
	together(t, ns...)
	for _, n := range ns { // so that all channels are there
		n.Emit(2)
	}
	quiet(t, ns...)
	payloads, heard := killers(), 0
	for _, p := range payloads {
		ns[0].Emit(2)
		heard += publish([]string{ns[0].Name, ns[1].Name}, p)
		ns[1].Emit(2)
	}
	harmful(t, bus)
	verify(t, ns...)
	nothing(t, ns...)
	missed := 0
	for _, n := range ns {
		missed += n.incident(1).Missed
		n.await("the failure of the harmful event", func() bool { return len(n.failures) == 3 })
		if got := n.Stats().Failures[sio.FailureCluster]; got != 3 {
			t.Errorf("Stats of node %d count %d failures", n.number, got)
		}
	}
	if missed != heard {
		t.Errorf("%d pieces of poison were heard, %d are counted", heard, missed)
	}
	t.Logf("%d payloads heard %d times, %d counted in two incidents; %d and %d good events between them, none missing",
		len(payloads), heard, missed, ns[0].total(), ns[1].total())
}

// harmful publishes an event that is nested deeper than clients may be sent.
func harmful(t *testing.T, bus Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, up := bus.Backend(), make(stranger, 1)
	if err := b.Start(ctx, "alien", up); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(ctx) }()
	select {
	case <-up:
	case <-ctx.Done():
		t.Fatal("the stranger has not reached the bus")
	}
	data := fmt.Sprintf(`["n",%s%s]`, strings.Repeat("[", 100), strings.Repeat("]", 100))
	if err := b.Publish(ctx, []*cluster.Message{{Kind: cluster.Emit, Node: "alien", Namespace: "/", Data: []byte(data)}}); err != nil {
		t.Error(err)
	}
}

// stranger is the Receiver of a node that is none.
type stranger chan struct{}

func (s stranger) Receive(*cluster.Message) {}
func (s stranger) Up()                      { s <- struct{}{} }
func (s stranger) Down(error)               {}
func (s stranger) Lost(int, error)          {}
