//go:build linux

package main

import (
	"bytes"
	"context"
	"net/http"
	"sync"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// room is the connections of a server.
type room[C comparable] struct {
	mu  sync.RWMutex
	all map[C]struct{}
}

func newRoom[C comparable]() *room[C] { return &room[C]{all: map[C]struct{}{}} }

func (r *room[C]) add(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[c] = struct{}{}
}

func (r *room[C]) remove(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, c)
}

// each calls f for all.
func (r *room[C]) each(f func(C)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for c := range r.all {
		f(c)
	}
}

// broadcast is what all get for a message; nil when it is no broadcast.
func broadcast(message []byte) []byte {
	rest, ok := bytes.CutPrefix(message, []byte(`42["broadcast"`))
	if !ok {
		return nil
	}
	return append([]byte(`42["b"`), rest...)
}

// gorillaConn has a lock, because the library lets one goroutine write at a time.
type gorillaConn struct {
	*gorilla.Conn
	mu sync.Mutex
}

func serveGorilla(addr string) error {
	all := newRoom[*gorillaConn]()
	upgrader := gorilla.Upgrader{
		// Small buffers, and a pool for those of writing: what the library advises for many connections.
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c.SetReadLimit(1 << 20)
		go (&gorillaConn{Conn: c}).serve(all) // so that the request's goroutine and buffers are free
	}))
}

func (c *gorillaConn) serve(all *room[*gorillaConn]) {
	all.add(c)
	defer func() {
		all.remove(c)
		_ = c.Close()
	}()
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			return
		}
		if b := broadcast(message); b != nil {
			prepared, err := gorilla.NewPreparedMessage(kind, b)
			if err != nil {
				return
			}
			all.each(func(other *gorillaConn) {
				other.mu.Lock()
				defer other.mu.Unlock()
				_ = other.WritePreparedMessage(prepared)
			})
			continue
		}
		c.mu.Lock()
		err = c.WriteMessage(kind, message)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// serveCoder stays in the handler of net/http, as the library's examples do.
func serveCoder(addr string) error {
	all := newRoom[*websocket.Conn]()
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		c.SetReadLimit(1 << 20)
		all.add(c)
		defer func() {
			all.remove(c)
			_ = c.CloseNow()
		}()
		ctx := context.Background()
		for {
			kind, message, err := c.Read(ctx)
			if err != nil {
				return
			}
			if b := broadcast(message); b != nil {
				all.each(func(other *websocket.Conn) { _ = other.Write(ctx, kind, b) })
				continue
			}
			if err := c.Write(ctx, kind, message); err != nil {
				return
			}
		}
	}))
}
