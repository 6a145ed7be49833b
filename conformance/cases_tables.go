package conformance

import (
	"bytes"
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// The tables of what is refused: each row is a case of its own.

// errorsRow is a request over polling and its answer.
type errorsRow struct{ id, method, query, want string }

var errorsRows = []errorsRow{
	{"H01 no transport", "GET", "EIO=4", `400 {"code":0,"message":"Transport unknown"}`},
	{"H02 inherited name", "GET", "EIO=4&transport=constructor", `400 {"code":0,"message":"Transport unknown"}`},
	{"H03 proto", "GET", "EIO=4&transport=__proto__", `400 {"code":0,"message":"Transport unknown"}`},
	{"H05 websocket without upgrade", "GET", w4, `400 {"code":3,"message":"Bad request"}`},
	{"H06 poll of websocket transport", "GET", w4 + "&sid=SID", `400 {"code":3,"message":"Bad request"}`},
	{"H07 array", "GET", "EIO=4&transport[]=polling", `400 {"code":0,"message":"Transport unknown"}`},
	{"H07 empty", "GET", "EIO=4&transport=", `400 {"code":0,"message":"Transport unknown"}`},
	{"H08 transport twice", "GET", "EIO=4&transport=websocket&transport=polling", `400 {"code":3,"message":"Bad request"}`},
	{"H08 sid twice", "GET", q4 + "&sid=a&sid=b", `400 {"code":3,"message":"Bad request"}`},
	{"H09 version 5", "GET", "EIO=5&transport=polling", `400 {"code":5,"message":"Unsupported protocol version"}`},
	{"H09 version -1", "GET", "EIO=-1&transport=polling", `400 {"code":5,"message":"Unsupported protocol version"}`},
	{"H09 no version", "GET", "transport=polling", `400 {"code":5,"message":"Unsupported protocol version"}`},
	{"H09 nothing", "GET", "", `400 {"code":0,"message":"Transport unknown"}`},
	{"H11 unknown sid, GET", "GET", q4 + "&sid=" + "xxxxxxxxxxxxxxxxxxxx", `400 {"code":1,"message":"Session ID unknown"}`},
	{"H11 unknown sid, POST", "POST", q4 + "&sid=" + "xxxxxxxxxxxxxxxxxxxx", `400 {"code":1,"message":"Session ID unknown"}`},
	{"H12 proto", "GET", q4 + "&sid=__proto__", `400 {"code":1,"message":"Session ID unknown"}`},
	{"H12 script", "GET", q4 + "&sid=%3Cscript%3E", `400 {"code":1,"message":"Session ID unknown"}`},
	{"H12 not UTF-8", "GET", q4 + "&sid=%ff%fe", `400 {"code":1,"message":"Session ID unknown"}`},
	{"H12 header injection", "GET", q4 + "&sid=a%0d%0aX:1", `400 {"code":1,"message":"Session ID unknown"}`},
	{"H12 long", "GET", q4 + "&sid=" + strings.Repeat("a", 2000), `400 {"code":1,"message":"Session ID unknown"}`},
	{"H13 POST without sid", "POST", q4, `400 {"code":2,"message":"Bad handshake method"}`},
	{"H13 PUT without sid", "PUT", q4, `400 {"code":2,"message":"Bad handshake method"}`},
	{"H15 OPTIONS without CORS", "OPTIONS", q4, `400 {"code":2,"message":"Bad handshake method"}`},
}

func errorsCases() (cases []testCase) {
	for _, row := range errorsRows {
		cases = append(cases, testCase{
			name: caseName("errors", row.id),
			rule: "a refused request gets its code and leaves other sessions alone",
			spec: "docs/protocol.md 2.3",
			run:  func(c *env) { errors2(c, row) },
		})
	}
	return cases
}

func errors2(c *env, row errorsRow) {
	s := c.Polling()
	a := c.Must(row.method, strings.ReplaceAll(row.query, "SID", s.Open.SID), "")
	c.Want("answer", a, row.want)
	c.Want("type", strings.Split(a.Header.Get("Content-Type"), ";")[0], "application/json")
	c.Want("another session", s.Join("")[:3], "40{")
}

// errorsUpgradeRow is a request for a websocket and its status.
type errorsUpgradeRow struct {
	id, query string
	status    int
	head      []string
}

var errorsUpgradeRows = []errorsUpgradeRow{
	{"H04 polling", q4, 400, nil},
	{"H03 proto", "EIO=4&transport=__proto__", 400, nil},
	{"H09 version 5", "EIO=5&transport=websocket", 400, nil},
	{"H11 unknown sid", w4 + "&sid=xxxxxxxxxxxxxxxxxxxx", 400, nil},
	{"H31 no key", w4, 400, []string{"Sec-Websocket-Key", ""}},
	{"H31 short key", w4, 400, []string{"Sec-Websocket-Key", "c2hvcnQ="}},
	{"H31 version 8", w4, 426, []string{"Sec-Websocket-Version", "8"}},
	{"H31 no version", w4, 400, []string{"Sec-Websocket-Version", ""}},
	{"polling session, polling transport", q4 + "&sid=SID", 400, nil},
}

func errorsUpgradeCases() (cases []testCase) {
	for _, row := range errorsUpgradeRows {
		cases = append(cases, testCase{
			name: caseName("errors/upgrade", row.id),
			rule: "a refused upgrade gets an HTTP answer, never a 101, and leaves other sessions alone",
			spec: "RFC 6455 4.2.2; docs/protocol.md 2.3",
			run:  func(c *env) { errorsUpgrade(c, row) },
		})
	}
	return cases
}

func errorsUpgrade(c *env, row errorsUpgradeRow) {
	s := c.Polling()
	w, a := c.Upgrade(strings.ReplaceAll(row.query, "SID", s.Open.SID), "", row.head...)
	if w != nil {
		c.T.Fatal("upgraded")
	}
	c.Want("status", a.Status, row.status)
	c.Want("another session", s.Join("")[:3], "40{")
}

// pollingBadPayloadRow is the body of a POST that ends its session.
type pollingBadPayloadRow struct {
	id, body string
	head     []string
	status   int
	reason   sio.Reason
}

var pollingBadPayloadRows = []pollingBadPayloadRow{
	{"P01 empty", "", nil, 400, sio.ParseError},
	{"P02 separators", strings.Repeat("\x1e", 1<<20), nil, 400, sio.ParseError},
	{"P02 10 001 packets", strings.Repeat("3\x1e", 10_000) + "3", nil, 400, sio.ParseError},
	{"P03 unknown type", "9hello", nil, 400, sio.ParseError},
	{"P03 letter", "ahello", nil, 400, sio.ParseError},
	{"P03 colon", ":", nil, 400, sio.ParseError},
	{"P03 trailing separator", "3\x1e", nil, 400, sio.ParseError},
	{"P04 base64", "b!!!!", nil, 400, sio.ParseError},
	{"P04 length", "bAQIDB", nil, 400, sio.ParseError},
	{"P04 padding", "b" + strings.Repeat("=", 1000), nil, 400, sio.ParseError},
	{"P05 ping", "2", nil, 200, sio.TransportError},
	{"P08 garbage", "4garbage", nil, 200, sio.MalformedPacket},
	{"P09 octet-stream", "40", []string{"Content-Type", "application/octet-stream"}, 400, sio.ParseError},
	{"P12 compressed", "40", []string{"Content-Encoding", "gzip"}, 415, sio.TransportError},
	{"P21 not UTF-8", "42[\"n\",\"\xff\"]", nil, 400, sio.ParseError},
}

func pollingBadPayloadCases() (cases []testCase) {
	for _, row := range pollingBadPayloadRows {
		cases = append(cases, testCase{
			name: caseName("polling/bad-payload", row.id),
			rule: "a malformed payload ends the session with its answer, and what waited is told",
			spec: "docs/protocol.md 3.2",
			run:  func(c *env) { pollingBadPayload(c, row) },
		})
	}
	return cases
}

func pollingBadPayload(c *env, row pollingBadPayloadRow) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	c.holds()
	a := c.Must("POST", s.Query(), row.body, row.head...)
	c.Want("answer", a.Status, row.status)
	c.Want("the waiting poll", <-held, "200 1")
	c.reason(row.reason)
	c.Want("later", s.Get().Status, 400)
	c.Alive()
}

