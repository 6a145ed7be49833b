package selftest

import (
	"net"
	"net/http"
	"time"
)

// patient is a connection that waits for its client however long that takes.
type patient struct{ net.Conn }

func (patient) SetWriteDeadline(time.Time) error { return nil }

func init() {
	more = append(more,
		breaker{"answers the polls of sessions that are no more", []string{"heartbeat/timeout-to-the-tick", "polling/bad-payload-ends"}, fault{around: answers(func(r *http.Request, a *answer) {
			if r.Method == http.MethodGet && a.status == http.StatusBadRequest {
				a.status = http.StatusOK
			}
		})}},
		breaker{"explains what is too large", []string{"polling/too-large-plain"}, fault{around: answers(func(_ *http.Request, a *answer) {
			if a.status == http.StatusRequestEntityTooLarge {
				a.body.WriteString("Request Entity Too Large")
			}
		})}},
		breaker{"waits for clients that do not read", []string{"limits/unread-answer"}, fault{wrap: func(c net.Conn) net.Conn { return patient{c} }}},
		breaker{"loses the answers that it sends last", []string{"lifecycle/shutdown-ack"}, fault{frames: func() *filter {
			var last []frame // an answer leaves with what comes behind it, if that is not the end
			return &filter{out: func(f frame) []frame {
				if f.b0 == 0x88 {
					return []frame{f}
				}
				all := append(last, f)
				last = nil
				if f.has("43") {
					all, last = all[:len(all)-1], []frame{text(string(f.data))}
				}
				return all
			}}
		}}},
		breaker{"keeps heartbeats back", []string{"heartbeat/full-inbox"}, fault{frames: out(func(f frame) []frame {
			if f.is("2") || f.is("6") || f.is("2::") {
				return nil
			}
			return []frame{f}
		})}},
		breaker{"refuses websockets of sessions", []string{"upgrade/second", "upgrade/second-of-websocket", "upgrade/polls-again"}, fault{around: requests(func(w http.ResponseWriter, r *http.Request) bool {
			if !upgrade(r) || r.URL.Query().Get("sid") == "" {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			return true
		})}},
	)
}
