package conformance

import (
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// codeRow is a case about code of the application that panics, or that ends the
// goroutine it runs in, at one of the places where the server calls it.
type codeRow struct {
	place string // what the server calls; the last part of the case's name
	rule  string // what the client is told
	opts  func(o *sio.Options)
	serve func(srv *sio.Server) // registers the code
	talk  steps                 // what a client then says and hears
	run   func(c *env)          // instead of talk
}

// codeCases makes cases of rows. After each of them another client is served.
func codeCases(group, rule string, rows []codeRow) (cases []testCase) {
	for _, row := range rows {
		cases = append(cases, testCase{
			name:  group + "/" + row.place,
			rule:  rule + row.rule,
			spec:  "docs/protocol.md 7.1",
			local: true,
			opts:  row.opts,
			run:   row.verify,
		})
	}
	return cases
}

func (row codeRow) verify(c *env) {
	if row.serve != nil {
		c.each(row.serve)
	}
	if row.run != nil {
		row.run(c)
	} else {
		conversation(c, c.Join(""), row.talk)
		c.settle() // what was said to all has come
	}
	c.Alive()
}

// steps is a conversation over a websocket. A step may send nothing, or expect nothing.
type steps []struct{ send, want string }

// conversation goes through steps. An answer that begins with what is wanted will do
// where that ends in a comma: an id may follow.
func conversation(c *env, w *wire.WS, list steps) {
	c.T.Helper()
	for _, step := range list {
		if step.send != "" {
			w.Send(step.send)
		}
		if step.want == "" {
			continue
		}
		got := w.Next()
		if got != step.want && (!strings.HasSuffix(step.want, ",") || !strings.HasPrefix(got, step.want)) {
			c.T.Errorf("%s\n got  %s\n want %s", step.send, got, step.want)
		}
	}
}
