package conformance

import (
	"context"
	"strconv"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// asCases are cases of sessions as the engine runs them, each over both transports.
func asCases(list []sessionCase) (cases []testCase) {
	for _, c := range list {
		for _, transport := range []string{"polling", "websocket"} {
			if c.only != "" && c.only != transport {
				continue
			}
			cases = append(cases, testCase{name: c.name + "/" + transport, rule: c.rule, spec: c.spec, prepare: func(x *env) {
				sc := &sessionContext{env: x, transport: transport, inside: make(chan struct{}, 1), proceed: make(chan struct{})}
				x.sessions = sc
				x.opts.OnHandshake = sc.handshake
				x.config.Bridge = sc.newBridge
				x.config.CookieAge = c.age
			}, run: func(x *env) {
				sc := x.sessions
				defer sc.leave()
				if sc.bridge == nil {
					x.T.Fatal("the factory has not called Config.Bridge")
				}
				sc.of("/").each(sc.serve)
				sc.of("/").each(sc.serveUpdates)
				c.run(sc)
			}})
		}
	}
	return cases
}

// leave ends what the browsers have opened.
func (c *sessionContext) leave() {
	for _, b := range c.browsers {
		for _, tb := range b.tabs {
			tb.close()
		}
		b.Client.Close()
		b.site.Close()
	}
}

// sessionContext is a Context with a bridge and browsers.
type sessionContext struct {
	*env
	transport string
	bridge    *sessionbridge.Bridge
	browsers  []*browser
	// An Update says that it is inside, and waits until it may proceed.
	inside, proceed chan struct{}
	loaded          hook // runs when the bridge has loaded a session
}

// handshake is that of the bridge, which the factory makes after the server.
func (c *sessionContext) handshake(ctx context.Context, r *sio.Request, x host.Exchange) error {
	return c.bridge.OnHandshake(ctx, r, x)
}

func (c *sessionContext) newBridge(be sessionbridge.Backend) *sessionbridge.Bridge {
	c.bridge = sessionbridge.New(withHook(be, &c.loaded), &sessionbridge.Options{RevalidateEvery: -1})
	return c.bridge
}

// sessionOf returns the session of a socket, or the error that the client is told.
func sessionOf(ctx context.Context, s *sio.Socket) (*sessionbridge.Session, error) {
	if sess, ok := sessionbridge.From(ctx, s); ok {
		return sess, nil
	}
	return nil, sio.Errorf("none", "no session")
}

// serve registers the events that the cases use.
func (c *sessionContext) serve(n *sio.Namespace) {
	n.On("get", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (any, error) {
		sess, err := sessionOf(ctx, s)
		if err != nil {
			return nil, err
		}
		if err := sess.Reload(ctx); err != nil {
			return nil, err
		}
		return sess.Get(key), nil
	}))
	n.On("peek", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (any, error) {
		sess, err := sessionOf(ctx, s)
		if err != nil {
			return nil, err
		}
		return sess.Get(key), nil
	}))
	n.On("set", sio.Reply(func(ctx context.Context, s *sio.Socket, a sio.Args2[string, string]) (bool, error) {
		sess, err := sessionOf(ctx, s)
		if err != nil {
			return false, err
		}
		return true, sess.Update(ctx, func(v sessionbridge.Values) error {
			v[a.A] = a.B
			return nil
		})
	}))
}

// serveUpdates registers the events that change what they have read.
func (c *sessionContext) serveUpdates(n *sio.Namespace) {
	n.On("set-slowly", sio.Reply(func(ctx context.Context, s *sio.Socket, a sio.Args2[string, string]) (bool, error) {
		sess, err := sessionOf(ctx, s)
		if err != nil {
			return false, err
		}
		tries := 0
		return true, sess.Update(ctx, func(v sessionbridge.Values) error {
			if tries++; tries == 1 {
				c.inside <- struct{}{}
				select {
				case <-c.proceed:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			v[a.A] = a.B
			return nil
		})
	}))
	n.On("inc", sio.Reply(func(ctx context.Context, s *sio.Socket, key string) (bool, error) {
		sess, err := sessionOf(ctx, s)
		if err != nil {
			return false, err
		}
		return true, sess.Update(ctx, func(v sessionbridge.Values) error {
			old, _ := v[key].(string)
			i, _ := strconv.Atoi(old)
			v[key] = strconv.Itoa(i + 1)
			return nil
		})
	}))
}
