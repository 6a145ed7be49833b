package selftest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// breaker is a host with a fault, and the cases that must see it. A name stands
// for itself and for all cases below it.
type breaker struct {
	name    string
	catches []string
	fault
}

var (
	errorAck  = regexp.MustCompile(`\{"error":\{.*?\}\}`)
	endpoint  = regexp.MustCompile(`^(\d::?)/chat`)
	eventName = regexp.MustCompile(`^42\["(echo","end"|n",\d+)\]$`)
)

// more are the breakers of other files, which add theirs from init.
var more []breaker

func breakers() []breaker {
	return append([]breaker{
		// Where the server is mounted.
		{"serves the bare path alone", []string{"routing/slash", "routing/below"}, fault{routes: func(mux *http.ServeMux, h http.Handler, path string) { mux.Handle(path, h) }}},
		{"redirects the bare path", []string{"routing/no-slash"}, fault{routes: func(mux *http.ServeMux, h http.Handler, path string) { mux.Handle(path+"/", h) }}},
		{"captures siblings", []string{"routing/sibling"}, fault{routes: func(mux *http.ServeMux, h http.Handler, _ string) { mux.Handle("/", h) }}},
		{"mounts where it always does", []string{"routing/prefix"}, fault{routes: func(mux *http.ServeMux, h http.Handler, _ string) {
			mux.Handle("/socket.io", h)
			mux.Handle("/socket.io/", h)
		}}},
		{"swallows the host's other routes", []string{"routing/other-routes"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/plain" {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		})}},
		{"does not know the paths of 0.9's transports", []string{"sio1/flashsocket", "sio1/websocket", "sio1/htmlfile"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Count(r.URL.Path, "/") > 3 {
				http.NotFound(w, r)
				return true
			}
			return false
		})}},

		// What requests lose on their way.
		{"strips the Origin header", []string{"origin/same", "origin/listed", "sio1/handshake-origin"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Origin")
			return false
		})}},
		{"strips the Referer header", []string{"jsonp/foreign-page"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Referer")
			return false
		})}},
		{"takes the Connection header for one word", []string{"errors/firefox"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			if c := r.Header.Get("Connection"); c != "Upgrade" {
				r.Header.Del("Upgrade")
			}
			return false
		})}},
		{"cleans the parameter of jsonp", []string{"sio1/handshake-index"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			if q := r.URL.Query(); q.Has("jsonp") {
				q.Set("jsonp", "1")
				r.URL.RawQuery = q.Encode()
			}
			return false
		})}},
		{"drops parameters that it does not know", []string{"sio1/disconnect"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			q := r.URL.Query()
			q.Del("disconnect")
			r.URL.RawQuery = q.Encode()
			return false
		})}},
		{"cuts bodies at a megabyte", []string{"polling/too-large", "sio1/too-large"}, fault{around: bodies(func(b string) string { return b[:min(len(b), 1<<20)] })}},
		{"waits for whole bodies, and takes half ones for whole", []string{"polling/overlapping-post", "polling/aborted-post", "polling/announced-too-large"}, fault{around: bodies(func(b string) string { return b })}},
		{"loses what ends a session", []string{"polling/close-by-client", "polling/close-after-units"}, fault{around: bodies(func(b string) string {
			return strings.Replace(strings.Replace(b, "\x1e1", "\x1e6", 1), "1", "6", bool2int(b == "1"))
		})}},
		{"refuses packets that mean nothing", []string{"polling/ignored-packets"}, fault{around: bodies(func(b string) string { return strings.ReplaceAll(b, "\x1e6", "\x1e9") })}},
		{"loses the bodies of requests", []string{"upgrade/post-in-flight", "sio1/overlap", "sio1/other-transport", "sio1/post-first", "sio06/requests", "sio1/xhr-polling"}, fault{around: bodies(func(string) string { return "" })}},
		{"answers every POST by itself", []string{"polling/held", "polling/batch", "polling/order", "polling/kick-while-waiting", "polling/kick-without-poll", "polling/bad-payload"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "sid=") {
				if b, _ := io.ReadAll(r.Body); string(b) != "40" || r.Header.Get("Content-Type") != "text/plain;charset=UTF-8" || r.Header.Get("Content-Encoding") != "" {
					_, _ = w.Write([]byte("ok"))
					return true
				}
				r.Body = io.NopCloser(strings.NewReader("40"))
			}
			return false
		})}},
		{"repeats requests", []string{"sio1/expiry", "sio1/poll-duration", "eio3/overlap"}, fault{around: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && !upgrade(r) {
					next.ServeHTTP(&answer{head: http.Header{}}, r.Clone(r.Context()))
				}
				next.ServeHTTP(w, r)
			})
		}}},
		{"takes any method for GET", []string{"polling/other-methods", "errors/H13-PUT-without-sid", "errors/H15-OPTIONS-without-CORS"}, fault{around: requests(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				r.Method = http.MethodGet
			}
			return false
		})}},
		{"does not tell that a client has left", []string{"polling/abort"}, fault{around: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
			})
		}}},
		{"does not let polls wait", []string{"polling/overlapping-get", "lifecycle/shutdown", "generations/shutdown"}, fault{around: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 5*time.Millisecond)
				defer cancel()
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		}}},

		// What answers lose.
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

		// What requests look like from the server.
		{"reuses the memory of headers", []string{"request/snapshot", "request/unchanged-meanwhile"}, fault{racy: true, exchange: func(x host.Exchange) host.Exchange { return recycled{x} }}},
		{"hands out the headers of the request before", []string{"request/unchanged-meanwhile", "request/exposed"}, fault{exchange: mixedUp}},
		{"gives an address of its own", []string{"request/exposed"}, fault{exchange: func(x host.Exchange) host.Exchange { return moved{x} }}},

		// Upgrades.
		{"answers upgrades with 200", []string{"handshake/websocket", "websocket/big", "connect/answers"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if upgrade(r) {
				_, _ = w.Write([]byte("ok"))
			}
			return upgrade(r)
		})}},
		{"upgrades whatever asks for it", []string{"errors/upgrade", "upgrade/second", "origin/same"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			q := r.URL.Query()
			if !upgrade(r) || q.Get("EIO") == "4" && q.Get("transport") == "websocket" && !q.Has("sid") && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Websocket-Version") == "13" && len(r.Header.Get("Sec-Websocket-Key")) == 24 {
				return false
			}
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				_ = c.Close()
			}
			return true
		})}},
		{"answers once more behind an upgrade", []string{"handshake/websocket"}, fault{around: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				if upgrade(r) {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
		}}},
		{"drops its cookies on the 101", []string{"websocket/cookies-on-101"}, fault{exchange: func(x host.Exchange) host.Exchange {
			if x.Header("Upgrade") != "" {
				x.SetHeader("Set-Cookie", "")
			}
			return x
		}}},
		{"loses what came with the handshake", []string{"websocket/early-bytes"}, fault{exchange: func(x host.Exchange) host.Exchange { return late{x} }}},
		{"loses the first message behind the probe", []string{"upgrade/steps", "upgrade/interrupted", "eio3/upgrade"}, fault{frames: func() *filter {
			state := 0
			return &filter{out: func(f frame) []frame {
				if f.is("3probe") {
					state = 1
				} else if state == 1 && f.has("42") {
					state = 2
					return nil
				}
				return []frame{f}
			}}
		}}},
		{"upgrades too late", []string{"upgrade/under-traffic", "upgrade/steps"}, fault{frames: in(func(f frame) []frame {
			if f.is("5") {
				return nil
			}
			return []frame{f}
		})}},

		// What websockets lose.
		{"tells no end, and keeps what has ended", []string{"heartbeat/timeout", "heartbeat/connect-timeout", "upgrade/timeout", "upgrade/bad-probes", "disconnect/drop", "connect/event-before", "websocket/close-codes",
			"websocket/bad-frame", "packets/refused", "eio3/heartbeat", "sio1/malformed", "sio06/websocket", "lifecycle/shutdown"}, fault{wrap: func(c net.Conn) net.Conn { return &undead{Conn: c} }}},
		{"refuses what is unusual", []string{"packets/accepted", "packets/attachments", "connect/without-comma"}, fault{frames: in(func(f frame) []frame {
			if f.is("40") || f.is(`42["echo","end"]`) {
				return []frame{f}
			}
			return []frame{text("4x")}
		})}},
		{"loses pings", []string{"heartbeat/ping-pong", "sio1/heartbeat"}, fault{frames: out(func(f frame) []frame {
			if f.is("2") || f.is("2::") {
				return nil
			}
			return []frame{f}
		})}},
		{"closes instead of refusing", []string{"connect/answers", "connect/too-many"}, fault{frames: out(func(f frame) []frame {
			if f.has("44") {
				return []frame{{0x88, []byte{3, 232}}}
			}
			return []frame{f}
		})}},
		{"reorders what it sends", []string{"connect/answer-first", "limits/concurrent-writers", "rooms/binary-broadcast"}, fault{frames: func() *filter {
			var kept []frame
			return &filter{out: func(f frame) []frame {
				if !f.has("0") && !f.has("40{") && len(kept) == 0 {
					kept = append(kept, f)
					return nil
				}
				both := append([]frame{f}, kept...)
				kept = nil
				return both
			}}
		}}},
		{"reorders what it gets", []string{"events/order-while-waiting", "events/blocked-handler"}, fault{frames: func() *filter {
			var kept []frame
			return &filter{in: func(f frame) []frame {
				if eventName.Match(f.data) && len(kept) == 0 {
					kept = append(kept, f)
					return nil
				}
				both := append([]frame{f}, kept...)
				kept = nil
				return both
			}}
		}}},
		{"mixes namespaces up", []string{"disconnect/one-namespace", "eio3/namespaces", "sio1/namespaces"}, fault{frames: in(func(f frame) []frame {
			s := strings.Replace(string(f.data), "/chat,", "", 1)
			return []frame{{f.b0, []byte(endpoint.ReplaceAllString(s, "$1"))}}
		})}},
		{"miscounts acks", []string{"acks/both-ways", "acks/binary", "sio1/acks", "events/order-while-waiting"}, fault{frames: in(func(f frame) []frame {
			for _, ack := range []string{"43", "461-", "6:::"} {
				if rest, ok := strings.CutPrefix(string(f.data), ack); ok {
					return []frame{{f.b0, []byte(ack + "7" + rest)}}
				}
			}
			return []frame{f}
		})}},
		{"cuts binary messages", []string{"acks/binary", "packets/attachments", "rooms/binary-broadcast", "limits/stall-and-recover"}, fault{frames: out(func(f frame) []frame {
			if f.b0 == 0x82 && len(f.data) > 0 {
				f.data[0]++
			}
			return []frame{f}
		})}},
		{"sends everything twice", []string{"rooms/say", "rooms/union", "generations/one-room", "acks/both-ways"}, fault{frames: out(func(f frame) []frame {
			if f.has("42") || f.has("5:::") || f.has("43") {
				return []frame{f, f}
			}
			return []frame{f}
		})}},
		{"drops large messages", []string{"websocket/big", "websocket/limit", "limits/one-big-message"}, fault{frames: out(func(f frame) []frame {
			if len(f.data) > 64<<10 {
				return nil
			}
			return []frame{f}
		})}},
		{"takes fragments for messages", []string{"websocket/frames", "websocket/reset", "websocket/bad-frame/W09-too-big-in-two"}, fault{frames: in(func(f frame) []frame {
			if f.b0 == 0x01 || f.b0 == 0x80 {
				f.b0 = 0x81
			}
			return []frame{f}
		})}},
		{"is deaf", []string{"lifecycle/shutdown-deadline", "events", "acl"}, fault{frames: in(func(f frame) []frame {
			if f.is("40") || f.is("5") || f.is("2probe") {
				return []frame{f}
			}
			return nil
		})}},
		{"sends slowly", []string{"events/emit-before-sleep"}, fault{frames: out(func(f frame) []frame {
			time.Sleep(250 * time.Millisecond) // longer than the handler sleeps
			return []frame{f}
		})}},
		{"forgets who connects without being asked", []string{"eio3/handshake", "eio3/namespaces"}, fault{around: replaced("2:40", ""), frames: out(func(f frame) []frame {
			if f.is("40") {
				return nil
			}
			return []frame{f}
		})}},
		{"tells refusals as success", []string{"acl/table", "acl/at-once", "acl/talkative", "acl/rate-limit-kept", "events/errors"}, fault{frames: out(func(f frame) []frame {
			return []frame{{f.b0, errorAck.ReplaceAll(f.data, []byte(`"ok"`))}}
		})}},

		// The application's side of a host.
		{"tells what must stay inside", []string{"events/errors"}, fault{server: func(srv *sio.Server) {
			srv.Of("/").Use(func(next sio.Handler) sio.Handler {
				return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
					if err := next.ServeEvent(ctx, ev); err != nil {
						return sio.Errorf("internal", "%v", err)
					}
					return nil
				})
			})
		}}},
		{"swallows panics", []string{"events/panic"}, fault{server: func(srv *sio.Server) {
			srv.Of("/").Use(func(next sio.Handler) sio.Handler {
				return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
					defer func() { _ = recover() }()
					return next.ServeEvent(ctx, ev)
				})
			})
		}}},

		{"answers upgrades that it cannot do with nothing", []string{"websocket/refused"}, fault{around: ignorant, opts: []conformance.Option{noWebSocket}}},

		// What is left behind.
		{"leaks a goroutine", []string{"routing/slash", "lifecycle/once", "request/snapshot"}, fault{stop: func(t testing.TB, stop func()) func() {
			over := make(chan struct{})
			go leaking(over)
			leaks = append(leaks, over)
			return stop
		}}},
		{"keeps its port", []string{"lifecycle/restart"}, fault{stop: func(t testing.TB, stop func()) func() {
			t.Cleanup(stop)
			return func() {}
		}}},
	}, more...)
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

