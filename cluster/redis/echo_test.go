package redisbus

import (
	"testing"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// TestEcho: what a node has published itself is known without reading it, and nothing else is.
func TestEcho(t *testing.T) {
	const node = "AAAAA"
	for _, namespace := range []string{"/", "/chat"} {
		c := nodewire.Channel{Namespace: namespace, Room: "r"}
		s := &subscription{uses: []use{{node: true, channel: c}}}
		for _, m := range []cluster.Message{
			{Data: []byte(`["hello",1]`)},
			{Data: []byte(`["hello",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}},
			{Data: []byte(`["hello",",\"uid\":\"AAAAA\",\"nsp\":\"/chat\"}"]`)},
		} {
			m.Kind, m.Namespace, m.Rooms = cluster.Emit, namespace, []string{"r"}
			for wire, encode := range map[Wire]func([]byte, *cluster.Message) ([]byte, error){Classic: nodewire.AppendClassic, Sharded: nodewire.AppendSharded} {
				b := &bus{node: node, opts: Options{Wire: wire}}
				for _, from := range []string{node, "BBBBB", "AAAA", "AAAAAA", ""} {
					m.Node = from
					text, err := encode(nil, &m)
					if err != nil {
						t.Fatal(err)
					}
					if got := b.echo(s, string(text)); got != (from == node) {
						t.Errorf("%v, %s, from %q: %v for %q", wire, namespace, from, got, text)
					}
				}
			}
		}
	}
	b := &bus{node: node, opts: Options{Wire: Sharded}}
	for _, uses := range [][]use{{{}}, {{node: true, channel: nodewire.Channel{Namespace: "/other"}}}} {
		if b.echo(&subscription{uses: uses}, `{"type":3,"data":{},"uid":"AAAAA","nsp":"/"}`) {
			t.Errorf("%v: an echo", uses)
		}
	}
}
