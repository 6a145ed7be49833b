package redisbus

import (
	"slices"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestAnswersElsewhere: a node that asks in a namespace that is not here hears what Node answers,
// as long as answers may come, and is not one of those who are counted.
func TestAnswersElsewhere(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		r := startRedis(t)
		raw := r.client()
		a := join(t, New(r.option(), Options{Wire: w}), "AAAAA")
		list, publish := "CHANNELS", "PUBLISH"
		if w == Sharded {
			list, publish = "SHARDCHANNELS", "SPUBLISH"
		}
		counted, answers := "socket.io#/x#", []string{"socket.io#/x#AAAAA#"}
		answer := `{"type":8,"data":{"requestId":"q1","sockets":[{"id":"s","handshake":{},"rooms":["s"],"data":{}}]},"uid":"8d66464ee6252712","nsp":"/x"}`
		if w == Classic {
			counted, answers = "socket.io-request#/x#", []string{"socket.io-response#/x#", "socket.io-response#/x#AAAAA#"}
			answer = `{"requestId":"q1","sockets":[{"id":"s","handshake":{},"rooms":["s"],"data":{}}]}`
		}
		listens := func(want bool) {
			t.Helper()
			channels, err := do(t, raw, "PUBSUB", list).AsStrSlice()
			if err != nil || slices.Contains(channels, counted) {
				t.Error(channels, err)
			}
			for _, c := range answers {
				if slices.Contains(channels, c) != want {
					t.Errorf("%s is listened to: %t", c, !want)
				}
			}
		}
		listens(false)
		ask := cluster.Message{Kind: cluster.Fetch, Namespace: "/x", ID: "q1"}
		a.say(&ask)
		listens(true)
		for i, c := range answers {
			do(t, raw, publish, c, answer)
			m := a.next(t, 1)[0]
			if m.Kind != cluster.Sockets || m.ID != "q1" || m.To != "AAAAA" || len(m.Sockets) != 1 || m.Namespace != "/x" {
				t.Errorf("%d: %+v", i, m)
			}
		}
		if n, err := a.Backend.(cluster.Counter).Others(t.Context(), "/x"); n != 0 || err != nil {
			t.Error(n, err)
		}
		a.watch("/x", "")
		a.unwatch("/x", "")
		listens(true) // answers may come still

		b, ok := a.Backend.(*bus)
		if !ok {
			b = a.Backend.(socketBus).bus
		}
		b.mu.Lock()
		b.asked["/x"] = time.Now()
		b.mu.Unlock()
		b.sweep = time.Time{}
		m := emit(`["x"]`)
		a.say(&m)
		listens(false)
	})
}

// TestAnswersOfTwo: a later request with less time does not shorten the time of an earlier one, and
// a namespace that came to be here keeps its channels when nobody asks there any more.
func TestAnswersOfTwo(t *testing.T) {
	r := startRedis(t)
	raw := r.client()
	a := join(t, New(r.option(), Options{}), "AAAAA")
	long := cluster.Message{Kind: cluster.Emit, Namespace: "/x", ID: "q1", Timeout: time.Hour, Data: []byte(`["x"]`)}
	short := cluster.Message{Kind: cluster.Fetch, Namespace: "/x", ID: "q2"}
	a.say(&long)
	a.say(&short)
	b := a.Backend.(socketBus).bus
	b.mu.Lock()
	if left := time.Until(b.asked["/x"]); left < 59*time.Minute {
		t.Errorf("answers are listened for for %v", left)
	}
	b.asked["/x"] = time.Now()
	b.mu.Unlock()
	a.watch("/x", "")
	b.sweep = time.Time{}
	m := emit(`["x"]`)
	a.say(&m)
	channels, err := do(t, raw, "PUBSUB", "CHANNELS", "socket.io-response#/x#*").AsStrSlice()
	if len(channels) != 2 || err != nil {
		t.Error(channels, err)
	}
	a.unwatch("/x", "")
	if channels, err = do(t, raw, "PUBSUB", "CHANNELS", "*/x*").AsStrSlice(); len(channels) != 0 || err != nil {
		t.Error(channels, err)
	}
}
