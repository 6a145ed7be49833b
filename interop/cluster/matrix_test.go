package cluster

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster/nodewire"
	"github.com/siokit/siokit/internal/redistest"
)

// TestMain lets the clusters of all wires run at once: they wait for timers most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	os.Exit(m.Run())
}

// patience is how long anything may take that is to happen. silence is how long clients that do
// not answer are waited for: all others have answered long before.
const (
	patience = 60 * time.Second
	silence  = 3 * time.Second
)

// The generations of official clients.
var generations = map[string]string{"0.9": "0.9.17", "2.5": "2.5.0", "4.8": "4.8"}

// wires are the adapters that siokit and Node share.
var wires = []struct {
	name string // of matrixserver.mjs
	opts redisbus.Options
}{
	{"classic", redisbus.Options{Wire: redisbus.Classic}},
	{"sharded", redisbus.Options{Wire: redisbus.Sharded, Mode: nodewire.Dynamic}},
	{"sharded-static", redisbus.Options{Wire: redisbus.Sharded, Mode: nodewire.Static}},
	{"sharded-private", redisbus.Options{Wire: redisbus.Sharded, Mode: nodewire.DynamicPrivate}},
	{"streams", redisbus.Options{Wire: redisbus.Streams}},
}

// TestMatrix: two Servers of siokit and two processes of Node are one cluster. Each operation
// is done by one of each kind, and by emitters of siokit and Node, and what it does is seen at all
// four. The table has a column for each wire and direction.
func TestMatrix(t *testing.T) {
	t.Parallel()
	tab := newTable()
	t.Run("wires", func(t *testing.T) {
		for _, wire := range wires {
			t.Run(wire.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, tab, wire.name, wire.opts, "socket.io")
				for _, op := range operations {
					w.run(op)
				}
				w.lifecycle()
			})
		}
	})
	t.Logf("\n%s", tab)
	for _, why := range tab.red {
		t.Error(why)
	}
}

// TestMatrixCanFail: the checks of TestMatrix see that two halves of a cluster do not hear each
// other, and that each half is whole.
func TestMatrixCanFail(t *testing.T) {
	t.Parallel()
	tab := newTable()
	w := newWorld(t, tab, "classic", redisbus.Options{Prefix: "elsewhere"}, "socket.io")
	w.apart = func(by, to string) bool { return (by == "siokit" || by == "goemitter") != (to == "siokit") }
	for _, op := range operations {
		if op.apart {
			w.run(op)
		}
	}
	t.Logf("\n%s", tab)
	if len(tab.rows) < 5 {
		t.Errorf("only %q", tab.rows)
	}
	for _, row := range tab.rows {
		for _, col := range tab.cols {
			from, to, _ := strings.Cut(strings.TrimPrefix(col, "classic "), "→")
			want := "ok"
			if w.apart(from, to) {
				want = "red"
			}
			if got := tab.cells[row][col]; got != want && got != "" {
				t.Errorf("%s, %s: %s instead of %s", row, col, got, want)
			}
		}
	}
}

// client is an official client.
type client struct {
	name, version string
	at            server
	id            string
	rooms         []string
}

func (c *client) in(rooms []string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool { return r == c.id || slices.Contains(c.rooms, r) })
}

// world is a cluster with clients at each server.
type world struct {
	t       *testing.T
	tab     *table
	wire    string
	apart   func(by, to string) bool // which kinds do not hear each other, in TestMatrixCanFail
	actors  []actor                  // that act: of each kind one
	servers []server
	peer    *peer // has the clients
	clients []*client
	marks   int
	opened  int
}

