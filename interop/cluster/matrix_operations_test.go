package cluster

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/sio"
)

// notes say what the marks of the table mean.
var notes = [][2]string{
	{"–", "not checked, there is no such thing: emitters have no clients, Node's hears no answers, Node has no clients of 0.9, Go has no Date, undefined and Float32Array, and adapters but the classic one have no list of all rooms"},
	{"a", "Node's adapters write it wrong (notepack 3: a Float32Array as one byte for each number, 1e21 as an integer that wraps around); clients get the same wrong value at siokit and at Node"},
	{"b", "no order is promised: with the streams adapter questions go beside the stream, with siokit as with Node"},
	{"c", "not promised: the room has a channel of its own, to which a server subscribes when the first of its sockets has joined, and what Node sends right behind its socketsJoin may be lost. So it is with Node's sharded adapter; with the classic one Node has no such channels, and siokit has"},
	{"g", "on the own node Node's classic adapter joins the sockets after the event"},
	{"d", "Node has no name for all namespaces of a pattern, so nobody but siokit is told"},
	{"e", "on the own node Node's sharded adapter puts the question before the event; the other servers have the right order"},
	{"f", "Node's classic adapter says events for servers in JSON, where bytes are {type: \"Buffer\", data: [...]}; siokit makes bytes of that again, Node does not"},
}

const note = "–"

// operations are done in this order.
var operations = slices.Concat([]operation{
	{name: "emit to all", apart: true, generations: true, by: byAll, run: emitToAll},
	{name: "emit, an event with an odd name", by: byAll, run: oddEvent},
	{name: "to a room", apart: true, by: byAll, run: toRoom},
	{name: "to several rooms, each client once", by: byAll, run: toRooms},
	{name: "except rooms", by: byAll, run: except},
	{name: "to rooms with odd names", by: byAll, run: oddRooms},
	{name: "to one socket, by its id", by: byAll, run: toSocket},
	{name: "broadcast of a socket, to all and to a room", run: broadcastOf},
	{name: "volatile", by: byAll, run: volatile},
	{name: "local", run: local},
	{name: "binary in nested places", generations: true, by: byAll, run: binary},
	{name: "text of 300 KB", generations: true, by: byAll, run: largeText},
	{name: "binary of 300 KB", generations: true, by: byAll, run: largeBinary},
	{name: "Date, undefined, NaN", by: byAll, run: javascript},
	{name: "Float32Array, 1e21", by: byAll, run: wrongByNode},
	{name: "ask all clients", generations: true, by: byAskers, run: askAll},
	{name: "ask, with binary answers", generations: true, by: byAskers, run: askBinary},
	{name: "ask, with answers of no and of several arguments", by: byAskers, run: askOdd},
	{name: "ask a room", by: byAskers, run: askRoom},
	{name: "ask, and some clients do not answer", by: byAskers, run: askSilent},
	{name: "an emit and a question behind it, order", by: byAskers, run: emitAndAsk},
	{name: "sockets: ids, rooms, handshake, data", apart: true, by: byAskers, run: sockets},
	{name: "emit to a socket that sockets has yielded", by: byAskers, run: toYielded},
	{name: "count", by: byAskers, run: count},
	{name: "all rooms", run: allRooms},
	{name: "join and leave of targets", by: byAll, run: joinAndLeave},
	{name: "join of a target, and an emit right behind it", by: byAll, run: joinAndEmit},
	{name: "rooms with a number as name", by: byAll, run: numbers},
	{name: "disconnect of a target, out of the namespace", by: byAll, run: disconnect(false)},
	{name: "disconnect of a target, its connections", by: byAll, run: disconnect(true)},
	{name: "server event", apart: true, by: byAll, run: serverEvent},
	{name: "server event with answers", apart: true, by: byAskers, run: serverQuestion},
	{name: "server event that siokit does not know, with answers", by: byAskers, run: unknownQuestion},
	{name: "server event with binary", by: byAll, run: binaryEvent},
	{name: "server event with answers, binary", by: byAskers, run: binaryQuestion},
	{name: "dynamic namespace", by: byAll, run: dynamicNamespace},
	{name: "dynamic namespace, only at the other kind", by: byAll, run: dynamicElsewhere},
	{name: "all namespaces of a pattern", by: byAskers, run: pattern},
}, fromClients(), []operation{
	{name: "1000 numbered events, order", by: byAll, run: order},
})

