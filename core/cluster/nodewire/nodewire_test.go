package nodewire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// wire is one of the forms, for tests that go through all.
type wire struct {
	name  string
	write func([]byte, *message) ([]byte, Channel, error)
	read  func([]byte, Channel, *message) error
	node  func([]byte, Channel) error
}

var entryChannel = Channel{Namespace: "stream"}

// anEntry is an entry as one text.
func anEntry(b []byte) Entry {
	f := bytes.SplitN(b, []byte("\x00"), 4)
	for len(f) < 4 {
		f = append(f, nil)
	}
	return Entry{string(f[0]), string(f[1]), string(f[2]), f[3]}
}

var wires = []wire{
	{"classic", func(b []byte, m *message) ([]byte, Channel, error) {
		b, err := AppendClassic(b, m)
		return b, ClassicChannel(m), err
	}, ParseClassic, nodeTakesClassic},
	{"sharded", func(b []byte, m *message) ([]byte, Channel, error) {
		b, err := AppendSharded(b, m)
		return b, AdapterChannel(m, Dynamic), err
	}, ParseAdapter, func(b []byte, c Channel) error { return nodeTakesAdapter(b, c, false) }},
	{"streams", func(b []byte, m *message) ([]byte, Channel, error) {
		b, err := AppendStreams(b, m)
		return b, AdapterChannel(m, Static), err
	}, ParseAdapter, func(b []byte, c Channel) error { return nodeTakesAdapter(b, c, true) }},
	{"stream", func(b []byte, m *message) ([]byte, Channel, error) {
		e, err := AppendEntry(nil, m)
		if err != nil {
			return b, entryChannel, err
		}
		return fmt.Appendf(b, "%s\x00%s\x00%s\x00%s", e.Node, e.Namespace, e.Type, e.Data), entryChannel, nil
	}, func(b []byte, _ Channel, m *message) error {
		e := anEntry(b)
		return ParseEntry(&e, m)
	}, func(b []byte, _ Channel) error { return nodeTakesEntry(anEntry(b)) }},
}

// full has every field set.
var full = message{
	Node: "node1", To: "node2", Namespace: "/chat", ID: "r1",
	Rooms: []string{"a", "é\xff"}, Except: []string{"b"}, Volatile: true, Single: true, Timeout: 3 * time.Second,
	Names: []string{"n1", "n2"}, Data: data(`["bin",{"_placeholder":true,"num":0},1]`), Attachments: [][]byte{{1, 2}},
	Sockets: []cluster.Socket{{ID: "s1", Rooms: []string{"s1", "a"}, Data: data(`{"__proto__":1}`), Handshake: data(`{"a":[1]}`)}, {ID: "s2"}},
	OnlyIDs: true, Number: 7, Info: "10.0.0.1:80",
}

// TestKinds: of every kind Node either takes what is written, or it is not on the wire.
func TestKinds(t *testing.T) {
	classic := "Emit Join Leave Disconnect Close Fetch ListRooms ServerEvent Sockets Rooms Answer Asked Acked "
	want := map[string]string{"classic": classic, "sharded": strings.NewReplacer("ListRooms ", "", "Rooms ", "").Replace(classic),
		"streams": "Emit Fetch ServerEvent Sockets Answer Asked Acked ", "stream": "Emit Join Leave Disconnect Close "}
	for _, w := range wires {
		got := map[string]bool{}
		for k := cluster.Kind(0); k <= cluster.Bye+1; k++ {
			for _, change := range []func(*message){
				func(*message) {}, func(m *message) { m.ID = "" }, func(m *message) { m.Node = "" }, func(m *message) { m.Node, m.ID = "emitter", "" },
				func(m *message) { m.Attachments, m.Data = nil, data(`["e",{"__proto__":{}},"_placeholder"]`) },
				func(m *message) { m.Data, m.Attachments, m.OnlyIDs, m.Except = data(`[ "e" ]`), nil, false, nil },
				func(m *message) { m.Except, m.Sockets, m.Timeout = nil, nil, 1 }, func(m *message) { m.Timeout = 1 << 62 },
			} {
				m := full
				m.Kind = k
				change(&m)
				b, c, err := w.write([]byte("x"), &m)
				if err != nil {
					if !errors.Is(err, ErrNotOnWire) && !errors.Is(err, errMalformed) || string(b) != "x" {
						t.Errorf("%s, %v: %v", w.name, k, err)
					}
					continue
				}
				got[k.String()] = true
				if err := w.node(b[1:], c); err != nil {
					t.Errorf("%s, %v: %q: %v", w.name, k, b, err)
				}
				var back message
				if err := w.read(b[1:], c, &back); err != nil || back.Kind != k {
					t.Errorf("%s, %v: %q: %v, %v", w.name, k, b, back.Kind, err)
				}
				again, _, err := w.write([]byte("x"), &back)
				if err != nil || !bytes.Equal(again, b) {
					t.Errorf("%s, %v:\n%q, %v\ninstead of\n%q", w.name, k, again, err, b)
				}
			}
		}
		for k := cluster.Kind(0); k <= cluster.Bye+1; k++ {
			if got[k.String()] != strings.Contains(" "+want[w.name], " "+k.String()+" ") {
				t.Errorf("%s: %v is written: %v", w.name, k, got[k.String()])
			}
			m := message{Kind: k, Namespace: "/", Node: "n", ID: "r", Data: data(`["e"]`)}
			if _, _, err := w.write(nil, &m); w.name != "stream" && w.name != "streams" && !got[k.String()] && !errors.Is(err, ErrNotOnWire) {
				t.Errorf("%s, %v: %v", w.name, k, err)
			}
		}
	}
}

