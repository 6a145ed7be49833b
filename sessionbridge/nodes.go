package sessionbridge

import (
	"context"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/sio"
)

// Mix implements sio.Mixin: it has the bridge tell the other servers of a cluster
// (sio.Options.Cluster) of logouts, and hear of theirs, as in
//
//	io.Of("/").Mix(bridge)
//
// A bridge whose OnHandshake is the server's does this by itself from the first handshake
// on. Mix is for servers on which Logout may be called before that.
func (b *Bridge) Mix(n *sio.Namespace) { b.serve(n.Server()) }

var _ sio.Mixin = (*Bridge)(nil)

// sessionEvent is the event for servers that says that a session is over, in "/".
const sessionEvent = "siokit:session"

// sessionNews is its argument.
type sessionNews struct {
	// Session is the name of the session's Room without what all have in common: the id
	// is a secret, which the bus need not know.
	Session string `json:"session"`
	// Changed: the session may have another user now, and is to be looked up. Otherwise it
	// is logged out.
	Changed bool `json:"changed,omitempty"`
}

// bridges are those of one server, with its namespace "/".
type bridges struct {
	once sync.Once
	mu   sync.Mutex
	list []*Bridge
}

var bridgesKey = sio.NewKey[*bridges]("sessionbridge: bridges")

// serve takes up a server that the bridge is used with.
func (b *Bridge) serve(srv *sio.Server) {
	if srv.Node() == "" {
		return
	}
	b.serving.Lock() // until the others are heard: then come handshakes
	defer b.serving.Unlock()
	b.mu.Lock()
	servers := b.servers
	b.mu.Unlock()
	if slices.Contains(servers, srv) {
		return
	}
	defer func() {
		b.mu.Lock()
		b.servers = append(servers[:len(servers):len(servers)], srv)
		b.mu.Unlock()
	}()
	n := srv.Of("/")
	all := bridgesKey.GetOrSet(n, func() *bridges { return new(bridges) })
	all.mu.Lock()
	all.list = append(all.list[:len(all.list):len(all.list)], b)
	all.mu.Unlock()
	all.once.Do(func() {
		sio.HandleServers(n, sessionEvent, func(_ context.Context, news sessionNews) error {
			all.mu.Lock()
			list := all.list
			all.mu.Unlock()
			for _, b := range list {
				b.heard(news)
			}
			return nil
		})
	})
}

// tellNodes tells the other nodes that a session is over, or may have another user.
func (b *Bridge) tellNodes(id string, changed bool) {
	b.mu.Lock()
	servers := b.servers
	b.mu.Unlock()
	for _, srv := range servers {
		_ = srv.Of("/").EmitServers(sessionEvent, sessionNews{Session: roomHash(id), Changed: changed})
	}
}

// heard takes what another node says. A handshake that is under way finds the session in
// the list, and ended; one that comes later does not find it in the store any more.
func (b *Bridge) heard(news sessionNews) {
	b.mu.Lock()
	s := b.byHash[news.Session]
	if !news.Changed {
		for id, l := range b.locks {
			if roomHash(id) == news.Session {
				l.gone = true
			}
		}
	}
	b.mu.Unlock()
	switch {
	case s == nil:
	case !news.Changed:
		b.end(s, loggedOut)
	default: // the store may take its time, and a logout must not wait behind it
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), b.opts.LoadTimeout)
			defer cancel()
			if _, err := s.reloadSafely(ctx); err != nil && !s.hasEnded() {
				b.opts.Logger.Error("siokit: a session could not be looked up", "error", err)
			}
		}()
	}
}