func emitToAll(x *cells, a actor) {
	args := []any{"e", "all", 1, -5, 300, 70000, 1.5, nil, true, "é€😀", map[string]any{"a": []any{false, map[string]any{"b": nil}}}}
	x.deliver(func() error { return a.emit(target{}, args...) }, func(*client) []any { return event(args) })
}

func oddEvent(x *cells, a actor) {
	x.deliver(func() error { return a.emit(target{}, "é€ x", "odd") }, func(*client) []any { return event([]any{"é€ x", "odd"}) })
}

// inRooms is for an event that clients in rooms get.
func inRooms(args []any, rooms ...string) func(c *client) []any {
	return func(c *client) []any {
		if c.in(rooms) {
			return event(args)
		}
		return nil
	}
}

func toRoom(x *cells, a actor) {
	args := []any{"e", "room"}
	x.deliver(func() error { return a.emit(target{Rooms: []string{"x"}}, args...) }, inRooms(args, "x"))
}

func toRooms(x *cells, a actor) {
	for _, rooms := range [][]string{{"r2", "y"}, {"x", "r1"}, {"nobody's", "r2"}} {
		args := []any{"e", "rooms", rooms[0]}
		x.deliver(func() error { return a.emit(target{Rooms: rooms}, args...) }, inRooms(args, rooms...))
	}
}

func except(x *cells, a actor) {
	args := []any{"e", "except"}
	for _, t := range []target{{Except: []string{"y"}}, {Rooms: []string{"r1"}, Except: []string{"r2", "nobody's"}}, {Rooms: []string{"r1", "r2"}, Except: []string{"y"}}} {
		x.deliver(func() error { return a.emit(t, args...) }, inRooms(args, "x"))
	}
	one := x.clients[len(x.clients)-1]
	x.deliver(func() error { return a.emit(target{Except: []string{one.id}}, args...) }, func(c *client) []any {
		if c == one {
			return nil
		}
		return event(args)
	})
}

func oddRooms(x *cells, a actor) {
	args := []any{"e", "odd"}
	for _, room := range []string{"odd #*?[é€", "twenty-characters-aa"} {
		x.deliver(func() error { return a.emit(target{Rooms: []string{room}}, args...) }, inRooms(args, room))
	}
	x.deliver(func() error { return a.emit(target{Rooms: []string{"odd "}}, args...) }, inRooms(args))
}

func toSocket(x *cells, a actor) {
	x.deliver(func() error {
		for _, c := range x.clients {
			if err := a.emit(target{Rooms: []string{c.id}}, "e", "you", c.name); err != nil {
				return err
			}
		}
		return nil
	}, func(c *client) []any { return event([]any{"e", "you", c.name}) })
}

func broadcastOf(x *cells, a actor) {
	i := slices.IndexFunc(x.clients, func(c *client) bool { return c.at.name() == a.name() && c.in([]string{"y"}) })
	from := x.clients[i]
	args := []any{"e", "broadcast"}
	for _, t := range []target{{From: from.id}, {From: from.id, Rooms: []string{"r2"}}} {
		x.deliver(func() error { return a.emit(t, args...) }, func(c *client) []any {
			if c == from || t.Rooms != nil && !c.in(t.Rooms) {
				return nil
			}
			return event(args)
		})
	}
}

// volatile is tried several times: such an event may be dropped when something is on its way.
func volatile(x *cells, a actor) {
	for range 5 {
		args := []any{"e", "volatile"}
		clear(x.all)
		clear(x.bad)
		x.deliver(func() error { return a.emit(target{Volatile: true}, args...) }, func(*client) []any { return event(args) })
		bad := 0
		for _, cols := range x.bad {
			bad += len(cols)
		}
		if bad == 0 {
			return
		}
	}
}

func local(x *cells, a actor) {
	args := []any{"e", "local"}
	x.deliver(func() error { return a.emit(target{Local: true}, args...) }, func(c *client) []any {
		if c.at.name() != a.name() {
			return nil
		}
		return event(args)
	})
}

// forGeneration is v as clients of a generation get it: for 0.9 bytes are base64.
func forGeneration(version string, v any) any {
	switch v := v.(type) {
	case []byte:
		if version == "0.9" {
			return base64.StdEncoding.EncodeToString(v)
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = forGeneration(version, v[i])
		}
		return list
	case map[string]any:
		m := maps.Clone(v)
		for k := range m {
			m[k] = forGeneration(version, m[k])
		}
		return m
	}
	return v
}

func allGet(x *cells, a actor, args ...any) {
	x.deliver(func() error { return a.emit(target{}, args...) }, func(c *client) []any {
		return event(forGeneration(c.version, args))
	})
}

