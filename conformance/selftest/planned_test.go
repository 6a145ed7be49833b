package selftest

import (
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
)

// planned are the 91 cases that the research asks for (bridge 6), with those that
// the suite has for them. What stands behind "elsewhere" depends on a framework's
// own middleware or routes and is a test beside the adapters.
const planned = `
routing: slash = routing/slash
routing: no-slash = routing/no-slash
routing: prefix = routing/prefix
routing: route-parameter = elsewhere TestGroup of each adapter
routing: 0.9-handshake-slash = sio1/handshake
routing: 0.9-handshake-no-slash = sio1/handshake
routing: 0.9-transport-path = sio1/xhr-polling sio1/websocket sio1/disconnect
routing: sibling-path-not-captured = routing/sibling
routing: other-routes-still-work = routing/other-routes
routing: methods = polling/other-methods errors/H13-PUT-without-sid errors/H15-OPTIONS-without-CORS
routing: no-redirect-on-upgrade = routing/no-slash
polling: handshake-open-packet = handshake/open-packet eio3/handshake
polling: held-poll-answered-by-emit = polling/held eio3/polling
polling: held-poll-noop-at-ping = heartbeat/ping-pong sio1/poll-duration
polling: post-then-event = polling/held polling/post
polling: batch-in-one-poll = polling/batch
polling: order-of-1000 = polling/order
polling: unknown-sid-400 = errors/H11-unknown-sid-GET errors/H11-unknown-sid-POST
polling: bad-sid-characters-400 = errors/H12-script errors/H12-not-UTF-8 errors/H12-header-injection
polling: overlapping-get = polling/overlapping-get eio3/overlap
polling: get-again-after-abort = polling/abort sio1/overlap
polling: body-limit-413 = polling/too-large polling/announced-too-large
polling: utf8-and-binary = polling/batch eio3/binary
polling: jsonp-callback = jsonp/engine
polling: cors-preflight-and-credentials = origin/listed
polling-0.9: handshake-line = sio1/handshake
polling-0.9: xhr-polling-held = sio1/xhr-polling sio1/overlap
polling-0.9: post-framed-batch = sio1/xhr-polling
polling-0.9: jsonp-polling = sio1/jsonp-polling
polling-0.9: disconnect-param = sio1/disconnect
polling-0.9: heartbeat = sio1/heartbeat
polling-0.9: unknown-session = sio1/dead-session
streaming: htmlfile-first-chunk-before-end = sio1/htmlfile
streaming: htmlfile-order = streams/order
streaming: xhr-multipart-boundaries = sio1/xhr-multipart
streaming: two-minutes-of-heartbeats = streams/heartbeats
streaming: client-leaves-is-noticed = streams/heartbeats
streaming: works-behind-host-gzip = elsewhere TestMiddleware of examples/internal/hosts
streaming: refused-with-reason-when-not-capable = streams/flush
websocket: direct = handshake/websocket
websocket: upgrade-from-polling-probe = upgrade/steps
websocket: no-message-lost-at-upgrade = upgrade/interrupted upgrade/under-traffic
websocket: echo-text-binary-1MB = websocket/big websocket/limit packets/attachments
websocket: fragmented = websocket/frames
websocket: ping-pong = websocket/frames heartbeat/ping-pong
websocket: close-by-server-unblocks-reader = websocket/close-codes
websocket: close-by-client = websocket/close-codes
websocket: abrupt-tcp-reset = websocket/reset
websocket: 101-carries-host-cookies = websocket/cookies-on-101
websocket: early-bytes-after-handshake = websocket/early-bytes
websocket: origin-check = origin/same
websocket: compressed-frames = websocket/bad-frame/W02-RSV1
websocket: refused-with-reason-when-not-hijackable = websocket/refused
request: headers = request/exposed
request: cookies = request/exposed
request: url-and-query = request/exposed
request: remote-addr-and-client-ip = request/exposed
request: tls-state = request/exposed
request: route-params = elsewhere TestGroup of each adapter
request: host-values = elsewhere TestGroup of each adapter
request: unchanged-after-1000-other-requests = request/snapshot
request: unchanged-while-other-requests-run = request/unchanged-meanwhile
sessions: none-at-handshake = none-at-handshake
sessions: loaded-at-handshake = loaded-at-handshake
sessions: socket-write-seen-by-http = socket-write-seen-by-http
sessions: http-write-seen-after-reload = http-write-seen-after-reload
sessions: update-after-logout-fails = update-after-logout-fails
sessions: logout-not-resurrected-by-update = logout-not-resurrected-by-update
sessions: logout-not-resurrected-by-socket-end = logout-not-resurrected-by-socket-end
sessions: logout-not-resurrected-by-held-poll = logout-not-resurrected-by-held-poll
sessions: http-write-during-held-poll-survives = http-write-during-held-poll-survives
sessions: logout-disconnects-all-tabs = logout-disconnects-all-tabs
sessions: revalidate-notices-silent-expiry = revalidate-notices-silent-expiry
sessions: rotation-disconnects-old-id = rotation-disconnects-old-id
sessions: concurrent-updates-two-tabs = concurrent-updates-two-tabs
sessions: poll-with-foreign-session-refused = poll-with-foreign-session-refused
sessions: update-in-long-handler-with-short-cookie-age = update-in-long-handler-with-short-cookie-age
sessions: cookie-store-readonly-error = cookie-store-readonly-error
sessions: other-users-response-never-carries-cookie = other-users-response-never-carries-cookie
middleware: recover-panic-in-handler = events/panic
middleware: logger = elsewhere TestMiddleware of examples/internal/hosts
middleware: gzip-polling-decodes = elsewhere TestMiddleware of examples/internal/hosts
middleware: cors-single-header = elsewhere TestMiddleware of examples/internal/hosts
middleware: timeout-middleware-clear-error = elsewhere TestMiddleware of examples/internal/hosts
middleware: host-error-page-not-appended-after-hijack = elsewhere TestMiddleware of examples/internal/hosts
lifecycle: stop-with-held-polls-fast = lifecycle/shutdown
lifecycle: stop-closes-websockets = lifecycle/shutdown
lifecycle: close-server-then-request-503 = lifecycle/shutdown
lifecycle: goroutines-return = routing/slash
lifecycle: no-server-log-noise = handshake/websocket
lifecycle: restart-on-same-port = lifecycle/restart
`

// TestPlanned: every one of them is there.
func TestPlanned(t *testing.T) {
	have := map[string]bool{}
	for _, name := range conformance.Cases() {
		have[name] = true
	}
	for _, cases := range []conformance.Option{conformance.Sessions(), conformance.CookieSessions()} {
		for _, name := range conformance.Cases(cases) {
			name, _, _ := strings.Cut(name, "/")
			have[name] = true
		}
	}
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(planned), "\n") {
		n++
		name, cases, _ := strings.Cut(line, " = ")
		if strings.HasPrefix(cases, "elsewhere ") {
			continue
		}
		for _, c := range strings.Fields(cases) {
			if !have[c] {
				t.Errorf("%s: there is no case %q", name, c)
			}
		}
	}
	if n != 91 {
		t.Errorf("%d are planned", n)
	}
}