func newWorld(t *testing.T, tab *table, wire string, o redisbus.Options, nodePrefix string) *world {
	if os.Getenv("SIOKIT_INTEROP") != "1" {
		t.Skip("needs Node and npm ci; .ci/run installs them and sets SIOKIT_INTEROP=1")
	}
	r := redistest.Start(t)
	w := &world{t: t, tab: tab, wire: wire, peer: startPeer(t, "matrixclients.mjs")}
	for _, name := range []string{"siokit1", "siokit2"} {
		w.servers = append(w.servers, startGoServer(t, name, r.Addr, o))
	}
	for _, name := range []string{"node1", "node2"} {
		a := &nodeActor{peer: startPeer(t, "matrixserver.mjs", wire, r.Addr, nodePrefix, name), called: name, of: "node"}
		if err := a.do(&a.at, "url", nil); err != nil {
			t.Fatal(err)
		}
		w.servers = append(w.servers, a)
	}
	w.actors = []actor{w.servers[0], w.servers[2]}
	if wire == "classic" {
		e := &nodeActor{peer: startPeer(t, "matrixserver.mjs", "emitter", r.Addr, nodePrefix, "emitter"), called: "emitter", of: "emitter"}
		w.actors = append(w.actors, emitter{e})
	}
	w.actors = append(w.actors, startGoEmitter(t, "goemitter", r.Addr, o))
	for _, s := range w.servers {
		for _, version := range slices.Sorted(maps.Keys(generations)) {
			if version == "0.9" && s.kind() != "siokit" {
				continue
			}
			for _, n := range []string{"x", "y"} {
				rooms := []string{"r1", "odd #*?[é€", "twenty-characters-aa", n}
				if n == "y" {
					rooms = append(rooms, "r2")
				}
				w.clients = append(w.clients, w.open(s, version, "", rooms, ""))
			}
		}
	}
	if nodePrefix == "socket.io" && o.Prefix == "" {
		w.settle()
	}
	return w
}

// open connects a client, in rooms of a namespace, and of another one beside it.
func (w *world) open(s server, version, ns string, rooms []string, beside string) *client {
	w.t.Helper()
	w.opened++
	c := &client{name: fmt.Sprintf("%s-%s-%d", s.name(), version, w.opened), version: version, at: s, rooms: rooms}
	more := map[string]any{"name": c.name, "version": generations[version], "url": s.url(), "rooms": rooms, "ms": patience.Milliseconds()}
	if ns != "" {
		more["ns"] = ns
	}
	if beside != "" {
		more["beside"] = beside
	}
	if err := w.peer.do(&c.id, "open", more); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func namesOf(list []*client) []string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.name
	}
	return names
}

// settle waits until every server listens to every room: what is emitted before may be lost.
func (w *world) settle() {
	w.t.Helper()
	late := time.Now().Add(patience)
	for _, a := range w.actors {
		for whole := false; !whole; {
			if time.Now().After(late) {
				w.t.Fatal("the cluster is not whole")
			}
			rooms := []string{"r1", "r2", "odd #*?[é€", "twenty-characters-aa", "x", "y"}
			for _, c := range w.clients {
				rooms = append(rooms, c.id)
			}
			for _, room := range rooms {
				w.must(a.emit(target{Rooms: []string{room}}, "e", "settle", room))
			}
			w.marks++
			w.must(a.emit(target{}, "mark", w.marks))
			whole = true
			for name, g := range w.after(w.marks, time.Second, w.clients) {
				want := 4
				if i := slices.IndexFunc(w.clients, func(c *client) bool { return c.name == name }); w.clients[i].in([]string{"r2"}) {
					want++
				}
				whole = whole && g.Marked && len(g.Events) == want+1
			}
		}
	}
	w.drain(w.clients)
}