func binary(x *cells, a actor) {
	allGet(x, a, "e", "bin", []byte{3}, map[string]any{"b": []byte{1, 255}, "list": []any{[]byte{}, map[string]any{"deep": []byte{0}}, "x"}})
	args := []any{"e", "bin", []byte{9, 9}}
	x.deliver(func() error { return a.emit(target{Rooms: []string{"x"}}, args...) }, func(c *client) []any {
		if !c.in([]string{"x"}) {
			return nil
		}
		return event(forGeneration(c.version, args))
	})
}

func largeText(x *cells, a actor) { allGet(x, a, "e", "large", strings.Repeat("é€😀x", 30_000)) }
func largeBinary(x *cells, a actor) {
	allGet(x, a, "e", "large", []byte(strings.Repeat("\x00\xffab", 75_000)))
}

// onlyJS puts a mark where an actor is not of JavaScript.
func onlyJS(x *cells, a actor) bool {
	if isGo(a) {
		x.mark("siokit", "", note)
		x.mark("node", "", note)
		return false
	}
	return true
}

func javascript(x *cells, a actor) {
	if onlyJS(x, a) {
		x.deliver(func() error {
			return a.emit(target{}, "e", js("date"), js("undefined"), js("nan"), map[string]any{"d": js("date"), "n": js("nan")})
		}, func(*client) []any {
			const date = "1970-01-01T00:00:01.234Z"
			return event([]any{"e", date, nil, nil, map[string]any{"d": date, "n": nil}})
		})
	}
}

// wrongByNode: what Node writes wrong is the same for clients at siokit and at another Node.
func wrongByNode(x *cells, a actor) {
	if !onlyJS(x, a) {
		return
	}
	err := a.emit(target{}, "e", js("float32"), js("1e21"))
	x.marks++
	x.must(a.emit(target{}, "mark", x.marks))
	got := x.after(x.marks, patience, x.clients)
	right := []any{[]any{"e", []byte{0, 0, 0xc0, 0x3f}, 1e21}}
	var node any
	for _, c := range x.clients {
		if c.at.kind() == "node" && c.at.name() != a.name() && node == nil {
			node = got[c.name].Events
		}
	}
	if x.wire == "streams" && !same(node, right) {
		x.check("node", "", false, "%v", node)
	}
	for _, c := range x.clients {
		if c.at.name() == a.name() {
			continue
		}
		want := node
		if c.version == "0.9" && same(node, right) {
			want = forGeneration("0.9", right)
		} else if c.version == "0.9" {
			continue // the bytes are compared at newer clients of the same server
		}
		x.check(c.at.kind(), "", err == nil && same(any(got[c.name].Events), want), "%s has got %v instead of %v: %v", c.name, got[c.name].Events, want, err)
		if !same(node, right) {
			x.mark(c.at.kind(), "", "a")
		}
	}
}

// replies checks what clients have answered, each once.
func (x *cells) replies(r answers, err error, list []*client, value func(c *client) any) {
	left := slices.Clone(r.Answers)
	for _, c := range list {
		i := slices.IndexFunc(left, func(v any) bool { m, ok := v.(map[string]any); return ok && m["who"] == c.name })
		if err != nil || i < 0 {
			x.check(c.at.kind(), c.version, false, "no answer of %s: %v %s", c.name, err, r.Err)
			continue
		}
		want := map[string]any{"who": c.name, "x": value(c)}
		x.check(c.at.kind(), c.version, same(left[i], want), "%v instead of %v", left[i], want)
		left = slices.Delete(left, i, i+1)
	}
	for _, kind := range []string{"siokit", "node"} {
		if len(left) > 0 {
			x.check(kind, "4.8", false, "more answers: %v", left)
		}
	}
}

// asked are the clients of a target, which get a question, and what they get.
func (x *cells) asked(t target, q any, list []*client) {
	var r answers
	var err error
	x.deliver(func() error {
		r, err = x.by.(asker).call(t, patience, "ask", q)
		return err
	}, func(c *client) []any {
		if slices.Contains(list, c) {
			return event([]any{"ask", forGeneration(c.version, q)})
		}
		return nil
	})
	if err == nil && (r.Err != "" || len(r.Silent) > 0) {
		err = fmt.Errorf("%s, silent: %q", r.Err, r.Silent)
	}
	x.replies(r, err, list, func(c *client) any { return forGeneration(c.version, q) })
}