// TestNoPlaceholder: an object that no client takes for a placeholder comes along beside binary,
// on every wire; one that some client does is not read.
func TestNoPlaceholder(t *testing.T) {
	for _, w := range wires {
		for _, k := range []cluster.Kind{cluster.Emit, cluster.ServerEvent} {
			m := message{Kind: k, Node: "n", Namespace: "/", ID: "r", Attachments: [][]byte{{1}, {2}},
				Data: data(`["e",{"_placeholder":true,"num":0},{"_placeholder":false},[{"a":1,"_placeholder":null}],{"b":{"_placeholder":true,"num":1}}]`)}
			if k == cluster.Emit {
				m.ID = ""
			}
			b, c, err := w.write(nil, &m)
			if err != nil && b == nil {
				continue // the kind is not on this wire
			}
			var back message
			if err == nil {
				err = w.read(b, c, &back)
			}
			if err != nil || string(back.Data) != string(m.Data) || len(back.Attachments) != 2 {
				t.Errorf("%s, %v: %q: %s, %v", w.name, k, b, back.Data, err)
			}
			for _, other := range []string{"\xc3", "\x01", "\x91\xc0"} { // true, 1, [null]
				bad := bytes.Replace(b, []byte("\xac_placeholder\xc2"), []byte("\xac_placeholder"+other), 1)
				if bytes.Equal(bad, b) {
					continue // this wire has JSON
				}
				if err := w.read(bad, c, &back); err == nil {
					t.Errorf("%s, %v: %q is read as %s", w.name, k, bad, back.Data)
				}
			}
		}
	}
}

