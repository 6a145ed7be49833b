package attack

import (
	"bytes"
	"context"
	"strings"
	"time"
)

var foreign = []string{"Origin", "https://evil.example", "Cookie", "session=victim"}

var originRows = []Row{
	{ID: "O01", Kind: asking, Sent: "an upgrade by another page, with the visitor's cookie", Want: "403, OnHandshake is not asked", Run: upgrades(
		request{"", w4, "", "403 4", foreign}, request{"", w4, "", "403 4", append([]string{"X-Do", "panic"}, foreign...)})},
	{ID: "O02", Sent: "polls and POSTs by another page", Want: "403, nothing happens", Run: requests(request{"GET", q4, "", "403 4", foreign},
		request{"GET", q4 + "&sid=SID", "", "403 4", foreign}, request{"POST", q4 + "&sid=SID", `42["mark","x"]`, "403 4", foreign})},
	{ID: "O03", Kind: origins, Sent: "the origins null, file://, about:blank", Want: "403", Run: requests(request{"GET", q4, "", "403 4", []string{"Origin", "null"}},
		request{"GET", q4, "", "403 4", []string{"Origin", "file://"}}, request{"GET", q4, "", "403 4", []string{"Origin", "about:blank"}})},
	{ID: "O04", Sent: "no Origin, with a cookie, marked as cross-site", Want: "the page cannot read the answer; JSONP is 403", Run: noOrigin, Elsewhere: "conformance: jsonp/foreign-page",
		Differs: "without Origin no page can read a poll or send a body that counts as a POST of ours, and no websocket comes without; a script tag can, and is refused"},
	{ID: "O05", Kind: origins, Sent: "origins that look like a listed one", Want: "403; upper case and the default port are no difference", Run: similarOrigins},
	{ID: "O06", Sent: "every origin, with credentials", Want: "impossible: the star hides the visitor's cookies", Elsewhere: "conformance: origin/any, origin/any-cookies"},
	{ID: "O07", Kind: origins, Sent: "a look at the headers of a listed page", Want: "its origin, and Vary: Origin; another page gets none", Run: varyOrigin},
	{ID: "O08", Kind: origins, Sent: "a preflight that names 3 000 headers", Want: "204, 431 or the end of the connection, at once", Run: largePreflight},
	{ID: "O09", Sent: "a cross-site GET for a websocket", Want: "403 by the server's own check", Run: upgrades(request{"", w4, "", "403 4", append([]string{"Sec-Fetch-Site", "cross-site"}, foreign...)}), Elsewhere: "conformance: origin/same"},
	{ID: "O10", Sent: "the host's CSRF middleware in front", Want: "-", None: "the middleware is the application's; docs/sessions.md says what to exempt"},
	{ID: "O11", Sent: "a page of a sibling domain", Want: "403 unless it is listed", Run: requests(request{"GET", q4, "", "403 4", []string{"Origin", "http://sibling.127.0.0.1", "Sec-Fetch-Site", "same-site"}})},
	{ID: "O12", Sent: "a login while a socket of the session before lives", Want: "the socket does not become the new user; a new id disconnects those of the old", Elsewhere: "conformance sessions: rotation-disconnects-old-id"},
	{ID: "O13", Sent: "an id of a session that the client has made up", Want: "a stranger", Elsewhere: "conformance sessions: cookie-made-up, cookie-store-made-up"},
	{ID: "O14", Sent: "a logout while sockets live, on several nodes", Want: "all are disconnected", Elsewhere: "TestLogoutOnAllNodes, conformance sessions: logout-disconnects-all-tabs"},
	{ID: "O15", Sent: "a session that expires while a socket lives", Want: "noticed within RevalidateEvery", Elsewhere: "conformance sessions: revalidate-notices-silent-expiry"},
	{ID: "O16", Sent: "a look at the cookies of the server", Want: "it sets none", Run: noCookie},
	{ID: "O17", Sent: "a token in the query", Want: "not in the log", Run: querySecrets, Elsewhere: "conformance: notices"},
	{ID: "O18", Sent: "the address of a poll from another machine", Want: "403 where a session bridge is", Elsewhere: "conformance sessions: poll-with-foreign-session-refused", Differs: "as E17"},
	{ID: "O19", Sent: "300 guesses of the auth payload on one connection", Want: "refused beyond JoinBurst, and OnConnect is not asked", Run: authGuesses, Elsewhere: "conformance: connect/too-often",
		Differs: "the connection stays: guesses are bounded by JoinRate, and a client that joins many namespaces is no guesser"},
	{ID: "O20", Sent: "two cookies of the session's name", Want: "the bridge reads what the framework reads", Elsewhere: "TestSameVisitor"},
	{ID: "O21", Sent: "another user's cookie in the same browser, while a socket lives", Want: "the socket keeps its user until it reloads", Elsewhere: "TestUserChanges, conformance sessions: http-write-seen-after-reload"},
	{ID: "O22", Sent: "a session whose bytes were changed in the store", Want: "-", None: "stores are read by the framework's own library; the bus has no gob"},
}