func askAll(x *cells, a actor) { x.asked(target{}, "all", x.clients) }

func askBinary(x *cells, a actor) {
	x.asked(target{}, map[string]any{"b": []byte{1, 0, 255}}, x.clients)
}

// askOdd: of several arguments all servers pass on the first.
func askOdd(x *cells, a actor) {
	x.asked(target{}, "several", x.clients)
	var r answers
	var err error
	x.deliver(func() error {
		r, err = a.(asker).call(target{}, patience, "ask", "nothing")
		return err
	}, func(*client) []any { return event([]any{"ask", "nothing"}) })
	nothing := !slices.ContainsFunc(r.Answers, func(v any) bool { return v != nil })
	for _, kind := range []string{"siokit", "node"} {
		x.check(kind, "", err == nil && r.Err == "" && nothing && len(r.Answers) == len(x.clients), "%v, silent %q: %s %v", r.Answers, r.Silent, r.Err, err)
	}
}

func (x *cells) inRoom(rooms ...string) (list []*client) {
	for _, c := range x.clients {
		if c.in(rooms) {
			list = append(list, c)
		}
	}
	return list
}

func askRoom(x *cells, a actor) {
	x.asked(target{Rooms: []string{"r2"}}, "room", x.inRoom("r2"))
	x.asked(target{Rooms: []string{"r1"}, Except: []string{"r2"}}, "except", x.inRoom("x"))
	x.asked(target{Rooms: []string{"nobody's"}}, "nobody", nil)
	one := x.clients[len(x.clients)-1]
	if one.at.name() == a.name() {
		one = x.clients[0]
	}
	x.asked(target{Rooms: []string{one.id}}, "one", []*client{one})
}

// askSilent: those who answer are heard, and one who asks is told that others have not.
func askSilent(x *cells, a actor) {
	silent := x.inRoom("y")
	silent = slices.DeleteFunc(silent, func(c *client) bool { return c.version != "4.8" }) // one at each server
	x.must(x.peer.do(nil, "silent", map[string]any{"names": namesOf(silent), "on": true}))
	defer func() { x.must(x.peer.do(nil, "silent", map[string]any{"names": namesOf(silent), "on": false})) }()
	var r answers
	var err error
	x.deliver(func() error {
		r, err = a.(asker).call(target{}, silence, "ask", "silent")
		return err
	}, func(*client) []any { return event([]any{"ask", "silent"}) })
	rest := slices.DeleteFunc(slices.Clone(x.clients), func(c *client) bool { return slices.Contains(silent, c) })
	x.replies(r, err, rest, func(*client) any { return "silent" })
	unnamed := 0
	for _, id := range r.Silent {
		if id == "" {
			unnamed++
		}
	}
	for _, c := range silent {
		switch {
		case a.kind() == "node":
			x.check(c.at.kind(), "", r.Err != "", "no error")
		case c.at.kind() == "node":
			x.check("node", "", unnamed == 2, "%d unnamed clients have not answered, %q: %s", unnamed, r.Silent, r.Err)
		default:
			x.check("siokit", "", slices.Contains(r.Silent, c.id), "%s is not among those who have not answered", c.name)
		}
	}
	if isGo(a) {
		x.check("node", "", r.Err == "", "all servers have answered, but %s", r.Err)
	}
}

func emitAndAsk(x *cells, a actor) {
	var r answers
	var err error
	x.deliver(func() error {
		r, err = a.(asker).emitAndCall(target{}, patience, []any{"e", "first"}, []any{"ask", "second"})
		return err
	}, func(c *client) []any {
		switch {
		case x.wire == "streams":
			x.mark(c.at.kind(), "", "b")
			return anything
		case x.wire != "classic" && a.kind() == "node" && c.at.name() == a.name():
			x.mark("node", "", "e")
			return anything
		}
		return event([]any{"e", "first"}, []any{"ask", "second"})
	})
	x.check("siokit", "", err == nil && r.Err == "" && len(r.Answers) == len(x.clients), "%d answers: %v %s", len(r.Answers), err, r.Err)
}

