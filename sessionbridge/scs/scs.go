// Package scsbridge is the backend of the session bridge for alexedwards/scs.
//
//	sm := scs.New()
//	bridge := sessionbridge.New(scsbridge.New(sm), nil)
//
// The route of the socket must stay outside of LoadAndSave. Around a held poll,
// LoadAndSave loads the session when the poll begins, and saves it when the poll ends,
// which would undo a logout. So a handshake inside of LoadAndSave is refused.
package scsbridge

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/alexedwards/scs/v2"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// backend keeps to one session manager.
type backend struct{ sm *scs.SessionManager }

var (
	_ sessionbridge.Backend   = (*backend)(nil)
	_ sessionbridge.Inspector = (*backend)(nil)
)

// New returns the backend for a session manager.
func New(sm *scs.SessionManager) sessionbridge.Backend { return &backend{sm} }

func (b *backend) Identify(r *sio.Request) (string, error) {
	c, err := r.Cookie(b.sm.Cookie.Name)
	if err != nil || c.Value == "" {
		return "", sessionbridge.ErrNoSession
	}
	return c.Value, nil
}

// bare is a context without values: with a session in it, scs would not look
// into its store.
type bare struct{ context.Context }

func (bare) Value(any) any { return nil }

// open loads a session by its token.
func (b *backend) open(ctx context.Context, id string) (context.Context, error) {
	ctx, err := b.sm.Load(bare{ctx}, id)
	if err != nil {
		return nil, err
	}
	if b.sm.Token(ctx) == "" {
		return nil, sessionbridge.ErrDestroyed
	}
	return ctx, nil
}

func (b *backend) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	ctx, err := b.open(ctx, id)
	if err != nil {
		return nil, err
	}
	v := sessionbridge.Values{}
	for _, k := range b.sm.Keys(ctx) {
		v[k] = b.sm.Get(ctx, k)
	}
	return v, nil
}

func (b *backend) Save(ctx context.Context, id string, v sessionbridge.Values) error {
	ctx, err := b.open(ctx, id)
	if err != nil {
		return err
	}
	for _, k := range b.sm.Keys(ctx) {
		if _, kept := v[k]; !kept {
			b.sm.Remove(ctx, k)
		}
	}
	for k, value := range v {
		b.sm.Put(ctx, k, value)
	}
	_, _, err = b.sm.Commit(ctx)
	return err
}

func (b *backend) Delete(ctx context.Context, id string) error {
	ctx, err := b.open(ctx, id)
	if errors.Is(err, sessionbridge.ErrDestroyed) {
		return nil
	} else if err != nil {
		return err
	}
	return b.sm.Destroy(ctx)
}

// Inspect implements sessionbridge.Inspector: it refuses exchanges inside of
// LoadAndSave.
func (b *backend) Inspect(x host.Exchange) error {
	r := request(x.Native())
	if r == nil {
		return nil
	}
	if b.loaded(r.Context()) {
		return errors.New("scsbridge: the socket is mounted inside of scs.LoadAndSave, which would undo logouts; mount it outside")
	}
	return nil
}

// request is the request in a framework's context: itself, what a method of the
// name returns (echo), what a field of the name holds (gin), or nil.
func request(native any) *http.Request {
	switch n := native.(type) {
	case *http.Request:
		return n
	case interface{ Request() *http.Request }:
		return n.Request()
	}
	v := reflect.Indirect(reflect.ValueOf(native))
	if v.Kind() != reflect.Struct {
		return nil
	}
	if f := v.FieldByName("Request"); f.IsValid() && f.CanInterface() {
		r, _ := f.Interface().(*http.Request)
		return r
	}
	return nil
}

// loaded reports whether LoadAndSave has put a session into ctx: without one scs
// panics.
func (b *backend) loaded(ctx context.Context) (yes bool) {
	defer func() { yes = recover() == nil }()
	b.sm.Status(ctx)
	return true
}
