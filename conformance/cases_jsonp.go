package conformance

import (
	"net/url"
	"strings"

	"github.com/siokit/siokit/internal/wire"
)

// jsonpCases are about answers in the form of a script.
var jsonpCases = []testCase{
	{
		name: "jsonp/engine",
		rule: "jsonp of Engine.IO 3 and 4: a script that calls with a string, messages in the form field d",
		spec: "Engine.IO 3: JSONP; docs/protocol.md 3.4",
		all:  true,
		run:  jsonpEngine,
	},
	{
		name: "jsonp/foreign-page",
		rule: "an answer that a page can include is refused to pages of other origins",
		spec: "docs/protocol.md 9.2",
		all:  true,
		run:  jsonpForeignPage,
	},
	{
		name:  "jsonp/off",
		rule:  "a transport that is off is refused with a text that names the option",
		spec:  "docs/protocol.md 2.3",
		local: true,
		run:   jsonpOff,
	},
}

func jsonpEngine(c *env) {
	s := c.jsonp("EIO=4&transport=polling&j=7", 7)
	s.post(c, `40`)
	if got := s.next(c); !strings.HasPrefix(got, "40{") {
		c.T.Fatalf("connect: %s", got)
	}
	s.post(c, "42[\"echo\",\"</script>\\n\u2028é\"]")
	c.Want("echo", s.next(c), "42[\"echo\",\"</script>\\n\u2028é\"]")
	if strings.ContainsAny(s.last, "<\u2028") {
		c.T.Errorf("unescaped: %s", s.last)
	}
	s.post(c, `451-["echo",{"_placeholder":true,"num":0}]`+"\x1ebAQIDBA==")
	c.Want("binary is base64", s.next(c), `451-["echo",{"_placeholder":true,"num":0}]`+"\x1ebAQIDBA==")
	old := c.jsonp("EIO=3&transport=polling&j=0", 0)
	if !strings.HasSuffix(old.first, "2:40") {
		c.T.Errorf("open and connect: %s", old.first)
	}
	old.post(c, wire.Frame3(`42["echo","€"]`))
	c.Want("echo of version 3", old.next(c), wire.Frame3(`42["echo","\u20ac"]`))
	for _, j := range []string{"alert(1)//x", "];alert(1);//", strings.Repeat("1", 1<<10), "-1", "٣", "", "1234567890", "0&j=1"} {
		a := c.Must("GET", "EIO=4&transport=polling&j="+strings.ReplaceAll(url.QueryEscape(j), "%26j%3D", "&j="), "")
		if a.Status == 200 || strings.Contains(a.Body, "alert") {
			c.T.Errorf("J01 %.20q: %.80v", j, a)
		}
	}
	for _, body := range []string{"", "e=1", "d[]=4", "d=1&d=2", "d=%ZZ", "42[]"} {
		s := c.jsonp("EIO=4&transport=polling&j=1", 1)
		c.Want("J07 "+body, c.Must("POST", s.query, body, "Content-Type", "application/x-www-form-urlencoded").Status, 400)
	}
	x := c.jsonp("EIO=4&transport=polling&j=1", 1)
	c.Want("J17 polled by XHR", c.Must("GET", strings.Replace(x.query, "&j=1", "", 1), "").Status, 400)
	big := c.jsonp("EIO=4&transport=polling&j=1", 1)
	c.Want("J07 too large after unescaping",
		c.Must("POST", big.query, "d=4"+strings.Repeat("a", 2<<20), "Content-Type", "application/x-www-form-urlencoded").Status,
		413)
}

func jsonpForeignPage(c *env) {
	const q = "EIO=4&transport=polling&j=0"
	self := c.Host.URL + "/page"
	for _, row := range []struct {
		head   []string
		status int
	}{
		{nil, 200}, // a program without credentials
		{[]string{"Cookie", "a=b"}, 403},
		{[]string{"Authorization", "Basic YTpi"}, 403},
		{[]string{"User-Agent", "Mozilla/4.0 (compatible; MSIE 8.0)"}, 403},
		{[]string{"User-Agent", "Mozilla/4.0 (compatible; MSIE 8.0)", "Cookie", "a=b", "Referer", self}, 200},
		{[]string{"Referer", self, "Cookie", "a=b"}, 200},
		{[]string{"Sec-Fetch-Site", "same-origin", "Cookie", "a=b"}, 200},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Sec-Fetch-Site", "none"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Referer", "https://evil.example/x"}, 403},
		{[]string{"Referer", "https://evil.example/x", "Cookie", "a=b"}, 403},
		{[]string{"Referer", "data:x"}, 403},
	} {
		c.Want(strings.Join(row.head, " "), c.Must("GET", q, "", row.head...).Status, row.status)
	}
}

func jsonpOff(c *env) {
	c.Want("engine", c.Must("GET", "EIO=4&transport=polling&j=0", ""),
		`400 {"code":0,"message":"Transport unknown: jsonp is not among Options.Transports"}`)
	sid := c.Handshake1("")
	for wireName, name := range map[string]string{
		"jsonp-polling": "jsonp", "htmlfile": "htmlfile", "xhr-multipart": "xhr-multipart",
		"flashsocket": "flashsocket",
	} {
		c.Want(wireName, c.At(mount+"/1/"+wireName+"/"+sid).Must("GET", "", ""),
			"400 Transport unknown: "+name+" is not among Options.Transports")
	}
	c.Want("0.9 handshake", c.At(mount+"/1/").Must("GET", "jsonp=0", ""),
		"400 Transport unknown: jsonp is not among Options.Transports")
	a := c.At(mount+"/1/").Must("GET", "", "")
	if !strings.HasSuffix(a.Body, ":websocket,xhr-polling") {
		c.T.Errorf("offered: %s", a.Body)
	}
}