func sockets(x *cells, a actor) {
	for _, t := range []target{{}, {Rooms: []string{"r2"}}, {Rooms: []string{"r1"}, Except: []string{"y"}}} {
		list, err := a.(asker).sockets(t)
		found := 0
		for _, c := range x.clients {
			want := (t.Rooms == nil || c.in(t.Rooms)) && !c.in(t.Except)
			i := slices.IndexFunc(list, func(s seen) bool { return s.ID == c.id })
			x.check(c.at.kind(), "", err == nil && (i >= 0) == want, "%s is there: %t, err %v", c.name, i >= 0, err)
			if i < 0 {
				continue
			}
			found++
			s, rooms := list[i], slices.Sorted(slices.Values(c.rooms))
			x.check(c.at.kind(), "", slices.Equal(s.Rooms, rooms), "%s is in %q instead of %q", c.name, s.Rooms, rooms)
			if a.kind() != "node" {
				continue
			}
			data := map[string]any{}
			if c.at.kind() == "node" {
				data["from"] = c.at.name()
			}
			x.check(c.at.kind(), "", s.Handshake == 9 && same(s.Data, data), "%s has %d keys of a handshake, and data %v", c.name, s.Handshake, s.Data)
		}
		x.check("siokit", "", found == len(list), "%d strange sockets", len(list)-found)
	}
}

func toYielded(x *cells, a actor) {
	for _, c := range x.clients {
		if c.version == "4.8" && c.in([]string{"x"}) {
			x.deliver(func() error { return a.(asker).sockets1(c.id, "e", "yielded") }, inRooms([]any{"e", "yielded"}, c.id))
		}
	}
}

func count(x *cells, a actor) {
	for _, t := range []target{{}, {Rooms: []string{"r2"}}, {Rooms: []string{"nobody's"}}, {Except: []string{"y"}}} {
		want := 0
		for _, c := range x.clients {
			if (t.Rooms == nil || c.in(t.Rooms)) && !c.in(t.Except) {
				want++
			}
		}
		n, err := a.(asker).counted(t)
		for _, kind := range []string{"siokit", "node"} {
			x.check(kind, "", n == want && err == nil, "%d instead of %d: %v", n, want, err)
		}
	}
}

func allRooms(x *cells, a actor) {
	n, ok := a.(*nodeActor)
	if !ok || x.wire != "classic" {
		x.mark("siokit", "", note)
		x.mark("node", "", note)
		return
	}
	var rooms []string
	err := n.do(&rooms, "allRooms", nil)
	for _, c := range x.clients {
		for _, room := range append([]string{c.id}, c.rooms...) {
			x.check(c.at.kind(), "", err == nil && slices.Contains(rooms, room), "%s of %s is not among the rooms: %v", room, c.name, err)
		}
	}
}

// barrier returns when every server has done what was said before, and listens to the rooms
// that are new: it has answered a question that came behind.
func (x *cells) barrier() {
	x.deliver(func() error { return nil }, func(*client) []any { return nil })
	_, err := x.servers[3].sockets(target{})
	x.must(err)
}

func joinAndLeave(x *cells, a actor) {
	room := "new of " + a.name()
	args := []any{"e", "new"}
	x.must(a.join(target{Rooms: []string{"x"}}, room, "another"))
	x.barrier()
	x.deliver(func() error { return a.emit(target{Rooms: []string{room}}, args...) }, inRooms(args, "x"))
	x.must(a.leave(target{Except: []string{"y"}}, room, "another"))
	x.barrier()
	x.deliver(func() error { return a.emit(target{Rooms: []string{room, "another"}}, args...) }, inRooms(args))
	var ids []string
	for _, c := range x.clients {
		if c.version != "2.5" && c.in([]string{"y"}) {
			ids = append(ids, c.id)
			x.must(a.join(target{Rooms: []string{c.id}}, room))
		}
	}
	x.barrier()
	x.deliver(func() error { return a.emit(target{Rooms: []string{room}}, args...) }, inRooms(args, ids...))
	x.must(a.leave(target{Rooms: []string{room}}, room))
	x.barrier()
	x.deliver(func() error { return a.emit(target{Rooms: []string{room}}, args...) }, inRooms(args))
}

func joinAndEmit(x *cells, a actor) {
	room := "at once, of " + a.name()
	args := []any{"e", "at once"}
	apart := x.wire == "sharded" || x.wire == "sharded-private"
	x.deliver(func() error {
		if err := a.join(target{Rooms: []string{"x"}}, room); err != nil {
			return err
		}
		return a.emit(target{Rooms: []string{room}}, args...)
	}, func(c *client) []any {
		switch {
		case isGo(a):
		case apart, x.wire == "classic" && c.at.kind() == "siokit":
			x.mark(c.at.kind(), "", "c")
			return anything
		case x.wire == "classic" && c.at.name() == a.name():
			x.mark("node", "", "g")
			return anything
		}
		return inRooms(args, "x")(c)
	})
	x.must(a.leave(target{Rooms: []string{room}}, room))
}

