package conformance

import (
	"encoding/json"
	"strings"

	"github.com/siokit/siokit/internal/wire"
)

// Application says what a server behind Remote has to serve. RegisterApplication does it for a
// server of siokit, and the flag -app of cmd/sioconform prints it.
const Application = `The server listens with a ping interval of 10 s, a ping timeout of 10 s, a
connect timeout of 10 s and a payload limit of 2 MiB (2097152), and is mounted at
/socket.io. GET /plain answers "ok", any other path 404, and every answer of the
server carries the cookie host=1.

The namespaces /, /chat and /secret know these events:

  echo ARGS...     acks the arguments, or without an ack emits "echo" with them
  ask X...         emits "question" X... with an ack, and then "answer" with what was acked
  n INT            is remembered
  handled          acks the list of what was remembered, in its order
  reset            forgets it, and acks nothing
  burst N          emits "item" 0 to N-1
  join/leave ROOM  enters or leaves a room
  say ROOM X       emits "said" ROOM X to a room; say-others: to all there but the sender
  shout X...       emits "shouted" X... to the namespace; shout-others: to all but the sender
  kick ALL         disconnects the socket; with true the whole connection
  drop             ends the transport without a disconnect packet
  emit-then-sleep  MS: emits "before", and MS later "after" with the time in microseconds
  request HEADER   acks the handshake's method, its query as it was sent, that header, and Host
  boom             a handler that panics
  fail KIND        a handler that fails: "public" with code "nope", message "not today" and
                   data 7, anything else with an error that must not be told

To /secret come only those whose auth has the token "letmein"; they are sent
"welcome" and their id. Others are refused with "unauthorized" and the data
{"code":401}; the token "broken" makes the check fail, "panic" makes it panic.

With the capability recovery the same application is mounted at /recovery too, by
a server that has connection state recovery, and is else as the first one.
`

// recoveryMount is where the server with connection state recovery is mounted.
const recoveryMount = "/recovery"

// control talks to the application behind an address, beside the case.
type control struct{ url string }

func newControl(c *env) *control {
	o := &control{url: c.run.url}
	o.ask(c, "reset")
	return o
}

// ask sends an event without arguments and returns what is acked.
func (o *control) ask(c *env, event string) string {
	w := wire.New(c.T, o.url, mount+"/")
	defer w.Close()
	if c.run.lacks[eio4] != "" {
		s := w.Polling1()
		s.Send(`5:1+::{"name":"` + event + `"}`)
		ack := s.Next()
		s.Must("GET", "disconnect=1", "")
		return strings.TrimPrefix(strings.TrimPrefix(ack, "6:::1"), "+")
	}
	s := w.Polling()
	s.Join("")
	s.Post(`421["` + event + `"]`)
	ack := s.Packets(1)[0]
	s.Post("41\x1e1")
	return strings.TrimPrefix(ack, "431")
}

// handled asks which events "n" were handled.
func (o *control) handled(c *env) []int {
	c.T.Helper()
	var list [][]int
	ack := o.ask(c, "handled")
	if err := json.Unmarshal([]byte(ack), &list); err != nil || len(list) != 1 {
		c.T.Fatalf("the application acked \"handled\" with %s", ack)
	}
	return list[0]
}