// websocketBadFrameRow is what a client sends, and the close code that it gets.
type websocketBadFrameRow struct {
	id   string
	raw  []byte
	code int
}

var websocketBadFrameRows = []websocketBadFrameRow{
	{"W01 unmasked", []byte{0x81, 0x02, '4', '1'}, 1002},
	{"W02 RSV1", wire.Frame(0xc1, []byte("40")), 1002},
	{"W02 RSV2", wire.Frame(0xa1, []byte("40")), 1002},
	{"W02 RSV3", wire.Frame(0x91, []byte("40")), 1002},
	{"W03 opcode 3", wire.Frame(0x83, nil), 1002},
	{"W03 opcode 11", wire.Frame(0x8b, nil), 1002},
	{"W04 continuation of nothing", wire.Frame(0x80, []byte("x")), 1002},
	{"W04 text inside", append(wire.Frame(0x01, []byte("4")), wire.Frame(0x81, []byte("2"))...), 1002},
	{"W05 fragmented ping", wire.Frame(0x09, nil), 1002},
	{"W05 ping of 126 bytes", wire.Frame(0x89, make([]byte, 126)), 1002},
	{"W06 close of 1 byte", wire.Frame(0x88, []byte{3}), 1002},
	{"W06 code 1005", wire.Frame(0x88, []byte{0x03, 0xed}), 1002},
	{"W06 code 999", wire.Frame(0x88, []byte{0x03, 0xe7}), 1002},
	{"W06 code 5000", wire.Frame(0x88, []byte{0x13, 0x88}), 1002},
	{"W06 reason not UTF-8", wire.Frame(0x88, []byte{0x03, 0xe8, 0xff}), 1007},
	{"W07 text ff", wire.Frame(0x81, []byte{0xff}), 1007},
	{"W07 overlong", wire.Frame(0x81, []byte{'4', 0xc0, 0xaf}), 1007},
	{"W07 surrogate", wire.Frame(0x81, []byte{'4', 0xed, 0xa0, 0x80}), 1007},
	{"W08 length 2^63", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
	{"W08 length 2^62", []byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
	{"W09 too big", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 1, 1, 2, 3, 4}, 1009},
	{"W09 too big in two", append(wire.Frame(0x01, make([]byte, 1<<20)), wire.Frame(0x80, make([]byte, 1<<20+1))...), 1009},
	{"W11 empty continuations", append(wire.Frame(0x01, nil), bytes.Repeat(wire.Frame(0x00, nil), 1100)...), 1008},
	{"E01 unknown packet", wire.Frame(0x81, []byte("x")), 1002},
	{"E01 type 7", wire.Frame(0x81, []byte("7")), 1002},
	{"E01 empty", wire.Frame(0x81, nil), 1002},
	{"E02 ping", wire.Frame(0x81, []byte("2")), 1002},
	{"E03 probe", wire.Frame(0x81, []byte("2probe")), 1002},
}

func websocketBadFrameCases() (cases []testCase) {
	for _, row := range websocketBadFrameRows {
		cases = append(cases, testCase{
			name: caseName("websocket/bad-frame", row.id),
			rule: "a frame against the rules closes with its code, and nobody else notices",
			spec: "RFC 6455 5.2; RFC 6455 7.4.1; docs/protocol.md 4.2",
			run:  func(c *env) { websocketBadFrame(c, row) },
		})
	}
	return cases
}

func websocketBadFrame(c *env, row websocketBadFrameRow) {
	w := c.Join("")
	_ = w.Raw(row.raw)
	if row.id[0] == 'E' { // not against the rules of websockets, but of what they carry
		c.Closed(w, row.code)
	} else {
		c.Want("close code", w.End().Code, row.code)
	}
	c.ends(1)
	c.Alive()
}

// caseName makes the name of a row's case out of its id.
func caseName(group, id string) string {
	dash := false
	return group + "/" + strings.Trim(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			dash = false
			return r
		}
		if dash {
			return -1
		}
		dash = true
		return '-'
	}, id), "-")
}