// kindOf is the kind of the server that has a client.
func (x *cells) kindOf(id string) string {
	return x.clients[slices.IndexFunc(x.clients, func(c *client) bool { return c.id == id })].at.kind()
}

// numbers: Node takes numbers for rooms, which are their text at siokit.
func numbers(x *cells, a actor) {
	n, ok := a.(*nodeActor)
	if e, is := a.(emitter); is {
		n, ok = e.actor.(*nodeActor), true
	}
	if !ok {
		args := []any{"e", "number"}
		x.deliver(func() error {
			if err := a.join(target{Rooms: []string{"x"}}, "13"); err != nil {
				return err
			}
			return a.emit(target{Rooms: []string{"13"}}, args...)
		}, inRooms(args, "x"))
		x.must(a.leave(target{}, "13"))
		return
	}
	room := target{Rooms: []string{"x"}}
	x.must(n.do(nil, "join", map[string]any{"target": room, "rooms": []int{12}}))
	x.barrier()
	args := []any{"e", "number"}
	x.deliver(func() error {
		return n.do(nil, "emit", map[string]any{"target": map[string]any{"rooms": []int{12}}, "args": args})
	}, inRooms(args, "x"))
	list, err := x.servers[0].sockets(room)
	for _, s := range list {
		x.check(x.kindOf(s.ID), "", err == nil && slices.Contains(s.Rooms, "12"), "%s is in %q: %v", s.ID, s.Rooms, err)
	}
	x.must(n.do(nil, "leave", map[string]any{"target": room, "rooms": []int{12}}))
	x.barrier()
}

func disconnect(closes bool) func(x *cells, a actor) {
	return func(x *cells, a actor) {
		var out, stay []*client
		for _, s := range x.servers {
			for _, version := range slices.Sorted(maps.Keys(generations)) {
				if version == "0.9" && s.kind() != "siokit" {
					continue
				}
				out = append(out, x.open(s, version, "/bye", []string{"out"}, "/"))
			}
			stay = append(stay, x.open(s, "4.8", "/bye", []string{"out", "stay"}, "/"))
		}
		both := slices.Concat(out, stay)
		defer func() { x.must(x.peer.do(nil, "close", map[string]any{"names": namesOf(both)})) }()
		last := []any{"e", "last words"}
		err := a.emit(target{NS: "/bye", Rooms: []string{"out"}}, last...)
		if err == nil {
			err = a.disconnect(target{NS: "/bye", Rooms: []string{"out"}, Except: []string{"stay"}}, closes)
		}
		var ends []struct {
			Reason string
			Beside bool
		}
		x.must(x.peer.do(&ends, "gone", map[string]any{"names": namesOf(out), "besides": closes, "ms": patience.Milliseconds(), "askMs": patience.Milliseconds()}))
		for i, c := range out {
			var heard bool
			x.must(x.peer.do(&heard, "got", map[string]any{"names": []string{c.name}, "args": last, "ms": 0}))
			x.check(c.at.kind(), c.version, heard, "%s has not got what was said before", c.name)
			x.check(c.at.kind(), c.version, err == nil && ends[i].Reason != "" && ends[i].Beside != closes, "%s: %+v %v", c.name, ends[i], err)
			if c.version == "4.8" {
				x.check(c.at.kind(), c.version, ends[i].Reason == "io server disconnect" || closes && ends[i].Reason == "transport close", "%s: %+v", c.name, ends[i])
			}
		}
		x.must(x.peer.do(&ends, "gone", map[string]any{"names": namesOf(stay), "ms": 0, "askMs": patience.Milliseconds()}))
		for i, c := range stay {
			x.check(c.at.kind(), c.version, ends[i].Reason == "" && ends[i].Beside, "%s was to stay: %+v", c.name, ends[i])
		}
	}
}

func serverEvent(x *cells, a actor) {
	args := []any{"é€", map[string]any{"a": []any{nil, 1.5}}}
	x.noteAll(args, func(server) []any { return args })
}

// noteAll tells the servers something, and checks what each has noted, and that the actor has not.
func (x *cells) noteAll(args []any, want func(s server) []any) {
	x.marks++
	head := []any{"note of " + x.by.name(), x.marks}
	err := x.by.note(slices.Concat(head, args)...)
	for _, s := range x.others() {
		n, late := s.noted(x.wait(s.kind()), slices.Concat(head, want(s))...)
		x.check(s.kind(), "", err == nil && n == 1 && late == nil, "%s has noted it %d times: %v %v", s.name(), n, err, late)
	}
	if s, is := x.by.(server); is {
		n, late := s.noted(0, slices.Concat(head, want(s))...)
		x.check(x.by.kind(), "", n == 0 && late == nil, "%s itself has noted it: %v", s.name(), late)
	}
}

