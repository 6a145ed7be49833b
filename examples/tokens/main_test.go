package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/siotest"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// signed is a token that issue would not make.
func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.RegisteredClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTokens: who has no token, or a bad one, does not come in; who renews it stays, by either
// way; who does not renew leaves with the token. The clock is that of the bubble.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := tokens{[]byte("known to this test alone, 32 byte"), time.Hour}
		srv := sio.NewServer(nil)
		serve(srv.Of("/"), tk)
		reasons := make(chan sio.Reason, 4)
		srv.Of("/").OnDisconnect(func(_ context.Context, _ *sio.Socket, r sio.Reason) { reasons <- r })
		mux := http.NewServeMux()
		srv.Mount(mux, "/socket.io")
		mux.Handle("POST /renew", renew(srv.Of("/"), tk))
		v := siotest.New(t, srv, &siotest.Options{Handler: mux})

		token := func(tk tokens, user string) string {
			text, err := tk.issue(user)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		auth := func(token string) map[string]string { return map[string]string{"token": token} }
		later := jwt.NewNumericDate(time.Now().Add(time.Hour))
		for name, bad := range map[string]string{
			"none": "", "another key": token(tokens{[]byte("x"), time.Hour}, "ann"), "over": token(tokens{tk.key, -time.Minute}, "ann"),
			"unsigned":       signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.RegisteredClaims{Subject: "ann", ExpiresAt: later}),
			"without an end": signed(t, jwt.SigningMethodHS256, tk.key, jwt.RegisteredClaims{Subject: "ann"}),
			"without a user": token(tk, ""),
		} {
			if ref := v.Refused("/", auth(bad)); ref.Message != "bad token" || string(ref.Data) != `{"code":"token"}` {
				t.Errorf("%s: %v", name, ref)
			}
		}

		short := tokens{tk.key, 4 * time.Second}
		byEvent, byHTTP := v.Connect("/", auth(token(short, "ann"))), v.Connect("/", auth(token(short, "ben")))
		never := v.Connect("/", auth(token(short, "eve")))
		time.Sleep(3 * time.Second)
		if e := byEvent.Refused("renew", token(tk, "eve")); e.Code != "token" {
			t.Errorf("the token of another user: %v", e)
		}
		if left := siotest.Call[int64](byEvent, "renew", token(tk, "ann")); left < (59 * time.Minute).Milliseconds() {
			t.Errorf("renewed for %d ms", left)
		}
		req := httptest.NewRequest("POST", "/renew", nil)
		req.Header.Set("Authorization", "Bearer "+token(short, "ben"))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		nobody := httptest.NewRecorder() // the page has left before its sockets were looked for
		renew(srv.Of("/"), tk).ServeHTTP(nobody, req.WithContext(gone))
		if nobody.Body.Len() > 0 {
			t.Errorf("a request that has ended got %s", nobody.Body)
		}
		fresh, _ := io.ReadAll(v.Do(req).Body)
		if user, ends, err := tk.check(string(fresh)); err != nil || user != "ben" || time.Until(ends) < 59*time.Minute {
			t.Errorf("%s %v %v", user, ends, err)
		}

		time.Sleep(2 * time.Second) // the short ones are over
		never.Expect("error", map[string]string{"code": "expired", "message": "expired"})
		if why := never.End(); why != "io server disconnect" {
			t.Error(why)
		}
		if r := <-reasons; r != sio.Expired {
			t.Error(r)
		}
		time.Sleep(50 * time.Minute)
		for user, c := range map[string]*siotest.Client{"ann": byEvent, "ben": byHTTP} {
			if got := siotest.Call[string](c, "whoami"); got != user {
				t.Errorf("%s has not been renewed: %s", user, got)
			}
		}
	})
}
