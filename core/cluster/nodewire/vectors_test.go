package nodewire

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

type message = cluster.Message

// vector is a message that was captured between processes of Node.
type vector struct {
	name    string
	channel string
	in      Channel
	bytes   string
	m       message
	// Why the message is read and not written so: it has what a Message does not.
	readOnly string
}

const (
	uidA  = "vYNYRq"
	idA   = "iA9SAOty717u17UIAAAB"
	fetch = `{"headers":{"cookie":"a"},"time":"Wed Nov 25 2026 21:49:16 GMT+0000 (Coordinated Universal Time)","address":"::1","xdomain":false,"secure":false,"issued":1,"url":"/","query":{},"auth":{}}`
)

func all(nsp string) Channel        { return Channel{Namespace: nsp} }
func room(nsp, room string) Channel { return Channel{Namespace: nsp, Room: room} }

var requests = Channel{Use: Requests, Namespace: "/"}

func responses(node string) Channel { return Channel{Use: Responses, Namespace: "/", Node: node} }

func emit(m message) message {
	m.Kind = cluster.Emit
	if m.Node == "" {
		m.Node = uidA
	}
	if m.Namespace == "" {
		m.Namespace = "/"
	}
	return m
}

func data(s string) []byte { return []byte(s) }

var classicVectors = []vector{
	{name: "many types", channel: "socket.io#/#", in: all("/"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x9c\xa5hello\x01\xfb\xcd\x01,\xce\x00\x01\x11p\xcf\x00\x00\x01\x00\x00\x00\x00\x00\xcb?\xf8\x00\x00\x00\x00\x00\x00\xc3\xc0\xc0\xa5\xc3\xa9\xe2\x82\xac\x82\xa1a\x91\x01\xa1d\xd6\xff\x00\x00\x00\x00\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		m:     emit(message{Data: data(`["hello",1,-5,300,70000,1099511627776,1.5,true,null,null,"é€",{"a":[1],"d":"1970-01-01T00:00:00.000Z"}]`)}), readOnly: "a Date"},
	{name: "many types, the time as a text", channel: "socket.io#/#", in: all("/"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x9c\xa5hello\x01\xfb\xcd\x01,\xce\x00\x01\x11p\xcf\x00\x00\x01\x00\x00\x00\x00\x00\xcb?\xf8\x00\x00\x00\x00\x00\x00\xc3\xc0\xc0\xa5\xc3\xa9\xe2\x82\xac\x82\xa1a\x91\x01\xa1d\xb81970-01-01T00:00:00.000Z\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		m:     emit(message{Data: data(`["hello",1,-5,300,70000,1099511627776,1.5,true,null,null,"é€",{"a":[1],"d":"1970-01-01T00:00:00.000Z"}]`)})},
	{name: "binary", channel: "socket.io#/#r1#", in: room("/", "r1"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x93\xa3bin\x81\xa1b\xc4\x02\x01\x02\xc4\x01\x03\xa3nsp\xa1/\x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x80",
		m:     emit(message{Rooms: []string{"r1"}, Data: data(`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {3}}})},
	{name: "volatile, compress", channel: "socket.io#/#", in: all("/"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1v\xa1x\xa3nsp\xa1/\x83\xa5rooms\x92\xa2r1\xa2r2\xa6except\x91\xa2r3\xa5flags\x82\xa8volatile\xc3\xa8compress\xc2",
		m:     emit(message{Rooms: []string{"r1", "r2"}, Except: []string{"r3"}, Volatile: true, Data: data(`["v","x"]`)}), readOnly: "the flag compress"},
	{name: "volatile", channel: "socket.io#/#", in: all("/"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1v\xa1x\xa3nsp\xa1/\x83\xa5rooms\x92\xa2r1\xa2r2\xa6except\x91\xa2r3\xa5flags\x81\xa8volatile\xc3",
		m:     emit(message{Rooms: []string{"r1", "r2"}, Except: []string{"r3"}, Volatile: true, Data: data(`["v","x"]`)})},
	{name: "socket.broadcast", channel: "socket.io#/#", in: all("/"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1b\x01\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x91\xb436w7b7ZU1GubtsYyAAAA\xa5flags\x80",
		m:     emit(message{Except: []string{"36w7b7ZU1GubtsYyAAAA"}, Data: data(`["b",1]`)})},
	{name: "socket.to", channel: "socket.io#/#r1#", in: room("/", "r1"),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1t\x01\xa3nsp\xa1/\x83\xa5rooms\x91\xa2r1\xa6except\x91\xb436w7b7ZU1GubtsYyAAAA\xa5flags\x80",
		m:     emit(message{Rooms: []string{"r1"}, Except: []string{"36w7b7ZU1GubtsYyAAAA"}, Data: data(`["t",1]`)})},
	{name: "one socket", channel: "socket.io#/#" + idA + "#", in: room("/", idA),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa1o\x01\xa3nsp\xa1/\x83\xa5rooms\x91\xb4" + idA + "\xa6except\x90\xa5flags\x80",
		m:     emit(message{Rooms: []string{idA}, Data: data(`["o",1]`)})},
	{name: "namespace", channel: "socket.io#/chat#", in: all("/chat"),
		bytes: "\x93\xa6DcGi6u\x83\xa4type\x02\xa4data\x92\xa6inchat\x01\xa3nsp\xa5/chat\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		m:     emit(message{Node: "DcGi6u", Namespace: "/chat", Data: data(`["inchat",1]`)})},
	{name: "remote socket", channel: "socket.io#/#" + idA + "#", in: room("/", idA),
		bytes: "\x93\xa6vYNYRq\x83\xa4type\x02\xa4data\x92\xa3rem\x01\xa3nsp\xa1/\x83\xa5rooms\x91\xb4" + idA + "\xa6except\x90\xa5flags\x81\xb4expectSingleResponse\xc3",
		m:     emit(message{Rooms: []string{idA}, Single: true, Data: data(`["rem",1]`)})},
	{name: "emitter", channel: "socket.io#/#", in: all("/"),
		bytes: "\x93\xa7emitter\x83\xa4type\x02\xa4data\x93\xa2em\x01\xc4\x01\x01\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90",
		m:     emit(message{Node: "emitter", Data: data(`["em",1,{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}})},
	{name: "emitter, a room of a namespace", channel: "socket.io#/chat#x#", in: room("/chat", "x"),
		bytes: "\x93\xa7emitter\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa5/chat\x83\xa5rooms\x91\xa1x\xa5flags\x80\xa6except\x90",
		m:     emit(message{Node: "emitter", Namespace: "/chat", Rooms: []string{"x"}, Data: data(`["e"]`)})},
	{name: "emitter, join", channel: "socket.io-request#/#", in: requests, bytes: `{"type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r5"]}`,
		m: message{Kind: cluster.Join, Namespace: "/", Rooms: []string{"r1"}, Names: []string{"r5"}}},
	{name: "emitter, disconnect", channel: "socket.io-request#/#", in: requests, bytes: `{"type":4,"opts":{"rooms":["zzz"],"except":[]},"close":true}`,
		m: message{Kind: cluster.Close, Namespace: "/", Rooms: []string{"zzz"}}},
	{name: "emitter, server event", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"emitter","type":6,"data":["sse",1]}`,
		m: message{Kind: cluster.ServerEvent, Node: "emitter", Namespace: "/", Data: data(`["sse",1]`)}},

	{name: "0", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","requestId":"q9","type":0,"rooms":["r1"]}`,
		m: message{Kind: cluster.Fetch, OnlyIDs: true, Node: uidA, Namespace: "/", ID: "q9", Rooms: []string{"r1"}}},
	{name: "0, response", channel: "socket.io-response#/#vYNYRq#", in: responses(uidA), bytes: `{"requestId":"q9","sockets":["` + idA + `","b"]}`,
		m: message{Kind: cluster.Sockets, OnlyIDs: true, To: uidA, Namespace: "/", ID: "q9", Sockets: []cluster.Socket{{ID: idA}, {ID: "b"}}}},
	{name: "1", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","requestId":"kayCPW","type":1}`,
		m: message{Kind: cluster.ListRooms, Node: uidA, Namespace: "/", ID: "kayCPW"}},
	{name: "1, response", channel: "socket.io-response#/#", in: responses(""), bytes: `{"requestId":"kayCPW","rooms":["iA9SAOty717u17UIAAAB","r1"]}`,
		m: message{Kind: cluster.Rooms, Namespace: "/", ID: "kayCPW", Names: []string{idA, "r1"}}},
	{name: "2", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r7","r8"]}`,
		m: message{Kind: cluster.Join, Node: uidA, Namespace: "/", Rooms: []string{"r1"}, Names: []string{"r7", "r8"}}},
	{name: "3", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","type":3,"opts":{"rooms":["r7"],"except":["nobody"]},"rooms":["r8"]}`,
		m: message{Kind: cluster.Leave, Node: uidA, Namespace: "/", Rooms: []string{"r7"}, Except: []string{"nobody"}, Names: []string{"r8"}}},
	{name: "4", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","type":4,"opts":{"rooms":["r9"],"except":[]},"close":false}`,
		m: message{Kind: cluster.Disconnect, Node: uidA, Namespace: "/", Rooms: []string{"r9"}}},
	{name: "5", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","requestId":"G47mTF","type":5,"opts":{"rooms":["r1"],"except":[]}}`,
		m: message{Kind: cluster.Fetch, Node: uidA, Namespace: "/", ID: "G47mTF", Rooms: []string{"r1"}}},
	{name: "5, response", channel: "socket.io-response#/#", in: responses(""), bytes: `{"requestId":"G47mTF","sockets":[{"id":"` + idA + `","handshake":` + fetch + `,"rooms":["` + idA + `","r1"],"data":{"b":{"type":"Buffer","data":[1,2]}}}]}`,
		m: message{Kind: cluster.Sockets, Namespace: "/", ID: "G47mTF", Sockets: []cluster.Socket{{ID: idA, Rooms: []string{idA, "r1"}, Data: data(`{"b":{"type":"Buffer","data":[1,2]}}`), Handshake: data(fetch)}}}},
	{name: "6", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","type":6,"data":["sse",1,"two"]}`,
		m: message{Kind: cluster.ServerEvent, Node: uidA, Namespace: "/", Data: data(`["sse",1,"two"]`)}},
	{name: "6, with ack", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","requestId":"1pHOud","type":6,"data":["sse"]}`,
		m: message{Kind: cluster.ServerEvent, Node: uidA, Namespace: "/", ID: "1pHOud", Data: data(`["sse"]`)}},
	{name: "6, binary", channel: "socket.io-request#/#", in: requests, bytes: `{"uid":"vYNYRq","type":6,"data":["sse",{"b":{"type":"Buffer","data":[1,2]}},{"type":"Buffer","data":[]}]}`,
		m: message{Kind: cluster.ServerEvent, Node: uidA, Namespace: "/", Data: data(`["sse",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {}}}},
	{name: "6, response", channel: "socket.io-response#/#", in: responses(""), bytes: `{"type":6,"requestId":"1pHOud","data":"B-answer"}`,
		m: message{Kind: cluster.Answer, Namespace: "/", ID: "1pHOud", Data: data(`["B-answer"]`)}},
	{name: "6, response with binary", channel: "socket.io-response#/#", in: responses(""), bytes: `{"type":6,"requestId":"1pHOud","data":{"type":"Buffer","data":[255]}}`,
		m: message{Kind: cluster.Answer, Namespace: "/", ID: "1pHOud", Data: data(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{255}}}},
	{name: "6, response of nothing", channel: "socket.io-response#/#", in: responses(""), bytes: `{"type":6,"requestId":"1pHOud"}`,
		m: message{Kind: cluster.Answer, Namespace: "/", ID: "1pHOud", Data: data(`[null]`)}, readOnly: "undefined"},
	{name: "7", channel: "socket.io-request#/#", in: requests,
		bytes: "\x85\xa3uid\xa6vYNYRq\xa9requestId\xa6CX6iyN\xa4type\a\xa6packet\x83\xa4type\x02\xa4data\x92\xa3ask\x01\xa3nsp\xa1/\xa4opts\x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x03 ",
		m:     emit(message{ID: "CX6iyN", Rooms: []string{"r1"}, Timeout: 800 * time.Millisecond, Data: data(`["ask",1]`)})},
	{name: "8", channel: "socket.io-response#/#vYNYRq#", in: responses(uidA), bytes: `{"type":8,"requestId":"CX6iyN","clientCount":1}`,
		m: message{Kind: cluster.Asked, To: uidA, Namespace: "/", ID: "CX6iyN", Number: 1}},
	{name: "8, none", channel: "socket.io-response#/#", in: responses(""), bytes: `{"type":8,"requestId":"CX6iyN","clientCount":0}`,
		m: message{Kind: cluster.Asked, Namespace: "/", ID: "CX6iyN"}},
	{name: "9", channel: "socket.io-response#/#", in: responses(""), bytes: "\x83\xa4type\t\xa9requestId\xa6CX6iyN\xa6packet\xa3yes",
		m: message{Kind: cluster.Acked, Namespace: "/", ID: "CX6iyN", Data: data(`["yes"]`)}},
	{name: "9, of nothing", channel: "socket.io-response#/#", in: responses(""), bytes: "\x82\xa4type\t\xa9requestId\xa6CX6iyN",
		m: message{Kind: cluster.Acked, Namespace: "/", ID: "CX6iyN", Data: data(`[null]`)}, readOnly: "undefined"},
}

const uidS = "8d66464ee6252712"

var shardedVectors = []vector{
	{name: "one room", channel: "socket.io#/#r1#", in: room("/", "r1"),
		bytes: `{"type":3,"data":{"packet":{"type":2,"data":["t",1]},"opts":{"rooms":["r1"],"except":["KggrL95gVnFdNJYFAAAA"],"flags":{}}},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     emit(message{Node: uidS, Rooms: []string{"r1"}, Except: []string{"KggrL95gVnFdNJYFAAAA"}, Data: data(`["t",1]`)})},
	{name: "binary", channel: "socket.io#/#r1#", in: room("/", "r1"),
		bytes: "\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x93\xa3bin\x81\xa1b\xc4\x02\x01\x02\xc4\x01\x03\xa4opts\x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x80\xa3uid\xb08d66464ee6252712\xa3nsp\xa1/",
		m:     emit(message{Node: uidS, Rooms: []string{"r1"}, Data: data(`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {3}}})},
	{name: "with ack", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":3,"data":{"packet":{"type":2,"data":["a"]},"requestId":"28b4150f0f74c49b","opts":{"rooms":["r1"],"except":[],"flags":{"timeout":5000}}},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     emit(message{Node: uidS, ID: "28b4150f0f74c49b", Timeout: 5 * time.Second, Rooms: []string{"r1"}, Data: data(`["a"]`)})},
	{name: "join", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":4,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r2"]},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     message{Kind: cluster.Join, Node: uidS, Namespace: "/", Rooms: []string{"r1"}, Names: []string{"r2"}}},
	{name: "leave", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":5,"data":{"opts":{"rooms":[],"except":["x"],"flags":{}},"rooms":["r2"]},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     message{Kind: cluster.Leave, Node: uidS, Namespace: "/", Except: []string{"x"}, Names: []string{"r2"}}},
	{name: "disconnect", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":6,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"close":false},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     message{Kind: cluster.Disconnect, Node: uidS, Namespace: "/", Rooms: []string{"r1"}}},
	{name: "close", channel: "socket.io#/chat#", in: all("/chat"),
		bytes: `{"type":6,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"close":true},"uid":"8d66464ee6252712","nsp":"/chat"}`,
		m:     message{Kind: cluster.Close, Node: uidS, Namespace: "/chat", Rooms: []string{"r1"}}},
	{name: "fetch", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":7,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"requestId":"28b4150f0f74c49b"},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     message{Kind: cluster.Fetch, Node: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Rooms: []string{"r1"}}},
	{name: "sockets", channel: "socket.io#/#8d66464ee6252712#", in: responses(uidS),
		bytes: `{"type":8,"data":{"requestId":"28b4150f0f74c49b","sockets":[{"id":"s","handshake":` + fetch + `,"rooms":["s"],"data":{"a":1}}]},"uid":"f9179c8e8d04bef8","nsp":"/"}`,
		m:     message{Kind: cluster.Sockets, Node: "f9179c8e8d04bef8", To: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Sockets: []cluster.Socket{{ID: "s", Rooms: []string{"s"}, Data: data(`{"a":1}`), Handshake: data(fetch)}}}},
	{name: "server event", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":9,"data":{"packet":["sse",1]},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     message{Kind: cluster.ServerEvent, Node: uidS, Namespace: "/", Data: data(`["sse",1]`)}},
	{name: "server event with ack", channel: "socket.io#/#", in: all("/"),
		bytes: `{"type":9,"data":{"requestId":"28b4150f0f74c49b","packet":["sse"]},"uid":"8d66464ee6252712","nsp":"/"}`,
		m:     message{Kind: cluster.ServerEvent, Node: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Data: data(`["sse"]`)}},
	{name: "answer", channel: "socket.io#/#8d66464ee6252712#", in: responses(uidS),
		bytes: `{"type":10,"data":{"requestId":"28b4150f0f74c49b","packet":{"a":1}},"uid":"f9179c8e8d04bef8","nsp":"/"}`,
		m:     message{Kind: cluster.Answer, Node: "f9179c8e8d04bef8", To: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Data: data(`[{"a":1}]`)}},
	{name: "asked", channel: "socket.io#/#8d66464ee6252712#", in: responses(uidS),
		bytes: `{"type":11,"data":{"requestId":"28b4150f0f74c49b","clientCount":1},"uid":"f9179c8e8d04bef8","nsp":"/"}`,
		m:     message{Kind: cluster.Asked, Node: "f9179c8e8d04bef8", To: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Number: 1}},
	{name: "acked", channel: "socket.io#/#8d66464ee6252712#", in: responses(uidS),
		bytes: `{"type":12,"data":{"requestId":"28b4150f0f74c49b","packet":"y"},"uid":"f9179c8e8d04bef8","nsp":"/"}`,
		m:     message{Kind: cluster.Acked, Node: "f9179c8e8d04bef8", To: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Data: data(`["y"]`)}},
	{name: "acked, of nothing", channel: "socket.io#/#8d66464ee6252712#", in: responses(uidS),
		bytes: `{"type":12,"data":{"requestId":"28b4150f0f74c49b"},"uid":"f9179c8e8d04bef8","nsp":"/"}`,
		m:     message{Kind: cluster.Acked, Node: "f9179c8e8d04bef8", To: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Data: data(`[null]`)}, readOnly: "undefined"},
	{name: "acked, binary", channel: "socket.io#/#8d66464ee6252712#", in: responses(uidS),
		bytes: "\x84\xa4type\x0c\xa4data\x82\xa9requestId\xb028b4150f0f74c49b\xa6packet\xc4\x01\x07\xa3uid\xb0f9179c8e8d04bef8\xa3nsp\xa1/",
		m:     message{Kind: cluster.Acked, Node: "f9179c8e8d04bef8", To: uidS, Namespace: "/", ID: "28b4150f0f74c49b", Data: data(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{7}}}},
}

var streamsVectors = []vector{ // beside the stream, as msgpack
	{name: "with ack", channel: "socket.io#/#", in: all("/"),
		bytes: "\x84\xa4type\x03\xa4data\x83\xa6packet\x82\xa4type\x02\xa4data\x92\xa3ask\xa1q\xa9requestId\xb028b4150f0f74c49b\xa4opts\x83\xa5rooms\x90\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x03\xe8\xa3uid\xb0f9179c8e8d04bef8\xa3nsp\xa1/",
		m:     emit(message{Node: "f9179c8e8d04bef8", ID: "28b4150f0f74c49b", Timeout: time.Second, Data: data(`["ask","q"]`)})},
	{name: "asked", channel: "socket.io#/#f9179c8e8d04bef8#", in: responses("f9179c8e8d04bef8"),
		bytes: "\x84\xa4type\x0b\xa4data\x82\xa9requestId\xb028b4150f0f74c49b\xabclientCount\x00\xa3uid\xb08d66464ee6252712\xa3nsp\xa1/",
		m:     message{Kind: cluster.Asked, Node: uidS, To: "f9179c8e8d04bef8", Namespace: "/", ID: "28b4150f0f74c49b"}},
	{name: "answer", channel: "socket.io#/#f9179c8e8d04bef8#", in: responses("f9179c8e8d04bef8"),
		bytes: "\x84\xa4type\x0a\xa4data\x82\xa9requestId\xb028b4150f0f74c49b\xa6packet\xc0\xa3uid\xb08d66464ee6252712\xa3nsp\xa1/",
		m:     message{Kind: cluster.Answer, Node: uidS, To: "f9179c8e8d04bef8", Namespace: "/", ID: "28b4150f0f74c49b", Data: data(`[null]`)}},
	{name: "sockets", channel: "socket.io#/#f9179c8e8d04bef8#", in: responses("f9179c8e8d04bef8"),
		bytes: "\x84\xa4type\x08\xa4data\x82\xa9requestId\xb028b4150f0f74c49b\xa7sockets\x91\x84\xa2id\xa1s\xa9handshake\x80\xa5rooms\x91\xa1s\xa4data\x81\xa1a\x01\xa3uid\xb08d66464ee6252712\xa3nsp\xa1/",
		m: message{Kind: cluster.Sockets, Node: uidS, To: "f9179c8e8d04bef8", Namespace: "/", ID: "28b4150f0f74c49b",
			Sockets: []cluster.Socket{{ID: "s", Rooms: []string{"s"}, Data: data(`{"a":1}`), Handshake: data(`{}`)}}}},
}

var entryVectors = []struct {
	e Entry
	m message
}{
	{Entry{"f9179c8e8d04bef8", "/", "3", data(`{"packet":{"type":2,"data":["b",1]},"opts":{"rooms":[],"except":["jYiz4Bhga-UlFRlfAAAA"],"flags":{}}}`)},
		emit(message{Node: "f9179c8e8d04bef8", Except: []string{"jYiz4Bhga-UlFRlfAAAA"}, Data: data(`["b",1]`)})},
	{Entry{"f9179c8e8d04bef8", "/", "3", data(`gqZwYWNrZXSCpHR5cGUCpGRhdGGTo2JpboGhYsQCAQLEAQOkb3B0c4Olcm9vbXORonIxpmV4Y2VwdJClZmxhZ3OA`)},
		emit(message{Node: "f9179c8e8d04bef8", Rooms: []string{"r1"}, Data: data(`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2}, {3}}})},
	{Entry{"f9179c8e8d04bef8", "/chat", "4", data(`{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r2"]}`)},
		message{Kind: cluster.Join, Node: "f9179c8e8d04bef8", Namespace: "/chat", Rooms: []string{"r1"}, Names: []string{"r2"}}},
	{Entry{"f9179c8e8d04bef8", "/", "6", data(`{"opts":{"rooms":[],"except":[],"flags":{}},"close":true}`)},
		message{Kind: cluster.Close, Node: "f9179c8e8d04bef8", Namespace: "/"}},
}

// same compares messages: an empty list is none.
func same(a, b message) bool { return show(a) == show(b) }

func show(m message) string { return fmt.Sprintf("%+q", fmt.Sprint(simple(reflect.ValueOf(m)))) }

func simple(v reflect.Value) any {
	var s []string
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			s = append(s, fmt.Sprint(v.Type().Field(i).Name, ":", simple(v.Field(i))))
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return string(v.Bytes())
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			s = append(s, fmt.Sprint(simple(v.Index(i))))
		}
	default:
		return v.Interface()
	}
	return "{" + strings.Join(s, ", ") + "}"
}

func testVectors(t *testing.T, vectors []vector, app func([]byte, *message) ([]byte, error), parse func([]byte, Channel, *message) error, channel func(*message) string) {
	t.Helper()
	var reused message
	for _, v := range vectors {
		for _, into := range []*message{{}, &reused} {
			if err := parse([]byte(v.bytes), v.in, into); err != nil || !same(*into, v.m) {
				t.Errorf("%s: %v\n%s\ninstead of\n%s", v.name, err, show(*into), show(v.m))
			}
		}
		if got := channel(&v.m); got != v.channel && !strings.Contains(v.channel, "-response") {
			t.Errorf("%s: the channel %s instead of %s", v.name, got, v.channel)
		}
		b, err := app([]byte("front"), &v.m)
		if err != nil || (string(b) == "front"+v.bytes) != (v.readOnly == "") {
			t.Errorf("%s: %v\n%q\ninstead of\n%q", v.name, err, b, v.bytes)
		}
	}
}

func TestClassicVectors(t *testing.T) {
	testVectors(t, classicVectors, AppendClassic, ParseClassic, func(m *message) string { return string(ClassicChannel(m).AppendClassic(nil, "socket.io")) })
	for _, v := range classicVectors {
		if got := string(v.in.AppendClassic(nil, "socket.io")); got != v.channel {
			t.Errorf("%s: the channel %s instead of %s", v.name, got, v.channel)
		}
	}
}

func TestShardedVectors(t *testing.T) {
	testVectors(t, shardedVectors, AppendSharded, ParseAdapter, func(m *message) string { return string(AdapterChannel(m, Dynamic).AppendAdapter(nil, "socket.io")) })
}

func TestStreamsVectors(t *testing.T) {
	testVectors(t, streamsVectors, AppendStreams, ParseAdapter, func(m *message) string { return string(AdapterChannel(m, Static).AppendAdapter(nil, "socket.io")) })
	var reused message
	for _, v := range entryVectors {
		for _, into := range []*message{{}, &reused} {
			if err := ParseEntry(&v.e, into); err != nil || !same(*into, v.m) {
				t.Errorf("%s: %v\n%s\ninstead of\n%s", v.e.Data, err, show(*into), show(v.m))
			}
		}
		if e, err := AppendEntry([]byte("front"), &v.m); err != nil || !reflect.DeepEqual(e, v.e) {
			t.Errorf("%v: %s, %v", v.e, e.Data, err)
		}
	}
}
