// Package gorillabridge is the backend of the session bridge for gorilla/sessions with
// any store. It also serves gin-contrib/sessions and echo-contrib/session, which keep
// their sessions in such stores: pass the store that you pass to them.
//
//	store := sessions.NewFilesystemStore("", key)
//	bridge := sessionbridge.New(gorillabridge.New(store, "session"), nil)
package gorillabridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"reflect"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// New returns the backend for a store and the name of its session. codecs are those
// with which the store signs its cookies. Without codecs New takes those of the store's
// field Codecs, which the common stores have, and panics when there is no such field.
//
// A CookieStore, also inside of another store, gives a backend whose sessions are
// read-only; see sessionbridge.ErrReadOnly.
func New(store sessions.Store, name string, codecs ...securecookie.Codec) sessionbridge.Backend {
	found, cookies := inspect(reflect.ValueOf(store), 0)
	if len(codecs) == 0 {
		codecs = found
	}
	b := &backend{store: store, name: name, codecs: codecs}
	if cookies {
		return &cookieBackend{b}
	}
	if len(codecs) == 0 {
		panic(fmt.Sprintf("gorillabridge: %T has no field Codecs; pass them to New", store))
	}
	return b
}

// inspect looks for the codecs of a store, and whether it keeps values in cookies.
func inspect(v reflect.Value, depth int) (codecs []securecookie.Codec, cookies bool) {
	if depth > 5 {
		return nil, false
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, false
		}
		if v.Type() == reflect.TypeFor[*sessions.CookieStore]() {
			cookies = true
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, cookies
	}
	if f := v.FieldByName("Codecs"); f.IsValid() && f.Type() == reflect.TypeFor[[]securecookie.Codec]() {
		for i := range f.Len() {
			if c := f.Index(i); c.CanInterface() {
				codecs = append(codecs, c.Interface().(securecookie.Codec))
			}
		}
	}
	for i := range v.NumField() {
		if !v.Type().Field(i).Anonymous {
			continue
		}
		more, in := inspect(v.Field(i), depth+1)
		if codecs == nil {
			codecs = more
		}
		cookies = cookies || in
	}
	return codecs, cookies
}

type backend struct {
	store  sessions.Store
	name   string
	codecs []securecookie.Codec
}

// Identify implements sessionbridge.Backend: the cookie holds the id.
func (b *backend) Identify(r *sio.Request) (string, error) {
	c, err := r.Cookie(b.name)
	if err != nil {
		return "", sessionbridge.ErrNoSession
	}
	var id string
	if securecookie.DecodeMulti(b.name, c.Value, &id, b.codecs...) != nil || id == "" {
		return "", sessionbridge.ErrNoSession
	}
	return id, nil
}

// open loads a session by its id, with a cookie made for it now: that of the
// handshake may be too old by its own date while the session lives.
func (b *backend) open(ctx context.Context, id string) (*http.Request, *sessions.Session, error) {
	value, err := securecookie.EncodeMulti(b.name, id, b.codecs...)
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return nil, nil, err
	}
	r.AddCookie(&http.Cookie{Name: b.name, Value: value})
	sess, err := b.store.New(r, b.name) // Get would keep it
	if err == nil && !sess.IsNew && sess.ID == id {
		return r, sess, nil
	}
	var decode securecookie.Error
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.As(err, &decode) && decode.IsDecode() {
		return nil, nil, sessionbridge.ErrDestroyed
	}
	return nil, nil, err
}

func (b *backend) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	_, sess, err := b.open(ctx, id)
	if err != nil {
		return nil, err
	}
	return values(sess), nil
}

// values are those under keys that are strings.
func values(sess *sessions.Session) sessionbridge.Values {
	v := make(sessionbridge.Values, len(sess.Values))
	for k, value := range sess.Values {
		if name, ok := k.(string); ok {
			v[name] = value
		}
	}
	return v
}

// Save implements sessionbridge.Backend. Values under keys that are not strings
// stay as they are.
func (b *backend) Save(ctx context.Context, id string, v sessionbridge.Values) error {
	r, sess, err := b.open(ctx, id)
	if err != nil {
		return err
	}
	replace(sess, v)
	return b.store.Save(r, nowhere{h: http.Header{}}, sess)
}

// replace puts v in the place of the values under keys that are strings.
func replace(sess *sessions.Session, v sessionbridge.Values) {
	for k := range sess.Values {
		if name, ok := k.(string); ok {
			if _, kept := v[name]; !kept {
				delete(sess.Values, k)
			}
		}
	}
	for name, value := range v {
		sess.Values[name] = value
	}
}

func (b *backend) Delete(ctx context.Context, id string) error {
	r, sess, err := b.open(ctx, id)
	if errors.Is(err, sessionbridge.ErrDestroyed) {
		return nil
	} else if err != nil {
		return err
	}
	var opts sessions.Options
	if sess.Options != nil {
		opts = *sess.Options
	}
	opts.MaxAge = -1
	sess.Options = &opts
	err = b.store.Save(r, nowhere{h: http.Header{}}, sess)
	if errors.Is(err, fs.ErrNotExist) { // somebody else was faster
		return nil
	}
	return err
}

// nowhere is where the store's cookie goes.
type nowhere struct{ h http.Header }

func (w nowhere) Header() http.Header       { return w.h }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

var _ interface {
	sessionbridge.Backend
	sessionbridge.CookieEncoder
	sessionbridge.CookieBackend
} = (*cookieBackend)(nil)

// cookieBackend is for stores whose values are the cookie.
type cookieBackend struct{ *backend }

// Identify implements sessionbridge.Backend: there is no id, so all that it tells is
// whether there is a session. The bridge tells visitors apart by what Decode returns.
func (b *cookieBackend) Identify(r *sio.Request) (string, error) {
	if _, _, err := b.decode(r); err != nil {
		return "", err
	}
	return "cookie", nil
}

// decode reads the session of a request. The request is made anew, because a store keeps
// what it decodes in the request's context.
func (b *cookieBackend) decode(r *sio.Request) (*http.Request, *sessions.Session, error) {
	hr := &http.Request{Method: r.Method, Header: r.Header}
	sess, err := b.store.New(hr, b.name)
	if err != nil || sess.IsNew {
		return nil, nil, sessionbridge.ErrNoSession
	}
	return hr, sess, nil
}

// Decode implements sessionbridge.CookieBackend: values under keys that are not strings
// are hidden.
func (b *cookieBackend) Decode(r *sio.Request) (v, hidden sessionbridge.Values, err error) {
	_, sess, err := b.decode(r)
	if err != nil {
		return nil, nil, err
	}
	for k, value := range sess.Values {
		if _, ok := k.(string); !ok {
			if hidden == nil {
				hidden = sessionbridge.Values{}
			}
			hidden[fmt.Sprintf("\x00%T %v", k, k)] = value
		}
	}
	return values(sess), hidden, nil
}

func (b *cookieBackend) Encode(r *sio.Request, v sessionbridge.Values) (*http.Cookie, error) {
	hr, sess, err := b.decode(r)
	if err != nil {
		return nil, err
	}
	replace(sess, v)
	w := nowhere{h: http.Header{}}
	if err := b.store.Save(hr, w, sess); err != nil {
		return nil, err
	}
	for _, c := range (&http.Response{Header: w.h}).Cookies() {
		if c.Name == b.name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("gorillabridge: %T has set no cookie", b.store)
}
