// Package fiberv3bridge is the backend of the session bridge for the session
// middleware of fiber v3.
//
//	store := session.NewStore()
//	bridge := sessionbridge.New(fiberv3bridge.New(store), nil)
//
// The route of the socket must stay outside of the session middleware (session.New,
// session.NewWithStore). Around a held poll, the middleware loads the session when the
// poll begins, and saves it when the poll ends, which would undo a logout. So a
// handshake inside of the middleware is refused. A store without the middleware, as
// above, does no harm.
package fiberv3bridge

import (
	"context"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/extractors"
	"github.com/gofiber/fiber/v3/middleware/session"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// backend keeps to one session store.
type backend struct {
	store  *session.Store
	places []extractors.Extractor // where an id may be, in the store's order
}

var (
	_ sessionbridge.Backend   = (*backend)(nil)
	_ sessionbridge.Inspector = (*backend)(nil)
)

// New returns the backend for a store. The id is found where the store's Extractor
// says: in a cookie, a header, the Authorization header, the query, or a parameter of
// the route. New panics when the store looks in forms or calls a function of the
// application only, which both need fiber's own request. Values are seen by the bridge
// when their key is a string; those under other keys stay as they are.
func New(store *session.Store) sessionbridge.Backend {
	places := store.Extractor.Chain
	if len(places) == 0 {
		places = []extractors.Extractor{store.Extractor}
	}
	b := &backend{store: store}
	for _, p := range places {
		if p.Source != extractors.SourceForm && p.Source != extractors.SourceCustom {
			b.places = append(b.places, p)
		}
	}
	if len(b.places) == 0 {
		panic("fiberv3bridge: the store's Extractor looks in forms or calls a function: the bridge finds session ids in cookies, headers, queries and parameters")
	}
	return b
}

func (b *backend) Identify(r *sio.Request) (string, error) {
	for _, p := range b.places {
		id := ""
		switch p.Source {
		case extractors.SourceCookie:
			if c, err := r.Cookie(p.Key); err == nil {
				id = c.Value
			}
		case extractors.SourceHeader:
			id = strings.TrimSpace(r.Header.Get(p.Key))
		case extractors.SourceAuthHeader:
			id = authorization(r.Header.Get("Authorization"), p.AuthScheme)
		case extractors.SourceQuery:
			id = r.Query().Get(p.Key)
		case extractors.SourceParam:
			id = r.Params[p.Key]
		}
		if id != "" {
			return id, nil
		}
	}
	return "", sessionbridge.ErrNoSession
}

// authorization is what a header Authorization holds behind the scheme; without a
// scheme it is all of it.
func authorization(header, scheme string) string {
	if scheme == "" {
		return strings.TrimSpace(header)
	}
	if got, id, ok := strings.Cut(header, " "); ok && strings.EqualFold(got, scheme) {
		return strings.TrimSpace(id)
	}
	return ""
}

// open loads a session from the storage. The caller releases it: it is pooled, and
// nothing of it may be kept.
func (b *backend) open(ctx context.Context, id string) (*session.Session, error) {
	s, err := b.store.GetByID(ctx, id)
	if errors.Is(err, session.ErrSessionIDNotFoundInStore) || errors.Is(err, session.ErrEmptySessionID) {
		return nil, sessionbridge.ErrDestroyed
	}
	return s, err
}

func (b *backend) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	s, err := b.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	v := sessionbridge.Values{}
	for _, k := range s.Keys() {
		if name, ok := k.(string); ok {
			v[name] = s.Get(name)
		}
	}
	return v, nil
}

// Save implements sessionbridge.Backend. It loads the session again, because fiber's
// own save writes what was destroyed meanwhile, and because the session may hold more
// than the bridge has seen, such as fiber's own absolute timeout.
func (b *backend) Save(ctx context.Context, id string, v sessionbridge.Values) error {
	s, err := b.open(ctx, id)
	if err != nil {
		return err
	}
	defer s.Release()
	for _, k := range s.Keys() {
		if name, ok := k.(string); ok {
			if _, kept := v[name]; !kept {
				s.Delete(name)
			}
		}
	}
	for k, value := range v {
		s.Set(k, value)
	}
	return s.SaveWithContext(ctx)
}

func (b *backend) Delete(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	return b.store.Delete(ctx, id)
}

// Inspect implements sessionbridge.Inspector: it refuses exchanges inside of the
// session middleware.
func (b *backend) Inspect(x host.Exchange) error {
	if c, ok := x.Native().(fiber.Ctx); ok && session.FromContext(c) != nil {
		return errors.New("fiberv3bridge: the socket is mounted inside of fiber's session middleware, which would undo logouts; mount it outside, or except its path with the middleware's Next")
	}
	return nil
}