// TestRefused: what would harm Node, or is no message, is not written.
func TestRefused(t *testing.T) {
	emit := func(data string) message {
		return message{Kind: cluster.Emit, Node: "n", Namespace: "/", Data: []byte(data)}
	}
	server := func(data string) message {
		m := emit(data)
		m.Kind = cluster.ServerEvent
		return m
	}
	with := func(m message, f func(*message)) message {
		f(&m)
		return m
	}
	binary := func(m *message) { m.Attachments = [][]byte{{1}} }
	proto := `["e",{"__proto__":{"_placeholder":true,"num":0}}]`
	for name, row := range map[string]struct {
		m      message
		native bool // nodes of siokit may have it
	}{
		"no data":                {emit(``), false},
		"data of nothing":        {emit(`[]`), false},
		"data is an object":      {emit(`{"a":1}`), false},
		"data is a text":         {emit(`"e"`), false},
		"data ends":              {emit(`["e"`), false},
		"data is followed":       {emit(`["e"]]`), false},
		"a number for a name":    {emit(`[1]`), false},
		"reserved":               {emit(`["disconnect"]`), false},
		"reserved, escaped":      {emit(`["disc\u006fnnect"]`), false},
		"no namespace":           {with(emit(`["e"]`), func(m *message) { m.Namespace = "" }), false},
		"no slash":               {with(emit(`["e"]`), func(m *message) { m.Namespace = "chat" }), false},
		"a long namespace":       {with(emit(`["e"]`), func(m *message) { m.Namespace = "/" + strings.Repeat("x", maxText) }), false},
		"a long room":            {with(emit(`["e"]`), func(m *message) { m.Rooms = []string{strings.Repeat("x", maxText+1)} }), false},
		"a long node":            {with(emit(`["e"]`), func(m *message) { m.Node = strings.Repeat("x", maxText+1) }), false},
		"a long message":         {with(emit(`["e",{"_placeholder":true,"num":0}]`), func(m *message) { m.Attachments = [][]byte{make([]byte, maxMessage)} }), false},
		"another placeholder":    {with(emit(`["e",{"_placeholder":true,"num":1}]`), binary), false},
		"deep":                   {emit(`["e",` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `]`), false},
		"binary as a prototype":  {with(emit(proto), binary), true},
		"prototype, server":      {with(server(proto), binary), true},
		"connection":             {server(`["connection"]`), true},
		"error":                  {server(`["error","x"]`), true},
		"server event of number": {server(`[1]`), false},
		"too many arguments":     {server(`["e"` + strings.Repeat(",1", maxArguments) + `]`), true},
		"as many to clients":     {emit(`["e"` + strings.Repeat(",1", maxArguments) + `]`), true},
		"an emitter asks":        {with(emit(`["e"]`), func(m *message) { m.Node, m.ID = "emitter", "r" }), true},
		"nobody fetches":         {message{Kind: cluster.Fetch, Namespace: "/", ID: "r"}, true},
		"fetch without an id":    {message{Kind: cluster.Fetch, Node: "n", Namespace: "/"}, false},
		"answer without an id":   {message{Kind: cluster.Answer, Node: "n", Namespace: "/", Data: data(`[]`)}, false},
		"answer of no array":     {message{Kind: cluster.Answer, Node: "n", Namespace: "/", ID: "r", Data: data(`{}`)}, false},
		"answer of no JSON":      {message{Kind: cluster.Acked, Node: "n", Namespace: "/", ID: "r", Data: data(`[1,`)}, false},
		"less than nobody":       {message{Kind: cluster.Asked, Node: "n", Namespace: "/", ID: "r", Number: -1}, false},
		"a socket's data":        {message{Kind: cluster.Sockets, Node: "n", Namespace: "/", ID: "r", Sockets: []cluster.Socket{{Data: data(`{`)}}}, false},
		"a socket's handshake":   {message{Kind: cluster.Sockets, Node: "n", Namespace: "/", ID: "r", Sockets: []cluster.Socket{{Handshake: data(`]`)}}}, false},
	} {
		want := errMalformed
		if row.native {
			want = ErrNotOnWire
		}
		for _, w := range wires {
			if w.name == "stream" && !Streamed(&row.m) || w.name == "streams" && Streamed(&row.m) {
				want = errMalformed
			} else if row.native {
				want = ErrNotOnWire
			}
			if b, _, err := w.write([]byte("x"), &row.m); !errors.Is(err, want) || string(b) != "x" {
				t.Errorf("%s, %s: %.200q, %v", name, w.name, b, err)
			}
		}
	}
	// A reader of streams throws away what has the key; there it goes to siokit alone.
	m := message{Kind: cluster.ServerEvent, Node: "n", Namespace: "/", Data: data(`["e",{"__proto__":1}]`)}
	if _, err := AppendStreams(nil, &m); !errors.Is(err, ErrNotOnWire) {
		t.Error(err)
	}
	// A client's handshake must not keep an answer back.
	m = message{Kind: cluster.Sockets, Node: "n", Namespace: "/", ID: "r", Sockets: []cluster.Socket{{ID: "s", Handshake: data(`{"auth":{"__proto__":1}}`), Data: data(`1`)}}}
	b, err := AppendStreams(nil, &m)
	if want := "\x91\x84\xa2id\xa1s\xa9handshake\x80\xa5rooms\x90\xa4data\x01"; err != nil || !strings.Contains(string(b), want) {
		t.Errorf("%q, %v", b, err)
	}
}

