package selftest

import (
	"net/http"
	"strings"
)

// answerBreakers: what answers lose.
var answerBreakers = []breaker{
	{"has a content type of its own", []string{"handshake/open-packet", "polling/post"}, fault{around: answers(func(_ *http.Request, a *answer) { a.head.Set("Content-Type", "application/octet-stream") })}},
	{"answers errors with 200", []string{"errors/H", "jsonp/off", "eio3/off", "eio3/malformed", "sio1/strangers", "limits/slow-poller", "polling/closed-without-poll"}, fault{around: answers(func(_ *http.Request, a *answer) { a.status = http.StatusOK })}},
	{"opens itself to all pages", []string{"origin/same", "origin/listed"}, fault{around: answers(func(_ *http.Request, a *answer) { a.head.Set("Access-Control-Allow-Origin", "*") })}},
	{"loses the headers of CORS", []string{"origin/any"}, fault{around: answers(func(_ *http.Request, a *answer) { a.head.Del("Access-Control-Allow-Origin") })}},
	{"separates packets otherwise", []string{"polling/batch", "polling/order"}, fault{around: replaced("\x1e", "\n")}},
	{"loses one packet in a hundred", []string{"polling/order"}, fault{around: replaced(`42["item",99]`+"\x1e", "")}},
	{"counts bytes instead of characters", []string{"eio3/polling", "eio3/text-of-1.x", "sio1/xhr-polling", "sio06/requests"}, fault{around: replaced("é", "e", "€", "e", "\ufffd8\ufffd", "\ufffd9\ufffd", "+b c", "+bc", `\u00e9`, "e", `\ud83d`, "?")}},
	{"unescapes what cannot stand in a script", []string{"jsonp/engine", "sio1/jsonp-polling"}, fault{around: replaced(`\u003c`, "<")}},
	{"tells nobody that his session is over", []string{"sio1/dead-session", "polling/kick-without-poll", "polling/closed-without-poll"}, fault{around: replaced("7:::1+0", "8::", "\x1e1", "")}},
	{"garbles the handshake of 0.9", []string{"sio1/handshake"}, fault{around: replaced(":60:", ":61:")}},
	{"shows the secret id", []string{"handshake/sid-is-secret"}, fault{around: answers(func(r *http.Request, a *answer) {
		if s := a.body.String(); strings.HasPrefix(s, `40{"sid"`) {
			a.body.Reset()
			a.body.WriteString(`40{"sid":"` + r.URL.Query().Get("sid") + `"}`)
		}
	})}},
	{"loses binary parts of payloads", []string{"eio3/binary", "polling/batch"}, fault{around: replaced("\x1eb", "\x1e", "b4", "4", "\x01\x05\xff", "\x01\x04\xff")}},
	{"holds back what is streamed", []string{"streams/flush", "streams/slow-reader", "streams/order", "streams/heartbeats", "sio1/htmlfile", "sio1/xhr-multipart"}, fault{around: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(held{w, w.(http.Hijacker)}, r) })
	}}},
	{"loses one message in five hundred", []string{"limits/slow-reader", "limits/stall-and-recover"}, fault{frames: func() *filter {
		n := 0
		return &filter{out: func(f frame) []frame {
			if f.has(`42["x"`) || f.has(`451-["x"`) {
				if n++; n%500 == 0 {
					return nil
				}
			}
			return []frame{f}
		}}
	}}},
}