// drain takes away what clients have got, late answers to settle included.
func (w *world) drain(list []*client) {
	w.marks++
	w.must(w.actors[0].emit(target{}, "mark", w.marks))
	w.after(w.marks, patience, list)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// got is what a client has got before a mark, or, without one, in time.
type got struct {
	Marked bool
	Events []any
}

func (w *world) after(mark int, wait time.Duration, list []*client) map[string]got {
	w.t.Helper()
	out := make(map[string]got)
	w.must(w.peer.do(&out, "after", map[string]any{"names": namesOf(list), "mark": mark, "ms": wait.Milliseconds()}))
	return out
}

// operation is a row of the table, or one for each generation of clients.
type operation struct {
	name        string
	apart       bool // TestMatrixCanFail uses it
	generations bool // there is a row for each
	by          who
	run         func(x *cells, a actor)
}

// who says which actors can do an operation.
type who int

const (
	byServers who = iota
	byAskers      // servers and the Go emitter
	byAll         // Node's emitter too
)

func (p who) can(a actor) bool {
	if _, is := a.(server); is {
		return true
	}
	if _, is := a.(asker); is {
		return p >= byAskers
	}
	return p == byAll
}

// cells are those of one operation that one actor has done.
type cells struct {
	*world
	op  operation
	by  actor
	ns  target                         // in which the clients are
	bad map[string]map[string][]string // row, column: what is wrong
	all map[string]map[string]string   // row, column: ok or a mark
}

func (w *world) run(op operation) {
	w.t.Helper()
	for _, a := range w.actors {
		if !op.by.can(a) {
			continue
		}
		x := w.cells(op.name, a)
		x.op = op
		op.run(x, a)
		x.report()
	}
}

func (w *world) column(a actor, to string) string { return w.wire + " " + a.kind() + "→" + to }

// check notes whether something is as it should be at a client or server of a kind.
func (x *cells) check(to, version string, ok bool, format string, args ...any) {
	row, col := x.op.name, x.column(x.by, to)
	if x.op.generations && version != "" {
		row += ", " + version
	}
	if x.all[row] == nil {
		x.all[row], x.bad[row] = map[string]string{}, map[string][]string{}
	}
	if x.all[row][col] == "" {
		x.all[row][col] = "ok"
	}
	if !ok {
		x.bad[row][col] = append(x.bad[row][col], fmt.Sprintf(format, args...))
	}
}

// mark puts a mark, which has a note, in place of ok.
func (x *cells) mark(to, version, note string) {
	x.check(to, version, true, "")
	row := x.op.name
	if x.op.generations && version != "" {
		row += ", " + version
	}
	x.all[row][x.column(x.by, to)] = note
}

func (x *cells) report() {
	for row, cols := range x.all {
		for col, cell := range cols {
			if why := x.bad[row][col]; len(why) > 0 {
				cell = "red"
				x.tab.fail(fmt.Sprintf("%s, %s: %s", row, col, strings.Join(why[:min(len(why), 4)], "; ")))
			}
			x.tab.set(row, col, cell)
		}
	}
}

// anything is what a client may get when what it gets says nothing.
var anything = []any{"anything"}

// event is what a client is to get.
func event(args ...any) []any { return args }

// deliver does something, and checks what each client has got when the same actor has said next
// that this is all.
func (x *cells) deliver(do func() error, want func(c *client) []any) {
	x.t.Helper()
	x.deliverTo(x.clients, do, want)
}

func (x *cells) deliverTo(list []*client, do func() error, want func(c *client) []any) {
	x.t.Helper()
	err := do()
	x.marks++
	if err == nil {
		err = x.by.emit(x.ns, "mark", x.marks)
	}
	got := make(map[string]got)
	for _, far := range []bool{false, true} {
		var part []*client
		for _, c := range list {
			if x.far(c.at.kind()) == far {
				part = append(part, c)
			}
		}
		if len(part) > 0 {
			maps.Copy(got, x.after(x.marks, x.wait(part[0].at.kind()), part))
		}
	}
	for _, c := range list {
		g := got[c.name]
		var events any = g.Events
		expected := want(c)
		if expected == nil {
			expected = []any{}
		}
		switch {
		case len(expected) == 1 && &expected[0] == &anything[0]:
		case err != nil:
			x.check(c.at.kind(), c.version, false, "%v", err)
		case !g.Marked:
			x.check(c.at.kind(), c.version, false, "%s has missed the end, and got %v", c.name, events)
		default:
			x.check(c.at.kind(), c.version, same(events, shown(expected)), "%s has got %v instead of %v", c.name, events, shown(expected))
		}
	}
}

// far reports whether nothing that the actor says reaches servers of a kind.
func (x *cells) far(kind string) bool { return x.apart != nil && x.apart(x.by.kind(), kind) }

// wait is how long servers of a kind may take. Those that nothing reaches are looked at when the
// others have all.
func (x *cells) wait(kind string) time.Duration {
	if x.far(kind) {
		return 200 * time.Millisecond
	}
	return patience
}

// others are the servers but for the actor.
func (x *cells) others() (list []server) {
	for _, s := range x.servers {
		if s.name() != x.by.name() {
			list = append(list, s)
		}
	}
	return list
}

// table has rows and columns in the order in which they first come.
type table struct {
	mu    sync.Mutex
	rows  []string
	cols  []string
	cells map[string]map[string]string
	red   []string
}

func newTable() *table { return &table{cells: map[string]map[string]string{}} }

func (tab *table) set(row, col, cell string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if tab.cells[row] == nil {
		tab.cells[row] = map[string]string{}
		tab.rows = append(tab.rows, row)
	}
	if !slices.Contains(tab.cols, col) {
		tab.cols = append(tab.cols, col)
	}
	if tab.cells[row][col] != "red" {
		tab.cells[row][col] = cell
	}
}

func (tab *table) fail(why string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.red = append(tab.red, why)
}

// String has the wires one below the other: a line for each operation, a column for each direction.
func (tab *table) String() string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	order := func(row string) int {
		return slices.IndexFunc(operations, func(op operation) bool { return row == op.name || strings.HasPrefix(row, op.name+", ") })
	}
	slices.SortFunc(tab.rows, func(a, b string) int {
		i, j := order(a), order(b)
		if i < 0 || j < 0 || i == j {
			if (i < 0) != (j < 0) {
				return j - i // what is no operation is last
			}
			return strings.Compare(a, b)
		}
		return i - j
	})
	slices.Sort(tab.cols)
	short := strings.NewReplacer("siokit", "S", "node", "N", "goemitter", "G", "emitter", "E")
	var head1, head2, body strings.Builder
	wire := ""
	used := map[string]bool{}
	fmt.Fprintf(&head1, "%-52s", "S siokit, N Node, G siokit's emitter, E Node's")
	fmt.Fprintf(&head2, "%-52s", "")
	for _, col := range tab.cols {
		name, way, _ := strings.Cut(col, " ")
		if name != wire {
			head1.WriteString("  ")
			head2.WriteString("  ")
			n := 0
			for _, c := range tab.cols {
				if strings.HasPrefix(c, name+" ") {
					n++
				}
			}
			fmt.Fprintf(&head1, "%-*s", 5*n, name)
			wire = name
		}
		fmt.Fprintf(&head2, "%-5s", short.Replace(way))
	}
	for _, row := range tab.rows {
		fmt.Fprintf(&body, "%-52s", row)
		wire = ""
		for _, col := range tab.cols {
			if name, _, _ := strings.Cut(col, " "); name != wire {
				body.WriteString("  ")
				wire = name
			}
			cell := tab.cells[row][col]
			if cell == "" {
				cell = note
			}
			used[cell] = true
			fmt.Fprintf(&body, "%-5s", cell)
		}
		body.WriteByte('\n')
	}
	for _, n := range notes {
		if used[n[0]] {
			fmt.Fprintf(&body, "%s  %s\n", n[0], n[1])
		}
	}
	return strings.TrimRight(head1.String(), " ") + "\n" + strings.TrimRight(head2.String(), " ") + "\n" + body.String()
}