// TestArguments: the largest event of all, and large arguments, are written.
func TestArguments(t *testing.T) {
	for _, text := range []string{`["e"` + strings.Repeat(",1", maxArguments-1) + `]`, `["e",[1` + strings.Repeat(",1", 2*maxArguments) + `]]`} {
		m := message{Kind: cluster.Emit, Node: "n", Namespace: "/", Data: data(text)}
		b, err := AppendClassic(nil, &m)
		if err == nil {
			err = nodeTakesClassic(b, all("/"))
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// TestFirst: of several arguments Node gets one, with its own binary.
func TestFirst(t *testing.T) {
	m := message{Kind: cluster.Acked, Node: "n", Namespace: "/", ID: "r", Data: data(` [ [1, {"_placeholder":true,"num":1}] , {"_placeholder":true,"num":0} ] `), Attachments: [][]byte{{1}, {2}}}
	b, err := AppendClassic(nil, &m)
	var back message
	if err != nil || ParseClassic(b, ClassicChannel(&m), &back) != nil || string(back.Data) != `[[1,{"_placeholder":true,"num":0}]]` || len(back.Attachments) != 1 || back.Attachments[0][0] != 2 {
		t.Errorf("%q, %v: %s", b, err, back.Data)
	}
	m.Data, m.Attachments = data(`[]`), nil
	if b, err := AppendClassic(nil, &m); err != nil || !strings.HasSuffix(string(b), "\xa6packet\xc0") {
		t.Errorf("%q, %v", b, err)
	}
}

// killers are messages that end a process of Node, or cut off its clients, and what is as
// bad: each is an error to us.
var killers = []struct {
	use  Use
	text string
}{
	{Broadcasts, "\x93\xa1n\x83\xa4type\x05\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"}, // types 5, 1, 42, a text
	{Broadcasts, "\x93\xa1n\x83\xa4type\x01\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"},
	{Broadcasts, "\x93\xa1n\x83\xa4type\x2a\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"},
	{Broadcasts, "\x93\xa1n\x83\xa4type\xa12\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"},
	{Broadcasts, "\x93\xa1n\x82\xa4data\x91\xa1e\xa3nsp\xa1/\x80"},                              // no type
	{Broadcasts, "\x92\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/"},                      // no opts
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\xc0"},                  // opts nil
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x90"},                  // opts an array
	{Broadcasts, "\x93\xa1n\x82\xa4type\x02\xa3nsp\xa1/\x80"},                                   // no data
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\xc0\xa3nsp\xa1/\x80"},                       // data nil
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x80\xa3nsp\xa1/\x80"},                       // data a map
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x90\xa3nsp\xa1/\x80"},                       // no name
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa7connect\xa3nsp\xa1/\x80"},            // reserved
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x81\xa5rooms\x05"},     // rooms a number
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x81\xa5rooms\x91\xc0"}, // a room nil
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x81\xa5flags\x01"},     // flags a number
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa2/x\x80"},                 // another namespace
	{Broadcasts, "\x93\xa1n\xc0\x80"},                                                           // no packet
	{Broadcasts, "\x83\xa3uid\xa1n\xa6packet\x80\xa4opts\x80"},                                  // a map
	{Broadcasts, "\xc0"}, {Broadcasts, "\x90"}, {Broadcasts, "\x00"}, {Broadcasts, ""}, {Broadcasts, "text"}, {Broadcasts, "\xc1"},
	{Broadcasts, `["n",{"type":2,"data":["e"],"nsp":"/"},{"rooms":[],"except":[],"flags":{}}]`}, // JSON
	{Broadcasts, `{"type":3}`}, {Broadcasts, "{"},
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags"},      // truncated
	{Broadcasts, "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80x"}, // trailing
	{Broadcasts, "\x93\xdd\xff\xff\xff\xff"},
	{Requests, `{"uid":"n","type":99}`}, {Requests, `{"uid":"n"}`}, {Requests, `{"uid":"n","type":"1","requestId":"r"}`}, {Requests, `{`}, {Requests, "\xc0"},
	{Requests, `{"uid":"n","type":2,"rooms":["a"]}`}, {Requests, `{"uid":"n","type":2,"opts":null,"rooms":["a"]}`}, {Requests, `{"uid":"n","type":3,"opts":{}}`},
	{Requests, `{"uid":"n","type":2,"opts":[],"rooms":[]}`}, {Requests, `{"uid":"n","type":4}`}, {Requests, `{"uid":"n","type":5,"requestId":"r"}`},
	{Requests, `{"uid":"n","type":5,"opts":{"rooms":[],"except":[]}}`}, {Requests, `{"uid":"n","type":6,"requestId":"r"}`}, {Requests, `{"uid":"n","type":6,"data":{}}`},
	{Requests, `{"uid":"n","type":6,"data":[]}`}, {Requests, `{"uid":"n","type":0}`}, {Requests, `{"uid":"n","type":1}`}, {Requests, `{"uid":{},"type":1,"requestId":"r"}`},
	{Requests, `{"uid":"n","type":7,"requestId":"r","packet":{"type":2,"data":["e"]}}`}, {Requests, `{"uid":"n","type":7,"requestId":"r","opts":{}}`},
	{Requests, `{"uid":"n","type":6,"data":["e",{"_placeholder":true},{"type":"Buffer","data":[1]}]}`},
	{Responses, "\xc0"}, {Responses, `{}`}, {Responses, `{"requestId":null,"rooms":[]}`}, {Responses, `{"requestId":"r"}`}, {Responses, `{"requestId":"r","rooms":{}}`},
	{Responses, `{"requestId":"r","sockets":{}}`}, {Responses, `{"requestId":"r","sockets":[{}]}`}, {Responses, `{"requestId":"r","sockets":[null]}`},
	{Responses, `{"type":8,"requestId":"r"}`}, {Responses, `{"type":8,"requestId":"r","clientCount":-1}`}, {Responses, `{"type":8,"requestId":"r","clientCount":1.5}`},
	{Responses, `{"type":8,"requestId":"r","clientCount":"1"}`}, {Responses, "\x83\xa4type\t\xa9requestId\xa1r\xa6packet\xd4\x05\x00"},
}

var adapterKillers = []string{
	"\xc0", "null", "{", "", "\x90", `{"type":3,"uid":"n","nsp":"/"}`, `{"type":3,"data":null,"uid":"n","nsp":"/"}`, `{"type":3,"data":{},"uid":"n","nsp":"/"}`,
	`{"type":3,"data":{"packet":{"type":2,"data":["e"]}},"uid":"n","nsp":"/"}`, `{"type":3,"data":{"packet":{"type":5,"data":["e"]},"opts":{}},"uid":"n","nsp":"/"}`,
	`{"type":3,"data":{"packet":{"type":2},"opts":{}},"uid":"n","nsp":"/"}`, `{"type":4,"data":{"rooms":[]},"uid":"n","nsp":"/"}`, `{"type":4,"data":{"opts":{}},"uid":"n","nsp":"/"}`,
	`{"type":6,"data":{"close":true},"uid":"n","nsp":"/"}`, `{"type":7,"data":{"opts":{}},"uid":"n","nsp":"/"}`, `{"type":8,"data":{"requestId":"r"},"uid":"n","nsp":"/"}`,
	`{"type":9,"data":{},"uid":"n","nsp":"/"}`, `{"type":9,"data":{"packet":"e"},"uid":"n","nsp":"/"}`, `{"type":11,"data":{"requestId":"r"},"uid":"n","nsp":"/"}`,
	`{"type":1,"uid":"n","nsp":"/"}`, `{"type":13,"data":{"requestId":"r"},"uid":"n","nsp":"/"}`, `{"type":99,"data":{"requestId":"r"},"uid":"n","nsp":"/"}`,
	`{"type":12,"data":{"packet":1},"uid":"n","nsp":"/"}`, `{"type":12,"data":{"requestId":"r","packet":1},"uid":"n","nsp":"/x"}`, `{"type":12,"data":{"requestId":"r","packet":1},"uid":"n"}`,
}

func TestKillers(t *testing.T) {
	for _, k := range killers {
		var m message
		if err := ParseClassic([]byte(k.text), Channel{Use: k.use, Namespace: "/"}, &m); err == nil {
			t.Errorf("%q: %s", k.text, show(m))
		}
	}
	for _, text := range adapterKillers {
		for _, c := range []Channel{all("/"), responses("n")} {
			var m message
			if err := ParseAdapter([]byte(text), c, &m); err == nil {
				t.Errorf("%q: %s", text, show(m))
			}
		}
	}
	for _, e := range []Entry{{}, {"n", "/", "3", nil}, {"n", "/", "3", data("{")}, {"n", "/", "3", data("!!")}, {"n", "/", "", data(`{}`)}, {"n", "", "4", data(`{"opts":{},"rooms":[]}`)},
		{"n", "/", "x", data(`{"opts":{},"rooms":[]}`)}, {"n", "/", "3", data("wA==")}, {"n", "/", "3", make([]byte, maxMessage+1)}} {
		if err := ParseEntry(&e, new(message)); err == nil {
			t.Errorf("%v", e)
		}
	}
	if err := ParseClassic(make([]byte, maxMessage+1), all("/"), new(message)); err == nil {
		t.Error("a large message")
	}
}

// TestLenient: what Node takes, we take.
func TestLenient(t *testing.T) {
	head := "\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/"
	for text, want := range map[string]message{
		head + "\x80": {},
		head + "\x83\xa5rooms\xc0\xa6except\xc0\xa5flags\xc0":                                                                {},
		head + "\x81\xa5rooms\x94\x0c\xd1\xff\x00\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa3a\xffb":                             {Rooms: []string{"12", "-256", "1.5", "a\ufffdb"}},
		head + "\x82\xa5rooms\x91\xa1x\xa5rooms\x91\xa1y":                                                                    {Rooms: []string{"y"}},
		head + "\x81\xa5flags\x85\xa5local\xc3\xa8volatile\xc0\x01\x02\xa7timeout\xa1x\xa1z\x81\xa1a\xc1"[:0] + "\x80":       {},
		head + "\x81\xa5flags\x84\xa5local\xc3\xa8volatile\xc0\x01\x02\xa7timeout\xa1x":                                      {},
		head + "\x81\xa5flags\x81\xa7timeout\xcb\x7f\xe0\x00\x00\x00\x00\x00\x00":                                            {Timeout: maxTimeout * time.Millisecond},
		"\x94\xa1n\x82\xa4type\x02\xa4data\x91\xa1e\x80\xc0":                                                                 {}, // without nsp, with more
		"\xdc\x00\x03\xd9\x01n\xde\x00\x02\xd9\x04type\xcc\x02\xda\x00\x04data\xdd\x00\x00\x00\x01\xa1e\xdf\x00\x00\x00\x00": {},
		"\x93\xa1n\x82\xa4type\x02\xa4data\x92\x0c\xa1x\x80":                                                                 {Data: data(`["12","x"]`)},
	} {
		want.Kind, want.Node, want.Namespace = cluster.Emit, "n", "/"
		if want.Data == nil {
			want.Data = data(`["e"]`)
		}
		var m message
		if err := ParseClassic([]byte(text), all("/"), &m); err != nil || !same(m, want) {
			t.Errorf("%q: %v\n%s\ninstead of\n%s", text, err, show(m), show(want))
		}
	}
	for text, want := range map[string]message{
		`{ "type" : 6 , "data" : [ 12.50e1 , {"type":"Buffer","data":[1]} ], "uid":7 }`: {Kind: cluster.ServerEvent, Node: "7", Data: data(`["125" , {"_placeholder":true,"num":0} ]`), Attachments: [][]byte{{1}}},
		"\x83\xa4type\x06\xa3uid\xa1n\xa4data\x92\xa1e\xc4\x01\x05":                     {Kind: cluster.ServerEvent, Node: "n", Data: data(`["e",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{5}}},
		"{\"uid\":\"n\xff\",\"type\":4,\"opts\":{\"rooms\":[1e2]},\"close\":1}":         {Kind: cluster.Disconnect, Node: "n\ufffd", Rooms: []string{"100"}},
	} {
		want.Namespace = "/"
		var m message
		if err := ParseClassic([]byte(text), requests, &m); err != nil || !same(m, want) {
			t.Errorf("%q: %v\n%s\ninstead of\n%s", text, err, show(m), show(want))
		}
	}
}

func TestMode(t *testing.T) {
	for room, want := range map[string][3]bool{"r1": {true, false, true}, "01234567890123456789": {false, false, true}, "0123456789012345678": {true, false, true},
		"é1234567890123456789": {false, false, true}, "😀012345678901234567": {false, false, true}, "😀0123456789012345678": {true, false, true}, "": {true, false, true}} {
		for mode, apart := range want {
			if Mode(mode).Apart(room) != apart {
				t.Errorf("%q in mode %d", room, mode)
			}
		}
	}
	m := message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r1"}, Data: data(`["e"]`)}
	if c := AdapterChannel(&m, Dynamic); c != room("/", "r1") {
		t.Error(c)
	}
	if c := AdapterChannel(&m, Static); c != all("/") {
		t.Error(c)
	}
	m.ID = "r"
	if c := AdapterChannel(&m, DynamicPrivate); c != all("/") {
		t.Error(c)
	}
}