// answered checks what each of the other servers has answered.
func (x *cells) answered(q []any, want func(s server) any) {
	r, err := x.by.(asker).askServers(q...)
	if err == nil && r.Err != "" {
		err = fmt.Errorf("%s", r.Err)
	}
	left := slices.Clone(r.Answers)
	for _, s := range x.others() {
		i := slices.IndexFunc(left, func(v any) bool { return same(v, want(s)) })
		x.check(s.kind(), "", err == nil && i >= 0, "no %v of %s in %v: %v", want(s), s.name(), r.Answers, err)
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	own := x.by.kind()
	if _, is := x.by.(server); !is {
		own = "siokit"
	}
	x.check(own, "", err != nil || len(left) == 0, "more answers: %v", left)
}

func serverQuestion(x *cells, a actor) {
	for _, q := range []any{"q", map[string]any{"é": []any{1.5, nil}}} {
		x.answered([]any{"ask servers", q}, func(s server) any { return map[string]any{"by": s.name(), "x": q} })
	}
}

// unknownQuestion: a siokit server without a function answers so; Node would keep those who ask waiting.
func unknownQuestion(x *cells, a actor) {
	x.answered([]any{"ask node", 1}, func(s server) any {
		if s.kind() == "node" {
			return map[string]any{"by": s.name(), "x": 1}
		}
		return map[string]any{"error": map[string]any{"code": sio.CodeRefused, "message": "no such server event: ask node"}}
	})
}

// classicBytes is what Node's classic adapter makes of bytes in events for servers.
var classicBytes = map[string]any{"type": "Buffer", "data": []any{1, 255}}

func binaryEvent(x *cells, a actor) {
	x.noteAll([]any{[]byte{1, 255}}, func(s server) []any {
		if x.wire == "classic" && s.kind() == "node" {
			x.mark("node", "", "f")
			return []any{classicBytes}
		}
		return []any{[]byte{1, 255}}
	})
}

func binaryQuestion(x *cells, a actor) {
	var want any = []byte{1, 255}
	if x.wire == "classic" && a.kind() == "node" {
		want = classicBytes
		x.mark("siokit", "", "f")
		x.mark("node", "", "f")
	}
	x.answered([]any{"ask servers", []byte{1, 255}}, func(s server) any { return map[string]any{"by": s.name(), "x": want} })
}

// inDynamic runs f with clients in a namespace of a pattern at servers.
func (x *cells) inDynamic(ns string, servers []server, f func(list []*client)) {
	var list []*client
	for _, s := range servers {
		for _, version := range slices.Sorted(maps.Keys(generations)) {
			if version != "0.9" || s.kind() == "siokit" {
				list = append(list, x.open(s, version, ns, []string{"r1"}, ""))
			}
		}
	}
	// An answer that comes from a server after the clients have joined says that it listens.
	for _, s := range servers {
		_, err := s.sockets(target{NS: ns})
		x.must(err)
	}
	f(list)
	x.must(x.peer.do(nil, "close", map[string]any{"names": namesOf(list)}))
}

func dynamicNamespace(x *cells, a actor) {
	x.inDynamic(fmt.Sprint("/dyn/", x.marks), x.servers, func(list []*client) {
		ns := target{NS: fmt.Sprint("/dyn/", x.marks)}
		room := target{NS: ns.NS, Rooms: []string{"r1"}}
		args := []any{"e", "dynamic", []byte{1}}
		own := *x
		own.ns = ns
		own.deliverTo(list, func() error {
			for _, t := range []target{ns, room, {NS: ns.NS, Rooms: []string{"nobody's"}}, {Rooms: []string{"r3"}}} {
				if err := a.emit(t, args...); err != nil {
					return err
				}
			}
			return nil
		}, func(c *client) []any { args := forGeneration(c.version, args); return event(args, args) })
		if s, is := a.(asker); is {
			r, err := s.call(ns, patience, "ask", "dynamic")
			x.replies(r, err, list, func(*client) any { return "dynamic" })
			n, err := s.counted(ns)
			x.check("siokit", "", n == len(list) && err == nil, "%d sockets instead of %d: %v", n, len(list), err)
		}
	})
}

// dynamicElsewhere: the namespace does not exist at servers of the actor's kind. Of Node only an
// emit is asked: a namespace that Node makes for that does not count itself at once.
func dynamicElsewhere(x *cells, a actor) {
	for _, kind := range []string{"siokit", "node"} {
		if kind == a.kind() {
			continue
		}
		var servers []server
		for _, s := range x.servers {
			if s.kind() == kind {
				servers = append(servers, s)
			}
		}
		ns := target{NS: fmt.Sprint("/dyn/", x.marks)}
		x.inDynamic(ns.NS, servers, func(list []*client) {
			args := []any{"e", "elsewhere"}
			own := *x
			own.ns = ns
			own.deliverTo(list, func() error { return a.emit(target{NS: ns.NS, Rooms: []string{"r1"}}, args...) }, func(*client) []any { return event(args) })
			if isGo(a) {
				s := a.(asker)
				r, err := s.call(ns, patience, "ask", "elsewhere")
				x.replies(r, err, list, func(*client) any { return "elsewhere" })
				seen, err := s.sockets(ns)
				n, late := s.counted(ns)
				x.check(kind, "", err == nil && late == nil && n == len(list) && len(seen) == n, "%d and %d sockets of %d: %v %v", n, len(seen), len(list), err, late)
			}
		})
	}
}

func pattern(x *cells, a actor) {
	x.inDynamic(fmt.Sprint("/dyn/", x.marks), x.servers, func(list []*client) {
		own := *x
		own.ns = target{NS: fmt.Sprint("/dyn/", x.marks)}
		args := []any{"e", "pattern"}
		own.deliverTo(list, func() error { return a.emit(target{Pattern: true}, args...) }, func(c *client) []any {
			if isGo(a) && c.at.kind() == "node" {
				x.mark("node", "", "d")
				return nil
			}
			return event(args)
		})
	})
}

// fromClients are the operations that a client of each generation begins.
func fromClients() (list []operation) {
	for _, version := range slices.Sorted(maps.Keys(generations)) {
		list = append(list, operation{name: "a client's event to a room, from " + version, run: func(x *cells, a actor) {
			i := slices.IndexFunc(x.clients, func(c *client) bool { return c.at.name() == a.name() && c.version == version && c.in([]string{"y"}) })
			if i < 0 {
				x.mark("siokit", "", note)
				x.mark("node", "", note)
				return
			}
			from := x.clients[i]
			args := []any{"e", "said", from.name, map[string]any{"é": []any{1, nil}}}
			if version != "0.9" {
				args = append(args, map[string]any{"b": []byte{1, 255}})
			}
			x.deliver(func() error {
				if err := x.peer.do(nil, "say", map[string]any{"name": from.name, "args": wired(slices.Concat([]any{"say", "r1"}, args))}); err != nil {
					return err
				}
				// The server says it, and not the actor: what comes behind is said when all have it.
				for _, version := range slices.Sorted(maps.Keys(generations)) {
					var list []string
					for _, c := range x.clients {
						if c != from && c.version == version {
							list = append(list, c.name)
						}
					}
					got := shown(forGeneration(version, args))
					if err := x.peer.do(nil, "got", map[string]any{"names": list, "args": got, "ms": patience.Milliseconds()}); err != nil {
						return err
					}
				}
				return nil
			}, func(c *client) []any {
				if c == from {
					return nil
				}
				return event(forGeneration(c.version, args))
			})
		}})
	}
	return list
}

// order: all clients get the numbered events that are for them in the order in which they were emitted.
func order(x *cells, a actor) {
	const n = 1000
	ts := []target{{}, {Rooms: []string{"r1"}}, {Rooms: []string{"x"}}, {Rooms: []string{"r2", "x"}}, {Except: []string{"x"}}}
	wants := make(map[string][]int)
	for _, c := range x.clients {
		for i := range n {
			if t := ts[i%len(ts)]; (t.Rooms == nil || c.in(t.Rooms)) && !c.in(t.Except) {
				wants[c.name] = append(wants[c.name], i)
			}
		}
	}
	err := a.count(n, ts...)
	var bad map[string]string
	x.must(x.peer.do(&bad, "nums", map[string]any{"wants": wants, "ms": patience.Milliseconds()}))
	for _, c := range x.clients {
		x.check(c.at.kind(), "", err == nil && bad[c.name] == "", "%s: %s %v", c.name, bad[c.name], err)
	}
}
