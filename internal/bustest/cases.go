package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// order: what one node publishes arrives in its order, over all rooms and namespaces, also
// when others publish at the same time.
func order(b *bus) {
	const batches, size = 20, 25
	var list []*node
	for _, name := range []string{"aaaaa", "bbbbb", "ccccc"} {
		list = append(list, b.node(name, "r1", "r2"))
	}
	var wg sync.WaitGroup
	for _, n := range list {
		wg.Go(func() {
			for i := range batches {
				var ms []*cluster.Message
				for j := range size {
					m := emit(fmt.Sprint(i*size + j))
					switch j % 5 {
					case 1:
						m.Rooms = []string{"r1"}
					case 2:
						m.Rooms = []string{"r2"}
					case 3:
						m.Rooms = []string{"r1", "r2"}
					case 4:
						m.Kind = cluster.ServerEvent
					}
					ms = append(ms, m)
				}
				if err := n.try(patience, ms...); err != nil {
					b.Errorf("Publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, n := range list {
		n.until("all messages", func() bool { return len(n.got) >= 2*batches*size })
		next := map[string]int{}
		for _, m := range n.take() {
			if want := fmt.Sprint(next[m.Node]); text(m) != want {
				b.Fatalf("%s: message %s of %s came, want %s", n.name, text(m), m.Node, want)
			}
			next[m.Node]++
		}
	}
}

// interest: a node gets what is for a room that it watches, and what is for all. What is for
// rooms that it does not watch may come as well.
func interest(b *bus) {
	a, n := b.node("aaaaa"), b.node("bbbbb", "r")
	got := func(want bool, m *cluster.Message) {
		b.Helper()
		end := emit("end")
		m.Data = emit("this").Data
		a.publish(m, end)
		n.until("the end", func() bool { return len(n.got) > 0 && text(n.got[len(n.got)-1]) == "end" })
		for _, g := range n.take() {
			if text(g) != "end" && g.Kind == m.Kind { // kinds without Data do not keep it
				return
			}
		}
		if want {
			b.Errorf("a message of kind %d for the rooms %q has not come", m.Kind, m.Rooms)
		}
	}
	for k := cluster.Emit; k <= cluster.CloseTransport; k++ {
		for _, rooms := range [][]string{nil, {"r"}, {"r", "s"}, {"s", "t"}} {
			got(true, &cluster.Message{Kind: k, Namespace: "/", Rooms: rooms})
		}
		got(false, &cluster.Message{Kind: k, Namespace: "/", Rooms: []string{"s"}})
	}
	n.watch(true, "r", "r", "s") // again
	n.watch(false, "r")
	got(true, emit("", "s"))
	got(false, emit("", "r"))
	n.watch(true, "r")
	n.watch(false, "never")
	got(true, emit("", "r"))
}

// interestFirst: what Watch says of a room holds for what is published afterwards: who
// answers a message finds the room watched.
func interestFirst(b *bus) {
	a, n := b.node("aaaaa"), b.node("bbbbb")
	for i := range 50 {
		room := fmt.Sprint("room", i)
		n.watch(true, room)
		n.publish(&cluster.Message{Kind: cluster.Hello, ID: room})
		a.until("a hello", func() bool { return len(a.got) > 0 })
		a.take()
		a.publish(emit("welcome", room))
		n.expect("welcome")
	}
}

// manyRooms are watched and left in one call.
func manyRooms(b *bus) {
	a, n := b.node("aaaaa"), b.node("bbbbb")
	rooms := make([]string, 5000)
	for i := range rooms {
		rooms[i] = fmt.Sprint("room", i)
	}
	n.watch(true, rooms...)
	var want []string
	for i := 0; i < len(rooms); i += 500 {
		a.publish(emit(fmt.Sprint(i), rooms[i]))
		want = append(want, fmt.Sprint(i))
	}
	n.expect(want...)
	n.watch(false, rooms...)
	a.publish(emit("end"))
	n.expect("end")
}

// toOne: a message with a To reaches that node, whatever it watches.
func toOne(b *bus) {
	a, n := b.node("aaaaa"), b.started("bbbbb")
	n.until("Up", func() bool { return n.ups == 1 })
	for k := cluster.Emit; k <= cluster.Acked; k++ {
		m := emit(fmt.Sprint(k), "some socket")
		m.Kind, m.To, m.ID = k, "bbbbb", "1"
		if k == cluster.Emit {
			m.ID = ""
		}
		a.publish(m, &cluster.Message{Kind: cluster.Acked, To: "nobody", Namespace: "/", ID: "1", Data: []byte(`[]`)})
		n.until(fmt.Sprint("kind ", k), func() bool {
			return len(n.got) > 0 && n.got[len(n.got)-1].Kind == k
		})
	}
}

// toAll: requests, events for servers, and what nodes say of themselves reach all nodes.
func toAll(b *bus) {
	a := b.node("aaaaa")
	var others []*node
	for _, name := range []string{"bbbbb", "ccccc"} {
		n := b.started(name)
		n.until("Up", func() bool { return n.ups == 1 })
		others = append(others, n)
	}
	for _, k := range []cluster.Kind{cluster.Emit, cluster.Fetch, cluster.Count, cluster.ListRooms, cluster.ServerEvent, cluster.Hello, cluster.Heartbeat, cluster.Bye, cluster.Gap} {
		m := &cluster.Message{Kind: k, ID: fmt.Sprint("id", k), Info: "info"}
		if k < cluster.Hello {
			m.Namespace, m.Data, m.Rooms, m.Timeout = "/", []byte(`["e"]`), []string{"a room"}, time.Second
		}
		a.publish(m)
		for _, n := range others {
			n.until(fmt.Sprint("kind ", k), func() bool { return len(n.got) > 0 })
			got := n.take()
			if len(got) != 1 || got[0].Kind != k || got[0].ID != m.ID || got[0].Node != "aaaaa" {
				b.Errorf("%s got %+v, want kind %d", n.name, got, k)
			}
		}
	}
}

// fields: what counts for a kind arrives as it was.
func fields(b *bus) {
	a, n := b.node("aaaaa"), b.node("bbbbb", "r")
	binary := [][]byte{{0, 1, 255}, {}, []byte("text")}
	data := []byte(`["e",1,-1.5,null,{"é":"x"},{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`)
	target := func(k cluster.Kind) cluster.Message {
		return cluster.Message{Kind: k, Namespace: "/", Rooms: []string{"r", "é #*>"}, Except: []string{"x", "y"}}
	}
	var ms []*cluster.Message
	add := func(m cluster.Message, change func(m *cluster.Message)) { change(&m); ms = append(ms, &m) }
	add(target(cluster.Emit), func(m *cluster.Message) { m.Data, m.Attachments, m.Volatile = data, binary, true })
	add(target(cluster.Emit), func(m *cluster.Message) { m.Data, m.ID, m.Timeout = []byte(`["e"]`), "7", 1500*time.Millisecond })
	add(target(cluster.Join), func(m *cluster.Message) { m.Names = []string{"n1", "n2"} })
	add(target(cluster.Leave), func(m *cluster.Message) { m.Names = []string{"n1"} })
	for _, k := range []cluster.Kind{cluster.Disconnect, cluster.Close} {
		add(target(k), func(*cluster.Message) {})
	}
	add(target(cluster.Fetch), func(m *cluster.Message) { m.ID = "8" })
	add(cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["e",1]`)}, func(m *cluster.Message) {})
	add(cluster.Message{Kind: cluster.Gap, ID: "9", Names: []string{"/", "/é #*>"}}, func(m *cluster.Message) {})
	for _, m := range ms {
		want := m.Clone()
		a.publish(m)
		n.until("a message", func() bool { return len(n.got) > 0 })
		got := n.take()[0]
		want.Node = "aaaaa"
		if !same(got, want) {
			b.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// same compares messages; an empty list is the same as none.
func same(a, b *cluster.Message) bool {
	flat := func(m *cluster.Message) cluster.Message {
		c := *m.Clone()
		c.Data, c.Attachments = nil, nil
		for _, list := range []*[]string{&c.Rooms, &c.Except, &c.Names} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		return c
	}
	if !reflect.DeepEqual(flat(a), flat(b)) || !bytes.Equal(a.Data, b.Data) || len(a.Attachments) != len(b.Attachments) {
		return false
	}
	for i := range a.Attachments {
		if !bytes.Equal(a.Attachments[i], b.Attachments[i]) {
			return false
		}
	}
	return true
}

// names: rooms and namespaces are any text.
func names(b *bus) {
	a, n := b.node("aaaaa"), b.node("bbbbb")
	for i, name := range []string{"*", ">", "a.b", "a b", "#", "a#b", "?[x]", "\r\n", "\x00", "é", strings.Repeat("long", 300), "r:", `"`, "\\"} {
		change := []cluster.Interest{{Namespace: "/" + name, On: true}, {Namespace: "/" + name, Room: name, On: true}, {Namespace: "/", Room: name, On: true}}
		if err := n.Watch(context.Background(), change); err != nil {
			b.Errorf("Watch of %q: %v", name, err)
		}
		m := emit(fmt.Sprint("namespace", i), name)
		m.Namespace = "/" + name
		all := emit(fmt.Sprint("all", i))
		all.Namespace = "/" + name
		a.publish(m, all, emit(fmt.Sprint("room", i), name))
		n.expect(fmt.Sprint("namespace", i), fmt.Sprint("all", i), fmt.Sprint("room", i))
	}
}

// large: half a megabyte passes.
func large(b *bus) {
	a, n := b.node("aaaaa"), b.node("bbbbb")
	a.publish(emit(strings.Repeat("x", 500_000)), emit("end"))
	n.until("the end", func() bool { return len(n.got) == 2 })
	if got := n.take(); len(text(got[0])) != 500_000 {
		b.Errorf("%d bytes came", len(text(got[0])))
	}
}

// memory: the messages are the caller's again when Publish has returned.
func memory(b *bus) {
	a, n := b.node("aaaaa", "r"), b.node("bbbbb", "r")
	m := &cluster.Message{Rooms: make([]string, 1), Data: nil, Attachments: [][]byte{make([]byte, 4)}}
	var want []string
	for i := range 200 {
		m.Kind, m.Namespace, m.Rooms[0] = cluster.Emit, "/", "r"
		m.Data = append(m.Data[:0], fmt.Sprintf(`["%04d",{"_placeholder":true,"num":0}]`, i)...)
		copy(m.Attachments[0], fmt.Sprintf("%04d", i))
		want = append(want, fmt.Sprintf("%04d", i))
		a.publish(m)
		clear(m.Data)
		clear(m.Attachments[0])
		clear(m.Rooms)
		m.Kind, m.Namespace = 0, ""
	}
	n.until("all", func() bool { return len(n.got) == len(want) })
	for i, got := range n.take() {
		if string(got.Data[2:6]) != want[i] || len(got.Attachments) != 1 || string(got.Attachments[0]) != want[i] || len(got.Rooms) != 1 || got.Rooms[0] != "r" {
			b.Fatalf("message %d is %+v", i, got)
		}
	}
}

// oneName: two nodes with one name both hear a third, and what one of them says of itself
// may reach the other.
func oneName(b *bus) {
	x, y, a := b.node("twins"), b.node("twins"), b.node("aaaaa")
	a.publish(emit("to twins"))
	x.expect("to twins")
	y.expect("to twins")
}

// endedContext: Publish returns at once, and may have done its work.
func endedContext(b *bus) {
	a := b.node("aaaaa")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	_ = a.Publish(ctx, []*cluster.Message{emit("x")})
	if took := time.Since(began); took > patience/2 {
		b.Errorf("Publish took %v", took)
	}
}

// closing: nothing is handed over afterwards, and other nodes go on.
func closing(b *bus) {
	a, n, c := b.node("aaaaa"), b.node("bbbbb"), b.node("ccccc")
	for i := range 500 {
		a.publish(emit(fmt.Sprint(i)))
	}
	n.close()
	a.publish(emit("end"))
	c.until("the end", func() bool { return len(c.got) == 501 })
	n.close() // again
	if err := n.try(patience, emit("late")); err == nil {
		b.Error("Publish after Close succeeded")
	}
	_ = n.Watch(context.Background(), []cluster.Interest{{Namespace: "/", Room: "late", On: true}})
	a.publish(emit("still there"))
	c.until("the rest", func() bool { return len(c.got) == 502 })
}

// closeUnused: a Backend that was not started can be closed.
func closeUnused(b *bus) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.backend().Close(ctx); err != nil {
		b.Error(err)
	}
}

// closePublishing: Close ends a Publish that goes on, and both return.
func closePublishing(b *bus) {
	a := b.node("aaaaa")
	b.node("bbbbb")
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			if err := a.try(patience, emit("x")); err != nil {
				if errors.Is(err, context.DeadlineExceeded) {
					b.Error("Publish went on after Close")
				}
				return
			}
			if i == 10 {
				close(started)
			}
		}
	})
	<-started
	a.close()
	wg.Wait()
}
