package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/host"
)

// TestConn: what the sockets of one client share.
func TestConn(t *testing.T) {
	conns := make(chan *Conn, 2)
	srv := NewServer(&Options{OnHandshake: func(ctx context.Context, r *Request, _ host.Exchange) error {
		c := ConnFromContext(ctx)
		c.Set("key", r.Query().Get("who"))
		c.Join("user:" + r.Query().Get("who"))
		conns <- c
		return nil
	}})
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error {
		if s.Conn().Get("key") != "ann" || len(s.Conn().Sockets()) != 0 {
			t.Error("not the connection of the handshake")
		}
		return nil
	})
	srv.Of("/chat")
	c := serve(t, srv)
	w, _ := c.WebSocket("who=ann")
	conn := <-conns
	w.Send("40", "40/chat")
	w.Next()
	w.Next()
	conn.Join("late")
	for _, ns := range []string{"/", "/chat"} {
		for _, room := range []string{"user:ann", "late"} {
			_ = srv.Of(ns).To(room).Emit("x")
			if m := w.Next(); !strings.HasSuffix(m, `["x"]`) {
				t.Error(m)
			}
		}
	}
	if list := conn.Sockets(); len(list) != 2 || list[0].Request().Query().Get("who") != "ann" || list[0].Conn() != conn {
		t.Errorf("%v", list)
	}
	if conn.Context().Err() != nil || ConnFromContext(context.Background()) != nil {
		t.Error("context")
	}
	conn.CloseTransport()
	w.End()
	<-conn.Context().Done()
}

// TestOnExchange: every further request of a connection may be refused, which
// ends it; a panic refuses too.
func TestOnExchange(t *testing.T) {
	got := &record{}
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), OnHandshake: func(ctx context.Context, _ *Request, _ host.Exchange) error {
		ConnFromContext(ctx).OnExchange(func(x host.Exchange) error {
			got.add("%s %s", x.Method(), x.Query("transport"))
			if x.Header("X-Panic") != "" {
				panic("check")
			}
			if x.Header("Cookie") != "a=1" {
				return &Error{Message: "another session"}
			}
			return nil
		})
		return nil
	}})
	c := serve(t, srv)
	for _, row := range []struct {
		head []string
		want string
	}{
		{[]string{"Cookie", "a=2"}, `403 {"code":4,"message":"another session"}`},
		{[]string{"X-Panic", "1"}, `500 {"code":4,"message":"internal error"}`},
	} {
		c.Head.Set("Cookie", "a=1")
		s := c.Polling()
		s.Join("")
		if a := c.Must("GET", s.Query(), "", row.head...); a.String() != row.want {
			t.Errorf("%v", a)
		}
		if a := s.Get(); a.Status != 400 { // the session has ended
			t.Errorf("%v", a)
		}
	}
	if g := got.take(); g != "POST polling; GET polling; GET polling; POST polling; GET polling; GET polling" {
		t.Error(g)
	}
	c.Head.Set("Cookie", "a=1")
	s := c.Polling1()
	if a := s.Must("GET", "disconnect=1", "", "Cookie", "a=2"); a.Status != 403 {
		t.Errorf("another session ends a 0.9 session: %v", a)
	}
}

// TestRefusedHandshake ends what was hung on the connection.
func TestRefusedHandshake(t *testing.T) {
	var conns []*Conn
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), OnHandshake: func(ctx context.Context, r *Request, _ host.Exchange) error {
		conns = append(conns, ConnFromContext(ctx))
		if r.Query().Get("panic") != "" {
			panic("OnHandshake")
		}
		return errors.New("no")
	}})
	c := serve(t, srv)
	for query, want := range map[string]int{"": 403, "&panic=1": 500} {
		if a := c.Must("GET", "EIO=4&transport=polling"+query, ""); a.Status != want {
			t.Error(a)
		}
	}
	if slices.ContainsFunc(conns, func(c *Conn) bool { return c.Context().Err() == nil }) || len(conns) != 2 {
		t.Error(fmt.Sprint(len(conns)))
	}
}
