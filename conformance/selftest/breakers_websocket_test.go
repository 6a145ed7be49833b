package selftest

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
)

// upgradeBreakers: upgrades.
var upgradeBreakers = []breaker{
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
}

// websocketBreakers: what websockets lose.
var websocketBreakers = []breaker{
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
}
