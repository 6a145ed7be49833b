// Package fiberbridge is the backend of the session bridge for the session
// middleware of fiber v2.
//
//	store := session.New()
//	bridge := sessionbridge.New(fiberbridge.New(store), nil)
package fiberbridge

import (
	"bytes"
	"context"
	"encoding/gob"
	"strings"

	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// backend keeps to the storage of one session store.
type backend struct {
	store  *session.Store
	source string // cookie, header or query
	name   string
}

var _ sessionbridge.Backend = (*backend)(nil)

// New returns the backend for a store. The id is found where the store's KeyLookup
// says. As for fiber's middleware, the types of your own values must be registered with
// Store.RegisterType.
func New(store *session.Store) sessionbridge.Backend {
	b := &backend{store: store}
	b.source, b.name, _ = strings.Cut(store.KeyLookup, ":")
	return b
}

// Identify implements sessionbridge.Backend. Like the middleware it looks at the
// cookie first.
func (b *backend) Identify(r *sio.Request) (string, error) {
	if c, err := r.Cookie(b.name); err == nil && c.Value != "" {
		return c.Value, nil
	}
	id := ""
	switch b.source {
	case "header":
		id = r.Header.Get(b.name)
	case "query":
		id = r.Query().Get(b.name)
	}
	if id == "" {
		return "", sessionbridge.ErrNoSession
	}
	return id, nil
}

// Load implements sessionbridge.Backend: the storage holds the values as a gob.
func (b *backend) Load(_ context.Context, id string) (sessionbridge.Values, error) {
	raw, err := b.store.Storage.Get(id)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, sessionbridge.ErrDestroyed
	}
	var v map[string]any
	if err := gob.NewDecoder(bytes.NewReader(raw)).Decode(&v); err != nil {
		return nil, err
	}
	if v == nil {
		v = map[string]any{}
	}
	return v, nil
}

func (b *backend) Save(_ context.Context, id string, v sessionbridge.Values) error {
	raw, err := b.store.Storage.Get(id)
	if err != nil {
		return err
	}
	if raw == nil {
		return sessionbridge.ErrDestroyed
	}
	m := map[string]any(v)
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(&m); err != nil {
		return err
	}
	return b.store.Storage.Set(id, out.Bytes(), b.store.Expiration)
}

func (b *backend) Delete(_ context.Context, id string) error { return b.store.Storage.Delete(id) }
