package redisbus

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"

	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
)

// exchange is a message as a process of Node has published it, captured, and what it means.
type exchange struct {
	name    string
	m       cluster.Message
	channel string
	text    string
	readBy  string // another reading than m, by the bytes of Data: what the wire cannot hold
	inOnly  bool   // only Node publishes this
}

const (
	classicUID = "vYNYRq"
	hashedUID  = "8d66464ee6252712"
	socketID   = "36w7b7ZU1GubtsYyAAAA"
)

func emit(data string, rooms ...string) cluster.Message {
	return cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: rooms, Data: []byte(data)}
}

var classicExchanges = []exchange{
	{name: "to all", m: emit(`["hello",1,-5,300,70000,1099511627776,1.5,true,null,null,"é€",{"a":[1],"u":null}]`),
		channel: "socket.io#/#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x9c\xa5hello\x01\xfb\xcd\x01,\xce\x00\x01\x11p\xcf\x00\x00\x01\x00\x00\x00\x00\x00\xcb?\xf8\x00\x00\x00\x00\x00\x00\xc3\xc0\xc0\xa5\xc3\xa9\xe2\x82\xac\x82\xa1a\x91\x01\xa1u\xc0\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"},
	{name: "a time", inOnly: true, m: emit(`["t",{"d":"1970-01-01T00:00:00.000Z"}]`),
		channel: "socket.io#/#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1t\x81\xa1d\xd6\xff\x00\x00\x00\x00\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"},
	{name: "binary to a room", m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r1"},
		Data: []byte(`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {3}}},
		channel: "socket.io#/#r1#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x93\xa3bin\x81\xa1b\xc4\x02\x01\x02\xc4\x01\x03\xa3nsp\xa1/\x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x80"},
	{name: "rooms, except, volatile", m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r1", "r2"}, Except: []string{"r3"}, Volatile: true, Data: []byte(`["v","x"]`)},
		channel: "socket.io#/#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1v\xa1x\xa3nsp\xa1/\x83\xa5rooms\x92\xa2r1\xa2r2\xa6except\x91\xa2r3\xa5flags\x81\xa8volatile\xc3"},
	{name: "a flag that means nothing here", inOnly: true, m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Volatile: true, Data: []byte(`["v","x"]`)},
		channel: "socket.io#/#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1v\xa1x\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x82\xa8volatile\xc3\xa8compress\xc2"},
	{name: "broadcast of a socket", m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Except: []string{socketID}, Data: []byte(`["b",1]`)},
		channel: "socket.io#/#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1b\x01\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x91\xb436w7b7ZU1GubtsYyAAAA\xa5flags\x80"},
	{name: "to a socket", m: emit(`["s"]`, socketID),
		channel: "socket.io#/#" + socketID + "#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x91\xa1s\xa3nsp\xa1/\x83\xa5rooms\x91\xb4" + socketID + "\xa6except\x90\xa5flags\x80"},
	{name: "in a namespace", m: cluster.Message{Kind: cluster.Emit, Namespace: "/chat", Data: []byte(`["inchat",1]`)},
		channel: "socket.io#/chat#",
		text:    "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa6inchat\x01\xa3nsp\xa5/chat\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"},
	{name: "type 1", m: cluster.Message{Kind: cluster.ListRooms, Namespace: "/", ID: "kayCPW"},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","requestId":"kayCPW","type":1}`},
	{name: "type 2", m: cluster.Message{Kind: cluster.Join, Namespace: "/", Rooms: []string{"r1"}, Names: []string{"r7", "r8"}},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r7","r8"]}`},
	{name: "type 3", m: cluster.Message{Kind: cluster.Leave, Namespace: "/", Rooms: []string{"r7"}, Except: []string{"nobody"}, Names: []string{"r8"}},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","type":3,"opts":{"rooms":["r7"],"except":["nobody"]},"rooms":["r8"]}`},
	{name: "type 4", m: cluster.Message{Kind: cluster.Disconnect, Namespace: "/", Rooms: []string{"r9"}},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","type":4,"opts":{"rooms":["r9"],"except":[]},"close":false}`},
	{name: "type 4, close", inOnly: true, m: cluster.Message{Kind: cluster.Close, Namespace: "/", Rooms: []string{"zzz"}},
		channel: "socket.io-request#/#", text: `{"type":4,"opts":{"rooms":["zzz"],"except":[]},"close":true}`},
	{name: "type 0", inOnly: true, m: cluster.Message{Kind: cluster.Fetch, Namespace: "/", ID: "q9", OnlyIDs: true},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","requestId":"q9","type":0,"rooms":[]}`},
	{name: "type 5", m: cluster.Message{Kind: cluster.Fetch, Namespace: "/", ID: "G47mTF", Rooms: []string{"r1"}},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","requestId":"G47mTF","type":5,"opts":{"rooms":["r1"],"except":[]}}`},
	{name: "type 6", m: cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["sse",1,"two"]`)},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","type":6,"data":["sse",1,"two"]}`},
	{name: "type 6 with ack", m: cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", ID: "1pHOud", Data: []byte(`["sse",1,"two"]`)},
		channel: "socket.io-request#/#", text: `{"uid":"vYNYRq","requestId":"1pHOud","type":6,"data":["sse",1,"two"]}`},
	{name: "type 7", m: cluster.Message{Kind: cluster.Emit, Namespace: "/", ID: "CX6iyN", Rooms: []string{"r1"}, Timeout: 800 * time.Millisecond, Data: []byte(`["ask",1]`)},
		channel: "socket.io-request#/#",
		text:    "\x85\xa3uid\xa6vYNYRq\xa9requestId\xa6CX6iyN\xa4type\a\xa6packet\x83\xa4type\x02\xa4data\x92\xa3ask\x01\xa3nsp\xa1/\xa4opts\x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x03 "},
	{name: "answer to 0", m: cluster.Message{Kind: cluster.Sockets, To: "DcGi6u", Namespace: "/", ID: "q9", OnlyIDs: true, Sockets: []cluster.Socket{{ID: socketID}}},
		channel: "socket.io-response#/#DcGi6u#", text: `{"requestId":"q9","sockets":["` + socketID + `"]}`},
	{name: "answer to 1", m: cluster.Message{Kind: cluster.Rooms, To: "DcGi6u", Namespace: "/", ID: "kayCPW", Names: []string{"iA9SAOty717u17UIAAAB", "r1"}},
		channel: "socket.io-response#/#DcGi6u#", text: `{"requestId":"kayCPW","rooms":["iA9SAOty717u17UIAAAB","r1"]}`},
	{name: "answer to 5", m: cluster.Message{Kind: cluster.Sockets, To: "DcGi6u", Namespace: "/", ID: "G47mTF",
		Sockets: []cluster.Socket{{ID: socketID, Rooms: []string{"r1"}, Data: []byte(`{"a":1}`), Handshake: []byte(`{"headers":{}}`)}}},
		channel: "socket.io-response#/#DcGi6u#",
		text:    `{"requestId":"G47mTF","sockets":[{"id":"` + socketID + `","handshake":{"headers":{}},"rooms":["r1"],"data":{"a":1}}]}`},
	{name: "answer to 6", m: cluster.Message{Kind: cluster.Answer, To: "DcGi6u", Namespace: "/", ID: "1pHOud", Data: []byte(`["B-answer"]`)},
		channel: "socket.io-response#/#DcGi6u#", text: `{"type":6,"requestId":"1pHOud","data":"B-answer"}`},
	{name: "count", m: cluster.Message{Kind: cluster.Asked, To: "DcGi6u", Namespace: "/", ID: "CX6iyN", Number: 1},
		channel: "socket.io-response#/#DcGi6u#", text: `{"type":8,"requestId":"CX6iyN","clientCount":1}`},
	{name: "count of nobody", m: cluster.Message{Kind: cluster.Asked, To: "DcGi6u", Namespace: "/", ID: "CX6iyN"},
		channel: "socket.io-response#/#DcGi6u#", text: `{"type":8,"requestId":"CX6iyN","clientCount":0}`},
	{name: "ack", m: cluster.Message{Kind: cluster.Acked, To: "DcGi6u", Namespace: "/", ID: "CX6iyN", Data: []byte(`["yes"]`)},
		channel: "socket.io-response#/#DcGi6u#", text: "\x83\xa4type\t\xa9requestId\xa6CX6iyN\xa6packet\xa3yes"},
	{name: "emitter", inOnly: true, m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Data: []byte(`["em",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}},
		channel: "socket.io#/#",
		text:    "\x93\xa7emitter\x83\xa4type\x02\xa4data\x93\xa2em\x01\xc4\x01\x01\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90",
		readBy:  `["em",1,{"_placeholder":true,"num":0}]`},
	{name: "emitter, join", inOnly: true, m: cluster.Message{Kind: cluster.Join, Namespace: "/", Rooms: []string{"r1"}, Names: []string{"r5"}},
		channel: "socket.io-request#/#", text: `{"type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r5"]}`},
	{name: "emitter, server event", inOnly: true, m: cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Data: []byte(`["sse",1]`)},
		channel: "socket.io-request#/#", text: `{"uid":"emitter","type":6,"data":["sse",1]}`},
}

var shardedExchanges = []exchange{
	{name: "to a room", m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r1"}, Except: []string{"KggrL95gVnFdNJYFAAAA"}, Data: []byte(`["t",1]`)},
		channel: "socket.io#/#r1#",
		text:    `{"type":3,"data":{"packet":{"type":2,"data":["t",1]},"opts":{"rooms":["r1"],"except":["KggrL95gVnFdNJYFAAAA"],"flags":{}}},"uid":"8d66464ee6252712","nsp":"/"}`},
	{name: "binary to a room", m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r1"},
		Data: []byte(`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {3}}},
		channel: "socket.io#/#r1#",
		text:    "\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x93\xa3bin\x81\xa1b\xc4\x02\x01\x02\xc4\x01\x03\xa4opts\x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x80\xa3uid\xb08d66464ee6252712\xa3nsp\xa1/"},
	{name: "to a socket", m: emit(`["s"]`, socketID), channel: "socket.io#/#",
		text: `{"type":3,"data":{"packet":{"type":2,"data":["s"]},"opts":{"rooms":["` + socketID + `"],"except":[],"flags":{}}},"uid":"8d66464ee6252712","nsp":"/"}`},
	{name: "join", m: cluster.Message{Kind: cluster.Join, Namespace: "/", Rooms: []string{"r1"}, Names: []string{"r7"}}, channel: "socket.io#/#",
		text: `{"type":4,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r7"]},"uid":"8d66464ee6252712","nsp":"/"}`},
	{name: "count", m: cluster.Message{Kind: cluster.Asked, To: "aaaabbbbccccdddd", Namespace: "/", ID: "28b4150f0f74c49b", Number: 1}, channel: "socket.io#/#aaaabbbbccccdddd#",
		text: `{"type":11,"data":{"requestId":"28b4150f0f74c49b","clientCount":1},"uid":"8d66464ee6252712","nsp":"/"}`},
	{name: "ack", m: cluster.Message{Kind: cluster.Acked, To: "aaaabbbbccccdddd", Namespace: "/", ID: "28b4150f0f74c49b", Data: []byte(`["y"]`)}, channel: "socket.io#/#aaaabbbbccccdddd#",
		text: `{"type":12,"data":{"requestId":"28b4150f0f74c49b","packet":"y"},"uid":"8d66464ee6252712","nsp":"/"}`},
}

// tap hears everything that is published: in channels, and by their names in shards.
type tap struct{ got chan [2]string }

func newTap(t *testing.T, r *redis, shards ...string) *tap {
	t.Helper()
	c, release := r.client().Dedicate()
	t.Cleanup(release)
	p := &tap{make(chan [2]string, 1000)}
	c.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) { p.got <- [2]string{m.Channel, m.Message} }})
	if err := c.Do(t.Context(), c.B().Psubscribe().Pattern("*").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if len(shards) > 0 {
		if err := c.Do(t.Context(), c.B().Ssubscribe().Channel(shards...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *tap) next(t *testing.T) (channel, text string) {
	t.Helper()
	select {
	case got := <-p.got:
		return got[0], got[1]
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was published")
		return "", ""
	}
}

// TestCaptured sends what Node has published to a node, and looks at what a node publishes.
func TestCaptured(t *testing.T) {
	r := startRedis(t)
	for _, c := range []struct {
		wire    Wire
		uid, to string
		list    []exchange
	}{
		{Classic, classicUID, "DcGi6u", classicExchanges},
		{Sharded, hashedUID, "aaaabbbbccccdddd", shardedExchanges},
	} {
		t.Run(c.wire.String(), func(t *testing.T) {
			a := join(t, New(r.option(), Options{Wire: c.wire}), c.uid)
			b := join(t, New(r.option(), Options{Wire: c.wire}), c.to)
			b.watch("/chat", "")
			b.watch("/", "r1", socketID)
			var channels []string
			for _, x := range c.list {
				if c.wire == Sharded && !slices.Contains(channels, x.channel) {
					channels = append(channels, x.channel)
				}
			}
			tap, raw := newTap(t, r, channels...), r.client()
			publish := "PUBLISH"
			if c.wire == Sharded {
				publish = "SPUBLISH"
			}
			for _, x := range c.list {
				t.Run(x.name, func(t *testing.T) {
					do(t, raw, publish, x.channel, x.text)
					tap.next(t)
					want := clone(&x.m)
					if x.readBy != "" {
						want.Data = []byte(x.readBy)
					}
					same(t, b.next(t, 1)[0], want)
					if x.inOnly {
						return
					}
					a.say(clone(&x.m))
					if channel, text := tap.next(t); channel != x.channel || text != x.text {
						t.Errorf("published\n%s\n%q, not\n%s\n%q", channel, text, x.channel, x.text)
					}
					same(t, b.next(t, 1)[0], &x.m)
				})
			}
		})
	}
}

// same compares what the wire holds of two messages: not who has said it.
func same(t *testing.T, got, want *cluster.Message) {
	t.Helper()
	got, want = clone(got), clone(want)
	got.Node, want.Node, got.To, want.To = "", "", "", ""
	got.OnlyIDs, want.OnlyIDs = got.OnlyIDs && want.OnlyIDs, got.OnlyIDs && want.OnlyIDs
	for _, m := range []*cluster.Message{got, want} {
		for i := range m.Sockets {
			for _, p := range []*[]byte{(*[]byte)(&m.Sockets[i].Data), (*[]byte)(&m.Sockets[i].Handshake)} {
				if string(*p) == "{}" {
					*p = []byte{}
				}
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestCapturedStreams: what belongs into the stream is there, the rest is published.
func TestCapturedStreams(t *testing.T) {
	const uid = "f9179c8e8d04bef8"
	r := startRedis(t)
	a := join(t, New(r.option(), Options{Wire: Streams}), uid)
	b := join(t, New(r.option(), Options{Wire: Streams}), "aaaabbbbccccdddd")
	raw, tap := r.client(), newTap(t, r)
	binary := "gqZwYWNrZXSCpHR5cGUCpGRhdGGTo2JpboGhYsQCAQLEAQOkb3B0c4Olcm9vbXORonIxpmV4Y2VwdJClZmxhZ3OA"
	if _, err := base64.StdEncoding.DecodeString(binary); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		m          cluster.Message
		typ, data  string
		publishing bool
	}{
		{m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Except: []string{"jYiz4Bhga-UlFRlfAAAA"}, Data: []byte(`["b",1]`)},
			typ: "3", data: `{"packet":{"type":2,"data":["b",1]},"opts":{"rooms":[],"except":["jYiz4Bhga-UlFRlfAAAA"],"flags":{}}}`},
		{m: cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: []string{"r1"}, Data: []byte(`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {3}}},
			typ: "3", data: binary},
		{m: cluster.Message{Kind: cluster.Join, Namespace: "/", Names: []string{"r7"}},
			typ: "4", data: `{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["r7"]}`},
		{m: cluster.Message{Kind: cluster.Close, Namespace: "/"},
			typ: "6", data: `{"opts":{"rooms":[],"except":[],"flags":{}},"close":true}`},
	} {
		do(t, raw, "XADD", "socket.io", "MAXLEN", "~", "10000", "*", "uid", "0000111122223333", "nsp", "/", "type", x.typ, "data", x.data)
		same(t, b.next(t, 1)[0], &x.m)
		a.say(clone(&x.m))
		same(t, b.next(t, 1)[0], &x.m)
		list, err := do(t, raw, "XREVRANGE", "socket.io", "+", "-", "COUNT", "1").AsXRange()
		if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0].FieldValues, map[string]string{"uid": uid, "nsp": "/", "type": x.typ, "data": x.data}) {
			t.Errorf("in the stream: %+v %v", list, err)
		}
	}
	ask := cluster.Message{Kind: cluster.Emit, Namespace: "/", ID: "28b4150f0f74c49b", Timeout: time.Second, Data: []byte(`["ask","q"]`)}
	a.say(clone(&ask))
	channel, text := tap.next(t)
	if channel != "socket.io#/#" || !strings.HasPrefix(text, "\x84\xa4type\x03\xa4data\x83\xa6packet") {
		t.Errorf("a request: %s %q", channel, text)
	}
	same(t, b.next(t, 1)[0], &ask)
	b.say(&cluster.Message{Kind: cluster.Asked, Namespace: "/", ID: ask.ID, To: uid, Number: 2})
	if channel, _ := tap.next(t); channel != "socket.io#/#"+uid+"#" {
		t.Errorf("an answer: %s", channel)
	}
	if m := a.next(t, 5)[4]; m.Kind != cluster.Asked || m.Number != 2 || m.To != uid { // behind what was added by hand
		t.Errorf("an answer: %+v", m)
	}
}