// held is a writer that cannot flush.
type held struct {
	w http.ResponseWriter
	http.Hijacker
}

func (h held) Header() http.Header         { return h.w.Header() }
func (h held) Write(p []byte) (int, error) { return h.w.Write(p) }
func (h held) WriteHeader(status int)      { h.w.WriteHeader(status) }
func (h held) Flush()                      {}

// recycled is a request whose header values lie in memory that the next one uses.
type recycled struct{ host.Exchange }

var (
	recycling sync.Mutex
	headers   [4096]byte
)

func (x recycled) EachHeader(f func(key, value string)) {
	recycling.Lock()
	defer recycling.Unlock()
	at := 0
	x.Exchange.EachHeader(func(key, value string) {
		b := headers[at : at+copy(headers[at:], value)]
		at += len(b)
		f(key, unsafe.String(unsafe.SliceData(b), len(b)))
	})
}

// previous is a request with the headers of the one before.
type previous struct {
	host.Exchange
	before [][2]string
}

var latest [][2]string

func mixedUp(x host.Exchange) host.Exchange {
	recycling.Lock()
	defer recycling.Unlock()
	p := previous{x, latest}
	latest = nil
	x.EachHeader(func(key, value string) { latest = append(latest, [2]string{key, value}) })
	return p
}

