package htmlfile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

var script = packet.Script{Head: "<html>", Before: "<script>_(", After: ");</script>"}

func TestAnswer(t *testing.T) {
	a := Form{}.Answer(script)
	// legacy A4.4: a slash is written with a backslash
	if got := a.Wrap(nil, []byte(`5::/a:{"name":"</script>"}`)); string(got) != `<script>_("5::\/a:{\"name\":\"\u003c\/script\u003e\"}");</script>` {
		t.Errorf("%s", got)
	}
	if !a.Stream || a.Head != "<html>" || a.ContentType != "text/html; charset=UTF-8" || (Form{}).Name() != Name {
		t.Errorf("%+v", a)
	}
}

// FuzzAnswer: a browser that looks for the end of the script finds ours, and
// the argument is the payload.
func FuzzAnswer(f *testing.F) {
	f.Add("1::")
	f.Add(`</script><script>alert(1)</script><!--` + "\u2028")
	f.Fuzz(func(t *testing.T, payload string) {
		out := string(Form{}.Answer(script).Wrap(nil, []byte(payload)))
		inner, rest, ok := strings.Cut(strings.TrimPrefix(out, "<script>"), "</script>")
		arg := strings.TrimSuffix(strings.TrimPrefix(inner, "_("), ");")
		var back string
		if err := json.Unmarshal([]byte(arg), &back); !ok || rest != "" || err != nil || back != string([]rune(payload)) {
			t.Fatalf("%q: %s, %v", payload, out, err)
		}
		if strings.Contains(inner, "<") {
			t.Fatalf("%q: %s", payload, out)
		}
	})
}
