package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestTokens(t *testing.T) {
	tk := tokens{[]byte("known to this test alone, 32 byte"), time.Hour}
	srv := sio.NewServer(nil)
	serve(srv.Of("/"), tk)
	reasons := make(chan sio.Reason, 4)
	srv.Of("/").OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) { reasons <- r })
	mux := http.NewServeMux()
	srv.Mount(mux, "/socket.io")
	mux.Handle("POST /renew", renew(srv.Of("/"), tk))
	hs := httptest.NewServer(mux)
	c := wire.New(t, hs.URL, "/socket.io/")
	c.Patience = 20 * time.Second
	t.Cleanup(func() {
		c.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		hs.Close()
	})
	token := func(tk tokens, user string) string {
		text, err := tk.issue(user)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	connect := func(token string) (*wire.WS, string) {
		w, _ := c.WebSocket()
		w.Send(`40{"token":"` + token + `"}`)
		return w, w.Next()
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.RegisteredClaims{
		Subject: "ann", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	endless, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{Subject: "ann"}).SignedString(tk.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"none": "", "another key": token(tokens{[]byte("x"), time.Hour}, "ann"), "over": token(tokens{tk.key, -time.Minute}, "ann"),
		"unsigned": unsigned, "without an end": endless, "without a user": token(tk, ""),
	} {
		if _, got := connect(bad); got != `44{"message":"bad token","data":{"code":"token"}}` {
			t.Errorf("%s: %s", name, got)
		}
	}

	// A token has whole seconds, so this one ends in 3 to 4 s; both ways to renew are quicker.
	short := tokens{tk.key, 4 * time.Second}
	byEvent, _ := connect(token(short, "ann"))
	byHTTP, _ := connect(token(short, "ben"))
	never, _ := connect(token(short, "eve"))
	byEvent.Send(`421["renew","` + token(tk, "eve") + `"]`)
	if got := byEvent.Next(); !strings.Contains(got, `"code":"token"`) {
		t.Errorf("the token of another user: %s", got)
	}
	byEvent.Send(`422["renew","` + token(tk, "ann") + `"]`)
	if got := byEvent.Next(); !strings.HasPrefix(got, "432[3") {
		t.Errorf("renewed for %s", got)
	}
	req, err := http.NewRequest("POST", hs.URL+"/renew", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token(short, "ben"))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	nobody := httptest.NewRecorder() // the page has left before its sockets were looked for
	renew(srv.Of("/"), tk).ServeHTTP(nobody, req.WithContext(gone))
	if nobody.Body.Len() > 0 {
		t.Errorf("a request that has ended got %s", nobody.Body)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if user, ends, err := tk.check(string(fresh)); err != nil || user != "ben" || time.Until(ends) < 50*time.Minute {
		t.Errorf("%s %v %v", user, ends, err)
	}
	for _, want := range []string{`42["error",{"code":"expired","message":"expired"}]`, "41"} {
		if got := never.Next(); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	if r := <-reasons; r != sio.Expired {
		t.Error(r)
	}
	for user, w := range map[string]*wire.WS{"ann": byEvent, "ben": byHTTP} {
		w.Send(`423["whoami"]`)
		if got := w.Next(); got != `433["`+user+`"]` {
			t.Errorf("%s has not been renewed: %s", user, got)
		}
	}
}
