package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/siokit/siokit/core/sio"
)

const clusterServersSpec = "docs/protocol.md 13.6"

// clusterServerCases are about what servers say to each other.
var clusterServerCases = []clusterCase{
	{
		name: "servers/emit",
		rule: "EmitServers reaches every other server once, in order, and neither the own one nor clients",
		spec: clusterServersSpec,
		run:  clusterEmitServers,
	},
	{
		name: "servers/call",
		rule: "CallServers has an answer of every other server, with the name of its node, also binary ones",
		spec: clusterServersSpec,
		run: func(c *clusterEnv) {
			for i := range 3 {
				sio.ReplyServers(c.of(i), "double", func(_ context.Context, in []byte) ([]byte, error) { return append(in, byte(i)), nil })
			}
			for i := range 3 {
				var want []string
				for k := range 3 {
					if k != i {
						want = append(want, fmt.Sprint([]byte{7, byte(k)}))
					}
				}
				var got, ids []string
				for _, a := range callServers[[]byte](c, i, "double", []byte{7}) {
					if a.Err != nil {
						c.T.Errorf("an answer: %v", a.Err)
					}
					got, ids = append(got, fmt.Sprint(a.Value)), append(ids, a.ID)
				}
				c.equal("the answers", got, want)
				c.equal("the nodes that answered", ids, c.all()[i].known())
			}
		},
	},
	{
		name: "servers/unknown",
		rule: "a server without a function for the event answers that there is none, at once",
		spec: clusterServersSpec,
		run: func(c *clusterEnv) {
			sio.ReplyServers(c.of(1), "only here", func(context.Context, sio.None) (string, error) { return "here", nil })
			from := time.Now()
			var got []string
			for _, a := range callServers[string](c, 0, "only here") {
				got = append(got, a.Value+code(a.Err))
			}
			c.equal("the answers", got, []string{"here", sio.CodeRefused})
			if took := time.Since(from); took > 4*time.Second {
				c.T.Errorf("CallServers waited %v", took)
			}
		},
	},
	{
		name: "servers/fails",
		rule: "a server whose function fails or panics answers with an error: an *Error as it is, any other as internal",
		spec: clusterServersSpec,
		run: func(c *clusterEnv) {
			sio.ReplyServers(c.of(1), "fail", func(context.Context, sio.None) (string, error) { return "", sio.Errorf("mine", "not today") })
			sio.ReplyServers(c.of(2), "fail", func(context.Context, sio.None) (string, error) { panic("on purpose, for a test") })
			var got []string
			for _, a := range callServers[string](c, 0, "fail") {
				got = append(got, code(a.Err))
			}
			c.equal("the codes of the answers", got, []string{"mine", sio.CodeInternal})
		},
	},
}

func clusterEmitServers(c *clusterEnv) {
	got := make(chan string, 1000)
	for i := range 3 {
		sio.HandleServers(c.of(i), "tell", func(_ context.Context, n int) error {
			got <- fmt.Sprint(i, " ", n)
			return nil
		})
	}
	c.open(0, 1, 2)
	const many = 50
	for n := range many {
		c.check(c.of(0).EmitServers("tell", n))
	}
	lists := make(map[string][]string)
	late := time.After(c.run.patience)
	for range 2 * many {
		select {
		case text := <-got:
			var at, n string
			_, _ = fmt.Sscan(text, &at, &n)
			lists[at] = append(lists[at], n)
		case <-late:
			c.T.Fatalf("the servers got %v", lists)
		}
	}
	var want []string
	for n := range many {
		want = append(want, fmt.Sprint(n))
	}
	for _, at := range []string{"1", "2"} {
		if !slices.Equal(lists[at], want) {
			c.T.Errorf("what server %s got\n got  %q\n want %q", at, lists[at], want)
		}
	}
	c.get(0, only(nil))
}

// callServers asks from a node.
func callServers[Out any](c *clusterEnv, node int, event string, args ...any) []sio.Answer[Out] {
	c.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), c.run.patience)
	defer cancel()
	list, err := sio.CallServers[Out](ctx, c.of(node), event, args...)
	if err != nil {
		c.T.Errorf("CallServers: %v", err)
	}
	return list
}

// code is the code of an error, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	var e *sio.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

// equal compares lists whose order does not count.
func (c *clusterEnv) equal(what string, got, want []string) {
	c.T.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		c.T.Errorf("%s\n got  %q\n want %q", what, got, want)
	}
}

// known are the names of the other nodes.
func (n *clusterNode) known() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.nodes)
}
