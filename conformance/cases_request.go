package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// requestCases are about the request that a handler sees.
var requestCases = []testCase{
	{
		name: "request/exposed",
		rule: "headers, cookies, URL, addresses and TLS of the handshake are there, over polling and " +
			"websocket",
		spec: "docs/protocol.md 2.7",
		run:  requestExposed,
	},
	{
		name: "request/unchanged-meanwhile",
		rule: "requests of other clients that are served at the same time change nothing",
		spec: "docs/protocol.md 2.7",
		run:  requestUnchangedMeanwhile,
	},
}

func requestExposed(c *env) {
	c.requests()
	head := []string{"X-One", "1", "Cookie", "a=b; c=d", "User-Agent", "siokit-test"}
	proto := "false"
	if c.run.tls {
		proto = "true"
	}
	want := fmt.Sprintf(`["1","d","%s/socket.io/?EIO=4&transport=%%s&q=%%%%C3%%%%A9&q=2","é,2","127.0.0.1","127.0.0.1","%s","siokit-test"]`,
		c.Host.URL, proto)
	poll := c.Must("GET", q4+"&q=%C3%A9&q=2", "", head...)
	sid := strings.SplitN(poll.Body, `"`, 5)[3]
	s := &wire.Session{Client: c.Client, Open: wire.Open{SID: sid}}
	s.Join("")
	s.Post(`421["request-fields"]`)
	c.Want("polling", s.Packets(1)[0], "431["+fmt.Sprintf(want, "polling")+"]")
	ws, a := c.Upgrade(w4+"&q=%C3%A9&q=2", "", head...)
	if ws == nil {
		c.T.Fatal(a)
	}
	ws.Next()
	ws.Send("40")
	ws.Next()
	ws.Send(`421["request-fields"]`)
	c.Want("websocket", ws.Next(), "431["+fmt.Sprintf(want, "websocket")+"]")
}

func requestUnchangedMeanwhile(c *env) {
	c.requests()
	var wg sync.WaitGroup
	for i := range 8 {
		user := fmt.Sprintf("user%d", i) // all of one length
		wg.Go(func() {
			for range 10 {
				a, err := c.Do(context.Background(), "GET", q4+"&who="+user, "", "X-One", user, "Cookie", "a=b; c="+user)
				if err != nil || a.Status != 200 {
					c.T.Errorf("handshake: %v %v", a, err)
					return
				}
				s := &wire.Session{Client: c.Client, Open: wire.Open{SID: strings.SplitN(a.Body, `"`, 5)[3]}}
				s.Join("")
				s.Post(`421["request-fields"]`)
				if got := s.Packets(1)[0]; strings.Count(got, user) != 3 {
					c.T.Errorf("%s has %s", user, got)
				}
				s.Post("1")
			}
		})
	}
	wg.Wait()
}

// requests registers an event that shows the request of the handshake.
func (c *env) requests() {
	c.of("/").On("request-fields", sio.Reply(func(_ context.Context, s *sio.Socket, _ sio.None) ([]string, error) {
		r := s.Request()
		cookie, err := r.Cookie("c")
		if err != nil {
			return nil, sio.Errorf("cookie", "%v", err)
		}
		host, _, _ := strings.Cut(r.RemoteAddr, ":")
		return []string{
			r.Header.Get("X-One"), cookie.Value, r.URL().String(), strings.Join(r.Query()["q"], ","),
			host, r.ClientIP, fmt.Sprint(r.Secure() && r.TLS.HandshakeComplete), r.Header.Get("User-Agent"),
		}, nil
	}))
}