func (x previous) EachHeader(f func(key, value string)) {
	for _, h := range x.before {
		f(h[0], h[1])
	}
}

// moved is a request from somewhere else.
type moved struct{ host.Exchange }

func (moved) RemoteAddr() string { return "192.0.2.1:80" }

// late is a request whose early bytes are lost.
type late struct{ host.Exchange }

func (x late) Upgrade(o host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	return x.Exchange.Upgrade(o, func(c net.Conn, _ *bufio.Reader) { run(c, nil) })
}

// undead is a connection that neither tells its end nor ends: it stays for a
// while after it was closed.
type undead struct {
	net.Conn
	once sync.Once
	ws   bool
}

func (c *undead) Write(p []byte) (int, error) {
	whole := len(p)
	c.ws = c.ws || bytes.HasPrefix(p, []byte("HTTP/1.1 101"))
	if c.ws && len(p) > 0 {
		for at := 0; at < len(p); { // a close frame is the last one of a write
			if _, size, ok := parse(p[at:]); ok && p[at] == 0x88 {
				p = p[:at]
			} else if ok {
				at += size
			} else {
				break
			}
		}
	}
	if len(p) > 0 {
		if _, err := c.Conn.Write(p); err != nil {
			return 0, err
		}
	}
	return whole, nil
}

func (c *undead) Close() error {
	if !c.ws {
		return c.Conn.Close()
	}
	c.once.Do(func() { time.AfterFunc(2*patience, func() { _ = c.Conn.Close() }) })
	return c.SetReadDeadline(time.Unix(1, 0))
}

// leaking is a goroutine that the host forgets; the test ends it.
func leaking(over chan struct{}) { <-over }

var leaks []chan struct{}
