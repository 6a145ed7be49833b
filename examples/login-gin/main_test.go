package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/siokit/siokit/core/siotest"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	testkit.Main(m)
}

// TestLogin: who is logged in chats under that name, the role opens the admin namespace, and
// logging out ends the sockets of all tabs.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, io := application()
		browser := func() *siotest.Visitor { return siotest.New(t, io, &siotest.Options{Handler: r}) }
		logIn := func(v *siotest.Visitor, user, password string) int {
			return v.PostForm("/login", url.Values{"user": {user}, "password": {password}}).StatusCode
		}
		refused := func(v *siotest.Visitor, namespace string) { // a gate gives no reason
			t.Helper()
			if ref := v.Refused(namespace, nil); ref.Status != 0 || ref.Message != "Invalid namespace" {
				t.Errorf("refused at %s with %v", namespace, ref)
			}
		}
		ann, bob := browser(), browser()
		refused(ann, "/")
		if status := logIn(ann, "ann", "guessed"); status != http.StatusForbidden {
			t.Errorf("a wrong password: %d", status)
		}
		refused(ann, "/")
		for user, v := range map[string]*siotest.Visitor{"ann": ann, "bob": bob} {
			if status := logIn(v, user, "secret"); status != http.StatusSeeOther {
				t.Fatalf("%s logs in: %d", user, status)
			}
		}

		tab, other, bobs := ann.Connect("/", nil), ann.Connect("/", nil), bob.Connect("/", nil)
		tab.Expect("welcome", "ann")
		bobs.Expect("welcome", "bob")
		tab.Emit("say", "hello")
		bobs.Expect("said", "ann", "hello")
		if stats := siotest.Call[map[string]int](tab.Join("/admin", nil), "stats"); stats["sockets"] != 3 {
			t.Errorf("%v", stats)
		}
		refused(bob, "/admin")
		time.Sleep(time.Hour) // the sessions are looked at, and hold

		if status := ann.Do(httptest.NewRequest("POST", "/logout", nil)).StatusCode; status != http.StatusNoContent {
			t.Fatal(status)
		}
		tab.End()
		other.End()
		refused(ann, "/")
		bobs.Emit("say", "still here")
		bobs.Expect("said", "bob", "still here")
	})
}