func noOrigin(a *A) {
	got := a.Must("GET", q4, "", "Cookie", "session=victim", "Sec-Fetch-Site", "cross-site")
	for h := range got.Header {
		if strings.HasPrefix(h, "Access-Control-") {
			a.Errorf("the header %s", h)
		}
	}
	s := a.polling()
	// The one body that a page can send without Origin is a form of old browsers.
	if got := a.Must("POST", s.Query(), "d=40", "Cookie", "session=victim", "Content-Type", "application/x-www-form-urlencoded"); got.Status != 400 {
		a.Errorf("a form: %v", got)
	}
}

func similarOrigins(a *A) {
	for _, o := range []string{
		"https://app.example.com.evil.io", "https://evilapp.example.com", "https://app.example.com:444", "http://app.example.com", "https://app.example.com.",
		"https://a@app.example.com", "https://example.org", "https://a.b.example.org.evil.io", "https://evilexample.org", "https://аpp.example.com", "https://app.example.com\\.evil.io",
	} {
		if got := a.Must("GET", q4, "", "Origin", o); !answers(got, "403 4") {
			a.Errorf("%s: %v", o, got)
		}
	}
	for _, o := range []string{"https://app.example.com", "HTTPS://APP.example.com", "https://app.example.com:443", "https://a.example.org"} {
		got := a.Must("GET", q4, "", "Origin", o)
		if got.Status != 200 {
			a.Errorf("%s: %v", o, got)
		}
	}
}

func varyOrigin(a *A) {
	got := a.Must("GET", q4, "", "Origin", "https://app.example.com")
	a.want("origin", got.Header.Get("Access-Control-Allow-Origin"), "https://app.example.com")
	a.want("vary", strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin"), true)
	got = a.Must("GET", q4, "", "Origin", "https://evil.example")
	a.want("another page", got.Header.Get("Access-Control-Allow-Origin"), "")
}

func largePreflight(a *A) {
	got, err := a.Do(context.Background(), "OPTIONS", q4, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", strings.Repeat("x-a,", 3000)+"x-b")
	if err != nil {
		return // the host has closed before it has read all of it
	}
	if !answers(got, "204|431") || len(got.Header.Get("Access-Control-Allow-Headers")) > 1000 {
		a.Errorf("%v %v", got, got.Header)
	}
}

func noCookie(a *A) {
	for _, got := range a.Must("GET", q4, "").Header.Values("Set-Cookie") {
		a.want("cookie", got, "host=1") // that of the host of the tests
	}
}

func querySecrets(a *A) {
	requests(request{"GET", q4 + "&token=s3cr3t", "", "403", foreign}, request{"GET", "EIO=9&transport=polling&token=s3cr3t", "", "400 5", nil},
		request{"GET", q4 + "&token=s3cr3t&sid=" + sid20, "", "400 1", nil})(a)
	a.want("in the log", strings.Contains(a.S.log.String(), "s3cr3t"), false)
}

func authGuesses(a *A) {
	w, _ := a.joined()
	const guesses = 300
	before, refused, from := a.S.asks("/auth"), 0, time.Now()
	_ = w.Raw(bytes.Repeat(mask(0x81, `40/auth,{"token":"guess"}`), guesses))
	for range guesses {
		if got := w.Next(); strings.Contains(got, "Too many joins") {
			refused++
		} else if !strings.HasPrefix(got, "44/auth,") {
			a.Errorf("got %s", got)
		}
	}
	most := 64 + int(20*time.Since(from).Seconds()) + 1 // JoinBurst and JoinRate
	if asked := a.S.asks("/auth") - before; asked > most || asked+refused != guesses {
		a.Errorf("%d of %d guesses were refused, OnConnect has run %d times, want %d at most", refused, guesses, asked, most)
	}
	a.lives(w)
}
