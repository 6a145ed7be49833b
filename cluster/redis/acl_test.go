package redisbus

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/bustest"
)

// rules are the users of docs/cluster.md, as the page has them.
func rules(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/cluster.md")
	if os.IsNotExist(err) {
		t.Skip("docs/cluster.md is not in the module, which stands alone here")
	}
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```acl\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/cluster.md has no rules")
	}
	return string(m[1])
}

// guarded starts a Redis that has these users and no other.
func guarded(t *testing.T, rules string) (*redis, rueidis.ClientOption) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(file, []byte(rules+"user root on >root ~* &* +@all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRedis(t, "--aclfile", file)
	root := r.option()
	root.Username, root.Password = "root", "root"
	return r, root
}

// as is the option of a user.
func (r *redis) as(user string) rueidis.ClientOption {
	o := r.option()
	o.Username, o.Password, o.ClientSetInfo = user, "CHANGE-ME", rueidis.DisableClientSetInfo
	return o
}

// TestACL: a user of docs/cluster.md may do what a node does, and nothing else.
func TestACL(t *testing.T) {
	users := rules(t)
	wires(t, func(t *testing.T, w Wire) {
		user := "siokit-" + w.String()
		var except []string
		if w == Streams {
			except = []string{"order"} // events for servers are not in the stream
		}
		bustest.Run(t, func(t *testing.T) (func() cluster.Backend, func(), func()) {
			r, root := guarded(t, users)
			t.Cleanup(func() { refusedNothing(t, root) })
			return func() cluster.Backend { return New(r.as(user), Options{Wire: w}) }, r.Kill, r.Restart
		}, except...)
		t.Run("exactly", func(t *testing.T) {
			r, root := guarded(t, users)
			exactly(t, r, root, user, w, users)
		})
	})
}

// refusedNothing looks at what Redis has refused. A Redis that the test has ended has nothing to
// say.
func refusedNothing(t *testing.T, root rueidis.ClientOption) {
	c, err := rueidis.NewClient(root)
	if err != nil {
		return
	}
	defer c.Close()
	// It is called when the test's context has ended.
	if list, err := c.Do(context.Background(), c.B().Arbitrary("ACL", "LOG").Build()).ToArray(); err == nil && len(list) > 0 {
		t.Errorf("refused: %v", list)
	}
}

// exactly compares what two nodes use with what their user may do.
func exactly(t *testing.T, r *redis, root rueidis.ClientOption, user string, w Wire, rules string) {
	o := Options{Wire: w, CommonResponses: w == Classic}
	a, b := join(t, New(r.as(user), o), "AAAAA"), join(t, New(r.as(user), o), "BBBBB")
	a.watch("/chat", "", "room")
	b.watch("/chat", "", "room")
	m := emit(`["x"]`, "room")
	m.Namespace = "/chat"
	a.say(&m)
	b.next(t, 1)
	a.say(&cluster.Message{Kind: cluster.Fetch, Namespace: "/", ID: "1"})
	b.next(t, 1)
	if n, err := a.Backend.(cluster.Counter).Others(t.Context(), "/"); n != 0 || err != nil {
		t.Error(n, err)
	}
	b.unwatch("/chat", "room", "")

	c, err := rueidis.NewClient(root)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var may []string
	line := regexp.MustCompile(`(?m)^user ` + user + ` .*$`).FindString(rules)
	for word := range strings.FieldsSeq(line) {
		if command, ok := strings.CutPrefix(word, "+"); ok && command != "auth" { // HELLO has the password too
			may = append(may, command)
		}
	}
	info, err := do(t, c, "INFO", "commandstats").ToString()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range may {
		if !strings.Contains(info, "cmdstat_"+command+":calls=") {
			t.Errorf("no node has used %s", command)
		}
	}
	list := "CHANNELS"
	if w == Sharded {
		list = "SHARDCHANNELS"
	}
	channels, err := do(t, c, "PUBSUB", list).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(line) {
		if pattern, ok := strings.CutPrefix(word, "&"); ok && !slices.ContainsFunc(channels, func(name string) bool {
			return strings.HasPrefix(name, strings.TrimSuffix(pattern, "*"))
		}) {
			t.Errorf("no node listens to %s", pattern)
		}
	}

	u, err := rueidis.NewClient(r.as(user))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, args := range [][]string{
		{"GET", "x"}, {"SET", "socket.io", "x"}, {"DEL", "socket.io"}, {"KEYS", "*"}, {"FLUSHALL"}, {"CONFIG", "GET", "*"}, {"ACL", "LIST"},
		{"PUBLISH", "other", "x"}, {"SPUBLISH", "other", "x"}, {"PUBSUB", "CHANNELS"}, {"XADD", "other", "*", "a", "b"}, {"CLIENT", "LIST"}, {"MONITOR"},
	} {
		if err := u.Do(t.Context(), u.B().Arbitrary(args...).Build()).Error(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestACLRecovery: with Options.Recovery a user needs the words that docs/cluster.md has for that,
// and no others.
func TestACLRecovery(t *testing.T) {
	users := rules(t)
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```acl-recovery\n(.*?)\n```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/cluster.md has no words for recovery")
	}
	words := string(m[1])
	line := regexp.MustCompile(`(?m)^user siokit-streams .*$`).FindString(users)
	r, root := guarded(t, strings.Replace(users, line, line+" "+words, 1))
	a, j := journal(t, New(r.as("siokit-streams"), Options{Wire: Streams}), "AAAAA")
	x := emit(`["x"]`)
	a.say(&x)
	if _, _, err := behind(t, j, j.Reached(), "/"); err != nil {
		t.Error(err)
	}
	s := cluster.Session{ID: "s", PID: strings.Repeat("p", 20), Rooms: []string{"s"}, Extra: []byte("x")}
	if err := j.SaveSession(t.Context(), &s, time.Minute); err != nil {
		t.Error(err)
	}
	if got, err := j.TakeSession(t.Context(), s.PID); err != nil || got == nil || string(got.Extra) != "x" {
		t.Error(got, err)
	}
	refusedNothing(t, root)
	c, err := rueidis.NewClient(root)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := do(t, c, "INFO", "commandstats").ToString()
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(words) {
		if command, ok := strings.CutPrefix(word, "+"); ok && !strings.Contains(info, "cmdstat_"+command+":calls=") {
			t.Errorf("no node has used %s", command)
		}
	}
}

// TestACLPattern: a process of Node subscribes to patterns, and Redis lets a user subscribe to a
// pattern only when the user's rule has that very pattern.
func TestACLPattern(t *testing.T) {
	r, _ := guarded(t, "user wide on >CHANGE-ME -@all +hello +psubscribe resetchannels &socket.io#*\n"+
		"user exact on >CHANGE-ME -@all +hello +psubscribe resetchannels &socket.io#/#*\n")
	for user, may := range map[string]bool{"wide": false, "exact": true} {
		c, err := rueidis.NewClient(r.as(user))
		if err != nil {
			t.Fatal(err)
		}
		d, release := c.Dedicate()
		d.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
		if err := d.Do(t.Context(), d.B().Psubscribe().Pattern("socket.io#/#*").Build()).Error(); (err == nil) != may {
			t.Errorf("%s: %v", user, err)
		}
		release()
		c.Close()
	}
}
